"""Frozen values of goals. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cliffwatch.streams.model import TOTAL, Slice


class Aim(enum.StrEnum):
    AT_LEAST = "at_least"
    AT_MOST = "at_most"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


class Repeat(enum.StrEnum):
    """The period of a goal: each calendar week, month or quarter of the workspace's time zone, or once."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class Span:
    """A period [start, end), Unix ms, and what people call it: "November 2026"."""

    start_ms: int
    end_ms: int
    name: str


@dataclass(frozen=True, slots=True)
class GoalGiven:
    """What a person asks for.

    `target` is in the measure's unit. `first` and `last` are local days (ISO, both included) of a goal that is there
    once, "" otherwise. A warning is due when the target is less likely than `warn_below`, a share.
    """

    name: str
    stream_id: int
    measure: str  # Measure.key; its values add up
    target: float
    aim: Aim = Aim.AT_LEAST
    slice: Slice = TOTAL
    repeat: Repeat = Repeat.MONTH
    first: str = ""
    last: str = ""
    warn_below: float = 0.5


@dataclass(frozen=True, slots=True)
class Day:
    """One step of the picture: from the period's start to `end_ms`, what came (None where it is still to come), what
    was or is expected, and the range in which four of five such periods lie."""

    end_ms: int
    came: float | None
    expected: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a period stands and where it lands.

    `landing` is `so_far` with what is expected of the rest, in the measure's unit; four of five such periods land
    between `low` and `high`. All three, and `chance` (of reaching the target, a share), are None while too little
    history is known to say. `until_ms` is the end of the last measured window of the period.
    """

    span: Span
    until_ms: int
    so_far: float
    landing: float | None
    low: float | None
    high: float | None
    chance: float | None
    missing: float  # what the target still asks for; of "at most": what it leaves; may be negative
    days_left: float
    days: tuple[Day, ...]

    @property
    def over(self) -> bool:
        """Whether the whole period was measured."""
        return self.until_ms >= self.span.end_ms

    def dump(self) -> dict[str, Any]:
        """As JSON values; inverse of `load`."""
        return asdict(self)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        days = tuple(Day(**day) for day in data["days"])
        return cls(**{**data, "span": Span(**data["span"]), "days": days})


@dataclass(frozen=True, slots=True)
class Goal:
    """A stored goal. `pace` is what was found when it was last looked at; None before that."""

    id: int
    workspace_id: int
    given: GoalGiven
    made_by: str
    created_ms: int
    period_start_ms: int  # the period that is followed
    incident_id: int | None  # of the period that is followed: its warning
    pace: Pace | None
    looked_ms: int  # up to which window's end it was looked at
    revision: int
    deleted: bool = False
