"""How ingest and aggregates grow with processes, events, series and shards: the file, and a real cluster.

    python bench/scale.py [--facts 200000]

Each writer is a process of its own that writes groups of 20,000 facts, durable on return, as the door's absorber does;
each asker is one that asks for hourly counts and sums of a stream by country. The cluster is 2 shards x 2 replicas with
ZooKeeper (ClickHouse 18.16), all of it on this machine: with two cores, processes and servers share what there is, so
CPU per million facts (of clients and servers together) says more than the pace. "engine alone" is in the same run what
the engine does without any of our rules: for writing, one INSERT ... SELECT of the same columns into the same table;
for asking, the same GROUP BY over rows that are taken to be unique.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.clickhouse import Cluster, Process

from cliffwatch.store import (
    Aggregate,
    AggregateQuery,
    EventStore,
    FactBatch,
    Function,
    PointBatch,
    SliceQuery,
    open_store,
)
from cliffwatch.store.arrow import fact_table
from cliffwatch.store.clickhouse import ClickHouseStore
from cliffwatch.store.lists import Lists

GROUP = 20_000
HOUR = 3_600_000
SPAN_HOURS = 24 * 14
SERIES = 20_000
COUNTRIES = np.array(["DE", "FR", "US", "GB", "ES", "IT", "NL", "PL"])
ASKED = [Aggregate(Function.COUNT), Aggregate(Function.SUM, 0)]
ASKS = 12
EDGES = [hour * HOUR for hour in range(SPAN_HOURS + 1)]
POINTS_HELD = "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'points_local'"
console = Console(width=130)
_spawn = multiprocessing.get_context("spawn")


def facts(seed: int, count: int, streams: int = 20) -> FactBatch:
    """Facts of two weeks: two dimensions, one number."""
    chance = np.random.default_rng(seed)
    country = pa.array(COUNTRIES[chance.integers(0, len(COUNTRIES), count)])
    plan = pa.array(np.array(["free", "basic", "pro"])[chance.integers(0, 3, count)])
    event = pa.array(np.array(["Order Completed", "Cart Viewed"])[chance.integers(0, 2, count)])
    price = pa.array(chance.integers(100, 30_000, count) / 100)
    return FactBatch(
        stream_id=chance.integers(1, streams + 1, count),
        ts_ms=chance.integers(0, SPAN_HOURS * HOUR, count),
        message_hash=chance.integers(-(2**62), 2**62, count),
        actor_hash=chance.integers(0, 300_000, count),
        dims=Lists.beside([event, country, plan], pa.string(), count),
        nums=Lists.beside([price], pa.float64(), count),
    )


def _write(place: str, seed: int, groups: int, ready: Barrier, cpu: Any) -> None:
    store = open_store(place, memory_limit="1GB")
    made = [facts(seed * 10_000 + number, GROUP) for number in range(groups)]
    ready.wait()
    before = time.process_time()
    for group in made:
        store.write(None, group)
    cpu.put(time.process_time() - before)
    ready.wait()
    store.close()


def _ask(place: str, seed: int, asks: int, ready: Barrier, cpu: Any) -> None:
    store = open_store(place, memory_limit="1GB")
    ready.wait()
    before = time.process_time()
    for ask in range(asks):
        store.aggregate(AggregateQuery(1 + (seed * asks + ask) % 20, EDGES, ASKED, [1]))
    cpu.put(time.process_time() - before)
    ready.wait()
    store.close()


def together(work: Callable[..., None], place: str, processes: int, amount: int, seed: int) -> tuple[float, float]:
    """Seconds until all processes did their part, and the CPU seconds they took for it."""
    ready, cpu = _spawn.Barrier(processes + 1), _spawn.Queue()
    started = [
        _spawn.Process(target=work, args=(place, seed + number, amount, ready, cpu)) for number in range(processes)
    ]
    for process in started:
        process.start()
    ready.wait()
    began = time.monotonic()
    ready.wait()
    took = time.monotonic() - began
    used = sum(cpu.get() for _ in started)
    for process in started:
        process.join()
    return took, used


@dataclass
class Servers:
    """The CPU that servers took since the last time one asked."""

    processes: Sequence[Process]
    last: float = 0.0

    def used(self) -> float:
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        now = ticks / os.sysconf("SC_CLK_TCK")
        since, self.last = now - self.last, now
        return since


def timed(what: Callable[[], object], times: int = 3) -> float:
    """The quickest of some tries, in seconds."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
    return best


