"""Roles in processes of their own: what each answers, what becomes of events when they die, are renewed and drain."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.databases import Backend
from tests.e2e.conftest import Installation
from tests.e2e.roles import EVER, Deployment, is_running, processes_of
from tests.owners import EMAIL, PASSWORD, owned
from tests.servers.stores import Servers
from tests.test_cli import cliffwatch

from cliffwatch.accounts import SESSION_COOKIE, Accounts
from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.store import Aggregate, AggregateQuery, Function, PointQuery, open_store
from cliffwatch.streams import Streams, parse

WaitFor = Callable[..., object]
MINUTE = 60_000
EACH_MINUTE = parse(
    {
        "spec_type": "track",
        "events": ["Paid"],
        "schedule": {"frequency_minutes": 1, "anchor": "00:00", "time_zone": "UTC"},
    }
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, servers: Servers, databases: Backend) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("roles")
    metadata_url = databases.copy(owned, folder)
    with contextlib.closing(Database(metadata_url)) as database:
        key = Sources(database).create(1, "Web", system_clock()).write_keys[0].key
    made = Deployment(folder, metadata_url, servers.cluster.url_of("roles"), key)
    yield made
    made.close()


@pytest.fixture(scope="module")
def doors(deployment: Deployment) -> Installation:
    """Two processes that take events, behind one address."""
    return deployment.start("--role", "ingest", "--workers", "2")


@pytest.fixture(scope="module")
def pages(deployment: Deployment) -> Installation:
    """A process that shows pages, in the same data folder, and logs all that it does for machines."""
    env = {"CLIFFWATCH_LOG_JSON": "true", "CLIFFWATCH_LOG_LEVEL": "debug"}
    return deployment.start("--role", "web", env=env)


class Load:
    """Batches one after the other until it is ended; what was acknowledged, and how often it was not."""

    def __init__(self, deployment: Deployment, to: Installation) -> None:
        self.acknowledged: list[str] = []
        self.failed = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(deployment, to))
        self._thread.start()

    def _run(self, deployment: Deployment, to: Installation) -> None:
        while not self._ending.is_set():
            users = deployment.send(to)
            self.acknowledged += users
            self.failed += not users
            time.sleep(0.02)  # the machine is there for the processes

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def test_several_processes_over_the_embedded_stores_are_refused_with_the_way_out(tmp_path: Path) -> None:
    for options in (("--workers", "2"), ("--role", "ingest")):
        done = cliffwatch("serve", "--data-dir", tmp_path / "data", "--port", "0", *options)
        assert done.returncode == 1
        assert " ".join(options) in done.stderr
        assert "DuckDB" in done.stderr
        assert "CLIFFWATCH_STORE" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_process_answers_for_its_role_alone(doors: Installation, pages: Installation, deployment: Deployment) -> None:
    body, _ = deployment.body(1)
    misled = httpx2.post(f"{pages.address}/v1/batch", content=body, timeout=30)
    assert (misled.status_code, misled.headers["retry-after"]) == (503, "5")  # an SDK keeps its events and comes back
    assert httpx2.get(f"{pages.address}/sign-in", timeout=30).status_code == 200
    assert httpx2.get(f"{doors.address}/sign-in", timeout=30).status_code == 404
    ready = [httpx2.get(f"{one.address}/readyz", timeout=30).status_code for one in (doors, pages)]
    assert ready == [200, 200]


def test_the_lines_of_a_log_carry_the_id_of_the_request_that_they_are_about(
    pages: Installation, wait_for: WaitFor
) -> None:
    httpx2.get(f"{pages.address}/sign-in", headers={"X-Request-Id": "trace-7"}, timeout=30)

    def told() -> list[tuple[object, ...]]:
        lines = [json.loads(line) for line in pages.output if "trace-7" in line]
        return [(line["event"], line["request_id"], line["route"], line["status"]) for line in lines]

    wait_for(lambda: told() == [("request", "trace-7", "/sign-in", 200)])


def test_the_live_view_of_one_process_shows_what_came_in_through_another(
    doors: Installation, pages: Installation, deployment: Deployment
) -> None:
    with contextlib.closing(Database(deployment.metadata_url)) as database:
        session = Accounts(database).sign_in(
            EMAIL, PASSWORD, address="127.0.0.1", user_agent="test", now=system_clock()
        )
    deadline = time.monotonic() + 60
    rows = httpx2.stream(
        "GET", f"{pages.address}/sources/1/events/stream", cookies={SESSION_COOKIE: session}, timeout=60
    )
    with rows as answer:
        users: list[str] = []
        for line in answer.iter_lines():
            users = users or deployment.send(doors, 2)  # somebody looks already
            if any(f"{user}<" in line for user in users):
                return
            assert time.monotonic() < deadline
    raise AssertionError("the stream ended without the event")


def test_a_stream_that_another_process_makes_measures_the_next_event_and_no_more_when_it_is_paused(
    doors: Installation, deployment: Deployment, wait_for: WaitFor
) -> None:
    first = deployment.send(doors)
    wait_for(lambda: set(first) <= deployment.stored().keys())  # the streams of the installation are known by then
    with (
        contextlib.closing(open_store(deployment.store_url)) as store,
        contextlib.closing(Database(deployment.metadata_url)) as database,
    ):
        streams = Streams(database, store, Jobs(database))
        stream = streams.create(1, 1, "Payments", EACH_MINUTE, system_clock())
        taken = deployment.send(doors) + deployment.send(doors)

        def measured() -> int:
            span = AggregateQuery(stream.facts_id, [0, EVER], [Aggregate(Function.COUNT)])
            return int(store.aggregate(span).values[0].sum())

        wait_for(lambda: measured() == len(taken) == 40)
        wait_for(lambda: set(taken) <= deployment.stored().keys())  # facts and events are two tables
        streams.pause(1, stream.id, system_clock())
        known = deployment.stored()
        users = deployment.send(doors)
        wait_for(lambda: deployment.stored() - known == dict.fromkeys(users, 1), 60)
        assert measured() == 40


def test_what_a_killed_process_acknowledged_is_stored_once_and_another_takes_its_place(
    doors: Installation, deployment: Deployment, wait_for: WaitFor
) -> None:
    before = processes_of(doors)
    load = Load(deployment, doors)
    wait_for(lambda: len(load.acknowledged) > 200)
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(processes_of(doors)) - set(before)) == 1, 60)
    load.end()

    def is_each_there_once() -> bool:
        stored = deployment.stored()  # also what was stored, and could not be acknowledged any more
        return set(load.acknowledged) <= stored.keys() and set(stored.values()) == {1}

    wait_for(is_each_there_once, 60)


def test_processes_are_renewed_one_by_one_without_an_error_for_whoever_sends(
    doors: Installation, deployment: Deployment, wait_for: WaitFor
) -> None:
    wait_for(lambda: len(processes_of(doors)) == 2, 60)
    before, known = set(processes_of(doors)), deployment.stored()
    load = Load(deployment, doors)
    doors.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(now := processes_of(doors)) == 2 and not before & set(now), 120)
    load.end()
    assert load.failed == 0
    wait_for(lambda: deployment.stored() - known == dict.fromkeys(load.acknowledged, 1), 60)


def test_late_events_that_a_process_without_work_held_while_the_store_was_away_are_in_the_points(
    doors: Installation, deployment: Deployment, servers: Servers, wait_for: WaitFor
) -> None:
    deployment.start("--role", "worker")
    now = system_clock()
    with (
        contextlib.closing(open_store(deployment.store_url)) as store,
        contextlib.closing(Database(deployment.metadata_url)) as database,
    ):
        streams = Streams(database, store, Jobs(database))
        stream = streams.create(1, 1, "Late payments", EACH_MINUTE, now)

        def counted(minutes_ago: int) -> float:
            start = (now // MINUTE - minutes_ago) * MINUTE
            points = store.read_points(PointQuery(stream.id, start, start + MINUTE, slices=["{}"]))
            return float(points.value.sum())

        for minutes_ago in (15, 10):  # the window of a stream's first event is no point
            deployment.send(doors, 3, at_ms=now - minutes_ago * MINUTE)
        wait_for(lambda: counted(10) == 3, 60)
        for server in servers.cluster.servers:
            server.pause()
        try:
            users = deployment.send(doors, at_ms=now - 10 * MINUTE)
            time.sleep(1)
        finally:
            for server in servers.cluster.servers:
                server.go_on()
        assert len(users) == 20
        wait_for(lambda: counted(10) == 23, 90)


def test_a_stop_answers_what_is_under_way_takes_no_more_and_stores_all_of_it(
    doors: Installation, deployment: Deployment
) -> None:
    body, users = deployment.body(3)
    port = int(doors.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:10])
        time.sleep(0.5)  # until a process has the request in hand
        doors.process.send_signal(signal.SIGTERM)
        _until_refused(port)
        connection.sendall(body[10:])
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert doors.process.wait(timeout=60) == 0
    assert set(users) <= set(deployment.stored())


def _until_refused(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("connections were taken for 30 s after SIGTERM")


def test_processes_whose_parent_was_killed_drain_and_store_what_they_acknowledged(
    deployment: Deployment, wait_for: WaitFor
) -> None:
    orphans = deployment.start("--role", "ingest", "--workers", "2")
    children = processes_of(orphans)
    users = deployment.send(orphans) + deployment.send(orphans)
    orphans.kill()
    wait_for(lambda: not any(is_running(child) for child in children), 60)
    assert len(users) == 40
    assert set(users) <= set(deployment.stored())
    _until_refused(int(orphans.address.rpartition(":")[2]))


def test_a_store_that_does_not_answer_keeps_no_process_and_another_takes_over_what_it_left(
    deployment: Deployment, pages: Installation, servers: Servers, wait_for: WaitFor
) -> None:
    alone = deployment.start("--role", "ingest", env={"CLIFFWATCH_STOP_SECONDS": "5"})
    assert deployment.send(alone)
    for server in servers.cluster.servers:
        server.pause()
    try:
        users = deployment.send(alone)
        alone.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert alone.process.wait(timeout=60) != 0
        assert time.monotonic() - began < 30
    finally:
        for server in servers.cluster.servers:
            server.go_on()
    assert len(users) == 20
    assert pages.process.poll() is None  # nobody else shares the folder, and no process is started again
    wait_for(lambda: set(users) <= set(deployment.stored()), 90)
