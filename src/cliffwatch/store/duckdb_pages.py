"""Pages of the embedded archive: which rows a question is about, and where a page of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from cliffwatch.store.contract import ArchiveQuery
from cliffwatch.store.duckdb_file import run, table_of


def page_keys(reader: duckdb.DuckDBPyConnection, query: ArchiveQuery) -> pa.Table:
    """received_at and message_hash of a page's rows, in order.

    Sorting all that is left of a large archive for each page would be most of a back-fill's work: the page is looked
    for in as long a time as it probably takes, then in longer ones.
    """
    where, values = archive_filter(query)
    rows, first, last = run(reader, "SELECT count(*), min(received_at), max(received_at) FROM archive")[0]
    start = query.after[0] if query.after is not None else first or 0
    reach = 2 * query.limit * ((last or 0) - (first or 0)) // max(rows, 1) + 1
    if query.before_ms is not None:
        last = min(last or 0, query.before_ms - 1)
    while True:
        keys = table_of(
            reader,
            f"""SELECT received_at, message_hash FROM archive WHERE {where} AND received_at <= ?
            ORDER BY received_at, message_hash LIMIT ?""",  # noqa: S608 - the filter is ours, values are bound
            [*values, start + reach, query.limit],
        )
        if len(keys) == query.limit or start + reach >= (last or 0):
            return keys
        reach *= 8


def cuts(reader: duckdb.DuckDBPyConnection, query: ArchiveQuery, shares: Sequence[float]) -> list[int]:
    """The times of arrival below which these shares of the matching rows lie, each once."""
    where, values = archive_filter(query, paging=False)
    sql = f"SELECT quantile_disc(received_at, {list(shares)}) FROM archive WHERE {where}"  # noqa: S608
    return sorted(set(run(reader, sql, values)[0][0] or ())) if shares else []


def archive_filter(query: ArchiveQuery, *, paging: bool = True) -> tuple[str, list[Any]]:
    """What rows of the archive a query is about, and the values that are bound."""
    where, values = ["source_id = ?", "ts >= ?", "ts < ?"], [query.source_id, query.start_ms, query.end_ms]
    bound: list[Any] = list(values)
    for column, wanted in (("kind", query.kinds), ("name", query.names)):
        if wanted:
            where.append(f"list_contains(?, {column})")
            bound.append(list(wanted))
    if query.one_in > 1:
        where.append("message_hash % ? = 0")
        bound.append(query.one_in)
    if query.before_ms is not None:
        where.append("received_at < ?")
        bound.append(query.before_ms)
    if paging and query.after is not None:
        where.append("received_at >= ? AND (received_at > ? OR message_hash > ?)")
        bound += [query.after[0], query.after[0], query.after[1]]
    return " AND ".join(where), bound
