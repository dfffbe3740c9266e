"""What becomes of events, messages and pages while all processes of an installation are renewed, over and over.

    python bench/rolling.py [--minutes 10] [--kill]

Real processes over a real PostgreSQL and a ClickHouse cluster of 2 shards x 2 replicas on loopback: two that take
events, two that show pages, two that work. Programs that use segment-analytics-python and @segment/analytics-node, as
they come, and plain clients that post batches send all the time; somebody who is signed in reads pages; every ten
seconds late events make an incident that one person must hear of. Round by round, each role is renewed: those that
share an address by SIGHUP, the workers by SIGTERM and a new start. With `--kill` a process of each role is also killed
(kill -9) in each round.

Plain clients open a connection for each batch and do what an SDK does: again, with the same ids, whatever the answer
was; *refused* counts those answers, *cut* the connections that ended without one.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
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
from tests.e2e.roles import EVER, Deployment
from tests.node_sdks import node_environment
from tests.servers.clickhouse import Cluster

from alarms import Alarms
from cliffwatch.db.keys import VARIABLE, new_key
from cliffwatch.store import ArchiveQuery, EventStore, open_store
from deployed import (
    CUT,
    House,
    Roles,
    furnished,
    in_points,
    port_of,
    post,
    read_pages,
    wait_until,
    whole_minute,
)

BATCH, PLAIN, SDKS = 20, 2, 2
PACE_SECONDS, SDK_PACE_SECONDS, ALARM_SECONDS = 0.15, 0.04, 10.0
console = Console(width=150)


@dataclass
class Counts:
    """What the clients saw."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    given_up: int = 0  # messages or batches of which an SDK told its owner that it could not send them
    seen: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, port: int, body: bytes) -> int:
        began = time.monotonic()
        status = post(port, body)
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if status != 200:
                self.seen["cut" if status == CUT else f"refused {status}"] += 1
        return status


def plain(counts: Counts, port: int, key: str, name: str, over: threading.Event) -> None:
    """Posts batches, each until it is taken."""
    for number in itertools.count():
        if over.is_set():
            return
        ids = [f"{name}-{number}-{place}" for place in range(BATCH)]
        batch = [{"type": "track", "event": "Order Completed", "userId": one, "messageId": one} for one in ids]
        body = json.dumps({"writeKey": key, "batch": batch}).encode()
        counts.sent.update(ids)
        while counts.post(port, body) != 200:
            time.sleep(0.2)
        counts.acknowledged.update(ids)
        time.sleep(PACE_SECONDS)


def python_sdk(counts: Counts, address: str, key: str, name: str, over: threading.Event) -> None:
    """A program that uses the SDK, as its owner would; all that it was given is flushed at the end."""

    def failed(_: Exception, batch: list[object]) -> None:
        counts.given_up += len(batch)

    client = Client(key, host=address, on_error=failed, upload_interval=0.2)
    ids = []
    for number in itertools.count():
        if over.is_set():
            break
        ids.append(f"{name}-{number}")
        client.track(ids[-1], "Order Completed", {"n": number}, message_id=ids[-1])
        time.sleep(SDK_PACE_SECONDS)
    client.flush()
    client.join()
    counts.sent.update(ids)
    counts.acknowledged.update(ids)


