"""How fast data streams are: projection, windows, back-fill, the runs of one minute, and the stream page.

    python bench/streams.py [--streams 1000] [--facts 10000000] [--days 4] [--archive 300000]

The runs are those of 1,000 hourly streams of 119 series that are all due in the same minute, over 10 million facts in
DuckDB: plan, aggregate, score after `--days` of history, store the points, close the jobs. They should take 60 s on 2
cores. The first runs of a day rank every dimension's values anew, those of an ordinary hour do not. Beside them stands
what DuckDB alone needs to aggregate the same windows, and its answer is held against the points. To be ready within a
minute or two, only the first `PATTERNS` streams compute their history; the others get copies of it.
"""

from __future__ import annotations

import argparse
import html
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import delete, insert, select
from starlette.testclient import TestClient

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.app import Application
from cliffwatch.db.streams import DetectorStateRow, JobRow
from cliffwatch.pipeline import Pipeline
from cliffwatch.pipeline.worker import REVISE
from cliffwatch.settings import Settings
from cliffwatch.spec import Arrival, Envelope, Event, Events, accept_all, format_time
from cliffwatch.store import ArchiveBatch, FactBatch
from cliffwatch.streams import Runs, Schedule, Stream, StreamProjector, parse, windows
from cliffwatch.streams.backfill import cut, fill, fill_again
from cliffwatch.streams.history import load

HOUR = 3_600_000
DAY = 24 * HOUR
PATTERNS = 20
PASSWORD = "seven wet umbrellas"
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
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--facts", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--archive", type=int, default=300_000)
    options = parser.parse_args()
    table = Table("what", "figure", "per", title="Data streams")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        projection(table)
        schedule(table)
        backfill(table, world, options.archive)
        streams = runs(table, world, options.streams, options.facts, options.days)
        page(table, world, streams[0], options.days)
        world.close()
        engine(table, Path(folder), streams)
    Console().print(table)


class World:
    """The real application on SQLite and DuckDB files: a workspace, a source."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW - DAY
        self.application = Application.open(
            Settings(data_dir=folder, log_level="error", duckdb_memory="2GB"), clock=lambda: self.now
        )
        services = self.application.services
        self.owner = services.accounts.set_up(
            email="owner@shop.example", name="Robin", password=PASSWORD,
            workspace_name="Shop", time_zone="UTC", country=None, now=self.now,
        )  # fmt: skip
        self.workspace_id = self.owner.workspace.id
        self.database, self.store, self.jobs = services.database, services.store, services.jobs
        self.streams, self.pipeline = services.streams, services.pipeline
        self.source_id = services.sources.create(self.workspace_id, "Website", self.now).id
        self.runs = Runs(self.database, self.jobs)

    def judge(self, stream: Stream, from_ms: int) -> None:
        """Have all windows since then aggregated and scored."""
        with self.database.write() as session:
            payload = {"stream_id": stream.id, "from_ms": from_ms}
            self.jobs.enqueue(session, REVISE, f"revise:{stream.id}", payload, self.now, self.now)

    def close(self) -> None:
        self.application.close()


class Fixed:
    """Streams without a database, for the projector."""

    version = (1, 1)

    def refresh(self) -> None:
        """Nobody changes them."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams

    def projected(self) -> Sequence[Stream]:
        return self._streams


def events_of(count: int) -> Events:
    chance = random.Random(1)
    messages = [message_of(chance, i) for i in range(count)]
    return Events.of(e for e in accept_all(Envelope(messages), Arrival(1, NOW, "bench")) if isinstance(e, Event))


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
        projector.refresh()
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

    def filled() -> None:
        (part,) = cut(world.store, stream, count, 1)
        *_, part = fill(world.store, stream, part, NOW, count)
        fill_again(world.store, stream, part.newest, NOW)

    seconds = timed(filled)
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


def runs(table: Table, world: World, count: int, facts: int, days: int) -> list[Stream]:
    """All streams' windows that end at NOW: those of 9 to 10 o'clock. First those of the hour before, as if it were
    the first of a day: nothing is chosen yet."""
    began = time.perf_counter()
    streams = furnished(world, count, facts, days)
    table.add_row("(making of the history)", f"{time.perf_counter() - began:.0f} s", f"{facts:,} facts")
    started = world.store.stats()
    assert started.fact_rows >= facts, f"only {started.fact_rows:,} facts are there"
    for what, at in (("the first runs of a day", NOW - HOUR), ("runs of an ordinary hour", NOW)):
        world.now = at + 2 * 60_000
        cpu = cpu_seconds()
        seconds = timed(lambda: work(world.pipeline))
        cpu = cpu_seconds() - cpu
        newest = [world.streams.runs(stream.id, 1)[0] for stream in streams]
        bad = [run for run in newest if run.state != "done" or run.attempts != 1 or run.window.end_ms != at]
        assert not bad, f"{len(bad)} runs are not done at their first attempt: {bad[0]}"
        table.add_row(
            f"{what}: {count:,} streams x {newest[0].series} series",
            f"{seconds:.1f} s",
            f"all; {cpu:.1f} s of CPU, {cpu / count * 1e3:.0f} ms a run",
        )
    with world.database.read() as session:
        failed = session.scalars(select(JobRow.error).where((JobRow.state == "failed") | (JobRow.error != ""))).all()
    assert not failed, f"{len(failed)} jobs failed: {failed[0]}"
    seconds = timed(world.pipeline.watch_now, repeat=3)
    table.add_row(f"live watch of {count:,} streams", f"{seconds:.2f} s", "look, every 30 s")
    return streams


