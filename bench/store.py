"""How fast the event store takes and answers, beside what its engine reaches without any of our rules.

    python bench/store.py [--facts 1000000] [--streams 1000] [--folder DIR]

Everything runs on a file, each write durable. "bare engine" is DuckDB in the same run: for inserts one Arrow table into
a table without looking for repeats; for aggregates the same SQL over facts that are taken to be unique, which is what
the store does, and over facts that are grouped by message first, which is what a store must do that does not turn
repeats away when they come. `--facts 10000000` takes a few minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from cliffwatch.store import (
    Aggregate,
    AggregateQuery,
    ArchiveBatch,
    ArchiveQuery,
    FactBatch,
    Function,
    PointBatch,
    PointQuery,
)
from cliffwatch.store.arrow import fact_table
from cliffwatch.store.duckdb import DuckDBStore

HOUR = 3_600_000
STEP_MS = 242  # ten million facts at this pace are four weeks
COUNTRIES = ["DE", "FR", "US", "GB", "ES", "IT", "NL", "PL"]
EVENTS = ["Order Completed", "Product Viewed", "Cart Viewed"]
LONG = (1_000_001, 1_000_002, 1_000_003)  # streams with four weeks of points
console = Console(width=110)


def batch(first: int, count: int, streams: int) -> FactBatch:
    """Facts number `first` to `first + count`: three dimensions, one number, times a little out of order."""
    chance = np.random.default_rng(first)
    return FactBatch(
        stream_id=chance.integers(1, streams + 1, count),
        ts_ms=np.arange(first, first + count) * STEP_MS + chance.integers(0, 2_000, count),
        message_hash=chance.integers(-(2**62), 2**62, count),
        actor_hash=chance.integers(0, 300_000, count),
        dims=list(
            map(
                list,
                zip(
                    np.array(EVENTS)[chance.integers(0, 3, count)].tolist(),
                    np.array(COUNTRIES)[chance.integers(0, 8, count)].tolist(),
                    [f"plan {number}" for number in chance.integers(0, 30, count).tolist()],
                    strict=True,
                ),
            )
        ),
        nums=(chance.integers(0, 10_000, (count, 1)) / 100).tolist(),
    )


def events(first: int, count: int) -> ArchiveBatch:
    ts = np.arange(first, first + count) * STEP_MS
    chance = np.random.default_rng(first)
    start = '{"messageId":"%d","type":"track","event":"Order Completed","userId":"user-%d","properties":{"filling":"'
    return ArchiveBatch(
        source_id=np.ones(count, dtype=np.int64),
        kind=["track"] * count,
        name=[EVENTS[number % 3] for number in range(count)],
        ts_ms=ts,
        received_at_ms=ts + 500,
        message_hash=chance.integers(-(2**62), 2**62, count),
        user_id=[f"user-{number % 1000}" for number in range(count)],
        anonymous_id=[""] * count,
        body=[start % (n, n % 1000) + chance.bytes(150).hex() * 2 + '"}}' for n in range(first, first + count)],
    )


def points(stream: int, window: int, series: int, windows: int = 1) -> PointBatch:
    count = series * windows
    numbers = np.random.default_rng(stream).random((7, count))
    starts = np.tile(np.arange(window, window + windows) * HOUR, series)
    return PointBatch(
        stream,
        ["count()"] * count,
        [f'{{"properties.country":"{number}"}}' for number in range(series) for _ in range(windows)],
        starts,
        starts + HOUR,
        *numbers,
        flagged=np.zeros(count, dtype=np.bool_),
        revision=np.zeros(count, dtype=np.int64),
    )


def timed(work: Callable[[], object], times: int = 3) -> float:
    """The median of several runs, in seconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def each(work: Callable[[Any], object], items: Iterable[Any]) -> tuple[float, float]:
    """Median and 99th percentile over items, in milliseconds."""
    taken = []
    for item in items:
        start = time.perf_counter()
        work(item)
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken)), float(np.quantile(taken, 0.99))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def inserts(folder: Path) -> None:
    rows = []
    for size, times in ((100, 100), (5_000, 20), (50_000, 5)):
        store = DuckDBStore.open(folder / f"insert-{size}.duckdb")
        bare = duckdb.connect(str(folder / f"bare-{size}.duckdb"))
        bare.execute(
            "CREATE TABLE facts (stream_id BIGINT, ts BIGINT, message_hash BIGINT, actor_hash BIGINT,"
            " dims VARCHAR[], nums DOUBLE[])"
        )
        batches = [batch(number * size, size, 1) for number in range(times)]
        ours = each(lambda facts, store=store: store.write(None, facts), batches)
        theirs = each(lambda facts, bare=bare: bare.from_arrow(fact_table(facts)).insert_into("facts"), batches)
        again = each(lambda facts, store=store: store.write(None, facts), batches)
        paces = [f"{size / taken[0] * 1e3:,.0f}" for taken in (ours, theirs)]
        rows.append(
            (f"{size:,}", f"{ours[0]:.1f}", f"{ours[1]:.1f}", paces[0], f"{theirs[0]:.1f}", paces[1], f"{again[0]:.1f}")
        )
        store.close()
        bare.close()
    columns = ["facts a write", "ms", "p99", "facts/s", "bare engine ms", "facts/s", "all repeats ms"]
    show("Durable writes of facts (3 dimensions, 1 number)", columns, rows)