def pointed(store: EventStore) -> float:
    """Points a second, written in runs of SERIES series."""
    seconds = 0.0
    for run in range(4):
        none, starts = np.full(SERIES, np.nan), np.full(SERIES, run * HOUR)
        values = np.random.default_rng(run).integers(0, 5_000, SERIES) / 7
        points = PointBatch(
            stream_id=5_000,
            measure=["count"] * SERIES,
            slice=[f'{{"properties.sku":"{n}"}}' for n in range(SERIES)],
            window_start_ms=starts,
            window_end_ms=starts + HOUR,
            value=values,
            weight=none,
            expected=values * 1.01,
            lower=values * 0.9,
            upper=values * 1.1,
            score=values / 1e4,
            p_value=np.full(SERIES, 0.5),
            flagged=np.zeros(SERIES, np.bool_),
            revision=np.zeros(SERIES, np.int64),
        )
        began = time.perf_counter()
        store.write_points(points)
        seconds += time.perf_counter() - began
    return 4 * SERIES / seconds


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """b of seconds = a * size^b, fitted."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def many_at_once(folder: Path, cluster: Cluster, servers: Servers, count: int) -> EventStore:
    """Writing and asking with 1, 2 and 4 processes; the cluster's store with all that was written."""
    table = Table(title=f"Writing groups of {GROUP:,} facts, and asking for hourly values by country over two weeks")
    for column in (
        "store",
        "processes",
        "facts/s",
        "CPU s per million",
        "of it servers",
        "questions/s",
        "CPU ms a question",
    ):
        table.add_column(column, justify="left" if column == "store" else "right")
    file = str(folder / "events.duckdb")
    groups = max(count // GROUP, 1)
    wrote = together(_write, file, 1, groups, 1)
    asked = together(_ask, file, 1, ASKS, 0)
    table.add_row("DuckDB file", "1", *_pace(wrote, groups, 0.0), *_answers(asked, 1, 0.0))
    bare_write, bare_ask = duckdb_alone(folder, groups)
    table.add_row("  engine alone", "1", f"{groups * GROUP / bare_write:,.0f}", "", "", f"{1 / bare_ask:.1f}", "")
    store = open_store(cluster.url)
    for number, processes in enumerate((1, 2, 4)):
        servers.used()
        wrote = together(_write, cluster.url, processes, groups, 100 * (number + 1))
        written_cpu = servers.used()
        asked = together(_ask, cluster.url, processes, ASKS, 0)
        pace = _pace(wrote, groups * processes, written_cpu)
        table.add_row("cluster 2 x 2", str(processes), *pace, *_answers(asked, processes, servers.used()))
    bare_write, bare_ask = clickhouse_alone(cluster, groups)
    table.add_row("  engine alone", "1", f"{groups * GROUP / bare_write:,.0f}", "", "", f"{1 / bare_ask:.1f}", "")
    console.print(table)
    return store


def _pace(took: tuple[float, float], groups: int, servers_cpu: float) -> tuple[str, str, str]:
    count = groups * GROUP
    whole = (took[1] + servers_cpu) / count * 1e6
    return f"{count / took[0]:,.0f}", f"{whole:.1f}", f"{servers_cpu / count * 1e6:.1f}" if servers_cpu else ""


def _answers(took: tuple[float, float], processes: int, servers_cpu: float) -> tuple[str, str]:
    count = ASKS * processes
    return f"{count / took[0]:.1f}", f"{(took[1] + servers_cpu) / count * 1e3:.0f}"


def duckdb_alone(folder: Path, groups: int) -> tuple[float, float]:
    """Seconds to insert the same facts, and to answer the same question, with nothing around it."""
    tables = [fact_table(facts(10_000 + number, GROUP)) for number in range(groups)]
    with duckdb.connect(str(folder / "alone.duckdb")) as connection:
        connection.execute("SET threads = 2")
        connection.register("rows", tables[0])
        connection.execute("CREATE TABLE facts AS SELECT * FROM rows LIMIT 0")
        began = time.perf_counter()
        for rows in tables:
            connection.register("rows", rows)
            connection.execute("INSERT INTO facts SELECT * FROM rows")
        wrote = time.perf_counter() - began
        question = f"""SELECT ts // {HOUR} AS w, dims[2] AS g, count(*), sum(nums[1]) FROM facts
            WHERE stream_id = 1 AND ts >= 0 AND ts < {EDGES[-1]} GROUP BY w, g ORDER BY w, g"""
        return wrote, timed(lambda: connection.sql(question).to_arrow_table())


def clickhouse_alone(cluster: Cluster, groups: int) -> tuple[float, float]:
    """Seconds for one server to fill a table like ours with as many facts, and to answer the question over all."""
    server = cluster.servers[0]
    server.query("DROP TABLE IF EXISTS default.alone")
    columns = "stream_id Int64, ts Int64, message_hash Int64, actor_hash Int64, dims Array(String), nums Array(Float64)"
    server.query(f"CREATE TABLE default.alone ({columns}) ENGINE = MergeTree() ORDER BY (stream_id, ts)")
    began = time.perf_counter()
    server.query(
        f"""INSERT INTO default.alone SELECT rand(1) % 20 + 1, rand(2) % {EDGES[-1]}, number, rand(3) % 300000,
        ['Order Completed', arrayElement({COUNTRIES.tolist()}, rand(4) % 8 + 1), 'free'], [rand(5) % 30000 / 100]
        FROM system.numbers LIMIT {groups * GROUP}"""
    )
    wrote = time.perf_counter() - began
    question = f"""SELECT intDiv(ts, {HOUR}) AS w, dims[2] AS g, count(), sum(nums[1]) FROM cliffwatch.facts
        WHERE stream_id = 1 AND ts >= 0 AND ts < {EDGES[-1]} GROUP BY w, g ORDER BY w, g"""
    return wrote, timed(lambda: server.query(question))


def growth(folder: Path, cluster: Cluster, count: int) -> None:
    """How the cost of one process grows with events and with series."""
    table = Table(title="Growth: seconds for one process, and b of seconds = a · size^b")
    table.add_column("what grows")
    table.add_column("store")
    for place in ("1", "2", "4", "8"):
        table.add_column(f"x {place}", justify="right")
    table.add_column("b", justify="right")
    sizes = [count // 4 * step for step in (1, 2, 4, 8)]
    series = [25, 50, 100, 200]
    urls = {"DuckDB file": str(folder / "grow.duckdb"), "cluster 2 x 2": cluster.url_of("grow")}
    for name, url in urls.items():
        store = open_store(url)
        writing, asking, slicing = _grown(store, sizes, series)
        for what, found, by in (
            (f"{sizes[0]:,} facts, written", writing, sizes),
            (f"{sizes[0]:,} facts, asked by hour and country", asking, sizes),
            (f"{series[0]} series of {sizes[-1]:,} facts", slicing, series),
        ):
            table.add_row(what, name, *(f"{one:.2f}" for one in found), f"{exponent(by, found):.2f}")
        store.close()
    console.print(table)


def _grown(store: EventStore, sizes: Sequence[int], series: Sequence[int]) -> tuple[list[float], ...]:
    """Seconds to write, to ask, and to ask for slices."""
    writing, asking = [], []
    for number, size in enumerate(sizes):
        stream = 1_000 + number
        batch = facts(number, size, 1)
        batch.stream_id[:] = stream
        began = time.perf_counter()
        for start in range(0, size, GROUP):
            store.write(None, _part(batch, start))
        writing.append(time.perf_counter() - began)
        asking.append(timed(partial(store.aggregate, AggregateQuery(stream, EDGES, ASKED, [1]))))
    last = 1_000 + len(sizes) - 1
    slices = [(last, 1, str(country)) for country in COUNTRIES]
    slices += [(last, dimension, f"value {n}") for dimension in (1, 2) for n in range(100)]
    slicing = [
        timed(partial(store.aggregate_slices, SliceQuery([last], EDGES, ASKED, slices[:count]))) for count in series
    ]
    return writing, asking, slicing


def _part(batch: FactBatch, start: int) -> FactBatch:
    at = slice(start, start + GROUP)
    return FactBatch(
        batch.stream_id[at],
        batch.ts_ms[at],
        batch.message_hash[at],
        batch.actor_hash[at],
        batch.dims[at],
        batch.nums[at],
    )


def nodes(folder: Path, count: int) -> None:
    """The same with one shard and with two, one replica each: what a shard has to do."""
    table = Table(title="Shards (one replica each): what each server does, of the same facts")
    for column in ("shards", "facts/s", "CPU s per million, busiest server", "CPU ms a question, busiest server", "b"):
        table.add_column(column, justify="right")
    groups = max(count // GROUP, 1)
    busiest: list[tuple[float, float]] = []
    rows = []
    for shards in (1, 2, 4):
        with Cluster(folder / f"shards{shards}", shards=shards, replicas=1) as cluster:
            each = [Servers([server]) for server in cluster.servers]
            open_store(cluster.url).close()
            for one in each:
                one.used()
            took = together(_write, cluster.url, 1, groups, 900)
            wrote = max(one.used() for one in each) / (groups * GROUP) * 1e6
            together(_ask, cluster.url, 1, ASKS, 0)
            asked = max(one.used() for one in each) / ASKS * 1e3
            busiest.append((wrote, asked))
            rows.append((str(shards), f"{groups * GROUP / took[0]:,.0f}", f"{wrote:.2f}", f"{asked:.0f}"))
    for row in rows[:-1]:
        table.add_row(*row, "")
    fitted = [exponent([1, 2, 4], [max(pair[at], 0.01) for pair in busiest]) for at in (0, 1)]
    table.add_row(*rows[-1], f"{fitted[0]:.2f} / {fitted[1]:.2f}")
    console.print(table)


def spread(folder: Path, count: int) -> None:
    """The facts of one large stream spread over two shards by message, as the store does it, and all on one shard, as
    spreading by stream would have it."""
    table = Table(title=f"One stream of {count:,} facts on two shards (one replica each)")
    for column in (
        "spread by",
        "facts/s",
        "CPU s per million, busiest server",
        "question, s",
        "CPU ms, busiest server",
    ):
        table.add_column(column, justify="right")
    with Cluster(folder / "spread", shards=2, replicas=1) as cluster:
        each = [Servers([server]) for server in cluster.servers]
        store = ClickHouseStore.open(cluster.url)
        for stream, by in ((1, "message"), (2, "stream")):
            batch = facts(stream, count, 1)
            batch.stream_id[:] = stream
            if by == "stream":
                hashes = facts(stream, 3 * count, 1).message_hash
                on_first = store._shard_of(hashes) == 0  # noqa: SLF001 - a layout that the store does not have
                batch.message_hash[:] = hashes[on_first][:count]
            for one in each:
                one.used()
            began = time.perf_counter()
            for start in range(0, count, GROUP):
                store.write(None, _part(batch, start))
            pace = count / (time.perf_counter() - began)
            wrote = max(one.used() for one in each) / count * 1e6
            ask = partial(store.aggregate, AggregateQuery(stream, EDGES, ASKED, [1]))
            took = timed(ask, ASKS)
            asked = max(one.used() for one in each) / ASKS * 1e3
            table.add_row(by, f"{pace:,.0f}", f"{wrote:.2f}", f"{took:.2f}", f"{asked:.0f}")
        store.close()
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=200_000, help="facts that each process writes")
    parser.add_argument("--spread", action="store_true", help="only how the facts of one stream are best spread")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spread(folder, 2 * asked.facts)
        if asked.spread:
            return
        with Cluster(folder / "cluster") as cluster:
            servers = Servers([*cluster.servers, cluster.zookeeper])
            store = many_at_once(folder, cluster, servers, asked.facts)
            held_by = {"DuckDB file": open_store(folder / "events.duckdb"), "cluster, each replica": store}
            for label, held in held_by.items():
                stats = held.stats()
                console.print(
                    f"{label}: {stats.disk_bytes / max(stats.fact_rows, 1):.0f} bytes on disk for each stored fact row"
                )
                console.print(f"{label}: {pointed(held):,.0f} points/s, {SERIES:,} series a run")
                held.close()
            held_points = [server.query(POINTS_HELD)[0] for server in cluster.servers]
            rows, size = (sum(int(str(one[at])) for one in held_points) for at in (0, 1))
            console.print(f"cluster, each replica: {size / rows:.0f} bytes on disk for each point")
            growth(folder, cluster, asked.facts)
        nodes(folder, asked.facts)
    console.print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
