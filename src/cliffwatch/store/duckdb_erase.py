"""Rows that must be gone from the disk, not only from the answers: deleting a person.

DuckDB marks deleted rows and leaves their bytes where they are: a group of rows that lost some stays as it is, and a
block that is given back keeps its content until it is used again. So the groups that hold such rows are written anew
without them, and then every free block is used once, for a table of numbers that is dropped again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.errors import Unavailable
from cliffwatch.store import arrow
from cliffwatch.store.contract import Ints
from cliffwatch.store.duckdb_file import ROW_GROUP, DuckDBFile, registered, run, table_of

GROUPS_AT_ONCE = 4
"""Row groups of one transaction: what is in memory at a time."""
BLOCKS_AT_ONCE = 128
"""Free blocks filled at a time (32 MB); others may write in between."""
PATIENCE = 200
"""How often to ask again for a checkpoint that readers stand in the way of, a twentieth of a second each."""
_FILLER = "erased"
_UNCOMMITTED = 1 << 59
"""Rows that this transaction has written itself have ids above it."""


def erase_rows(
    file: DuckDBFile, table: str, where: str, values: Sequence[Any], rewritten: Callable[[Ints], None]
) -> int:
    """Delete rows by writing the groups that hold them anew; returns how many went. May be cut short and repeated.

    `rewritten` is told the message hashes of rows that get new places, before they do.
    """
    deleted = 0
    while True:
        with file.transaction() as writer:
            met = table_of(writer, f"SELECT rowid AS row FROM {table} WHERE {where}", values)  # noqa: S608 - ours
            rows = np.sort(arrow.ints(met["row"]))
            if not len(rows):
                return deleted
            ends = _group_ends(writer, table)
            group = np.searchsorted(ends, rows, side="right")
            chosen = np.unique(group)[:GROUPS_AT_ONCE]
            for one in chosen.tolist():
                begin, end = int(ends[one - 1]) if one else 0, int(ends[one]) if one < len(ends) else _UNCOMMITTED
                deleted += _rewrite(writer, table, where, values, f"rowid >= {begin} AND rowid < {end}", rewritten)


def _rewrite(
    writer: duckdb.DuckDBPyConnection,
    table: str,
    where: str,
    values: Sequence[Any],
    within: str,
    rewritten: Callable[[Ints], None],
) -> int:
    kept: pa.Table = table_of(
        writer,
        f"SELECT * FROM {table} WHERE {within} AND NOT coalesce({where}, false)",  # noqa: S608 - our own numbers
        values,
    )
    gone = int(run(writer, f"DELETE FROM {table} WHERE {within}")[0][0])  # noqa: S608
    if len(kept):
        if "message_hash" in kept.column_names:
            rewritten(arrow.ints(kept["message_hash"]))
        with registered(writer, kept) as rows:
            run(writer, f"INSERT INTO {table} SELECT * FROM {rows}")  # noqa: S608
    return gone - len(kept)


def _group_ends(writer: duckdb.DuckDBPyConnection, table: str) -> Ints:
    """Row ids at which the table's groups end, ascending."""
    counts = run(
        writer,
        f"""SELECT row_group_id, max(first + count) FROM (
            SELECT row_group_id, segment_id, count,
                sum(count) OVER (PARTITION BY row_group_id ORDER BY segment_id) - count AS first
            FROM pragma_storage_info('{table}') WHERE column_id = 0 AND segment_type <> 'VALIDITY')
        GROUP BY row_group_id ORDER BY row_group_id""",  # noqa: S608 - our own table
    )
    return np.cumsum(np.array([count for _, count in counts], dtype=np.int64))


def overwrite_free(file: DuckDBFile, wait: Callable[[float], object]) -> None:
    """Give back the space of deleted rows and overwrite it. Raises Unavailable when readers do not let it."""
    if file.path is None:
        return
    _checkpoint(file, wait)
    with file.reader() as reader:
        sql = "SELECT free_blocks FROM pragma_database_size() WHERE database_name = current_database()"
        free = int(run(reader, sql)[0][0])
    with file.transaction() as writer:
        run(writer, f"CREATE OR REPLACE TABLE {_FILLER} (n UBIGINT USING COMPRESSION uncompressed)")
    try:
        for first in range(0, free + 2, BLOCKS_AT_ONCE):
            groups = min(BLOCKS_AT_ONCE, free + 2 - first)  # a group of numbers takes a block
            with file.transaction() as writer:
                run(writer, f"INSERT INTO {_FILLER} SELECT hash(range) FROM range({groups * ROW_GROUP})")  # noqa: S608
        _checkpoint(file, wait)
    finally:
        with file.transaction() as writer:
            run(writer, f"DROP TABLE IF EXISTS {_FILLER}")
        file.checkpoint()


def _checkpoint(file: DuckDBFile, wait: Callable[[float], object]) -> None:
    for _ in range(PATIENCE):
        if file.checkpoint():
            return
        wait(0.05)
    raise Unavailable("event store", "is read without a pause.", "Deleting goes on by itself.")
