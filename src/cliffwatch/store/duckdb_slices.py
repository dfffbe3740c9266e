"""DuckDB's SQL for many streams at once: measures per slice, and the most frequent values of a dimension.

A run's facts are few and lie together; what costs is asking. So the streams that are due together are asked for
together, each fact is laid beside the slices that it belongs to, and values that nobody chose are dropped before they
are counted: memory follows the number of chosen slices, not that of distinct values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.store import arrow, plan
from cliffwatch.store.contract import SliceQuery, SliceTable, TopQuery, TopValues
from cliffwatch.store.duckdb_file import registered, run, table_of

_MOST_UNEVEN = 16
_BUCKETS = 1 << 16
"""Distinct values are first counted by their hash: those of a bucket with few facts cannot be frequent."""


def aggregate_slices(
    reader: duckdb.DuckDBPyConnection, query: SliceQuery, stretch: plan.Stretch, columns: Sequence[str]
) -> SliceTable:
    """The part of the answer that lies in one stretch of even windows. `columns` is the SQL of each aggregate."""
    measures = ", ".join(f"{column} AS v{i}" for i, column in enumerate(columns))
    events = [aggregate.event for aggregate in query.aggregates if aggregate.event is not None]
    streams = pa.array(np.unique(np.array(query.stream_ids, dtype=np.int64)))
    facts = f"""SELECT stream_id, {_window(query.edges_ms, stretch)} AS w, actor_hash, dims, nums
        FROM facts WHERE ts >= ? AND ts < ? AND stream_id IN (SELECT unnest(?::BIGINT[]))"""  # noqa: S608 - our numbers
    bound = [stretch.start_ms, stretch.end_ms, streams.to_pylist()]
    total = f"SELECT stream_id, w, -1 AS c, {measures} FROM ({facts}) GROUP BY stream_id, w"  # noqa: S608
    order = "ORDER BY stream_id, w, c"
    if not query.chosen:
        table = table_of(reader, f"{total} {order}", [*events, *bound])
    else:
        # The facts are read twice rather than kept: a year of them would not fit into memory.
        with registered(reader, _chosen_table(query.chosen)) as chosen:
            table = table_of(
                reader,
                f"""{total} UNION ALL
                SELECT e.stream_id, w, chosen.c AS c, {measures} FROM (
                    SELECT stream_id, w, actor_hash, dims, nums, unnest(dims) AS value,
                        generate_subscripts(dims, 1) - 1 AS dimension FROM ({facts})) AS e
                JOIN {chosen} AS chosen ON chosen.stream_id = e.stream_id AND chosen.dimension = e.dimension
                    AND chosen.value = e.value
                GROUP BY e.stream_id, w, chosen.c {order}""",  # noqa: S608 - our own names and numbers
                [*events, *bound, *events, *bound],
            )
    return SliceTable(
        arrow.ints(table["stream_id"]),
        arrow.ints(table["w"]) + stretch.first_window,
        arrow.ints(table["c"]),
        [plan.steady(arrow.floats(table[f"v{i}"])) for i in range(len(query.aggregates))],
    )


def stretches(edges_ms: Sequence[int]) -> list[plan.Stretch]:
    """The stretches to ask for: a few uneven windows are told apart in one question."""
    even = plan.stretches(edges_ms)
    if len(even) == 1 or len(edges_ms) > _MOST_UNEVEN:
        return even
    return [plan.Stretch(0, edges_ms[0], edges_ms[-1], 0)]


def _window(edges_ms: Sequence[int], stretch: plan.Stretch) -> str:
    """SQL for the number of a fact's window within its stretch."""
    if stretch.length_ms:
        return f"(ts - {stretch.start_ms}) // {stretch.length_ms}"
    return " + ".join(f"(ts >= {int(edge)})::BIGINT" for edge in edges_ms[1:-1])


def top_values(reader: duckdb.DuckDBPyConnection, query: TopQuery) -> TopValues:
    """Exact in two passes: a value with so many facts lies in a bucket with at least as many; few buckets have."""
    value = f"dims[{query.dimension + 1}]"
    bucket = f"hash({value}) % {_BUCKETS}"
    where = "stream_id = ? AND ts >= ? AND ts < ?"
    bound = [query.stream_id, query.start_ms, query.end_ms]
    buckets = table_of(reader, f"SELECT {bucket} AS b, count(*) AS n FROM facts WHERE {where} GROUP BY b", bound)  # noqa: S608
    counts = arrow.ints(buckets["n"])
    facts = int(counts.sum())
    least = max(1, math.ceil(query.minimum_share * facts))
    kept = arrow.ints(buckets["b"])[counts >= least].tolist()
    rows = run(
        reader,
        f"""SELECT {value} AS value, count(*) AS n FROM facts
        WHERE {where} AND {bucket} IN (SELECT unnest(?::UBIGINT[]))
        GROUP BY value HAVING n >= ? ORDER BY n DESC, value LIMIT ?""",  # noqa: S608 - our own numbers, values are bound
        [*bound, kept, least, query.limit],
    )
    return TopValues([value or "" for value, _ in rows], [int(count) for _, count in rows], facts)


def fact_spans(reader: duckdb.DuckDBPyConnection, stream_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    rows = run(
        reader,
        """SELECT stream_id, min(ts), max(ts) FROM facts
        WHERE stream_id IN (SELECT unnest(?::BIGINT[])) GROUP BY stream_id""",
        [list(stream_ids)],
    )
    return {stream_id: (first, last) for stream_id, first, last in rows}


def _chosen_table(chosen: Sequence[tuple[int, int, str]]) -> pa.Table:
    streams, dimensions, values = zip(*chosen, strict=True)
    return pa.table(
        {
            "stream_id": pa.array(streams, pa.int64()),
            "dimension": pa.array(dimensions, pa.int64()),
            "value": pa.array(values, pa.string()),
            "c": np.arange(len(chosen)),
        }
    )
