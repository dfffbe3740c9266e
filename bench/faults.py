"""What becomes of events, runs and points while parts of a real ClickHouse cluster fail under load.

    python bench/faults.py [--seconds 18] [--only network]

Two shards with two replicas each and a ZooKeeper run in network namespaces of their own (it needs root, and `ip`),
beside one `cliffwatch serve`; two clients post batches to its door over HTTP all the time and send again what was
refused. For each fault: after a few seconds of load something fails, later it is mended; then it is awaited that all
that was acknowledged can be counted. At the end each window's run must have counted what the door acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.clickhouse import Cluster, Place, Process

from cliffwatch.accounts import Accounts
from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.errors import Unavailable
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.settings import Settings
from cliffwatch.store import Aggregate, AggregateQuery, EventStore, Function, PointQuery, open_store
from cliffwatch.streams import Streams, parse

BATCH, CLIENTS, PACE_SECONDS = 40, 2, 0.05
FAIL_AFTER_SECONDS = 4.0
MINUTE = 60_000
NET = "10.77.0"
SMALL_MB = 160
COUNT = Aggregate(Function.COUNT)
console = Console(width=150)
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)  # that servers go away is what is looked at


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Network:
    """A bridge in a namespace of this bench, and a namespace for each server, tied to it by a cable of its own."""

    def __init__(self, servers: int) -> None:
        self.tag = f"cw{os.getpid()}"
        self.count = servers + 1  # the first one is ZooKeeper's
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "bridge", "type", "bridge")
        sh("ip", "addr", "add", f"{NET}.254/24", "dev", "bridge")
        sh("ip", "link", "set", "bridge", "up")
        for number in range(self.count):
            name = self.name(number)
            sh("ip", "netns", "add", name)
            sh("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            sh("ip", "link", "set", f"v{number}", "master", "bridge", "up")
            sh("ip", "-n", name, "addr", "add", f"{self.host(number)}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                sh("ip", "-n", name, "link", "set", device, "up")

    def name(self, number: int) -> str:
        return f"{self.tag}-{number}"

    def host(self, number: int) -> str:
        return f"{NET}.{number + 1}"

    def places(self) -> list[Place]:
        return [Place(self.host(n), ("ip", "netns", "exec", self.name(n))) for n in range(self.count)]

    def cable(self, number: int, how: str) -> None:
        sh("ip", "link", "set", f"v{number}", how)

    def wall(self, one: int, other: int, how: str) -> None:
        """`add` or `del` a wall between two servers; all others still reach both."""
        for here, there in ((one, other), (other, one)):
            sh("ip", "-n", self.name(here), "route", how, "blackhole", f"{self.host(there)}/32")

    def close(self) -> None:
        for number in range(self.count):
            with contextlib.suppress(subprocess.CalledProcessError):
                sh("ip", "netns", "del", self.name(number))


@dataclass
class Load:
    """Clients that post batches until they are told to stop, and what was acknowledged."""

    port: int
    key: str
    acknowledged: int = 0
    refused: int = 0
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def first(self) -> None:
        """One batch, so that the stream has its first event: what its window lacks at the beginning keeps it from being
        a point."""
        status = self._send(self._body(0))
        assert status == 200, status
        self.acknowledged += BATCH

    def start(self) -> None:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._post) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        number = 0
        while not self._stop.is_set():
            body = self._body(number)
            number += 1
            while True:  # as an SDK does: again until it is taken; all of it counts once
                began = time.monotonic()
                status = self._send(body)
                with self._lock:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    if status == 200:
                        self.acknowledged += BATCH
                        break
                    self.refused += 1
                time.sleep(0.2)
            time.sleep(PACE_SECONDS)

    def _body(self, number: int) -> bytes:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        batch = [
            {
                "type": "track",
                "event": "Order Completed",
                "userId": f"u{(number * BATCH + n) % 500}",
                "messageId": uuid.uuid4().hex,
                "timestamp": at,
                "properties": {"country": ("DE", "FR", "US")[n % 3], "revenue": 20 + n},
            }
            for n in range(BATCH)
        ]
        return json.dumps({"batch": batch, "sentAt": at, "writeKey": self.key}).encode()

    def _send(self, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


@dataclass(frozen=True)
class Installation:
    """A served installation over the cluster, seen from outside."""

    port: int
    key: str
    facts_id: int
    stream_id: int
    first_ms: int
    store: EventStore
    log: Path

    def counted(self) -> int:
        start, end = self.first_ms - 60 * MINUTE, int(time.time() * 1000) + 60 * MINUTE
        table = self.store.aggregate(AggregateQuery(self.facts_id, [start, end], [COUNT]))
        return int(table.values[0].sum())

    def in_points(self) -> int:
        points = self.store.read_points(PointQuery(self.stream_id, 0, 1 << 52, slices=["{}"]))
        return int(points.value.sum())


@contextlib.contextmanager
def installed(folder: Path, url: str) -> Iterator[Installation]:
    """Set up a workspace with a stream of one-minute windows, then serve it."""
    folder.mkdir()
    settings = Settings(data_dir=folder, store=url, log_level="error")
    database = Database(settings.effective_metadata_url)
    database.migrate()
    store = open_store(url)
    now = system_clock()
    owner = Accounts(database).set_up(
        email="robin@shop.example",
        name="Robin",
        password="seven wet umbrellas",
        workspace_name="Shop",
        time_zone="UTC",
        country=None,
        now=now,
    )
    source = Sources(database).create(owner.workspace.id, "Shop", now)
    definition = parse(
        {
            "spec_type": "track",
            "events": ["Order Completed"],
            "dimensions": [{"path": "properties.country", "top": 3}],
            "schedule": {"frequency_minutes": 1, "anchor": "00:00", "time_zone": "UTC"},
        }
    )
    stream = Streams(database, store, Jobs(database)).create(owner.workspace.id, source.id, "Orders", definition, now)
    database.close()
    log = folder / "serve.log"
    environment = {**os.environ, "CLIFFWATCH_STORE": url, "CLIFFWATCH_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "cliffwatch.cli", "serve", "--data-dir", str(folder), "--port", "8420"]
    with log.open("wb") as out:
        served = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        try:
            wait_until(lambda: answers(8420), 90, "cliffwatch serve")
        except SystemExit:
            console.print(log.read_text(errors="replace")[-3000:])
            raise
        yield Installation(8420, source.write_key, stream.facts_id, stream.id, now, store, log)
    finally:
        served.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            served.wait(30)
        served.kill()
        store.close()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """How long it took until something held; raises when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(Unavailable):  # a question that cannot be answered yet
            if holds():
                return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come about within {seconds:.0f} s")


