"""Reads Parquet and CSV files with DuckDB: exports in Segment's warehouse schema, or any CSV with a time column.

The cursor is (table, file, rows): a file is read in its own order, so what was read is left out when it goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec

from cliffwatch.connections.imports.model import Chunk, Cursor
from cliffwatch.connections.imports.shape import CsvColumns, DuckDBDialect, Table, csv_sql, literal, message_sql, wanted
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.times import parse_time

ROWS = 5_000
ENDINGS = {".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv"}
MEMORY = "400MB"
DIALECT = DuckDBDialect()


class Glance(msgspec.Struct):
    """What must be right in a row's message before it is sent on."""

    timestamp: str | None = None
    event: str | None = None
    userId: str | None = None  # noqa: N815 - the wire's own name
    anonymousId: str | None = None  # noqa: N815
    messageId: str | None = None  # noqa: N815


_glance = msgspec.json.Decoder(Glance).decode


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own for reading, with little memory: what events are stored in is another one."""
    found = duckdb.connect()
    found.execute(f"SET memory_limit='{MEMORY}'")
    found.execute("SET threads=1")
    return found


def scan(path: Path) -> str:
    """The table function over one file. Raises InvalidInput for an ending that is none of ours."""
    function = ENDINGS.get(path.suffix.lower())
    if function is None:
        raise InvalidInput(f"File {path.name}", "is neither Parquet nor CSV.", f"Use: {', '.join(ENDINGS)}.")
    return f"{function}({literal(str(path))})"


def columns_of(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """The columns of a file. Raises InvalidInput with what DuckDB says of it."""
    try:
        return [str(row[0]) for row in connection.execute(f"DESCRIBE SELECT * FROM {scan(path)}").fetchall()]  # noqa: S608
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one table."""

    table: Table
    files: Sequence[Path]


def parts(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[Part]:
    """The tables of a folder: `<table>.parquet`, or a folder `<table>` with files. Raises InvalidInput."""
    named: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in ENDINGS:
            stem = path.name.split(".")[0] if path.parent == folder else path.relative_to(folder).parts[0]
            named.setdefault(stem.lower(), []).append(path)
    tables = [Table(name, columns_of(connection, files[0])) for name, files in named.items()]
    found = [Part(table, named[table.name]) for table in wanted(tables)]
    if not found:
        raise InvalidInput(
            f"Folder {folder.name}",
            "holds no table of Segment’s warehouse schema.",
            "Put files there that are named after their tables, such as order_completed.parquet or pages.csv.",
        )
    return found


class WarehouseFiles:
    """A folder of exported tables."""

    def __init__(self, folder: Path) -> None:
        self._connection = connect()
        self._parts = parts(self._connection, folder)

    def count(self) -> int:
        return sum(_count(self._connection, path) for part in self._parts for path in part.files)

    def chunks(self, cursor: Cursor) -> Iterator[Chunk]:
        at_table, at_file, at_row = cursor.get("table", ""), cursor.get("file", ""), int(cursor.get("rows", 0))
        for part in self._parts:
            name = part.table.name
            if name < at_table:
                continue
            sql = message_sql(part.table, DIALECT)
            for path in part.files:
                if name == at_table and str(path) < at_file:
                    continue
                done = at_row if name == at_table and str(path) == at_file else 0
                for messages in _rows(self._connection, sql, path, done):
                    done += len(messages)
                    yield Chunk(messages, len(messages), {"table": name, "file": str(path), "rows": done})

    def close(self) -> None:
        self._connection.close()


class CsvFile:
    """Any CSV file with a time column, by the columns that a person chose."""

    def __init__(self, path: Path, chosen: CsvColumns) -> None:
        self._path = path
        self._connection = connect()
        self._sql = csv_sql(columns_of(self._connection, path), chosen, DIALECT)
        self._stem = f"csv-{_digest(path)}"

    def count(self) -> int:
        return _count(self._connection, self._path)

    def chunks(self, cursor: Cursor) -> Iterator[Chunk]:
        """Rows without a readable time, a name or a person are left out: they would be events of the wrong time."""
        done = int(cursor.get("rows", 0))
        for rows in _rows(self._connection, self._sql, self._path, done):
            messages = [good for at, row in enumerate(rows) if (good := self._checked(row, done + at)) is not None]
            done += len(rows)
            yield Chunk(messages, len(rows), {"rows": done})

    def _checked(self, row: bytes, number: int) -> bytes | None:
        seen = _glance(row)
        if parse_time(seen.timestamp) is None or not seen.event or not (seen.userId or seen.anonymousId):
            return None
        if seen.messageId:
            return row
        # The same file gives the same ids, however often it is uploaded.
        return row[:-1] + f',"messageId":"{self._stem}-{number}"}}'.encode()

    def close(self) -> None:
        self._connection.close()


def preview(path: Path, rows: int = 5) -> tuple[list[str], list[tuple[str, ...]]]:
    """The columns and the first rows of a file as text. Raises InvalidInput."""
    with contextlib.closing(connect()) as connection:
        columns = columns_of(connection, path)
        found = connection.execute(f"SELECT * FROM {scan(path)} LIMIT {rows}").fetchall()  # noqa: S608 - quoted
        return columns, [tuple("" if value is None else str(value) for value in row) for row in found]


def _count(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    try:
        # `fetchall`: DuckDB holds a connection busy until it has seen the end of a result.
        found = connection.execute(f"SELECT count(*) FROM {scan(path)}").fetchall()  # noqa: S608 - quoted
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    return int(found[0][0])


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, path: Path, skip: int) -> Iterator[list[bytes]]:
    """Messages in the file's order, those behind the first `skip` rows."""
    query = f"SELECT {sql} AS message FROM {scan(path)} OFFSET {skip}"  # noqa: S608 - our own expression, quoted names
    try:
        for batch in connection.sql(query).to_arrow_reader(ROWS):
            yield [text.encode() for text in batch.column(0).to_pylist()]
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: duckdb.Error) -> InvalidInput:
    said = str(error).splitlines()[0][:300]
    return InvalidInput(f"File {path.name}", f"cannot be read: {said}", "Export it again, then go on.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
