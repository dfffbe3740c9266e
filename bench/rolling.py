"""What becomes of events and pages while all processes of an installation are renewed, again and again, under load.

    python bench/rolling.py [--minutes 10] [--kill]

Real processes over a real PostgreSQL and a ClickHouse cluster of 2 shards x 2 replicas on loopback: two that take
events, two that show pages, two that work. Clients of segment-analytics-python and plain ones that post batches send
all the time; somebody who is signed in reads pages. Round by round, each role is renewed: those that share an address
by SIGHUP, the workers by SIGTERM and a new start. With `--kill` a process of each role is also killed (kill -9) in
each round.

Plain clients open a connection for each batch and do what an SDK does: again, with the same ids, whatever the answer
was; *refused* counts those answers, *cut* the connections that ended without one.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from segment.analytics.client import Client

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.databases import PostgreSQL, nothing, postgresql_server
from tests.e2e.conftest import Installation
from tests.e2e.roles import EVER, Deployment, processes_of
from tests.servers.clickhouse import Cluster

from cliffwatch.accounts import SESSION_COOKIE, Accounts
from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.db.keys import VARIABLE, new_key
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.store import ArchiveQuery, EventStore, PointQuery, open_store
from cliffwatch.streams import Streams, parse

BATCH, PLAIN, SDKS = 20, 2, 2
PACE_SECONDS, SDK_PACE_SECONDS, PAGE_PACE_SECONDS = 0.1, 0.02, 0.2
PAGES = ("/", "/streams", "/incidents", "/sources")
EMAIL, PASSWORD = "robin@shop.example", "seven wet umbrellas"
MINUTE = 60_000
console = Console(width=150)


@dataclass
class Counts:
    """What the clients saw."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    given_up: int = 0  # messages that the SDK told its owner it could not send
    seen: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.seen[what] += count


def post(counts: Counts, port: int, body: bytes) -> bool:
    connection, began = http.client.HTTPConnection("127.0.0.1", port, timeout=30), time.monotonic()
    try:
        connection.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except OSError:
        counts.add("cut")
        return False
    except http.client.HTTPException:
        counts.add("cut")
        return False
    finally:
        connection.close()
        counts.slowest = max(counts.slowest, time.monotonic() - began)
    if status != 200:
        counts.add(f"refused {status}")
    return status == 200


def plain(counts: Counts, port: int, key: str, name: str, over: threading.Event) -> None:
    """Posts batches, each until it is taken."""
    for number in itertools.count():
        if over.is_set():
            return
        ids = [f"{name}-{number}-{place}" for place in range(BATCH)]
        batch = [{"type": "track", "event": "Order Completed", "userId": one, "messageId": one} for one in ids]
        body = json.dumps({"writeKey": key, "batch": batch}).encode()
        counts.sent.update(ids)
        while not post(counts, port, body):
            time.sleep(0.2)
        counts.acknowledged.update(ids)
        time.sleep(PACE_SECONDS)


def sdk(counts: Counts, address: str, key: str, name: str, over: threading.Event) -> None:
    """A program that uses the SDK, as its owner would; all that it was given is flushed at the end."""

    def failed(_: Exception, batch: list[object]) -> None:
        counts.given_up += len(batch)

    client = Client(key, host=address, on_error=failed, max_retries=10, upload_interval=0.2)
    for number in itertools.count():
        if over.is_set():
            break
        one = f"{name}-{number}"
        client.track(one, "Order Completed", {"n": number}, message_id=one)
        counts.sent.add(one)
        time.sleep(SDK_PACE_SECONDS)
    client.flush()
    client.join()
    counts.acknowledged.update(one for one in counts.sent if one.startswith(f"{name}-"))


def reader(counts: Counts, port: int, session: str, over: threading.Event) -> None:
    """Somebody who is signed in and reads page after page, over a connection that stays, as a browser's does."""
    connection: http.client.HTTPConnection | None = None
    for path in itertools.cycle(PAGES):
        if over.is_set():
            return
        connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path, headers={"Cookie": f"{SESSION_COOKIE}={session}"})
            answer = connection.getresponse()
            answer.read()
            counts.add("pages 5xx" if answer.status >= 500 else "pages" if answer.status == 200 else "pages other")
            closed = answer.getheader("connection", "").lower() == "close"
        except (OSError, http.client.HTTPException):
            closed = True
            counts.add("page connections cut")  # a browser asks again by itself
        if closed:
            connection.close()
            connection = None
        time.sleep(PAGE_PACE_SECONDS)


