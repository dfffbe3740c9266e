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

_FEWEST_BUCKETS, _MOST_BUCKETS = 1 << 10, 1 << 16
"""Distinct values are first counted by their hash: those of a bucket with few facts cannot be frequent. There are four
times as many buckets as values can have the wanted share, so that hardly one is large by chance ..."""
_BUCKETS_AT_ONCE = 1 << 20
"""... and the buckets of all questions that are asked together are a million at most."""


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


def _window(edges_ms: Sequence[int], stretch: plan.Stretch) -> str:
    """SQL for the number of a fact's window within its stretch."""
    if stretch.length_ms:
        return f"(ts - {stretch.start_ms}) // {stretch.length_ms}"
    return " + ".join(f"(ts >= {int(edge)})::BIGINT" for edge in edges_ms[1:-1])


def top_values_of(reader: duckdb.DuckDBPyConnection, queries: Sequence[TopQuery]) -> list[TopValues]:
    """The answers in the order of the questions. Those about one stretch of time read its facts together, whatever
    streams and dimensions they are about: what costs is the reading."""
    alike: dict[tuple[int, int, float], list[TopQuery]] = {}
    for query in dict.fromkeys(queries):
        alike.setdefault((query.start_ms, query.end_ms, query.minimum_share), []).append(query)
    answers: dict[TopQuery, TopValues] = {}
    for (_, _, share), asked in alike.items():
        buckets = min(max(2 ** math.ceil(math.log2(4 / share)), _FEWEST_BUCKETS), _MOST_BUCKETS)
        at_once = _BUCKETS_AT_ONCE // buckets
        for first in range(0, len(asked), at_once):
            answers |= _top_values(reader, asked[first : first + at_once], buckets)
    return [answers[query] for query in queries]


def _top_values(
    reader: duckdb.DuckDBPyConnection, queries: Sequence[TopQuery], buckets: int
) -> dict[TopQuery, TopValues]:
    """Exact in two passes: a value with so many facts lies in a bucket with at least as many; few buckets have."""
    first = queries[0]
    wanted = pa.table(
        {
            "stream_id": np.array([query.stream_id for query in queries], dtype=np.int64),
            "dimension": np.array([query.dimension for query in queries], dtype=np.int64),
            "query": np.arange(len(queries)),
            "most": np.array([query.limit for query in queries], dtype=np.int64),
        }
    )
    facts = """SELECT stream_id, generate_subscripts(dims, 1) - 1 AS dimension, unnest(dims) AS value FROM facts
        WHERE stream_id IN (SELECT unnest(?::BIGINT[])) AND ts >= ? AND ts < ?"""
    bound = [sorted({query.stream_id for query in queries}), first.start_ms, first.end_ms]
    with registered(reader, wanted) as asked:
        table = table_of(
            reader,
            f"""SELECT query, hash(value) % {buckets} AS b, count(*) AS n
            FROM ({facts}) AS facts JOIN {asked} AS asked USING (stream_id, dimension) GROUP BY query, b""",  # noqa: S608 - our own names and numbers
            bound,
        )
    query, counts = arrow.ints(table["query"]), arrow.ints(table["n"])
    sizes = np.bincount(query, counts, len(queries))
    least = np.maximum(1, np.ceil(first.minimum_share * sizes)).astype(np.int64)
    many = counts >= least[query]
    kept = wanted.take(pa.array(query[many])).append_column("b", table["b"].filter(pa.array(many)))
    with registered(reader, kept.append_column("least", pa.array(least[query[many]]))) as frequent:
        rows = run(
            reader,
            f"""SELECT query, value, n FROM (
                SELECT query, value, count(*) AS n, any_value(most) AS most
                FROM ({facts}) AS facts JOIN {frequent} AS frequent
                    ON frequent.stream_id = facts.stream_id AND frequent.dimension = facts.dimension
                    AND frequent.b = hash(value) % {buckets}
                GROUP BY query, value HAVING n >= any_value(least))
            QUALIFY row_number() OVER (PARTITION BY query ORDER BY n DESC, value) <= most
            ORDER BY query, n DESC, value""",  # noqa: S608 - our own names and numbers, values are bound
            bound,
        )
    found: list[list[tuple[str, int]]] = [[] for _ in queries]
    for at, name, count in rows:
        found[at].append((name or "", int(count)))
    return {
        one: TopValues([name for name, _ in top], [count for _, count in top], int(size))
        for one, top, size in zip(queries, found, sizes.tolist(), strict=True)
    }


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
