"""Frozen values of privacy."""

from __future__ import annotations

from dataclasses import dataclass

ACTIONS = ("drop", "hash")
FOR_EVER_MS = 253_402_300_799_000
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """What becomes of the values at a path: `drop` leaves them out, `hash` keeps a keyed hash."""

    id: int
    source_id: int
    path: str
    action: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A message of Segment that asks to delete a person."""

    source_id: int
    user_ids: tuple[str, ...]
    anonymous_ids: tuple[str, ...]
    received_ms: int
    key: str  # the same message asks once


@dataclass(frozen=True, slots=True)
class Deletion:
    """A request to delete a person, and what came of it. `shown` are the identifiers, masked."""

    id: int
    workspace_id: int
    shown: str
    origin: str  # page, api, segment
    requested_by: str
    for_ever: bool
    requested_ms: int
    done_ms: int | None
    events: int
    facts: int
    quarantined: int
    error: str

    @property
    def state(self) -> str:
        return "done" if self.done_ms is not None else "waiting"
