"""Follows goals: after each run of a stream, where its goals' periods stand, and who should hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import structlog

from cliffwatch.accounts import Accounts
from cliffwatch.db import Database
from cliffwatch.errors import CliffwatchError
from cliffwatch.goals import Goal, GoalGiven, Goals, Pace, Past, Repeat, Turn, checked, decide, pace, span_of
from cliffwatch.goals.pace import HISTORY_DAYS
from cliffwatch.incidents import Subject
from cliffwatch.incidents.goals import say, stop_following, story_of
from cliffwatch.notify import Outbox
from cliffwatch.pipeline.replaying import noise_of
from cliffwatch.store import EventStore, PointQuery
from cliffwatch.streams import Runs, Stream, Streams, StreamState
from cliffwatch.streams.model import TOTAL, slice_key

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
MOST_PERIODS = 60
"""After a long sleep so many periods are closed one after the other, not more."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A goal's series, and up to where its stream was measured."""

    past: Past
    until_ms: int


class GoalWatch:
    """Looks at goals whose streams ran since they were looked at last."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        accounts: Accounts,
        streams: Streams,
        runs: Runs,
        goals: Goals,
        outbox: Outbox,
    ) -> None:
        self._database = database
        self._store = store
        self._accounts = accounts
        self._streams = streams
        self._runs = runs
        self._goals = goals
        self._outbox = outbox

    def look(self, now: int) -> int:
        """Look at all goals; how many had news. Points are read only of those whose stream has run since."""
        return self._look_at(self._goals.every(), now)

    def look_at(self, goal: Goal, now: int) -> Goal:
        """Look at one goal, such as one that was just made; it as it is then. What fails is tried again in a minute."""
        self._look_at([goal], now)
        return self._goals.get(goal.workspace_id, goal.id)

    def _look_at(self, goals: Sequence[Goal], now: int) -> int:
        """What one fails of keeps none of the others from being looked at."""
        ids = list({goal.given.stream_id for goal in goals})
        streams, planned = self._streams.by_ids(ids), self._runs.next_windows_ms(ids)
        looked = 0
        for goal in goals:
            stream_id = goal.given.stream_id
            try:
                looked += self._look(goal, streams.get(stream_id), planned.get(stream_id, 0), now)
            except Exception as error:  # of one goal: the others are looked at; it is tried again in a minute
                known = isinstance(error, CliffwatchError)
                log.warning("goal_failed", goal=goal.id, error=str(error), exc_info=not known)
        return looked

    def preview(self, stream: Stream, given: GoalGiven, now: int) -> Pace:
        """Where a goal's current period stands, kept nowhere. Raises InvalidInput naming the field."""
        given = checked(given, stream)
        zone, country = self._place(stream.workspace_id)
        measured = self._measured(stream, given, span_of(given, now, zone).start_ms, now)
        return _pace(stream, given, measured, at_ms=now, zone=zone, country=country)

    def stop(self, goal: Goal, now: int, why: str = "The goal was deleted.") -> None:
        """Close the warning of a goal that is not followed any more."""
        if goal.incident_id is not None:
            with self._database.write() as session:
                self._outbox.enqueue(session, stop_following(session, goal.incident_id, now, why), now)

    def _look(self, goal: Goal, stream: Stream | None, planned_ms: int, now: int) -> bool:
        """`planned_ms` begins the first window of the stream that was not made due: nothing is measured after it."""
        if stream is None or stream.state is StreamState.PAUSED:
            self.stop(goal, now, "Its stream is not watched any more.")
            return False
        measure = stream.definition.find_measure(goal.given.measure)
        if measure is None:
            self.stop(goal, now, "Its measure is not part of the stream any more.")
            return False
        ended = goal.given.repeat is Repeat.ONCE and goal.pace is not None and goal.pace.over
        if ended or planned_ms <= max(goal.looked_ms, goal.period_start_ms):
            return False
        zone, country = self._place(goal.workspace_id)
        measured = self._measured(stream, goal.given, goal.period_start_ms, now)
        if measured.until_ms <= max(goal.looked_ms, goal.period_start_ms):
            return False
        subject = Subject(measure.name, measure.unit, True, stream.name, _step_ms(stream))
        for _ in range(MOST_PERIODS):
            at_ms = goal.period_start_ms
            found = _pace(stream, goal.given, measured, at_ms=at_ms, zone=zone, country=country)
            if not self._keep(goal, found, subject, zone, now):
                return True
            goal = self._goals.get(goal.workspace_id, goal.id)
            if measured.until_ms <= goal.period_start_ms:
                return True
        return True

    def _keep(self, goal: Goal, found: Pace, subject: Subject, zone: ZoneInfo, now: int) -> bool:
        """Keep a pace and say what is to be said, in one transaction; whether another period is followed now."""
        with self._database.write() as session:
            current = self._goals.locked(session, goal)
            if current is None or current.looked_ms > found.until_ms:
                return False  # changed, deleted, or looked at by somebody else meanwhile
            while True:  # one that ends badly without a warning is told, and closed as it was told
                turn = decide(found, goal.given.warn_below, story_of(session, current))
                incident_id, said = say(session, current, found, turn, subject, now)
                self._outbox.enqueue(session, said, now)
                current = replace(current, incident_id=incident_id)
                if turn is not Turn.WARN or not found.over:
                    break
            following = span_of(goal.given, found.span.end_ms, zone).start_ms if found.over else goal.period_start_ms
            self._goals.keep(session, goal, found, incident_id, following)
        return following != goal.period_start_ms

    def _measured(self, stream: Stream, given: GoalGiven, start_ms: int, now: int) -> Measured:
        """The goal's series from far before its period on, and the end of the newest window of its stream."""
        since = start_ms - (HISTORY_DAYS + 1) * DAY_MS
        key, total = slice_key(given.slice), slice_key(TOTAL)
        points = self._store.read_points(PointQuery(stream.id, since, now + DAY_MS, given.measure, [key, total]))
        until_ms = int(points.window_end_ms.max()) if len(points) else 0
        own = np.array([one == key for one in points.slice], bool)
        order = np.argsort(points.window_start_ms[own], kind="stable")
        past = Past(points.window_start_ms[own][order], points.window_end_ms[own][order], points.value[own][order])
        return Measured(past, until_ms)

    def _place(self, workspace_id: int) -> tuple[ZoneInfo, str | None]:
        workspace = self._accounts.workspace(workspace_id)
        return ZoneInfo(workspace.time_zone), workspace.country


def _pace(
    stream: Stream, given: GoalGiven, measured: Measured, *, at_ms: int, zone: ZoneInfo, country: str | None
) -> Pace:
    """The pace of the period that holds `at_ms`."""
    return pace(
        given,
        span_of(given, at_ms, zone),
        measured.past,
        until_ms=measured.until_ms,
        step_ms=_step_ms(stream),
        noise=noise_of(stream, given.measure),
        zone=zone,
        country=country,
    )


def _step_ms(stream: Stream) -> int:
    return stream.definition.schedule.frequency_minutes * 60_000