QUERIES = {
    "count per hour": ((), [Aggregate(Function.COUNT)]),
    "4 measures per hour and country": (
        (1,),
        [
            Aggregate(Function.COUNT),
            Aggregate(Function.SUM, 0),
            Aggregate(Function.AVERAGE, 0),
            Aggregate(Function.COUNT, event="Cart Viewed"),
        ],
    ),
    "unique users per hour": ((), [Aggregate(Function.USERS)]),
    "p95 per hour": ((), [Aggregate(Function.QUANTILE, 0, 0.95)]),
}
GROUPED_FIRST = """
    WITH once AS (SELECT min(ts) AS ts, arg_min(dims, ts) AS dims, arg_min(nums, ts) AS nums
        FROM facts WHERE stream_id = 1 GROUP BY message_hash)
    SELECT ts // 3600000 AS w, {columns} FROM once GROUP BY ALL ORDER BY ALL"""
GROUPED = {
    "count per hour": "count(*)",
    "4 measures per hour and country": (
        "dims[2], count(*), sum(nums[1]), avg(nums[1]), count(*) FILTER (WHERE dims[1] = 'Cart Viewed')"
    ),
}


def aggregates(folder: Path, count: int, streams: int) -> None:
    path = folder / f"aggregate-{streams}.duckdb"
    store = DuckDBStore.open(path)
    start = time.perf_counter()
    size = 20_000
    for first in range(0, count, size):
        store.write(None, batch(first, min(size, count - first), streams))
    pace = count / (time.perf_counter() - start)
    end = count * STEP_MS
    edges = list(range(0, end + HOUR, HOUR))
    uneven = [edge for number, edge in enumerate(edges) if number % 200 != 100]  # a window of two hours now and then
    last = [edges[-3], edges[-2]]
    rows = []
    for name, (group_by, columns) in QUERIES.items():
        taken = [
            timed(lambda g=group_by, c=columns, e=e: store.aggregate(AggregateQuery(1, e, c, g)))
            for e in (edges, uneven, last)
        ]
        grouped = "-"
        if streams == 1 and name in GROUPED:
            with store._file.reader() as reader:  # noqa: SLF001 - the same database, without our rules
                sql = GROUPED_FIRST.format(columns=GROUPED[name])
                grouped = f"{timed(lambda sql=sql, reader=reader: reader.sql(sql).to_arrow_table(), 1) * 1e3:,.0f}"
        rows.append((name, *(f"{seconds * 1e3:,.1f}" for seconds in taken), grouped))
    span = timed(lambda: store.fact_span(1))
    store.close()
    show(
        f"Aggregates of one stream, ms: {count:,} facts in {streams:,} streams, {len(edges) - 1:,} hours, "
        f"{path.stat().st_size / 2**20:,.0f} MB; written at {pace:,.0f}/s in groups of {size:,}; "
        f"fact_span {span * 1e3:.1f} ms",
        ["query", "all hours", "uneven windows", "last hour", "grouped by message first"],
        rows,
    )


