"""Today's ClickHouse engine inside this process, as the store's link: its SQL is that of both ages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from chdb.session import Session

from cliffwatch.errors import Unavailable
from cliffwatch.store.clickhouse.link import Columns, Link
from cliffwatch.store.clickhouse.tables import Table

_KINDS = {"dims": pa.list_(pa.string()), "nums": pa.list_(pa.float64()), "flagged": pa.uint8()}
_UNSIGNED = ("row_id", "version")


class ChdbLink(Link):
    """One session for all threads, one at a time: an engine in a process has one path."""

    cluster = ""

    def __init__(self, folder: Path, database: str = "cliffwatch") -> None:
        self.database = database
        self._folder = folder
        self._lock = threading.Lock()
        self._session: Session | None = Session(str(folder / "chdb"))
        self._files = 0

    @property
    def shards(self) -> int:
        return 1

    def read(self, sql: str) -> list[Sequence[Any]]:
        answer = self._ask(sql, "ArrowStream")
        if not answer:
            return []
        table = pa.ipc.open_stream(answer).read_all()
        return [_plain(column) for column in table.columns] if len(table) else []

    def insert(self, shard: int, table: Table, make: Callable[[], Columns]) -> None:
        columns = {name: _column(name, values) for name, values in make().items()}
        with self._lock:
            self._files += 1
            path = self._folder / f"block{self._files}.arrow"
        rows = pa.table(columns)
        with pa.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows)
        names = ", ".join(columns)
        self._ask(f"INSERT INTO {self.database}.{table.local} ({names}) SELECT {names} FROM file('{path}', 'Arrow')")
        path.unlink()

    def reach(self, shards: Sequence[int]) -> None:
        if self._session is None:
            raise Unavailable("event store", "is closed.")

    def change(self, shard: int, sql: str) -> None:
        self._ask(sql)

    def on_replicas(self, shard: int, sql: str) -> list[list[Sequence[Any]]]:
        return [self.read(sql)]

    def define(self, sql: str) -> None:
        self._ask(sql.replace("{on_cluster}", ""))

    def close(self) -> None:
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _ask(self, sql: str, form: str = "CSV") -> bytes:
        with self._lock:
            if self._session is None:
                raise Unavailable("event store", "is closed.")
            return bytes(self._session.query(sql, form).bytes())


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    if name in _KINDS:
        return pa.array(values, _KINDS[name])
    if name in _UNSIGNED:
        return pa.array(values, pa.uint64())
    first = values[0]
    if isinstance(first, bytes):
        return pa.array([value.decode() if isinstance(value, bytes) else value for value in values], pa.string())
    return pa.array(
        values, pa.string() if isinstance(first, str) else pa.float64() if isinstance(first, float) else pa.int64()
    )


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Texts come as bytes."""
    if pa.types.is_binary(column.type):
        return [value.decode() for value in column.to_pylist()]
    return list(column.to_pylist())
