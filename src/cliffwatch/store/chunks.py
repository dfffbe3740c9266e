"""A store's rows in chunks with checksums: so two engines are compared, and brought to hold the same. Pure.

A chunk holds what one source or stream has of some days. A row's print is the first half of the MD5 of its columns as
text, with numbers as their bits, which every engine can compute; a chunk's sum is that of its prints, modulo 2^64.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

EPOCH_MS = 62_135_596_800_000
"""Added to a time, so that the number of its stretch is positive from year 1 on."""
DAY_MS = 86_400_000
BETWEEN, WITHIN = "\x1f", "\x1e"
"""Between columns, and between the values of a list."""

Prints = NDArray[np.uint64]


class Kind(enum.StrEnum):
    """What a column holds."""

    INT = "int"
    FLAG = "flag"
    TEXT = "text"
    TEXTS = "texts"
    NUMBER = "number"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's columns; whose rows they are, and by which time they are cut into stretches of `days`.

    `key` are the columns that tell rows of one owner apart; without, it is all of them.
    """

    name: str
    columns: Mapping[str, Kind]
    owner: str
    time: str
    days: int
    key: tuple[str, ...] = ()

    @property
    def length_ms(self) -> int:
        return self.days * DAY_MS

    def columns_of_key(self) -> dict[str, Kind]:
        return {name: self.columns[name] for name in self.key or self.columns}


_EVENT = {"ts": Kind.INT, "message_hash": Kind.INT}
_NUMBERS = ("value", "weight", "expected", "lower", "upper", "score", "p_value")
LAYOUTS = (
    Layout(
        "archive",
        {"source_id": Kind.INT, "kind": Kind.TEXT, "name": Kind.TEXT, **_EVENT, "received_at": Kind.INT}
        | dict.fromkeys(("user_id", "anonymous_id", "body"), Kind.TEXT),
        owner="source_id",
        time="ts",
        days=1,
    ),
    Layout(
        "facts",
        {"stream_id": Kind.INT, **_EVENT, "actor_hash": Kind.INT, "dims": Kind.TEXTS, "nums": Kind.NUMBERS},
        owner="stream_id",
        time="ts",
        days=1,
    ),
    Layout(
        "points",
        {"stream_id": Kind.INT, "measure": Kind.TEXT, "slice": Kind.TEXT, "window_start": Kind.INT}
        | {"window_end": Kind.INT, "flagged": Kind.FLAG, "revision": Kind.INT}
        | dict.fromkeys(_NUMBERS, Kind.NUMBER),
        owner="stream_id",
        time="window_start",
        days=30,
        key=("stream_id", "measure", "slice", "window_start"),
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """Number of the stretch since year 1, and owner."""

    stretch: int
    owner: int


@dataclass(frozen=True, slots=True)
class Sum:
    """Rows of a chunk, and the sum of their prints."""

    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class Printed:
    """The prints of N rows, and of what tells each from others of its owner."""

    key: Prints
    row: Prints


class Chunked(Protocol):
    """What can be compared. Raises Unavailable."""

    def sums(self, layout: Layout) -> dict[Chunk, Sum]:
        """Of every chunk that has rows."""
        ...

    def printed(self, layout: Layout, chunk: Chunk) -> Printed:
        """Each row of a chunk."""
        ...


def bounds(layout: Layout, stretch: int) -> tuple[int, int]:
    """[start, end) of a stretch in Unix milliseconds."""
    start = stretch * layout.length_ms - EPOCH_MS
    return start, start + layout.length_ms


def joined(columns: Mapping[str, Kind], text_of: Callable[[str, Kind], str]) -> str:
    """Columns as the arguments of an engine's concatenation."""
    return f", '{BETWEEN}', ".join(text_of(name, kind) for name, kind in columns.items())
