"""How fast data streams are: projection, windows, back-fill, the runs of one minute, and a page's points.

    python bench/streams.py [--streams 50] [--facts 500000] [--days 14] [--archive 200000]

The runs are those of hourly streams with about 100 series each that are all due in the same minute: plan, aggregate
from DuckDB, score after `--days` of stored history, store the points, close the job. The target is 1,000 streams over
10 million facts within 60 s on 2 cores: `--streams 1000 --facts 10000000`; a smaller run prints what one costs.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import delete

from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.db.streams import JobRow
from cliffwatch.ingest import Sources
from cliffwatch.pipeline import Pipeline
from cliffwatch.pipeline.worker import REVISE
from cliffwatch.settings import Settings
from cliffwatch.spec import Arrival, Envelope, Event, accept_all, format_time
from cliffwatch.store import ArchiveBatch, EventStore, FactBatch, open_store
from cliffwatch.streams import Runs, Schedule, Stream, StreamProjector, parse, windows
from cliffwatch.streams.backfill import Cursor, fill
from cliffwatch.streams.history import load

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_791_799_200_000  # 2026-10-12 10:00 UTC
COUNTRIES = ["DE", "FR", "IT", "ES", "PT", "NL", "PL", "SE", "GB", "US", "CA", "BR"]
PLANS = ["free", "pro", "team", "enterprise"]
VERSIONS = [f"5.{minor}.0" for minor in range(14)]

DEFINITION = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": f"properties.{name}", "top": 12} for name in ("country", "plan", "app_version")],
    "measures": [
        {"aggregation": "count"},
        {"aggregation": "sum", "path": "properties.revenue"},
        {"aggregation": "average", "path": "properties.revenue"},
        {"aggregation": "users"},
    ],
    "schedule": {"frequency_minutes": 60},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--facts", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--archive", type=int, default=200_000)
    options = parser.parse_args()
    table = Table("what", "figure", "per", title="Data streams")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        projection(table)
        schedule(table)
        backfill(table, world, options.archive)
        runs(table, world, options.streams, options.facts, options.days)
        world.close()
    Console().print(table)


class World:
    """SQLite and DuckDB on disk, a workspace, a source."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'metadata.db'}")
        self.database.migrate()
        with self.database.write() as session:
            row = WorkspaceRow(name="Shop", slug="shop", time_zone="UTC", country=None, created_ms=0)
            session.add(row)
            session.flush()
            self.workspace_id = row.id
        self.source_id = Sources(self.database).create(self.workspace_id, "Website", 0).id
        self.store: EventStore = open_store(folder / "events.duckdb")
        self.now = NOW - DAY
        services = build_services(Settings(data_dir=folder), self.database, self.store, clock=lambda: self.now)
        self.streams, self.pipeline = services.streams, services.pipeline
        self.jobs = services.jobs
        self.runs = Runs(self.database, self.jobs)

    def judge(self, stream: Stream, from_ms: int) -> None:
        """Have all windows since then aggregated and scored."""
        with self.database.write() as session:
            payload = {"stream_id": stream.id, "from_ms": from_ms}
            self.jobs.enqueue(session, REVISE, f"revise:{stream.id}", payload, self.now, self.now)

    def close(self) -> None:
        self.store.close()
        self.database.close()


class Fixed:
    """Streams without a database, for the projector."""

    version = 1

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams

    def projected(self) -> Sequence[Stream]:
        return self._streams


def events_of(count: int) -> list[Event]:
    chance = random.Random(1)
    messages = [message_of(chance, i) for i in range(count)]
    return [e for e in accept_all(Envelope(messages), Arrival(1, NOW, "bench")) if isinstance(e, Event)]


def message_of(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": f"user-{chance.randrange(50_000)}",
        "messageId": f"ajs-next-{number}-3f0a9d3c",
        "timestamp": format_time(NOW - chance.randrange(28 * DAY)),
        "properties": {
            "country": chance.choice(COUNTRIES),
            "plan": chance.choice(PLANS),
            "app_version": chance.choice(VERSIONS),
            "revenue": round(chance.lognormvariate(3, 1), 2),
            "order_id": f"o-{number}",
            "products": [{"sku": f"s-{i}", "price": 9.99, "quantity": 1} for i in range(3)],
        },
        "context": {
            "page": {"path": "/checkout", "url": "https://shop.example/checkout", "title": "Checkout"},
            "library": {"name": "analytics.js", "version": "2.1.0"},
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36",
            "locale": "de-DE",
        },
    }


