"""Frozen values of noise: what was sent lately, by whom it came, and what would have sent less. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.incidents.model import IncidentState, SeriesKey
from cliffwatch.streams.model import Slice


class FixKind(enum.StrEnum):
    """What can be done against noise."""

    BUDGET = "budget"  # fewer alerts a week on a stream
    EFFECT = "effect"  # a least effect on a stream
    DIRECTION = "direction"  # one direction only on a stream
    DURATION = "duration"  # a surprise of a stream must last
    MUTE = "mute"  # a series is told no more
    EXPECTED = "expected"  # what a series did was expected
    MONITOR_EFFECT = "monitor_effect"  # a least effect in a monitor's rule


@dataclass(frozen=True, slots=True)
class Seen:
    """One anomaly of an incident, as rules look at it."""

    stream_id: int
    measure: str
    slice: Slice
    direction: int
    start_ms: int
    end_ms: int
    window_ms: int
    impact: float
    relative: float | None
    score: float

    @property
    def series(self) -> SeriesKey:
        return (self.stream_id, self.measure, self.slice)

    @property
    def windows(self) -> int:
        return max(round((self.end_ms - self.start_ms) / self.window_ms), 1)


@dataclass(frozen=True, slots=True)
class Sent:
    """An incident that people were told of. `series` is its headline's; `monitors` let it through."""

    number: int
    state: IncidentState
    opened_ms: int
    series: SeriesKey
    measure_name: str
    monitors: tuple[int, ...]
    seen: tuple[Seen, ...]

    @property
    def dismissed(self) -> bool:
        """Whether somebody said that it was not worth a message."""
        return self.state in (IncidentState.FALSE_ALARM, IncidentState.EXPECTED)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A fix and what it would have made of the `sent` incidents: `left` of them. `value` is what is set."""

    kind: FixKind
    words: str
    value: Any
    sent: int
    left: int

    @property
    def effect(self) -> str:
        """What it would have done, in words."""
        if self.kind is FixKind.EXPECTED:
            return "What was measured then teaches nothing, and what goes on is told no more"
        return f"Would have sent {self.left:,} instead of {self.sent:,}"


@dataclass(frozen=True, slots=True)
class Noise:
    """Where incidents came from: a stream, a series or a monitor; how many, how many were dismissed, what helps."""

    key: str  # what a fix names: the stream's or monitor's id, or the series as JSON
    name: str
    where: str
    sent: int
    dismissed: int
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """The noisiest of the last `days`, each list with the most first."""

    days: int
    sent: int
    dismissed: int
    streams: tuple[Noise, ...]
    series: tuple[Noise, ...]
    monitors: tuple[Noise, ...]


@dataclass(frozen=True, slots=True)
class Fix:
    """Something that was done against noise."""

    id: int
    kind: FixKind
    what: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    made_by: str
    made_ms: int
    undone_ms: int | None
