"""Frozen values of routing: who is told, by which channel, when, and who is next. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours by the workspace's clock in which a channel's messages wait. `days` are those on which they begin, Monday
    is 0; an `end` that is not after `start` is on the next day."""

    days: tuple[int, ...]
    start: dt.time
    end: dt.time


@dataclass(frozen=True, slots=True)
class Step:
    """Whom a policy tells `after_minutes` after the step before it. `urgent` messages do not wait for quiet hours."""

    after_minutes: int
    channels: tuple[int, ...] = ()
    rotations: tuple[int, ...] = ()
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Steps until somebody acknowledges; after the last one it begins again `repeats` times."""

    id: int
    workspace_id: int
    name: str
    steps: tuple[Step, ...]
    repeats: int

    def step(self, number: int) -> Step | None:
        """The step with this number, counted through all rounds; None when the policy is at its end."""
        return self.steps[number % len(self.steps)] if number < len(self.steps) * (1 + self.repeats) else None


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody who stands in: [start_ms, end_ms)."""

    person_id: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns, `shift_days` each, handing over at the same time by the clock of the time zone."""

    id: int
    workspace_id: int
    name: str
    time_zone: str
    people: tuple[int, ...]
    first_day: dt.date
    handover: dt.time
    shift_days: int
    overrides: tuple[Override, ...] = ()