def node_sdk(counts: Counts, address: str, key: str, name: str, over: threading.Event) -> None:
    """The same in a process of Node's."""
    given = json.dumps({"host": address, "key": key, "name": name, "pace": SDK_PACE_SECONDS * 1000})
    program = subprocess.Popen(
        ["node", str(Path(__file__).with_name("rolling_node.cjs")), given],
        env=node_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    over.wait()
    told = json.loads(program.communicate(timeout=120)[0].strip().splitlines()[-1])
    counts.given_up += len(told["errors"])
    for error in told["errors"]:
        console.print(f"{name}: {error}")
    ids = [f"{name}-{number}" for number in range(told["sent"])]
    counts.sent.update(ids)
    counts.acknowledged.update(ids)


def ring(alarms: Alarms, counts: Counts, port: int, over: threading.Event) -> None:
    while alarms.waiting and not over.wait(ALARM_SECONDS):
        alarms.ring(lambda body: counts.post(port, body))


def stored(store: EventStore, source_id: int = 1) -> Counter[str]:
    """How often each message's user is there."""
    return Counter(store.read_archive(ArchiveQuery(source_id, -EVER, EVER, limit=10_000_000)).user_id)


def run(deployment: Deployment, house: House, alarms: Alarms, minutes: float, kill: bool) -> Table:
    roles = Roles.started(deployment)
    counts, over, store = Counts(), threading.Event(), open_store(deployment.store_url)
    door, key, address = port_of(roles.doors), deployment.key, roles.doors.address
    post(door, json.dumps({"writeKey": key, "batch": [first()]}).encode())
    wait_until(lambda: alarms.is_quiet(store), 300, "the histories of the alarms")
    whole_minute()  # the first whole window begins here
    work: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        *((plain, (counts, door, key, f"plain{n}", over)) for n in range(PLAIN)),
        *((python_sdk, (counts, address, key, f"python{n}", over)) for n in range(SDKS)),
        *((node_sdk, (counts, address, key, f"node{n}", over)) for n in range(SDKS)),
        (read_pages, (port_of(roles.pages), house.session, counts.seen, over)),
        (ring, (alarms, counts, door, over)),
    ]
    threads = [threading.Thread(target=target, args=arguments, daemon=True) for target, arguments in work]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while time.monotonic() - began < minutes * 60:
        roles.renew("ingest", roles.doors)
        roles.renew("web", roles.pages)
        roles.renew_workers()
        if kill:
            roles.kill_one_of_each()
        console.print(f"{time.monotonic() - began:4.0f} s: {dict(roles.restarts)} {dict(counts.seen)}")
    over.set()
    for thread in threads:
        thread.join()
    wait_until(lambda: set(stored(store)) >= counts.acknowledged, 120, "all that was acknowledged")
    found = stored(store)
    whole = len(counts.acknowledged)
    with contextlib.suppress(SystemExit):  # the table says what is missing
        wait_until(lambda: in_points(store, house.stream_id) >= whole, 200, "the runs of all windows")
    with contextlib.suppress(SystemExit):
        wait_until(alarms.are_told, 150, "the mails of all alarms")
    told = alarms.told()
    again = Counter(str(mail["Message-ID"]) for mail in alarms.mailbox.messages)
    table = Table(title=f"Rolling restarts for {minutes:g} minutes{' with kills' if kill else ''}", show_header=False)
    of = {name: sum(one.startswith(name) for one in counts.sent) for name in ("plain", "python", "node")}
    rows: list[tuple[str, object]] = [
        ("Messages sent", len(counts.sent)),
        *((f"of these by {name}", count) for name, count in of.items()),
        ("acknowledged (plain clients) or flushed (SDKs)", whole),
        ("errors that an SDK told its owner", counts.given_up),
        ("lost of these", len(counts.acknowledged - set(found))),
        ("stored twice", sum(count > 1 for count in found.values())),
        ("in points of one-minute windows", in_points(store, house.stream_id)),
        *(
            (f"batches {what}, sent again", count)
            for what, count in sorted(counts.seen.items())
            if "refused" in what or what == "cut"
        ),
        ("slowest batch", f"{counts.slowest:.2f} s"),
        ("incidents brought about", len(alarms.rung)),
        ("told once", sum(told[one] == 1 for one in alarms.rung)),
        ("never told", sum(told[one] == 0 for one in alarms.rung)),
        ("told more than once", sum(told[one] > 1 for one in alarms.rung)),
        ("mails that came again under their id", sum(count - 1 for count in again.values())),
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
        contextlib.closing(Alarms()) as alarms,
    ):
        metadata_url = PostgreSQL(metadata.url).copy(nothing, Path(name))
        house = furnished(metadata_url, cluster.url, alarms, int(asked.minutes * 60 / ALARM_SECONDS) + 1)
        deployment = Deployment(Path(name), metadata_url, cluster.url, house.key, alarms.mail)
        try:
            console.print(run(deployment, house, alarms, asked.minutes, asked.kill))
        finally:
            deployment.close()


if __name__ == "__main__":
    main()
