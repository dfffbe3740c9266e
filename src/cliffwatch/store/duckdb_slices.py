"""DuckDB's SQL for many streams at once: measures per slice, and the most frequent values of a dimension.

A run's facts are few and lie together; what costs is asking. So the streams that are due together are asked for
together, each fact is laid beside the slices that it belongs to, and values that nobody chose are dropped before they
are counted: memory follows the number of chosen slices, not that of distinct values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.store import arrow, plan
from cliffwatch.store.contract import SliceQuery, SliceTable, TopQuery, TopValues
from cliffwatch.store.duckdb_file import registered, run, table_of

_BUCKETS = 1 << 16
"""Distinct values are first counted by their hash: those of a bucket with few facts cannot be frequent."""
_STREAMS_AT_ONCE = 16
"""... whose buckets are counted together: a million of them at most."""


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
    """The answers in the order of the questions; those that differ in nothing but the stream are one question.

    Exact in two passes: a value with so many facts lies in a bucket with at least as many; few buckets have.
    """
    alike: dict[TopQuery, list[int]] = {}
    for query in queries:
        alike.setdefault(replace(query, stream_id=0), []).append(query.stream_id)
    answers: dict[TopQuery, TopValues] = {}
    for query, asked in alike.items():
        for first in range(0, len(asked), _STREAMS_AT_ONCE):
            found = _top_values(reader, query, asked[first : first + _STREAMS_AT_ONCE])
            answers |= {replace(query, stream_id=stream_id): top for stream_id, top in found.items()}
    return [answers[query] for query in queries]


def _top_values(reader: duckdb.DuckDBPyConnection, query: TopQuery, stream_ids: Sequence[int]) -> dict[int, TopValues]:
    value = f"dims[{query.dimension + 1}]"
    facts = f"""SELECT stream_id, {value} AS value, hash({value}) % {_BUCKETS} AS b FROM facts
        WHERE stream_id IN (SELECT unnest(?::BIGINT[])) AND ts >= ? AND ts < ?"""  # noqa: S608 - our own numbers
    bound = [list(stream_ids), query.start_ms, query.end_ms]
    table = table_of(reader, f"SELECT stream_id, b, count(*) AS n FROM ({facts}) GROUP BY stream_id, b", bound)  # noqa: S608
    streams, counts = arrow.ints(table["stream_id"]), arrow.ints(table["n"])
    asked, place = np.unique(streams, return_inverse=True)
    sizes = np.bincount(place, counts, len(asked))
    least = np.maximum(1, np.ceil(query.minimum_share * sizes)).astype(np.int64)
    many = counts >= least[place]
    kept = pa.table({"stream_id": streams[many], "b": table["b"].filter(pa.array(many)), "least": least[place[many]]})
    with registered(reader, kept) as frequent:
        rows = run(
            reader,
            f"""SELECT stream_id, value, n FROM (
                SELECT facts.stream_id AS stream_id, value, count(*) AS n FROM ({facts}) AS facts
                JOIN {frequent} AS frequent ON frequent.stream_id = facts.stream_id AND frequent.b = facts.b
                GROUP BY facts.stream_id, value HAVING n >= any_value(least))
            QUALIFY row_number() OVER (PARTITION BY stream_id ORDER BY n DESC, value) <= ?
            ORDER BY stream_id, n DESC, value""",  # noqa: S608 - our own names and numbers, values are bound
            [*bound, query.limit],
        )
    found: dict[int, list[tuple[str, int]]] = {stream_id: [] for stream_id in stream_ids}
    for stream_id, name, count in rows:
        found[stream_id].append((name or "", int(count)))
    size_of = dict(zip(asked.tolist(), sizes.astype(np.int64).tolist(), strict=True))
    return {
        stream_id: TopValues([name for name, _ in top], [count for _, count in top], size_of.get(stream_id, 0))
        for stream_id, top in found.items()
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
