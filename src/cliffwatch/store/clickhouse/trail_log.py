"""The log of what happened to trails, on the servers: fills with their rows, what was dropped, who was forgotten.

A change's rows are written first, the line that names it last: without that line they do not count.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pyarrow as pa

from cliffwatch.errors import Unavailable
from cliffwatch.store.clickhouse.link import Columns, Link
from cliffwatch.store.clickhouse.sql import one_of
from cliffwatch.store.clickhouse.tables import TRAIL_CHANGES, TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES, Table

_KINDS = {"Int64": pa.int64(), "UInt64": pa.uint64(), "UInt32": pa.uint32(), "String": pa.string()}
_LISTS = {"Array(String)": pa.list_(pa.string())}
_ROWS_AT_ONCE = 100_000
OF_FILL = (TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log: a fill (pass `number`, `rows` of each table of OF_FILL), or something that was deleted."""

    id: int
    at: int
    workspace_id: int = 0
    number: int = 0
    identify: bool = False
    rows: tuple[int, int, int] = (0, 0, 0)
    dropped: int | None = None  # a trail
    forgotten: tuple[tuple[int, int], ...] = ()  # (workspace, person)
    before: tuple[int, int] | None = None  # (source, ms): its events from before then

    @property
    def is_fill(self) -> bool:
        return self.dropped is None and not self.forgotten and self.before is None

    def text(self) -> str:
        """What the log says of it."""
        said = {name: getattr(self, name) for name in self.__slots__ if name not in ("id", "at")}
        return json.dumps({name: value for name, value in said.items() if value not in (None, 0, False, ())})

    @classmethod
    def parse(cls, id_: int, at: int, text: str) -> Change:
        said = json.loads(text)
        for name in ("rows", "before"):
            if name in said:
                said[name] = tuple(said[name])
        said["forgotten"] = tuple((workspace, person) for workspace, person in said.get("forgotten", ()))
        return cls(id=id_, at=at, **said)


class TrailLog:
    """Reads and writes it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._shard = crc32(b"trails") % link.shards

    def new_change(self, after: int, **said: Any) -> Change:
        """A change that comes after all that happened until `after`."""
        return Change(secrets.randbits(63), max(time.time_ns(), after + 1), **said)

    def since(self, at: int, *, everywhere: bool) -> list[Change]:
        """Changes after `at`, in order. `everywhere` asks all replicas: none may be missing to who goes on writing."""
        name = self._link.local(TRAIL_CHANGES) if everywhere else self._link.whole(TRAIL_CHANGES)
        sql = f"SELECT change_id, at, what FROM {name} WHERE at > {at}"  # noqa: S608
        answers = self._link.on_replicas(self._shard, sql) if everywhere else [self._link.read(sql)]
        if not answers:
            raise Unavailable("event store", "has no replica that knows the people of audiences.", "Start one of them.")
        lines = {
            int(id_): Change.parse(int(id_), int(when), what)
            for columns in answers
            for id_, when, what in zip(*columns, strict=True)
        }
        return sorted(lines.values(), key=lambda change: (change.at, change.id))

    def write(self, change: Change, rows: Mapping[str, pa.Table] | None = None) -> None:
        """Write a change with its rows (table's name -> columns without `change_id` and `place`)."""
        shard = change.workspace_id % self._link.shards
        for table in OF_FILL:
            held = (rows or {}).get(table.name)
            for start in range(0, len(held) if held is not None else 0, _ROWS_AT_ONCE):
                assert held is not None
                columns = _columns(change, held.slice(start, _ROWS_AT_ONCE), start)
                self._link.insert(shard, table, lambda columns=columns: columns)  # type: ignore[misc]
        line: Columns = {"change_id": [change.id], "place": [0], "at": [change.at], "what": [change.text()]}
        self._link.insert(self._shard, TRAIL_CHANGES, lambda: line)

    def rows(self, table: Table, changes: Collection[int]) -> pa.Table:
        """The rows of these changes, each once."""
        names = list(table.columns)
        found = self._link.read(
            f"SELECT {', '.join(names)} FROM {self._link.whole(table)} WHERE {one_of('change_id', [*changes])}"  # noqa: S608
        )
        columns = found or [()] * len(names)
        kinds = _KINDS | _LISTS
        return pa.table(
            {
                column: pa.array(list(values), kinds[table.columns[column]])
                for column, values in zip(names, columns, strict=True)
            }
        )


def _columns(change: Change, rows: pa.Table, start: int) -> Columns:
    count = len(rows)
    columns: dict[str, Sequence[Any]] = {
        "change_id": [change.id] * count,
        "place": list(range(start, start + count)),
        "workspace_id": [change.workspace_id] * count,
    }
    return columns | {name: rows[name].to_pylist() for name in rows.column_names}
