"""An incident as it stands after its anomalies changed, in words, and the transition that this makes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from cliffwatch.incidents.headline import headline, recovered, retracted
from cliffwatch.incidents.judge import Figures, figures
from cliffwatch.incidents.model import (
    Anomaly,
    Cause,
    Incident,
    IncidentState,
    MeasureKey,
    Subject,
    Transition,
    TransitionKind,
)
from cliffwatch.streams.model import Slice

CONFIRMED = "Its window has closed: it is confirmed."
TAKEN_BACK = "Its window has closed within the usual range: the break was too short to matter, or it was made up for."


def opened(
    workspace_id: int,
    number: int,
    members: Sequence[Anomaly],
    subjects: Mapping[MeasureKey, Subject],
    cause: Cause | None,
    zone: tzinfo,
    now: int,
) -> Incident:
    """A new incident of these anomalies. Its `id` is 0: the store gives it one."""
    told = figures(None, members, subjects)
    bare = Incident(
        id=0,
        workspace_id=workspace_id,
        number=number,
        stream_id=told.series[0],
        measure=told.series[1],
        slice=told.series[2],
        subjects=subjects,
        state=IncidentState.OPEN,
        kind=told.kind,
        direction=told.direction,
        headline="",
        cause="",
        explanation={},
        actual=told.actual,
        expected=told.expected,
        score=told.score,
        started_ms=told.start_ms,
        ended_ms=None,
        last_window_ms=told.end_ms,
        opened_ms=now,
        provisional=told.provisional,
        silence=told.silence,
    )
    explained = _explained(bare, cause)
    return remembered(replace(explained, headline=headline(explained, zone, now)), cause.slices if cause else ())


def retell(
    before: Incident,
    members: Sequence[Anomaly],
    subjects: Mapping[MeasureKey, Subject],
    cause: Cause | None,
    zone: tzinfo,
    now: int,
    *,
    revived: bool,
) -> tuple[Incident, Transition | None]:
    """The incident after a run, and its transition if it made one.

    `members` are its anomalies that were not withdrawn, `cause` is a fresh explanation or None when there is none,
    `revived` says that an anomaly of it began, or went on, in this run. What a person closed changes its numbers
    silently; what is unchanged is returned as it is.
    """
    if not members:
        return _retract(before, zone, now)
    after = _explained(_with_figures(before, figures(before, members, subjects), subjects), cause)
    ongoing = any(member.ongoing for member in members)
    causes = cause.slices if cause else ()
    if after.state.live and not ongoing:
        return _resolve(after, zone, now)
    if after.state is IncidentState.RESOLVED and ongoing and revived and before.ended_ms is not None:
        again = replace(after, state=IncidentState.OPEN, ended_ms=None, resolved_ms=None, snoozed_until_ms=None)
        return _step(
            remembered(_headlined(again, zone, now), causes),
            TransitionKind.REOPENED,
            significant=True,
            note="It is back after it had recovered.",
        )
    if not after.state.live:
        ended = None if ongoing else after.last_window_ms
        return _silently(before, _headlined(replace(after, ended_ms=ended), zone, now))
    return _update(before, _headlined(after, zone, now), causes, now)


def remembered(incident: Incident, causes: Sequence[Slice]) -> Incident:
    """The incident with the memory of what people were told."""
    leading = tuple(slice_ for slice_ in causes[:1] if slice_ not in incident.told_causes)
    return replace(incident, told_severity=incident.severity, told_causes=incident.told_causes + leading)


def significant_news(before: Incident, after: Incident, causes: Sequence[Slice]) -> str:
    """What people should hear of a change, or "" when it can wait for whoever looks.

    News is: it spread to the whole, a leading cause that they were not told, or that it got twice as bad.
    """
    if before.slice and not after.slice:
        return "It has spread from one slice to the total."
    if causes and causes[0] not in before.told_causes:
        return "There is a new cause." if before.told_causes else "The cause is known now."
    if before.told_severity and after.severity >= 2 * before.told_severity:
        return "It is at least twice as bad as when it was last reported."
    return ""


def _update(before: Incident, after: Incident, causes: Sequence[Slice], now: int) -> tuple[Incident, Transition | None]:
    if before.state is IncidentState.SNOOZED:
        if before.snoozed_until_ms is None or before.snoozed_until_ms > now:
            quiet = replace(after, revision=before.revision)
            return _step(quiet, TransitionKind.UPDATED, significant=False) if _changed(before, after) else (after, None)
        awake = remembered(replace(after, state=IncidentState.OPEN, snoozed_until_ms=None), causes)
        return _step(awake, TransitionKind.UPDATED, significant=True, note="The snooze is over and it still goes on.")
    if not _changed(before, after):
        return after, None
    note = significant_news(before, after, causes)
    told = remembered(after, causes) if note else after
    if not note and before.provisional and not after.provisional:
        return _step(after, TransitionKind.UPDATED, significant=False, note=CONFIRMED)
    return _step(told, TransitionKind.UPDATED, significant=bool(note), note=note)


def _resolve(after: Incident, zone: tzinfo, now: int) -> tuple[Incident, Transition]:
    ended = replace(
        after,
        state=IncidentState.RESOLVED,
        ended_ms=after.last_window_ms,
        resolved_ms=now,
        snoozed_until_ms=None,
    )
    return _step(_headlined(ended, zone, now), TransitionKind.RESOLVED, significant=True)


def _retract(before: Incident, zone: tzinfo, now: int) -> tuple[Incident, Transition | None]:
    if not before.state.live:
        return before, None
    after = replace(
        before,
        state=IncidentState.RESOLVED,
        headline=retracted(before, zone, now),
        ended_ms=before.last_window_ms,
        resolved_ms=now,
        snoozed_until_ms=None,
    )
    note = (
        TAKEN_BACK if before.provisional else "Events that arrived late brought the metric back into its usual range."
    )
    return _step(after, TransitionKind.RETRACTED, significant=True, note=note)


def _silently(before: Incident, after: Incident) -> tuple[Incident, None]:
    return (replace(after, revision=before.revision + 1) if _changed(before, after) else after), None


def _step(
    incident: Incident, kind: TransitionKind, *, significant: bool, note: str = ""
) -> tuple[Incident, Transition]:
    counted = replace(incident, revision=incident.revision + 1)
    return counted, Transition(kind, counted, significant, note)


def _headlined(incident: Incident, zone: tzinfo, now: int) -> Incident:
    sentence = headline if incident.ended_ms is None else recovered
    return replace(incident, headline=sentence(incident, zone, now))


def _with_figures(before: Incident, told: Figures, subjects: Mapping[MeasureKey, Subject]) -> Incident:
    return replace(
        before,
        stream_id=told.series[0],
        measure=told.series[1],
        slice=told.series[2],
        subjects={**before.subjects, **subjects},
        kind=told.kind,
        direction=told.direction,
        actual=told.actual,
        expected=told.expected,
        score=told.score,
        started_ms=told.start_ms,
        last_window_ms=told.end_ms,
        provisional=told.provisional,
        silence=told.silence,
    )


def _explained(incident: Incident, cause: Cause | None) -> Incident:
    if cause is None:
        return incident
    told = cause.told_for((incident.stream_id, incident.measure))
    return replace(incident, cause=told, explanation=cause.explanation)


def _changed(before: Incident, after: Incident) -> bool:
    """Whether a person would see a difference; that a day has passed since the headline was written is none."""
    return _seen(before) != _seen(after)


def _seen(incident: Incident) -> tuple[object, ...]:
    return (
        incident.series,
        incident.kind,
        incident.direction,
        incident.cause,
        incident.actual,
        incident.expected,
        incident.started_ms,
        incident.last_window_ms,
        incident.provisional,
        incident.silence,
    )