Fault = tuple[str, Callable[[], None], Callable[[], None]]


def faults(cluster: Cluster, net: Network, small: Path) -> list[Fault]:
    """(What fails, make it fail, mend it). Number 0 of the network is ZooKeeper, then the servers."""
    first, shard2, halves = cluster.servers[0], cluster.shard(1), [(1, 2), (1, 4), (3, 2), (3, 4)]
    filler = small / "filler"

    def start(*processes: Process) -> None:
        for process in processes:
            process.start()

    def fill() -> None:
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65_536)

    def wall(how: str) -> None:
        for one, other in halves:
            net.wall(one, other, how)

    return [
        ("nothing", lambda: None, lambda: None),
        ("a replica is killed (kill -9), then started", first.kill, lambda: start(first)),
        (
            "a whole shard is killed (kill -9 both), then started",
            lambda: [server.kill() for server in shard2] and None,
            lambda: start(*shard2),
        ),
        ("ZooKeeper is killed, then started", cluster.zookeeper.kill, lambda: start(cluster.zookeeper)),
        ("network: a replica is cut off from everybody", lambda: net.cable(1, "down"), lambda: net.cable(1, "up")),
        ("network: ZooKeeper is cut off", lambda: net.cable(0, "down"), lambda: net.cable(0, "up")),
        ("network: replicas 1 do not reach replicas 2", lambda: wall("add"), lambda: wall("del")),
        ("a replica's disk is full", fill, filler.unlink),
        ("a replica is frozen (SIGSTOP)", first.pause, first.go_on),
    ]


