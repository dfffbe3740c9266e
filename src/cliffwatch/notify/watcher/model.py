"""Frozen values of how Cliffwatch itself is. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class OutageKind(enum.StrEnum):
    """What may stand still."""

    RUNS_LATE = "runs_late"  # windows are over and not judged
    WORKER = "worker"  # a part of the worker has not said for a while that it works
    STORE = "store"  # the event store does not answer
    CHANNEL = "channel"  # a channel has taken nothing for a while
    STOPPED = "stopped"  # no process ran at all; known afterwards only


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands still now. `workspace_id` None: it concerns every workspace. `since_ms` is when it began,
    as far as that is known."""

    kind: OutageKind
    text: str
    since_ms: int
    workspace_id: int | None = None
    channel_id: int | None = None
    part: str = ""  # of the worker

    @property
    def key(self) -> str:
        """The same as long as it lasts."""
        return ":".join(map(str, (self.kind.value, self.workspace_id or 0, self.channel_id or 0, self.part)))


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which something stood still; `ended_ms` None while it lasts."""

    id: int
    kind: OutageKind
    workspace_id: int | None
    channel_id: int | None
    text: str
    began_ms: int
    ended_ms: int | None
