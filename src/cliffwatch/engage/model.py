"""Frozen values of the engage room."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.engage.blocks import TraitValue

MINUTE_MS = 60_000
RETRY_MS = 60_000
"""After a computation that failed."""
DEFAULT_EVERY_MINUTES = 120
"""How often what needs a schedule is computed, unless a person says otherwise."""

Told = bool | TraitValue | None
"""What a person has in a computation: member or not; a value, None for none."""


class ComputationKind(enum.StrEnum):
    AUDIENCE = "audience"
    TRAIT = "trait"


class Mode(enum.StrEnum):
    IDENTIFY = "identify"
    TRACK = "track"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Computation:
    """An audience or a computed trait. `progress` is of what is under way, 0 to 1."""

    id: int
    workspace_id: int
    computation_id: str  # aud_... or tra_...
    kind: ComputationKind
    name: str
    key: str
    query: str
    anonymous: bool
    every_minutes: int
    enabled: bool
    created_ms: int
    deleted_ms: int | None
    state: str  # preparing, computing, live, failed
    progress: float
    next_due_ms: int
    computed_ms: int | None
    complete_ms: int | None
    pass_number: int
    size: int
    error: str

    @property
    def is_audience(self) -> bool:
        return self.kind is ComputationKind.AUDIENCE

    def is_due(self, now: int) -> bool:
        """Also when that is further ahead than it is ever put: the clock stepped back since."""
        return self.next_due_ms <= now or self.next_due_ms > now + self.every_minutes * MINUTE_MS + RETRY_MS

    @property
    def status(self) -> str:
        """Segment's word for how it is."""
        if not self.enabled:
            return "Disabled"
        return {"preparing": "Preparing", "computing": "Computing", "live": "Live", "failed": "Failed"}[self.state]


@dataclass(frozen=True, slots=True)
class Pass:
    """One evaluation of a computation: how many people it looked at, and what changed."""

    id: int
    at_ms: int
    complete: bool
    looked_at: int
    size: int
    entered: int
    left: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """A transition of one person."""

    id: int
    person: int
    at_ms: int
    value: Told


@dataclass(frozen=True, slots=True)
class Sync:
    """Where a computation is sent, and how far that is."""

    id: int
    computation_id: int
    name: str
    kind: str
    settings: Mapping[str, Any]
    mode: Mode
    per_second: int
    paused: bool
    created_ms: int
    first_done_ms: int | None
    told_pass: int
    chunk: int
    pending: tuple[int, Sequence[Sequence[Any]]] | None  # when it was fixed, and its items
    retry_ms: int
    attempts: int
    last_error: str


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One stretch of sending, from the first difference until there is none."""

    id: int
    first: bool
    started_ms: int
    finished_ms: int | None
    total: int
    sent: int
    refused: int

    @property
    def progress(self) -> float:
        return 1.0 if self.finished_ms is not None else self.sent / max(self.total, 1)
