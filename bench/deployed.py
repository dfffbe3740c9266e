"""An installation of several processes over PostgreSQL and a ClickHouse cluster, as benches load, renew and kill it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.conftest import Installation
from tests.e2e.roles import Deployment, processes_of
from tests.owners import EMAIL, PASSWORD, set_up_owner

from alarms import Alarms
from cliffwatch.accounts import SESSION_COOKIE, Accounts
from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.errors import Unavailable
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.store import EventStore, PointQuery, open_store
from cliffwatch.streams import Streams, parse

MINUTE = 60_000
PAGES = ("/", "/streams", "/incidents", "/sources")
PAGE_PACE_SECONDS = 0.25
CUT = 0


@dataclass(frozen=True)
class House:
    """What is in an installation: a source with a stream of one-minute windows, somebody who is signed in."""

    key: str
    session: str
    stream_id: int
    facts_id: int


def furnished(metadata_url: str, store_url: str, alarms: Alarms, count: int) -> House:
    """Set an installation up, with so many alarms."""
    now = system_clock()
    with contextlib.closing(Database(metadata_url)) as database, contextlib.closing(open_store(store_url)) as store:
        accounts = Accounts(database)
        owner = set_up_owner(accounts, now)
        source = Sources(database).create(owner.workspace.id, "Shop", now)
        schedule = {"frequency_minutes": 1, "anchor": "00:00", "time_zone": "UTC"}
        definition = parse({"spec_type": "track", "events": ["Order Completed"], "schedule": schedule})
        stream = Streams(database, store, Jobs(database)).create(
            owner.workspace.id, source.id, "Orders", definition, now
        )
        assert owner.person is not None
        alarms.furnish(count, database, store, owner.person.id, now)
        session = accounts.sign_in(EMAIL, PASSWORD, address="127.0.0.1", user_agent="bench", now=now)
        return House(source.write_key, session, stream.id, stream.facts_id)


def post(port: int, body: bytes) -> int:
    """The status of a batch over a connection of its own; `CUT` when it ended without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return CUT
    finally:
        connection.close()


def read_pages(port: int, session: str, seen: Counter[str], over: threading.Event) -> None:
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
            seen["pages 5xx" if answer.status >= 500 else "pages" if answer.status == 200 else "pages other"] += 1
            closed = answer.getheader("connection", "").lower() == "close"
        except (OSError, http.client.HTTPException):
            closed = True
            seen["page connections cut"] += 1  # a browser asks again by itself
        if closed:
            connection.close()
            connection = None
        time.sleep(PAGE_PACE_SECONDS)


@dataclass
class Roles:
    """Two processes of each role, and how they are renewed and killed."""

    deployment: Deployment
    doors: Installation
    pages: Installation
    workers: list[Installation]
    restarts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def started(cls, deployment: Deployment) -> Roles:
        return cls(
            deployment,
            deployment.start("--role", "ingest", "--workers", "2"),
            deployment.start("--role", "web", "--workers", "2"),
            [deployment.start("--role", "worker") for _ in range(2)],
        )

    def renew(self, role: str, service: Installation) -> None:
        """SIGHUP: new processes before old ones drain; returns when all are new."""
        before = set(processes_of(service))

        def are_renewed() -> bool:
            return len(now := set(processes_of(service))) == len(before) and not now & before

        for _ in range(4):  # on a machine that is too busy to start one in time, renewing is given up
            service.process.send_signal(signal.SIGHUP)
            with contextlib.suppress(SystemExit):
                wait_until(are_renewed, 180, role)
                self.restarts[role] += len(before)
                return
        raise SystemExit(f"{role} could not be renewed: {''.join(service.output[-20:])}")

    def renew_workers(self) -> None:
        for place, worker in enumerate(self.workers):
            worker.stop()
            self.start_worker(place)
            self.restarts["worker"] += 1

    def start_worker(self, place: int) -> None:
        self.workers[place] = self.deployment.start("--role", "worker")

    def kill_one_of_each(self) -> None:
        """Returns when there are as many as before."""
        for role, service in (("ingest", self.doors), ("web", self.pages)):
            await_replaced(service, killed(service, 1))
            self.restarts[f"{role} killed"] += 1
        self.workers[0].kill()
        self.start_worker(0)
        self.restarts["worker killed"] += 1


def killed(service: Installation, count: int) -> set[int]:
    """Kill (kill -9) so many processes of a command, and name them."""
    victims = random.sample(processes_of(service), count)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    return set(victims)


def await_replaced(service: Installation, victims: set[int]) -> None:
    wait_until(
        lambda: len(now := processes_of(service)) == 2 and not victims & set(now),
        120,
        "a process in a dead one's place",
    )


def port_of(service: Installation) -> int:
    return int(service.address.rpartition(":")[2])


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """How long it took until something held; ends the bench when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(Unavailable):  # a question that cannot be answered yet
            if holds():
                return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come about within {seconds:.0f} s")


def whole_minute() -> None:
    """Wait until one begins."""
    time.sleep((MINUTE - time.time() * 1000 % MINUTE) / 1000)


def in_points(store: EventStore, stream_id: int, start_ms: int = 0, end_ms: int = 1 << 52) -> int:
    """What the points of windows that begin in [start, end) have counted."""
    return int(store.read_points(PointQuery(stream_id, start_ms, end_ms, slices=["{}"])).value.sum())
