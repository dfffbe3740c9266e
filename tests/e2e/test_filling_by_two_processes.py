"""One back-fill by two workers of the real command, over a PostgreSQL and a ClickHouse cluster."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.databases import Backend
from tests.e2e.conftest import Installation
from tests.e2e.roles import Deployment
from tests.owners import owned
from tests.pipeline.archived import DEFINITION, assert_same_points, counted, history, points
from tests.servers.stores import Servers

from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.db.streams import JobRow
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.store import EventStore, open_store
from cliffwatch.streams import Stream, Streams, StreamState, parse
from cliffwatch.streams.store import PART

DAY = 86_400_000
COUNT = 210_000
"""Three parts."""


@dataclass
class Filled:
    """An archive of 30 days, and workers that are started when a test wants them."""

    deployment: Deployment
    database: Database
    store: EventStore
    source_id: int

    def create(self, name: str) -> Stream:
        streams = Streams(self.database, self.store, Jobs(self.database))
        return streams.create(1, self.source_id, name, parse(DEFINITION), system_clock())

    def start(self, name: str) -> Installation:
        return self.deployment.start("--role", "worker", folder=name, env={"CLIFFWATCH_BACKFILL_THREADS": "1"})

    def stream(self, stream_id: int) -> Stream:
        found = Streams(self.database, self.store, Jobs(self.database)).by_id(stream_id)
        assert found is not None
        return found

    def is_active(self, stream: Stream) -> bool:
        return self.stream(stream.id).state is StreamState.ACTIVE

    def parts(self) -> list[JobRow]:
        with self.database.read() as session:
            return [*session.scalars(select(JobRow).where(JobRow.kind == PART).order_by(JobRow.id))]

    def under_way(self) -> list[JobRow]:
        """Parts that somebody has: of two workers with one thread each, two are those of both."""
        now = system_clock()
        return [job for job in self.parts() if job.state == "queued" and job.lease_until_ms > now]

    def forget_leases(self) -> None:
        """As if the time of every lease were over; whoever is alive loses it, too."""
        with self.database.write() as session:
            session.execute(update(JobRow).where(JobRow.state == "queued").values(lease_until_ms=0))


@pytest.fixture
def filled(tmp_path: Path, servers: Servers, databases: Backend) -> Iterator[Filled]:
    metadata_url, store_url = databases.copy(owned, tmp_path), servers.cluster.url_of("filled_by_two")
    with contextlib.ExitStack() as running:
        database = running.enter_context(contextlib.closing(Database(metadata_url)))
        store = running.enter_context(contextlib.closing(open_store(store_url)))
        source = Sources(database).create(1, "Web", system_clock())
        now = system_clock()
        store.write(history(source.id, COUNT, now - 30 * DAY, now - DAY), None)
        deployment = Deployment(tmp_path, metadata_url, store_url, source.write_keys[0].key)
        running.callback(deployment.close)
        yield Filled(deployment, database, store, source.id)


def test_two_workers_fill_one_stream_at_the_same_time_and_when_one_is_killed_the_other_completes_it(
    filled: Filled, wait_for: Callable[..., object]
) -> None:
    filled.start("one")
    killed = filled.start("other")
    stream = filled.create("Orders")
    wait_for(lambda: len(filled.under_way()) == 2, 60)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(30)
    assert not filled.is_active(stream)
    filled.forget_leases()
    wait_for(lambda: filled.is_active(stream), 180)
    assert counted(filled.store, stream.facts_id) == COUNT
    parts = filled.parts()
    assert [job.state for job in parts] == ["done"] * 3
    assert sum(job.payload["done"] for job in parts) == COUNT
    serial = filled.create("Serial")  # by the one that is left, with its one thread
    wait_for(lambda: filled.is_active(serial), 180)
    of_both, of_one = points(filled.store, stream.id), points(filled.store, serial.id)
    last = of_both.window_start_ms.max()  # an hour may have ended since
    assert_same_points(of_both, of_one.where(of_one.window_start_ms <= last))
