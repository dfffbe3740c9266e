"""Frozen values of a digest: when it leaves, for whom, and what it tells. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cliffwatch.goals import Standing
from cliffwatch.incidents.model import Incident
from cliffwatch.notify.watcher.watching import Watching


class DigestKind(enum.StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def days(self) -> int:
        return 1 if self is DigestKind.DAILY else 7


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """When a workspace's digests leave, by its clock, and where to. `weekday` is that of the weekly one, Monday is 0.

    `channels` None: every shared channel that is not a pager. `members`: each member gets a mail of their own, unless
    they want none or read it in a channel.
    """

    daily: bool = False
    weekly: bool = True
    weekday: int = 0
    hour: int = 9
    channels: tuple[int, ...] | None = None
    members: bool = False

    def sends(self, kind: DigestKind) -> bool:
        return self.daily if kind is DigestKind.DAILY else self.weekly


@dataclass(frozen=True, slots=True)
class Period:
    """What a digest speaks of: [start_ms, end_ms)."""

    kind: DigestKind
    start_ms: int
    end_ms: int


class WhyUnwatched(enum.StrEnum):
    """Why something that could be watched was not."""

    NO_STREAM = "no_stream"  # a source that no data stream measures
    SWITCHED_OFF = "switched_off"  # a source that takes nothing
    PAUSED = "paused"  # a stream that somebody paused
    NOT_SELECTED = "not_selected"  # an event that no stream selects
    LEARNING = "learning"  # series without enough history to be judged
    FAILED = "failed"  # windows of which no run succeeded


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Something that was not watched. `path` is its page."""

    why: WhyUnwatched
    name: str
    detail: str
    path: str


@dataclass(frozen=True, slots=True)
class Noisy:
    """A stream that told much: incidents opened, and how many of them somebody dismissed as false alarms."""

    stream_id: int
    name: str
    incidents: int
    false_alarms: int
    days: int


@dataclass(frozen=True, slots=True)
class GoalStands:
    """How a goal stands, in the words of its page."""

    name: str
    standing: Standing
    outlook: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened in a period, and how things stand at its end.

    `opened` began in the period; `still_open` were open before it and are yet; `over` were open before it and are not
    any more. Each incident is in one of them at most.
    """

    period: Period
    opened: tuple[Incident, ...]
    still_open: tuple[Incident, ...]
    over: tuple[Incident, ...]
    goals: tuple[GoalStands, ...]
    noisy: tuple[Noisy, ...]
    unwatched: tuple[Unwatched, ...]
    watching: Watching

    @property
    def open_now(self) -> int:
        """How many incidents go on: open, acknowledged or snoozed, as the list of incidents counts them."""
        return len(self.still_open) + sum(incident.state.live for incident in self.opened)
