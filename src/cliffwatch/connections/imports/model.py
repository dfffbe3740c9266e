"""Frozen values of imports. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Cursor = Mapping[str, Any]
"""Where an import goes on; what it holds is its reader's own."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import and how far it is. `settings` holds no secrets."""

    id: int
    workspace_id: int
    source_id: int
    kind: str  # csv, files, postgresql
    name: str
    settings: Mapping[str, Any]
    state: str  # draft, waiting, running, paused, done, failed
    cursor: Cursor
    rows_done: int
    rows_total: int
    rejected: int
    error: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(self.rows_done / self.rows_total, 1.0) if self.rows_total else 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows as Segment messages (JSON), in order, and where to go on behind them."""

    messages: Sequence[bytes]
    rows: int
    cursor: Cursor


class Reader(Protocol):
    """Reads one place. Raises Unavailable and InvalidInput with what to do."""

    def count(self) -> int:
        """Rows there are, those before the cursor included."""
        ...

    def chunks(self, cursor: Cursor) -> Iterator[Chunk]:
        """What comes behind the cursor; an empty one begins."""
        ...

    def close(self) -> None: ...
