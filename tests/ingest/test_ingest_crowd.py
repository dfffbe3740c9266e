"""A server in a process of its own under more than it can take: clear answers, flat memory, exact counts."""

from __future__ import annotations

import http.client
import json
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

Start = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]
CONNECTIONS = 10_000
PADDING = {"properties": {"text": "x" * 500, "country": "DE"}, "context": {"library": {"name": "analytics.js"}}}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts serve.py with options of Ingest; ends what it started."""
    started: list[subprocess.Popen[str]] = []

    def run(**options: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(tmp_path), json.dumps(options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield run
    for process in started:
        process.kill()
        process.wait()


def memory_mb(process: subprocess.Popen[str]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def batch(name: str, key: str, size: int = 100) -> bytes:
    messages = [
        {"type": "track", "event": f"E{at % 7}", "userId": f"u{at}", "messageId": f"{name}-{at}", **PADDING}
        for at in range(size)
    ]
    return json.dumps({"batch": messages, "writeKey": key}).encode()


class Sender(threading.Thread):
    """Sends batches one after the other until told to stop, and sends a refused one again, as SDKs do."""

    def __init__(self, hello: dict[str, Any], name: str, until: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.hello, self.name_, self.until = hello, name, until
        self.accepted = self.refused = 0
        self.statuses: set[int] = set()
        self.headers: set[tuple[str | None, str | None]] = set()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.hello["port"], timeout=60)
        number = 0
        while not self.until():
            connection.request("POST", "/v1/batch", batch(f"{self.name_}-{number}", self.hello["key"]))
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                self.accepted += 100
                number += 1
                continue
            assert answer.status in (429, 503), answer.status
            self.refused += 1
            self.statuses.add(answer.status)
            self.headers.add((answer.getheader("Retry-After"), answer.getheader("X-RateLimit-Reset")))
            time.sleep(0.05)


def flood(hello: dict[str, Any], seconds: float, name: str = "s") -> list[Sender]:
    end = time.monotonic() + seconds
    senders = [Sender(hello, f"{name}{number}", lambda: time.monotonic() > end) for number in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return senders


def stored(folder: Path, process: subprocess.Popen[str]) -> tuple[int, int]:
    """(rows, distinct messages) of the archive after an orderly end."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    with duckdb.connect(str(folder / "events.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT message_hash) FROM archive").fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


def test_more_than_the_store_takes_is_told_to_wait_and_what_is_sent_again_counts_once(
    tmp_path: Path, start: Start
) -> None:
    process, hello = start(max_backlog_bytes=1_000_000)
    senders = flood(hello, 4)
    accepted = sum(sender.accepted for sender in senders)
    assert accepted > 1_000
    assert sum(sender.refused for sender in senders) > 0
    assert set().union(*(sender.headers for sender in senders)) == {("5", "5")}
    assert stored(tmp_path, process) == (accepted, accepted)


def test_a_full_disk_is_told_and_when_there_is_room_everything_is_there_once(tmp_path: Path, start: Start) -> None:
    process, hello = start(segment_bytes=64_000_000)
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2_000_000, hard))  # no file may grow beyond: journal, store
    full = flood(hello, 3, "full")
    assert 503 in set().union(*(sender.statuses for sender in full))
    assert set().union(*(sender.headers for sender in full)) == {("5", "5")}
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    after = flood(hello, 1, "after")
    assert sum(sender.accepted for sender in after) > 0
    accepted = sum(sender.accepted for sender in full + after)
    assert stored(tmp_path, process) == (accepted, accepted)


def test_memory_is_flat_under_a_flood(tmp_path: Path, start: Start) -> None:
    process, hello = start()
    accepted = sum(sender.accepted for sender in flood(hello, 4, "warm"))
    warm = memory_mb(process)
    for part in range(3):
        accepted += sum(sender.accepted for sender in flood(hello, 3, f"p{part}"))
    assert memory_mb(process) < warm + 150
    assert stored(tmp_path, process) == (accepted, accepted)


def test_ten_thousand_connections_that_say_little_keep_nobody_out(tmp_path: Path, start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= CONNECTIONS + 1_000, "this machine allows too few open files to look at this"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process, hello = start(head_seconds=10.0)
    before = memory_mb(process)
    crowd: list[socket.socket] = []
    try:
        for _ in range(CONNECTIONS):
            slow = socket.create_connection(("127.0.0.1", hello["port"]), timeout=30)
            slow.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            crowd.append(slow)
        held = memory_mb(process)
        connection = http.client.HTTPConnection("127.0.0.1", hello["port"], timeout=30)
        connection.request("POST", "/v1/batch", batch("m", hello["key"]))
        assert connection.getresponse().status == 200
        assert held - before < 200
        # Who does not finish the head of a request is told so and let go.
        deadline, told = time.monotonic() + 60, 0
        waiting = set(crowd)
        while waiting and time.monotonic() < deadline:
            poll = select.poll()
            by_number = {slow.fileno(): slow for slow in waiting}
            for number in by_number:
                poll.register(number, select.POLLIN)
            for number, _ in poll.poll(1_000):
                told += by_number[number].recv(100).startswith(b"HTTP/1.1 408")
                waiting.discard(by_number[number])
        assert told == CONNECTIONS
    finally:
        for slow in crowd:
            slow.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert stored(tmp_path, process) == (100, 100)