def furnished(world: World, count: int, facts: int, days: int) -> list[Stream]:
    """Streams that are due, with facts of `days` until NOW and points and memories until two hours before it."""
    start = NOW - days * DAY
    streams = []
    for number in range(count):
        stream = world.streams.create(world.workspace_id, world.source_id, f"stream {number}", parse(DEFINITION), start)
        with world.database.write() as session:
            world.runs.activate(session, stream, NOW - 2 * HOUR)
        streams.append(stream)
    with world.database.write() as session:  # their archives are empty: what a back-fill would do is written here
        session.execute(delete(JobRow))
    patterns = streams[:PATTERNS]
    copies = [streams[at::PATTERNS] for at in range(len(patterns))]
    for part in range(days * 4):  # facts lie on disk as they do in life: all streams' of one time together
        rows = facts * len(patterns) // count // days // 4
        batch = facts_of(patterns, rows, start + part * DAY // 4, DAY // 4, part)
        for alike in zip(*copies, strict=False):
            world.store.write(None, renamed(batch, dict(zip(patterns, alike, strict=True))))
    world.now = NOW - HOUR - 1
    for stream in patterns:
        world.judge(stream, start)
    work(world.pipeline)
    for stream, alike in zip(patterns, copies, strict=True):
        points = world.store.read_points_of([stream.id], start, NOW)[stream.id]
        for first in range(1, len(alike), 16):
            world.store.write_points(*[replace(points, stream_id=one.id) for one in alike[first : first + 16]])
        with world.database.write() as session:
            mine = select(DetectorStateRow.__table__).where(DetectorStateRow.stream_id == stream.id)
            memories = [dict(row) for row in session.execute(mine).mappings()]
            for one in alike[1:]:
                session.execute(
                    insert(DetectorStateRow.__table__), [{**memory, "stream_id": one.id} for memory in memories]
                )
    return streams


def renamed(batch: FactBatch, other: Mapping[Stream, Stream]) -> FactBatch:
    """The same facts of other streams: an event may be selected by many."""
    ids = {pattern.facts_id: stream.facts_id for pattern, stream in other.items()}
    known, place = np.unique(batch.stream_id, return_inverse=True)
    return replace(batch, stream_id=np.array([ids[one] for one in known.tolist()], dtype=np.int64)[place])


def engine(table: Table, folder: Path, streams: Sequence[Stream]) -> None:
    """What the engine alone needs for the totals and slices of the last runs' windows, in one question for all
    streams; its totals are those that the runs have stored."""
    with duckdb.connect(str(folder / "events.duckdb"), config={"threads": 2, "memory_limit": "2GB"}) as connection:
        measures = "count(*) AS events, sum(nums[1]) AS revenue, avg(nums[1]), count(DISTINCT actor_hash)"
        hour = f"FROM facts WHERE ts >= {NOW - HOUR} AND ts < {NOW} GROUP BY stream_id"
        parts = [f"SELECT stream_id, 0 AS d, '' AS value, {measures} {hour}"]
        parts += [f"SELECT stream_id, {d}, dims[{d + 1}], {measures} {hour}, dims[{d + 1}]" for d in (1, 2, 3)]
        question = " UNION ALL ".join(parts)
        cpu = cpu_seconds()
        seconds = timed(lambda: connection.execute(question).fetchall())
        cpu = cpu_seconds() - cpu
        table.add_row("DuckDB alone: the same windows' slices", f"{seconds:.2f} s", f"all; {cpu:.2f} s of CPU")
        totals = dict(connection.execute(f"SELECT stream_id, count(*) {hour}").fetchall())
        stored = dict(
            connection.execute(
                "SELECT stream_id, value FROM points WHERE measure = 'count()' AND slice = '{}' AND window_start = ?",
                [NOW - HOUR],
            ).fetchall()
        )
    wrong = [stream.name for stream in streams if stored.get(stream.id) != totals.get(stream.facts_id, 0)]
    assert not wrong, f"{len(wrong)} streams have other counts than their facts: {wrong[0]}"


def page(table: Table, world: World, stream: Stream, days: int) -> None:
    """A stream page as a browser gets it: the page, and the chart's data, from the real application."""
    accounts = world.application.services.accounts
    session = accounts.sign_in("owner@shop.example", PASSWORD, address="127.0.0.1", user_agent="bench", now=world.now)
    client = TestClient(world.application.asgi, cookies={SESSION_COOKIE: session})
    grid = windows(Schedule(60), NOW - days * DAY, NOW)
    points = load(world.store, stream, grid)

    def get(path: str) -> str:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text[:500]
        return answer.text

    text = get(f"/streams/{stream.id}")
    found = re.search(r'data-chart="([^"]+series\.json[^"]*)"', text)
    assert found, "the page has no chart"
    seconds = timed(lambda: get(f"/streams/{stream.id}"), repeat=5)
    table.add_row("a stream page", f"{seconds * 1e3:.0f} ms", f"{int(points.known.sum()):,} points")
    seconds = timed(lambda: get(html.unescape(found[1])), repeat=5)
    table.add_row("the data of its chart", f"{seconds * 1e3:.0f} ms", f"{len(grid):,} windows")


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