def archive(folder: Path, count: int) -> None:
    store = DuckDBStore.open(folder / "archive.duckdb")
    size = 10_000
    written = each(lambda one: store.write(one, None), (events(first, size) for first in range(0, count, size)))
    query = ArchiveQuery(1, 0, 1 << 60, kinds=["track"], names=EVENTS[:2])
    counted = timed(lambda: store.count_archive(query))
    pages, after, seen = [], None, 0
    while True:
        start = time.perf_counter()
        page = store.read_archive(ArchiveQuery(1, 0, 1 << 60, ["track"], EVENTS[:2], after, 20_000))
        pages.append((time.perf_counter() - start) * 1e3)
        seen += len(page)
        if len(page) < 20_000:
            break
        after = int(page.received_at_ms[-1]), int(page.message_hash[-1])
    before = store.stats().disk_bytes
    start = time.perf_counter()
    gone = store.delete_archive(1, count * STEP_MS // 4 * 3)
    deleted = (time.perf_counter() - start) * 1e3
    after_ = store.stats()
    store.close()
    rows = [
        (f"write {size:,}", f"{written[0]:.1f}", f"p99 {written[1]:.1f} ms, {size / written[0] * 1e3:,.0f} events/s"),
        ("count", f"{counted * 1e3:.1f}", f"{seen:,} match"),
        ("read 20,000", f"{np.median(pages):.1f}", f"{len(pages)} pages, slowest {max(pages):.0f} ms"),
        (
            f"forget {gone:,}",
            f"{deleted:.0f}",
            f"{before / 2**20:,.0f} MB before, {after_.extra['free_bytes'] / 2**20:,.0f} MB free after",
        ),
    ]
    show(f"Archive of {count:,} events of 700 bytes", ["what", "ms", ""], rows)


def written_points(folder: Path, streams: int, series: int) -> None:
    store = DuckDBStore.open(folder / "points.duckdb")
    start = time.perf_counter()
    first = each(store.write_points, (points(stream, 0, series) for stream in range(streams)))
    total = time.perf_counter() - start
    for window in range(1, 4):
        for stream in range(streams):
            store.write_points(points(stream, window, series))
    again = each(store.write_points, (points(stream, 2, series, 2) for stream in range(min(streams, 200))))
    history = each(store.write_points, (points(stream, 100, series, 672) for stream in LONG))
    read = each(lambda stream: store.read_points(PointQuery(stream, 0, 1 << 60)), range(min(streams, 100)))
    long = each(lambda stream: store.read_points(PointQuery(stream, 0, 1 << 60)), LONG)
    stats = store.stats()
    store.close()
    rows = [
        (f"write {series} points of a new window", f"{first[0]:.1f}", f"{first[1]:.1f}"),
        (f"replace {2 * series} points of two windows", f"{again[0]:.1f}", f"{again[1]:.1f}"),
        (f"write {672 * series:,} points of four weeks", f"{history[0]:.1f}", f"{history[1]:.1f}"),
        (f"read {4 * series} points", f"{read[0]:.1f}", f"{read[1]:.1f}"),
        (f"read {672 * series:,} points", f"{long[0]:.1f}", f"{long[1]:.1f}"),
    ]
    show(
        f"Points: {streams:,} streams x {series} series: one window of all in {total:.1f} s; "
        f"{stats.point_rows:,} points, {stats.disk_bytes / 2**20:,.0f} MB",
        ["what", "ms", "p99"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=500_000)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    console.print(f"DuckDB {duckdb.__version__}, pyarrow {pa.__version__}, 2 threads, 1 GB")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        inserts(folder)
        aggregates(folder, options.facts, 1)
        aggregates(folder, options.facts, options.streams)
        archive(folder, options.facts // 5)
        written_points(folder, options.streams, 100)


if __name__ == "__main__":
    main()
