"""Warnings of goals as incidents: opened, brought up to date, and closed, in the caller's transaction.

Such an incident has no anomalies: its story is the pace, its actual value where the period lands, its expected one the
target. Everything else (who is told, acknowledging, sharing, digests) is that of any incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import IncidentRow
from cliffwatch.goals.decide import Story, Turn
from cliffwatch.goals.model import Aim, Goal, GoalGiven, Pace
from cliffwatch.incidents import goal_words as words
from cliffwatch.incidents import writing
from cliffwatch.incidents.model import (
    Incident,
    IncidentState,
    Monitor,
    Subject,
    Transition,
    TransitionKind,
)
from cliffwatch.incidents.monitors import monitors_of
from cliffwatch.incidents.rows import INCIDENT_COLUMNS, incident_of
from cliffwatch.incidents.rule import watches
from cliffwatch.incidents.take import names


def story_of(session: Session, goal: Goal) -> Story:
    """What was said of the goal's period so far."""
    incident = _incident(session, goal.incident_id)
    if incident is None:
        return Story.NOTHING
    if incident.state.live:
        return Story.WARNED
    by_itself = incident.state is IncidentState.RESOLVED and incident.ended_ms is not None
    return Story.RECOVERED if by_itself else Story.CLOSED


def say(
    session: Session, goal: Goal, pace: Pace, turn: Turn, subject: Subject, now: int
) -> tuple[int | None, list[Transition]]:
    """Take a turn of the story; the id of its incident, and what people may want to hear."""
    before = _incident(session, goal.incident_id)
    if before is None:
        return _open(session, goal, pace, subject, now) if turn is Turn.WARN else (goal.incident_id, [])
    if turn is Turn.NONE and not before.state.live:
        return before.id, []
    after = _told(before, goal, pace, subject)
    step: Transition | None = None
    if turn is Turn.WARN:
        again = replace(after, state=IncidentState.OPEN, ended_ms=None, resolved_ms=None, revision=after.revision + 1)
        step = Transition(TransitionKind.REOPENED, again, True, "It is at risk again after it had been on pace.")
    elif turn is not Turn.NONE:
        note = words.back(goal.given, pace, subject.unit)
        over = replace(
            after,
            state=IncidentState.RESOLVED,
            headline=note.removesuffix("."),
            resolved_ms=now,
            ended_ms=pace.until_ms,
            snoozed_until_ms=None,
            revision=after.revision + 1,
        )
        news = not pace.over or before.last_window_ms < pace.until_ms  # else the end itself was told already
        step = Transition(TransitionKind.RESOLVED, over, news, note)
    if step is not None:
        after = step.incident
        writing.line(session, after.id, now, step.kind.value, step.note)
    writing.save(session, after)
    return after.id, [step] if step is not None else []


def stop_following(session: Session, incident_id: int, now: int, why: str) -> list[Transition]:
    """Close a warning whose goal is gone: nobody would notice that it is on pace again."""
    before = _incident(session, incident_id)
    if before is None or not before.state.live:
        return []
    after = replace(
        before,
        state=IncidentState.RESOLVED,
        resolved_ms=now,
        ended_ms=before.last_window_ms,
        snoozed_until_ms=None,
        revision=before.revision + 1,
    )
    writing.save(session, after)
    writing.line(session, after.id, now, TransitionKind.RESOLVED.value, why)
    return [Transition(TransitionKind.RESOLVED, after, False, why)]


def _open(session: Session, goal: Goal, pace: Pace, subject: Subject, now: int) -> tuple[int, list[Transition]]:
    writing.lock(session, goal.workspace_id)
    given = goal.given
    bare = Incident(
        id=0,
        workspace_id=goal.workspace_id,
        number=writing.next_number(session, goal.workspace_id),
        stream_id=given.stream_id,
        measure=given.measure,
        slice=given.slice,
        subjects={(given.stream_id, given.measure): subject},
        state=IncidentState.OPEN,
        kind=words.GOAL,
        direction=-1 if given.aim is Aim.AT_LEAST else 1,
        headline="",
        cause="",
        explanation={},
        actual=0.0,
        expected=given.target,
        score=0.0,
        started_ms=pace.until_ms,
        ended_ms=None,
        last_window_ms=pace.until_ms,
        opened_ms=now,
        monitors=_concerned(monitors_of(session, goal.workspace_id), goal),
    )
    told = writing.add(session, _told(bare, goal, pace, subject))
    writing.line(session, told.id, now, TransitionKind.OPENED.value, told.headline)
    return told.id, [Transition(TransitionKind.OPENED, told, significant=True)]


def _told(incident: Incident, goal: Goal, pace: Pace, subject: Subject) -> Incident:
    """The incident with today's pace."""
    given, unit = goal.given, subject.unit
    lands = pace.so_far if pace.landing is None else pace.landing
    off = ((pace.high or lands) - (pace.low or lands)) / 2
    return replace(
        incident,
        subjects={(given.stream_id, given.measure): subject},
        headline=words.headline(given, pace, unit),
        cause=words.reason(given, pace, unit),
        explanation={"goal": {"id": goal.id, "name": given.name, "aim": given.aim.value, "pace": pace.dump()}},
        actual=lands,
        expected=given.target,
        score=max(min((lands - given.target) / off, 99.0), -99.0) if off > 0 else 0.0,
        last_window_ms=max(pace.until_ms, incident.started_ms),
    )


def warned_of(incident: Incident) -> tuple[GoalGiven, Pace] | None:
    """The goal and the pace that an incident tells of; None of any other incident."""
    goal = incident.explanation.get("goal", {})
    if "pace" not in goal:
        return None
    given = GoalGiven(
        goal["name"], incident.stream_id, incident.measure, incident.expected, Aim(goal["aim"]), incident.slice
    )
    return given, Pace.load(goal["pace"])


def _concerned(monitors: Sequence[Monitor], goal: Goal) -> tuple[int, ...]:
    """The monitors that watch its series. How large and how long an anomaly must be is not asked of a goal."""
    series = (goal.given.stream_id, goal.given.measure, goal.given.slice)
    return tuple(one.id for one in monitors if one.enabled and watches(one.rule, series))


def _incident(session: Session, incident_id: int | None) -> Incident | None:
    if incident_id is None:
        return None
    query = select(*INCIDENT_COLUMNS).where(IncidentRow.id == incident_id)
    row = session.execute(query.with_for_update()).one_or_none()
    return incident_of(row, names(session, [row])) if row is not None else None
