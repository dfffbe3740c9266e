"""The tables: what their columns are, how rows lie, and by which rows one sees that a replica has a block. Pure.

Each table lies on every replica as `<name>_local`; in a cluster `<name>` asks all shards. Facts and whole events are
spread over the shards by message, so that the copies of a message meet on one shard, which can tell them apart alone.

Every row of theirs has a `row_id` of its own: of two copies of a message it says which one a question leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.store.chunks import EPOCH_MS

WEEK_MS = 7 * 86_400_000
MONTH_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in order, how rows are kept, and by what they are spread over the shards."""

    name: str
    columns: Mapping[str, str]
    order: tuple[str, ...]
    partition: str = ""
    version: str = ""  # of rows with one key, the one with the highest value here stays

    @property
    def local(self) -> str:
        return f"{self.name}_local"

    def engine(self, database: str, *, replicated: bool) -> str:
        """How ClickHouse keeps it."""
        merge = "ReplacingMergeTree" if self.version else "MergeTree"
        arguments = [self.version] if self.version else []
        if replicated:
            path = f"/cliffwatch/{database}/{{shard}}/{self.name}"
            arguments = [f"'{path}'", "'{replica}'", *arguments]
            merge = f"Replicated{merge}"
        partition = f"PARTITION BY {self.partition} " if self.partition else ""
        return f"{merge}({', '.join(arguments)}) {partition}ORDER BY ({', '.join(self.order)})"

    def witnesses(self, columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """Conditions, each of which one row of a block fulfils: the block is there when all of them are met.

        A block becomes one part per partition, and each part comes to a replica by itself.
        """
        if self.version:
            return [f"({_same(self.order, columns, 0)} AND version >= {columns['version'][0]})"]
        if not self.partition:
            return [f"({_same(self.order, columns, 0)})"]
        owners = columns[self.order[0]] if "source_id" in self.order else [0] * len(columns["ts"])
        length_ms = WEEK_MS if "source_id" in self.order else MONTH_MS
        first: dict[tuple[int, int], int] = {}
        for row, (owner, ts) in enumerate(zip(owners, columns["ts"], strict=True)):
            first.setdefault((owner, (ts + EPOCH_MS) // length_ms), row)
        return [f"({_same((*self.order[:2], 'row_id'), columns, row)})" for row in first.values()]


_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"})


def text(value: str) -> str:
    """A text as it is written in SQL."""
    return f"'{value.translate(_ESCAPES)}'"


def _same(names: Sequence[str], columns: Mapping[str, Sequence[Any]], row: int) -> str:
    """Whether a row has the values of this one."""
    values = {name: columns[name][row] for name in names}
    return " AND ".join(f"{name} = {text(v) if isinstance(v, str) else int(v)}" for name, v in values.items())


def _stretch(length_ms: int) -> str:
    return f"toUInt32(intDiv(ts + {EPOCH_MS}, {length_ms}))"


ARCHIVE = Table(
    "archive",
    {
        "source_id": "Int64",
        "kind": "String",
        "name": "String",
        "ts": "Int64",
        "received_at": "Int64",
        "message_hash": "Int64",
        "user_id": "String",
        "anonymous_id": "String",
        "body": "String",
        "row_id": "UInt64",
    },
    order=("source_id", "received_at", "message_hash"),
    partition=f"(source_id, {_stretch(WEEK_MS)})",
)
FACTS = Table(
    "facts",
    {
        "stream_id": "Int64",
        "ts": "Int64",
        "message_hash": "Int64",
        "actor_hash": "Int64",
        "dims": "Array(String)",
        "nums": "Array(Float64)",
        "row_id": "UInt64",
    },
    order=("stream_id", "ts", "message_hash"),
    partition=_stretch(MONTH_MS),
)
POINTS = Table(
    "points",
    {
        "stream_id": "Int64",
        "measure": "String",
        "slice": "String",
        "window_start": "Int64",
        "window_end": "Int64",
        "value": "Float64",
        "weight": "Float64",
        "expected": "Float64",
        "lower": "Float64",
        "upper": "Float64",
        "score": "Float64",
        "p_value": "Float64",
        "flagged": "UInt8",
        "revision": "Int64",
        "version": "UInt64",
    },
    order=("stream_id", "window_start", "measure", "slice"),
    version="version",
)
POSITIONS = Table(
    "positions",
    {"journal": "String", "offset": "Int64", "version": "UInt64"},
    order=("journal",),
    version="version",
)
_OF_CHANGE = {"change_id": "UInt64", "place": "UInt32", "workspace_id": "Int64"}
TRAIL_EVENTS = Table(
    "trail_events",
    {
        **_OF_CHANGE,
        "trail_id": "Int64",
        "person": "Int64",
        "ts": "Int64",
        "received_at": "Int64",
        "message_hash": "Int64",
        "source_id": "Int64",
        "vals": "Array(String)",
        "pass_number": "Int64",
    },
    order=("change_id", "place"),
)
TRAIL_IDS = Table(
    "trail_ids",
    {**_OF_CHANGE, "kind": "String", "id": "String", "person": "Int64", "learnt": "Int64"},
    order=("change_id", "place"),
)
TRAIL_MERGES = Table(
    "trail_merges",
    {**_OF_CHANGE, "pass_number": "Int64", "gone": "Int64", "kept": "Int64"},
    order=("change_id", "place"),
)
TRAIL_CHANGES = Table(
    "trail_changes",
    {"change_id": "UInt64", "place": "UInt32", "at": "UInt64", "what": "String"},
    ("change_id", "place"),
)
"""What happened to trails, in the order of `at`; a change counts when it is here, after its rows."""
TABLES = (ARCHIVE, FACTS, POINTS, POSITIONS, TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES, TRAIL_CHANGES)