def suffer(house: Installation, load: Load, fault: Fault, seconds: float) -> list[str]:
    name, fail, mend = fault
    before, refused, load.slowest = load.acknowledged, load.refused, 0.0
    load.start()
    time.sleep(FAIL_AFTER_SECONDS)
    fail()
    time.sleep(seconds - 2 * FAIL_AFTER_SECONDS)
    acknowledged, asked, said = load.acknowledged, time.monotonic(), "refused"
    with contextlib.suppress(Unavailable):
        waits = max(acknowledged - house.counted(), 0)
        said = f"{waits:,} wait, {time.monotonic() - asked:.1f} s"
    mend()
    mended = time.monotonic()
    time.sleep(FAIL_AFTER_SECONDS)
    load.stop()
    wait_until(lambda: house.counted() >= load.acknowledged, 180, f"{name}: all that was acknowledged")
    late = time.monotonic() - mended
    found = house.counted()
    return [
        name,
        f"{load.acknowledged - before:,}",
        str(load.refused - refused),
        f"{load.slowest:.2f} s",
        said,
        f"{late:.0f} s",
        str(load.acknowledged - found if found < load.acknowledged else 0),
        str(max(found - load.acknowledged, 0)),
    ]


def inside() -> None:
    """Go on in a network and a mount namespace of this bench; this process becomes that one."""
    if "CLIFFWATCH_BENCH_INSIDE" not in os.environ:
        os.environ["CLIFFWATCH_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=18, help="how long the load of each fault lasts")
    parser.add_argument("--only", default="", help="faults whose name holds these words")
    asked = parser.parse_args()
    inside()
    table = Table(title="Faults of a cluster of 2 shards x 2 replicas under load")
    for column in ("what fails", "acknowledged", "refused", "slowest answer", "asked meanwhile", "all counted after"):
        table.add_column(column, justify="left" if column == "what fails" else "right")
    table.add_column("lost", justify="right")
    table.add_column("twice", justify="right")
    net = Network(4)
    try:
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
            folder = Path(name)
            small = folder / "small"
            small.mkdir()
            sh("mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(small))
            running.callback(sh, "umount", "-l", str(small))
            cluster = running.enter_context(Cluster(folder / "cluster", small=small / "data", places=net.places()))
            house = running.enter_context(installed(folder / "house", cluster.url))
            load = Load(house.port, house.key)
            load.first()
            time.sleep((MINUTE - time.time() * 1000 % MINUTE) / 1000)  # the first whole window begins here
            for fault in faults(cluster, net, small):
                if asked.only in fault[0]:
                    row = suffer(house, load, fault, asked.seconds)
                    table.add_row(*row)
                    console.print(" | ".join(row))
            console.print(table)
            try:
                whole = load.acknowledged - BATCH
                runs = wait_until(lambda: house.in_points() >= whole, 150, "the runs of all windows")
            except SystemExit:
                console.print(f"points: {house.in_points():,} of {load.acknowledged - BATCH:,}")
                console.print(house.log.read_text(errors="replace")[-4000:])
                raise
            console.print(
                f"Points of all one-minute windows: {house.in_points():,} of {whole:,} acknowledged, "
                f"{runs:.0f} s after the last event."
            )
            told: dict[str, int] = {}
            for line in house.log.read_text(errors="replace").splitlines():
                for event in ("absorbing_stands_still", "written_without_a_replica", "run_failed"):
                    told[event] = told.get(event, 0) + (event in line)
            console.print(f"In the log: {told}")
    finally:
        net.close()


if __name__ == "__main__":
    main()
