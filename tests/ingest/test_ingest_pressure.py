"""More than the server can take: clear answers, flat memory, and nothing lost that was acknowledged."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cliffwatch.ingest import Source, body
from cliffwatch.ingest import journal as journal_module
from cliffwatch.ingest.credentials import basic_key
from cliffwatch.ingest.routes import route
from cliffwatch.spec.hashing import actor_hash

TRACK = {"type": "track", "event": "E", "userId": "u"}
BOTH_HEADERS = {"retry-after": "5", "x-ratelimit-reset": "5"}


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def headers_of(answer: httpx2.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in BOTH_HEADERS}


def test_a_full_disk_is_answered_503_with_both_headers_and_the_retry_is_stored_once(
    own_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server()
    source = server.new_source()
    message = {**TRACK, "messageId": "m-1", "writeKey": source.write_key}

    def full(file: int, pieces: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with httpx2.Client(base_url=server.url) as client:
        with monkeypatch.context() as patched:
            patched.setattr(journal_module.os, "writev", full)
            refused = client.post("/v1/track", json=message)
        accepted = client.post("/v1/track", json=message)
    assert refused.status_code == 503
    assert headers_of(refused) == BOTH_HEADERS
    assert refused.json()["code"] == "not_durable"
    assert accepted.status_code == 200
    assert server.counted(source) == 1


def test_a_journal_that_the_store_does_not_empty_is_answered_429(own_server: Callable[..., Any]) -> None:
    server = own_server(max_backlog_bytes=0)
    source = server.new_source()
    answer = httpx2.post(f"{server.url}/v1/track", json=TRACK, auth=(source.write_key, ""))
    assert answer.status_code == 429
    assert headers_of(answer) == BOTH_HEADERS
    assert answer.json()["code"] == "queue_full"


def test_a_pixel_does_not_make_a_full_journal_longer(own_server: Callable[..., Any]) -> None:
    server = own_server(max_backlog_bytes=0)
    source = server.new_source()
    query = {"writeKey": source.write_key, "userId": "u", "event": "E"}
    assert httpx2.get(f"{server.url}/v1/pixel/track", params=query).status_code == 200
    assert server.ingest.stats().verdicts == {"queue_full": 1}
    assert server.counted(source) == 0


def test_bodies_beyond_the_memory_for_them_are_answered_429_and_the_room_is_given_back(
    own_server: Callable[..., Any],
) -> None:
    server = own_server(max_queue_bytes=10_000)
    source = server.new_source()
    with httpx2.Client(base_url=server.url, auth=(source.write_key, "")) as client:
        large = client.post("/v1/batch", json={"batch": [TRACK] * 400})
        small = client.post("/v1/track", json=TRACK)
    assert (large.status_code, small.status_code) == (429, 200)
    assert headers_of(large) == BOTH_HEADERS
    assert server.ingest.stats().waiting_bytes == 0


def test_a_store_that_fails_keeps_nobody_waiting_and_loses_nothing(
    own_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server()
    source = server.new_source()

    def down(*_: Any) -> None:
        raise RuntimeError("the store is down")

    with monkeypatch.context() as patched:
        patched.setattr(server.store, "write", down)
        for number in range(5):
            message = {**TRACK, "messageId": f"m-{number}"}
            answer = httpx2.post(f"{server.url}/v1/track", json=message, auth=(source.write_key, ""))
            assert answer.status_code == 200
        assert not server.ingest.wait_absorbed(0.4)
        assert "the store is down" in server.ingest.stats().error
    assert server.counted(source) == 5
    assert server.ingest.stats().error == ""
    assert server.catalogue.verdicts(source.id, 0) == {"accepted": 5}


def test_100_mb_are_refused_without_being_kept(server: Any, source: Source) -> None:
    before = resident_mb()
    megabyte = b"x" * 1_000_000

    def hundred() -> Any:
        for _ in range(100):
            yield megabyte

    with httpx2.Client(base_url=server.url, timeout=60) as client:
        declared = client.post("/v1/batch", content=b"[" * 50_000_000, auth=(source.write_key, ""))
        streamed = client.post("/v1/batch", content=hundred(), auth=(source.write_key, ""))
    for answer in (declared, streamed):
        assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")
    assert resident_mb() - before < 60


def test_a_gzip_bomb_is_refused_without_being_unpacked(client: httpx2.Client, source: Source) -> None:
    bomb = gzip.compress(b"\0" * 300_000_000)  # 300 MB in 300 KB
    before = resident_mb()
    answer = client.post("/v1/batch", content=bomb, headers={"Content-Encoding": "gzip"}, auth=(source.write_key, ""))
    assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")
    assert resident_mb() - before < 30


def test_a_body_of_packed_parts_without_end_is_refused(client: httpx2.Client, source: Source) -> None:
    began = time.process_time()
    answer = client.post("/v1/batch", content=gzip.compress(b"") * 20_000, auth=(source.write_key, ""))
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_truncated_gzip_is_refused(client: httpx2.Client, source: Source, cut: int) -> None:
    packed = gzip.compress(json.dumps(TRACK).encode())[:-cut]
    answer = client.post("/v1/track", content=packed, headers={"Content-Encoding": "gzip"}, auth=(source.write_key, ""))
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip"])
def test_an_unknown_encoding_is_refused_by_name(client: httpx2.Client, source: Source, encoding: str) -> None:
    packed = b"\x28\xb5\x2f\xfd"
    answer = client.post("/v1/t", content=packed, headers={"Content-Encoding": encoding}, auth=(source.write_key, ""))
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")
    assert answer.json()["message"] == f"Content-Encoding {encoding} is not supported; use gzip, deflate or none."


def test_a_body_that_drips_in_is_given_up(own_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.3)
    server = own_server()
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
    assert server.ingest.stats().waiting_bytes == 0


POST = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
HEADER = b"A: b\r\n" * 200
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"GET /", b"x" * 1000),
        (POST + b"Cookie: ", b"x" * 1000),
        (POST, b"A: b\r\n" * 200),
        (CHUNKED, b"A: b\r\n" * 200),
    ],
    ids=["path", "value", "headers", "trailers"],
)
def test_a_head_without_end_is_not_listened_to(server: Any, beginning: bytes, more: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as endless:
        endless.sendall(beginning)
        with pytest.raises((ConnectionError, TimeoutError)) as ended:  # noqa: PT012 - it ends somewhere on the way
            for _ in range(100_000):
                endless.sendall(more)
            raise TimeoutError
    assert isinstance(ended.value, ConnectionError)


def test_a_head_that_is_too_large_is_answered_431(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as large:
        large.sendall(POST + b"Cookie: " + b"x" * 65_536)
        assert large.recv(1000).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "ask",
    [
        lambda text: actor_hash(text, None),
        lambda text: route(f"/{text}/v1/track"),
        lambda text: basic_key(b"Basic " + text.encode()),
    ],
    ids=["person", "path", "key"],
)
def test_long_texts_of_strangers_are_not_remembered(ask: Callable[[str], object]) -> None:
    before = resident_mb()
    for number in range(3_000):
        ask(f"{number:030000d}")
    assert resident_mb() - before < 30  # all of them are 90 MB


def test_a_client_that_goes_away_leaves_nothing_behind(server: Any, source: Source) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    deadline = time.monotonic() + 5
    while server.ingest.stats().waiting_bytes and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.ingest.stats().waiting_bytes == 0
    assert httpx2.post(f"{server.url}/v1/t", json=TRACK, auth=(source.write_key, "")).status_code == 200


def test_two_thousand_open_connections_do_not_keep_others_out(server: Any, source: Source) -> None:
    before = resident_mb()

    async def crowd() -> int:
        async def one() -> asyncio.StreamWriter:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            return writer

        writers = [writer for _ in range(20) for writer in await asyncio.gather(*(one() for _ in range(100)))]
        post = httpx2.AsyncClient(base_url=server.url, timeout=20)
        answer = await post.post("/v1/t", json=TRACK, auth=(source.write_key, ""))
        await post.aclose()
        for writer in writers:
            writer.close()
        return answer.status_code

    with ThreadPoolExecutor(1) as thread:  # a loop of its own, whatever runs in this one
        assert thread.submit(asyncio.run, crowd()).result(60) == 200
    assert resident_mb() - before < 150


def test_many_senders_at_once_are_each_stored_once(server: Any, source: Source) -> None:
    def send(sender: int) -> None:
        with httpx2.Client(base_url=server.url, auth=(source.write_key, ""), timeout=30) as client:
            for number in range(15):
                messages = [{**TRACK, "messageId": f"{sender}-{number}-{index}"} for index in range(10)]
                assert client.post("/v1/batch", json={"batch": messages}).status_code == 200

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.counted(source) == 8 * 15 * 10


def test_under_load_events_are_stored_within_seconds_though_nobody_waits_for_them(
    own_server: Callable[..., Any],
) -> None:
    server = own_server()
    source = server.new_source()
    message = b'{"type":"track","event":"E","userId":"u","properties":{"n":1}}'
    for _ in range(3):
        server.ingest.take(source.id, [message] * 3_000)
        time.sleep(0.3)
    for _ in range(200):
        if server.store.stats().archive_rows == 9_000:
            break
        time.sleep(0.1)
    assert server.store.stats().archive_rows == 9_000
