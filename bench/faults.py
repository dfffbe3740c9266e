"""What becomes of events, runs, messages and pages while parts of an installation fail under load.

    python bench/faults.py [--seconds 14] [--only network,PostgreSQL] [--until-over]

Two shards with two replicas each and a ZooKeeper run in network namespaces of their own (it needs root, and `ip`),
beside a PostgreSQL and two processes of each role; two clients post batches to the door over HTTP all the time and
send again what was refused, and somebody who is signed in reads pages. Each fault begins with a minute: after a few
seconds of load something fails, later it is mended; then it is awaited that all that was acknowledged can be counted.
Two incidents are brought about in each, shortly before and shortly after something fails: one mail of each is right. At
the end the runs of each fault's windows must have counted what the door acknowledged in them. With `--until-over`
it is also awaited that the next window ends: then people are told that the incidents are over, in the thread of each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.databases import PostgreSQL, PostgreSQLServer, nothing, postgresql_server
from tests.e2e.conftest import Installation
from tests.e2e.roles import Deployment
from tests.servers.clickhouse import Cluster, Place, Process

from alarms import Alarms
from cliffwatch.db.keys import VARIABLE, new_key
from cliffwatch.errors import Unavailable
from cliffwatch.store import Aggregate, AggregateQuery, EventStore, Function, open_store
from deployed import (
    MINUTE,
    House,
    Roles,
    await_replaced,
    furnished,
    in_points,
    killed,
    port_of,
    post,
    read_pages,
    wait_until,
    whole_minute,
)

BATCH, CLIENTS, PACE_SECONDS = 40, 2, 0.2
FAIL_AFTER_SECONDS, POSTGRESQL_SECONDS = 4.0, 30.0
NET = "10.77.0"
SMALL_MB = 160
FAULTS = 20
"""No more than so many, for as many alarms there are."""
COUNT = Aggregate(Function.COUNT)
console = Console(width=200)
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
    acknowledged: Counter[int] = field(default_factory=Counter)  # of each minute, by the events' own times
    refused: int = 0
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def first(self) -> None:
        """One batch, so that the stream has its first event: what its window lacks at the beginning keeps it from being
        a point."""
        self._until_taken()

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
        while not self._stop.is_set():
            self._until_taken()
            time.sleep(PACE_SECONDS)

    def _until_taken(self) -> None:
        """As an SDK does: again until it is taken; all of it counts once."""
        at = int(time.time())
        body = self._body(at)
        while True:
            began = time.monotonic()
            status = post(self.port, body)
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if status == 200:
                    self.acknowledged[at // 60] += BATCH
                    return
                self.refused += 1
            time.sleep(0.2)

    def _body(self, at: int) -> bytes:
        batch = [
            {
                "type": "track",
                "event": "Order Completed",
                "userId": f"u{n}",
                "messageId": uuid.uuid4().hex,
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
            }
            for n in range(BATCH)
        ]
        return json.dumps({"batch": batch, "writeKey": self.key}).encode()


@dataclass(frozen=True)
class Fault:
    """What fails, how it is made fail and mended, and how long it lasts when not as long as the others."""

    name: str
    fail: Callable[[], object] = lambda: None
    mend: Callable[[], object] = lambda: None
    seconds: float = 0.0


def faults(cluster: Cluster, net: Network, small: Path, roles: Roles, metadata: PostgreSQLServer) -> list[Fault]:
    """Number 0 of the network is ZooKeeper, then the servers."""
    first, shard2, halves = cluster.servers[0], cluster.shard(1), [(1, 2), (1, 4), (3, 2), (3, 4)]
    filler = small / "filler"
    dead: set[int] = set()

    def start(*processes: Process) -> None:
        for process in processes:
            process.start()

    def kill(*processes: Process) -> None:
        for process in processes:
            process.kill()

    def fill() -> None:
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65_536)

    def wall(how: str) -> None:
        for one, other in halves:
            net.wall(one, other, how)

    def die(service: Installation, count: int) -> None:
        dead.clear()
        dead.update(killed(service, count))

    def role(name: str, service: Installation, count: int) -> Fault:
        return Fault(name, lambda: die(service, count), lambda: await_replaced(service, dead))

    def workers(count: int) -> Fault:
        def fail() -> None:
            for worker in roles.workers[:count]:
                worker.kill()

        def mend() -> None:
            for place in range(count):
                roles.start_worker(place)

        return Fault(f"{('a worker is', 'both workers are')[count - 1]} killed, then started", fail, mend)

    return [
        Fault("nothing"),
        Fault("PostgreSQL is killed for 30 s", metadata.die, metadata.start, POSTGRESQL_SECONDS),
        role("a process that takes events is killed", roles.doors, 1),
        role("both processes that take events are killed", roles.doors, 2),
        role("both processes that show pages are killed", roles.pages, 2),
        workers(1),
        workers(2),
        Fault("a replica is killed (kill -9), then started", first.kill, lambda: start(first)),
        Fault(
            "a whole shard is killed (kill -9 both), then started",
            lambda: kill(*shard2),
            lambda: start(*shard2),
        ),
        Fault("ZooKeeper is killed, then started", cluster.zookeeper.kill, lambda: start(cluster.zookeeper)),
        Fault("network: a replica is cut off from everybody", lambda: net.cable(1, "down"), lambda: net.cable(1, "up")),
        Fault("network: ZooKeeper is cut off", lambda: net.cable(0, "down"), lambda: net.cable(0, "up")),
        Fault("network: replicas 1 do not reach replicas 2", lambda: wall("add"), lambda: wall("del")),
        Fault("a replica's disk is full", fill, filler.unlink),
        Fault("a replica is frozen (SIGSTOP)", first.pause, first.go_on),
    ]


@dataclass
class Suffered:
    """A fault that is over; what its runs and messages came to is seen at the end."""

    name: str
    cells: list[str]
    minutes: range
    acknowledged: int
    alarms: list[str]


@dataclass
class Bench:
    """What faults happen to."""

    roles: Roles
    house: House
    store: EventStore
    load: Load
    alarms: Alarms
    pages: Counter[str]

    def counted(self) -> int:
        now = int(time.time() * 1000)
        hour = 60 * MINUTE
        table = self.store.aggregate(AggregateQuery(self.house.facts_id, [now - 24 * hour, now + hour], [COUNT]))
        return int(table.values[0].sum())

    def suffer(self, fault: Fault, seconds: float) -> Suffered:
        whole_minute()
        load, first = self.load, int(time.time()) // 60
        before, refused, load.slowest = load.acknowledged.total(), load.refused, 0.0
        pages = Counter(self.pages)
        load.start()
        time.sleep(FAIL_AFTER_SECONDS - 2)
        rung = [self.alarms.ring(self.at_door)]  # its events are measured when the part fails
        time.sleep(2)
        fault.fail()
        failed = time.monotonic()
        rung.append(self.alarms.ring(self.at_door))
        time.sleep(max(failed + (fault.seconds or seconds - 2 * FAIL_AFTER_SECONDS) - time.monotonic(), 0))
        acknowledged, asked, said = load.acknowledged.total(), time.monotonic(), "refused"
        with contextlib.suppress(Unavailable):
            waits = max(acknowledged - self.counted(), 0)
            said = f"{waits:,} wait, {time.monotonic() - asked:.1f} s"
        fault.mend()
        mended = time.monotonic()
        time.sleep(FAIL_AFTER_SECONDS)
        load.stop()
        total = load.acknowledged.total()
        wait_until(lambda: self.counted() >= total, 180, f"{fault.name}: all that was acknowledged")
        late, found, seen = time.monotonic() - mended, self.counted(), self.pages - pages
        cells = [
            f"{total - before:,}",
            str(load.refused - refused),
            f"{load.slowest:.2f} s",
            said,
            f"{seen['pages']} of {seen.total()}",
            f"{late:.0f} s",
            str(max(total - found, 0)),
            str(max(found - total, 0)),
        ]
        console.print(fault.name, " | ".join(cells))
        minutes = range(first, int(time.time()) // 60 + 1)
        return Suffered(fault.name, cells, minutes, total - before, rung)

    def at_door(self, body: bytes) -> int:
        return post(self.load.port, body)

    def measured(self, one: Suffered) -> int:
        return in_points(self.store, self.house.stream_id, one.minutes.start * MINUTE, one.minutes.stop * MINUTE)

    def row(self, one: Suffered) -> list[str]:
        told = self.alarms.told()
        once = sum(told[address] == 1 for address in one.alarms)
        more = sum(told[address] > 1 for address in one.alarms)
        return [
            one.name,
            *one.cells,
            f"{self.measured(one):,} of {one.acknowledged:,}",
            f"{once} of {len(one.alarms)}" + (f", {more} again" if more else ""),
        ]


def inside() -> None:
    """Go on in a network and a mount namespace of this bench; this process becomes that one."""
    if "CLIFFWATCH_BENCH_INSIDE" not in os.environ:
        os.environ["CLIFFWATCH_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


COLUMNS = (
    "acknowledged",
    "refused",
    "slowest answer",
    "asked meanwhile",
    "pages shown",
    "all counted after",
    "lost",
    "twice",
    "counted by runs",
    "told once",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=14, help="how long the load of each fault lasts")
    parser.add_argument("--only", default="", help="faults whose name holds one of these words")
    parser.add_argument("--until-over", action="store_true", help="go on until people are told that incidents are over")
    asked = parser.parse_args()
    inside()
    os.environ.setdefault(VARIABLE, new_key())
    net = Network(4)
    try:
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
            folder = Path(name)
            small = folder / "small"
            small.mkdir()
            sh("mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(small))
            running.callback(sh, "umount", "-l", str(small))
            metadata = running.enter_context(postgresql_server())
            cluster = running.enter_context(Cluster(folder / "cluster", small=small / "data", places=net.places()))
            alarms = running.enter_context(contextlib.closing(Alarms()))
            metadata_url = PostgreSQL(metadata.url).copy(nothing, folder)
            house = furnished(metadata_url, cluster.url, alarms, 2 * FAULTS)
            deployment = Deployment(folder, metadata_url, cluster.url, house.key, alarms.mail)
            running.callback(deployment.close)
            roles = Roles.started(deployment)
            store = running.enter_context(contextlib.closing(open_store(cluster.url)))
            known, words = faults(cluster, net, small, roles, metadata), asked.only.split(",")
            wanted = [one for one in known if any(word in one.name for word in words)]
            load = Load(port_of(roles.doors), house.key)
            bench = Bench(roles, house, store, load, alarms, Counter())
            suffer(bench, wanted, asked.seconds, until_over=asked.until_over)
    finally:
        net.close()


def suffer(bench: Bench, wanted: list[Fault], seconds: float, *, until_over: bool) -> None:
    """One fault after the other, then what their runs and messages came to."""
    bench.load.first()
    wait_until(lambda: bench.alarms.is_quiet(bench.store), 300, "the histories of the alarms")
    over = threading.Event()
    reader = threading.Thread(
        target=read_pages, args=(port_of(bench.roles.pages), bench.house.session, bench.pages, over)
    )
    reader.start()
    try:
        suffered: list[Suffered] = []
        for fault in wanted:
            suffered.append(bench.suffer(fault, seconds))
            for one in suffered[-2:-1]:  # by now its runs are done
                console.print("|", " | ".join(bench.row(one)), "|")
    finally:
        over.set()
        reader.join()
    with contextlib.suppress(SystemExit):  # the table says what is missing
        wait_until(lambda: all(bench.measured(one) >= one.acknowledged for one in suffered), 150, "the runs")
        wait_until(bench.alarms.are_told, 150, "the mails of all incidents")
        if until_over:
            wait_until(bench.alarms.are_over, 900, "the mails that say that incidents are over")
            time.sleep(15)  # whoever tells it again does so by now
    table = Table(title="Faults under load")
    for column in ("what fails", *COLUMNS):
        table.add_column(column, justify="left" if column == "what fails" else "right")
    for one in suffered:
        table.add_row(*bench.row(one))
    console.print(table)
    followed = bench.alarms.followed()
    console.print(f"Mails that follow in a thread: {sorted(followed.values())} to {len(followed)} addresses")
    again = Counter(str(mail["Message-ID"]) for mail in bench.alarms.mailbox.messages)
    console.print(f"Mails that came again under their id: {sum(count - 1 for count in again.values())}")
    said: Counter[str] = Counter()
    for service in bench.roles.deployment.running:
        for line in service.output:
            said.update(one for one in SAID if one in line)
    console.print(f"In the logs: {dict(said)}")


SAID = ("absorbing_stands_still", "written_without_a_replica", "run_failed", "job_failed", "left_work_is_taken_over")


if __name__ == "__main__":
    main()
