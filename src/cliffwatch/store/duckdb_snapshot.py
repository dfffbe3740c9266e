"""A copy of a DuckDB store as of one moment, beside everything that reads and writes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import duckdb

from cliffwatch.store.duckdb_file import ROW_GROUP, DuckDBFile, run

_ROWS_TOGETHER = 2_000_000
_NAME = "snapshot"


def snapshot(file: DuckDBFile, path: Path, progress: Callable[[float], None]) -> dict[str, int]:
    """Write every table to a new database at `path`; returns table -> rows. `progress` hears the share that is done.

    One transaction reads all of it, so the copy is of the moment at which this began. Raises Unavailable; what is at
    `path` is then good for nothing.
    """
    where = str(path).replace("'", "''")
    with file.reader() as cursor:
        run(cursor, f"ATTACH '{where}' AS {_NAME} (ROW_GROUP_SIZE {ROW_GROUP})")
        try:
            counts = _copy(cursor, progress)
            run(cursor, f"CHECKPOINT {_NAME}")
        finally:
            with contextlib.suppress(duckdb.Error):  # a store that gave up has let go of it already
                run(cursor, f"DETACH {_NAME}")
    return counts


def _copy(cursor: duckdb.DuckDBPyConnection, progress: Callable[[float], None]) -> dict[str, int]:
    cursor.begin()
    try:
        run(cursor, f"COPY FROM DATABASE events TO {_NAME} (SCHEMA)")
        tables = [
            name for (name,) in run(cursor, "SELECT table_name FROM duckdb_tables() WHERE database_name = 'events'")
        ]
        counts = {name: int(run(cursor, f"SELECT count(*) FROM {name}")[0][0]) for name in tables}  # noqa: S608
        total, done = max(sum(counts.values()), 1), 0
        for name in tables:
            last = run(cursor, f"SELECT coalesce(max(rowid), -1) FROM {name}")[0][0]  # noqa: S608
            for start in range(0, last + 1, _ROWS_TOGETHER):
                rows = f"SELECT * FROM {name} WHERE rowid BETWEEN {start} AND {start + _ROWS_TOGETHER - 1}"  # noqa: S608
                done += int(run(cursor, f"INSERT INTO {_NAME}.{name} {rows}")[0][0])
                progress(done / total)
        cursor.commit()
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # a failed commit has already been rolled back
            cursor.rollback()
        raise
    return counts


def verify(path: Path) -> dict[str, int]:
    """Open a copy for reading and read every column of it; table -> rows. Raises ValueError when it is damaged."""
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            counts = {}
            for (name,) in run(connection, "SELECT table_name FROM duckdb_tables()"):
                # A checksum over all columns reads each block, and DuckDB compares each block with its own checksum.
                counts[name] = int(run(connection, f"SELECT count(*), bit_xor(hash(t)) FROM {name} AS t")[0][0])  # noqa: S608
            return counts
    except duckdb.Error as error:
        raise ValueError(str(error).strip().split("\n", 1)[0]) from error
