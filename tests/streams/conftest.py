"""Real parts for tests of data streams: SQLite, DuckDB in memory, and events that were accepted by the Spec's rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.databases import Backend, nothing

from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.spec import Arrival, Envelope, Event, Events, accept_all, format_time
from cliffwatch.store import ArchiveBatch, EventStore, FactBatch, open_store
from cliffwatch.streams import Definition, Runs, Stream, StreamProjector, Streams, parse

EVERYTHING: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed", "Checkout Started"],
    "dimensions": [{"path": "properties.country", "top": 5}, {"path": "properties.plan", "top": 20}],
    "measures": [
        {
            "aggregation": "p95",
            "path": "properties.revenue",
            "event": "Order Completed",
            "label": "Large",
            "unit": "EUR",
        },
        {
            "aggregation": "ratio",
            "numerator": {"aggregation": "sum", "path": "properties.revenue", "event": "Order Completed"},
            "denominator": {"aggregation": "users", "event": "Checkout Started"},
            "label": "Worth of a checkout",
        },
    ],
    "schedule": {"frequency_minutes": 300, "anchor": "09:15", "time_zone": "Asia/Tokyo"},
    "filter": 'properties.country != "US"',
}
"""A definition that says something in every field."""

_numbers = itertools.count()


def make_event(ts_ms: int, name: str = "Order Completed", *, source_id: int = 1, **more: Any) -> Event:
    """A track event as ingest accepts it. `more` are properties, and the fields type, user, message and received_ms."""
    received_ms = more.pop("received_ms", ts_ms)
    message = {
        "type": more.pop("type", "track"),
        "event": name,
        "name": name,
        "userId": more.pop("user", "u1"),
        "messageId": more.pop("message", f"m{next(_numbers)}"),
        "timestamp": format_time(ts_ms),
        "properties": more,
    }
    (event,) = accept_all(Envelope([message]), Arrival(source_id, received_ms, "test"))
    assert isinstance(event, Event)
    return event


@dataclass
class World:
    """A workspace with one source, and what ingest does with its events."""

    database: Database
    store: EventStore
    jobs: Jobs
    streams: Streams
    runs: Runs
    projector: StreamProjector
    workspace_id: int
    source_id: int

    def create(self, now: int, name: str = "Orders", **definition: Any) -> Stream:
        return self.streams.create(self.workspace_id, self.source_id, name, definition_of(**definition), now)

    def event(self, ts_ms: int, name: str = "Order Completed", **more: Any) -> Event:
        return make_event(ts_ms, name, source_id=self.source_id, **more)

    def group(self, ts_ms: int, group_id: str, **traits: Any) -> Event:
        message = {
            "type": "group",
            "groupId": group_id,
            "anonymousId": "a1",
            "messageId": f"m{next(_numbers)}",
            "timestamp": format_time(ts_ms),
            "traits": traits,
        }
        (event,) = accept_all(Envelope([message]), Arrival(self.source_id, ts_ms, "test"))
        assert isinstance(event, Event)
        return event

    def project(self, events: Sequence[Event]) -> FactBatch | None:
        """The facts of a pass over these events."""
        self.projector.refresh()
        return self.projector.project(Events.of(events))

    def absorb(self, events: Sequence[Event]) -> None:
        """Archive and project events, as ingest does."""
        self.store.write(archive_of(events), self.project(events))
        self.projector.stored()

    def archive(self, events: Sequence[Event]) -> None:
        """Archive events without projecting them."""
        self.store.write(archive_of(events), None)

    def again(self) -> Stream:
        (stream,) = self.streams.list(self.workspace_id)
        return stream


def archive_of(events: Sequence[Event]) -> ArchiveBatch:
    return ArchiveBatch(
        source_id=np.array([event.source_id for event in events], dtype=np.int64),
        kind=[event.kind.value for event in events],
        name=[event.name for event in events],
        ts_ms=np.array([event.ts_ms for event in events], dtype=np.int64),
        received_at_ms=np.array([event.received_at_ms for event in events], dtype=np.int64),
        message_hash=np.array([event.message_hash for event in events], dtype=np.int64),
        user_id=[event.user_id or "" for event in events],
        anonymous_id=[event.anonymous_id or "" for event in events],
        body=[msgspec.json.encode(event.fields).decode() for event in events],
    )


def definition_of(**changes: Any) -> Definition:
    data: dict[str, Any] = {
        "spec_type": "track",
        "events": ["Order Completed"],
        "dimensions": [{"path": "properties.country", "top": 2}],
        "measures": [{"aggregation": "count"}],
        "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "UTC"},
    }
    return parse(data | changes)


@pytest.fixture
def world(tmp_path: Path, backend: Backend) -> Iterator[World]:
    database = Database(backend.copy(nothing, tmp_path))
    with database.write() as session:
        row = WorkspaceRow(name="Shop", slug="shop", time_zone="UTC", country=None, created_ms=0)
        session.add(row)
        session.flush()
        workspace_id = row.id
    source = Sources(database).create(workspace_id, "Website", 0)
    store, jobs = open_store(None), Jobs(database)
    streams = Streams(database, store, jobs)
    yield World(database, store, jobs, streams, Runs(database, jobs), StreamProjector(streams), workspace_id, source.id)
    store.close()
    database.close()


@pytest.fixture
def define() -> Callable[..., Definition]:
    """A definition with these fields: orders per hour and country where nothing else is said."""
    return definition_of