@dataclass
class Roles:
    """The commands, and how each role is renewed."""

    deployment: Deployment
    doors: Installation
    pages: Installation
    workers: list[Installation]
    restarts: Counter[str] = field(default_factory=Counter)

    def renew(self, role: str, service: Installation) -> None:
        """SIGHUP: new processes before old ones drain; returns when all are new."""
        before = set(processes_of(service))
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(now := set(processes_of(service))) == len(before) and not now & before, 180, role)
        self.restarts[role] += len(before)

    def renew_workers(self) -> None:
        for place, worker in enumerate(self.workers):
            worker.stop()
            self.workers[place] = self.deployment.start("--role", "worker")
            self.restarts["worker"] += 1

    def kill(self) -> None:
        for role, service in (("ingest", self.doors), ("web", self.pages)):
            count = len(before := processes_of(service))
            os.kill(random.choice(before), signal.SIGKILL)
            self.restarts[f"{role} killed"] += 1
            wait_until(lambda: len(set(processes_of(service))) == count, 120, f"{role} after a kill")  # noqa: B023
        self.workers[0].kill()
        self.workers[0] = self.deployment.start("--role", "worker")
        self.restarts["worker killed"] += 1


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """How long it took until something held; ends the bench when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if holds():
            return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come about within {seconds:.0f} s")


def furnished(metadata_url: str, store_url: str) -> tuple[str, str, int]:
    """A workspace with a stream of one-minute windows: (write key, session, stream)."""
    now = system_clock()
    with contextlib.closing(Database(metadata_url)) as database, contextlib.closing(open_store(store_url)) as store:
        accounts = Accounts(database)
        owner = accounts.set_up(
            email=EMAIL,
            name="Robin",
            password=PASSWORD,
            workspace_name="Shop",
            time_zone="UTC",
            country=None,
            now=now,
        )
        source = Sources(database).create(owner.workspace.id, "Shop", now)
        schedule = {"frequency_minutes": 1, "anchor": "00:00", "time_zone": "UTC"}
        definition = parse({"spec_type": "track", "events": ["Order Completed"], "schedule": schedule})
        stream = Streams(database, store, Jobs(database)).create(
            owner.workspace.id, source.id, "Orders", definition, now
        )
        session = accounts.sign_in(EMAIL, PASSWORD, address="127.0.0.1", user_agent="bench", now=now)
        return source.write_keys[0].key, session, stream.id


def stored(store: EventStore, source_id: int = 1) -> Counter[str]:
    """How often each message's user is there."""
    return Counter(store.read_archive(ArchiveQuery(source_id, -EVER, EVER, limit=10_000_000)).user_id)


def in_points(store: EventStore, stream_id: int) -> int:
    return int(store.read_points(PointQuery(stream_id, 0, 1 << 52, slices=["{}"])).value.sum())


def run(deployment: Deployment, session: str, stream_id: int, minutes: float, kill: bool) -> Table:
    roles = Roles(
        deployment,
        deployment.start("--role", "ingest", "--workers", "2"),
        deployment.start("--role", "web", "--workers", "2"),
        [deployment.start("--role", "worker") for _ in range(2)],
    )
    counts, over, store = Counts(), threading.Event(), open_store(deployment.store_url)
    door, page = (int(one.address.rpartition(":")[2]) for one in (roles.doors, roles.pages))
    key = deployment.key
    post(counts, door, json.dumps({"writeKey": key, "batch": [first()]}).encode())
    time.sleep((MINUTE - time.time() * 1000 % MINUTE) / 1000)  # the first whole window begins here
    work: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        *((plain, (counts, door, key, f"plain{n}", over)) for n in range(PLAIN)),
        *((sdk, (counts, roles.doors.address, key, f"sdk{n}", over)) for n in range(SDKS)),
        (reader, (counts, page, session, over)),
    ]
    threads = [threading.Thread(target=target, args=arguments) for target, arguments in work]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while time.monotonic() - began < minutes * 60:
        roles.renew("ingest", roles.doors)
        roles.renew("web", roles.pages)
        roles.renew_workers()
        if kill:
            roles.kill()
        console.print(f"{time.monotonic() - began:4.0f} s: {dict(roles.restarts)} {dict(counts.seen)}")
    over.set()
    for thread in threads:
        thread.join()
    wait_until(lambda: set(stored(store)) >= counts.acknowledged, 120, "all that was acknowledged")
    found = stored(store)
    whole = len(counts.acknowledged)
    with contextlib.suppress(SystemExit):  # the table says what is missing
        wait_until(lambda: in_points(store, stream_id) >= whole, 200, "the runs of all windows")
    lost, twice = len(counts.acknowledged - set(found)), sum(count > 1 for count in found.values())
    table = Table(title=f"Rolling restarts for {minutes:g} minutes{' with kills' if kill else ''}", show_header=False)
    rows: list[tuple[str, object]] = [
        ("Messages sent", len(counts.sent)),
        ("acknowledged (plain clients) or flushed (SDKs)", whole),
        ("given up by the SDKs", counts.given_up),
        ("lost of these", lost),
        ("stored twice", twice),
        ("in points of one-minute windows", in_points(store, stream_id)),
        *(
            (f"batches {what}, sent again", count)
            for what, count in sorted(counts.seen.items())
            if "refused" in what or what == "cut"
        ),
        ("slowest batch", f"{counts.slowest:.2f} s"),
        ("pages read", counts.seen["pages"]),
        ("pages answered 5xx", counts.seen["pages 5xx"]),
        ("pages answered otherwise", counts.seen["pages other"]),
        ("page connections cut, asked again", counts.seen["page connections cut"]),
        *((f"processes renewed: {role}", count) for role, count in sorted(roles.restarts.items())),
    ]
    for name, value in rows:
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    store.close()
    return table


def first() -> dict[str, str]:
    """So that the stream has its first event: what its window lacks at the beginning keeps it from being a point."""
    return {"type": "track", "event": "Order Completed", "userId": "first", "messageId": "first"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long the load lasts")
    parser.add_argument("--kill", action="store_true", help="also kill a process of each role in each round")
    asked = parser.parse_args()
    os.environ.setdefault(VARIABLE, new_key())
    with (
        tempfile.TemporaryDirectory() as name,
        postgresql_server() as metadata,
        Cluster(Path(name) / "cluster") as cluster,
    ):
        metadata_url = PostgreSQL(metadata.url).copy(nothing, Path(name))
        key, session, stream_id = furnished(metadata_url, cluster.url)
        deployment = Deployment(Path(name), metadata_url, cluster.url, key)
        try:
            console.print(run(deployment, session, stream_id, asked.minutes, asked.kill))
        finally:
            deployment.close()


if __name__ == "__main__":
    main()