def timed(act: Callable[[], Any], *, repeat: int = 1) -> float:
    """Seconds of the quickest of `repeat` runs."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return min(times)


def projection(table: Table) -> None:
    events = events_of(2_000)
    for count in (1, 10, 100):
        streams = [Stream(i, 1, 1, "s", parse(DEFINITION), "active", 1, i, 0, 0) for i in range(1, count + 1)]  # type: ignore[arg-type]
        projector = StreamProjector(Fixed(streams))
        seconds = timed(lambda projector=projector: projector.project(events), repeat=5)  # type: ignore[misc]
        table.add_row(f"projection onto {count}", f"{seconds / len(events) / count * 1e6:.2f} us", "event and stream")


def schedule(table: Table) -> None:
    for minutes in (5, 60, 300):
        every = Schedule(minutes, "09:00", "Europe/Berlin")
        seconds = timed(
            lambda every=every: windows(every, NOW, NOW + 10_000 * every.frequency_minutes * 60_000), repeat=3
        )  # type: ignore[misc]
        table.add_row(f"windows of {minutes} min", f"{seconds * 1e3:.1f} ms", "10,000 windows")


def backfill(table: Table, world: World, count: int) -> None:
    for first in range(0, count, 20_000):
        chance = random.Random(first)
        messages = [message_of(chance, first + i) for i in range(min(20_000, count - first))]
        arrival = Arrival(world.source_id, NOW - DAY + first, "bench")
        world.store.write(
            archive_of([e for e in accept_all(Envelope(messages), arrival) if isinstance(e, Event)]), None
        )
    stream = world.streams.create(world.workspace_id, world.source_id, "back-filled", parse(DEFINITION), NOW)
    seconds = timed(lambda: fill(world.store, world.database, stream, Cursor(asked_ms=NOW), lambda _: None))
    table.add_row("back-fill", f"{count / seconds:,.0f} events/s", f"{count:,} events")
    with world.database.write() as session:
        session.execute(delete(JobRow))
    world.judge(stream, 0)
    with world.database.write() as session:
        world.runs.activate(session, stream, NOW)
    world.now = NOW
    seconds = timed(lambda: work(world.pipeline))
    table.add_row("first points of a back-fill", f"{seconds:.2f} s", "28 days of hours")
    world.streams.delete(world.workspace_id, stream.id, NOW)


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


def runs(table: Table, world: World, count: int, facts: int, days: int) -> None:
    start = NOW - days * DAY
    streams = []
    for number in range(count):
        stream = world.streams.create(world.workspace_id, world.source_id, f"stream {number}", parse(DEFINITION), start)
        with world.database.write() as session:
            world.runs.activate(session, stream, NOW - HOUR)
        streams.append(stream)
    with world.database.write() as session:  # their archives are empty: what a back-fill would do is written here
        session.execute(delete(JobRow))
    for part in range(days * 4):  # facts lie on disk as they do in life: all streams' of one time together
        world.store.write(None, facts_of(streams, facts // days // 4, start + part * DAY // 4, DAY // 4, part))
    pipeline = world.pipeline
    for stream in streams:
        world.judge(stream, start)
    world.now = NOW - 1
    work(pipeline)
    world.now = NOW + 2 * 60_000
    cpu = cpu_seconds()
    seconds = timed(lambda: work(pipeline))
    cpu = cpu_seconds() - cpu
    done = [run for stream in streams for run in world.streams.runs(stream.id, 1) if run.state == "done"]
    assert len(done) == count, f"{count - len(done)} runs are not done"
    points = done[0].series
    per = seconds / count
    table.add_row(
        f"runs of {count:,} streams x {points} series",
        f"{seconds:.1f} s",
        f"{per * 1e3:.1f} ms a run, {cpu / count * 1e3:.1f} ms of CPU; 1,000 at this pace: {per * 1_000:.0f} s",
    )
    seconds = timed(pipeline.watch_now, repeat=3)
    table.add_row(f"live watch of {count:,} streams", f"{seconds:.2f} s", "look, every 30 s")
    grid = windows(Schedule(60), start, NOW)
    seconds = timed(lambda: load(world.store, streams[0], grid), repeat=3)
    table.add_row("a stream's points", f"{seconds * 1e3:.0f} ms", f"{points * len(grid):,} points")


def work(pipeline: Pipeline) -> None:
    """Everything that is due, as the worker does it."""
    while pipeline.work():
        pass


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def facts_of(streams: Sequence[Stream], count: int, start_ms: int, length_ms: int, seed: int) -> FactBatch:
    chance = np.random.default_rng(seed)
    picks = (chance.choice(np.array(values), count).tolist() for values in (COUNTRIES, PLANS, VERSIONS))
    return FactBatch(
        stream_id=chance.choice(np.array([stream.facts_id for stream in streams]), count),
        ts_ms=np.sort(start_ms + chance.integers(0, length_ms, count)),
        message_hash=chance.integers(-(1 << 62), 1 << 62, count),
        actor_hash=chance.integers(0, 100_000, count),
        dims=[("Order Completed", *values) for values in zip(*picks, strict=True)],
        nums=chance.lognormal(3, 1, (count, 1)).tolist(),
    )


if __name__ == "__main__":
    main()
