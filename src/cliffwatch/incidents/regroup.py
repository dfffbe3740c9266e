"""What incidents are after a person merged two, or split one. Pure.

    absorb     the surviving incident, with the anomalies of the one that was merged into it
    carve      a new incident of some of the anomalies of one
    remain     what is left of an incident when others took their anomalies along

Nothing here wakes anybody by itself, except what is true of the result: that it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo

from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.incidents.judge import Story
from cliffwatch.incidents.model import (
    Anomaly,
    Cause,
    Incident,
    IncidentState,
    Transition,
    TransitionKind,
)
from cliffwatch.incidents.retell import opened, remembered, retell


def mergeable(source: Incident, target: Incident) -> None:
    """Raises when one cannot become part of the other."""
    if source.number == target.number:
        raise InvalidInput("merge", "needs two incidents.", "Choose another one.")
    for one in (source, target):
        if one.state is IncidentState.MERGED:
            raise Conflict(f"incident {one.number}", f"is part of #{one.merged_into}.", f"Use #{one.merged_into}.")
    if source.state.live and not target.state.live:
        raise Conflict(
            f"incident {target.number}", f"is closed, and #{source.number} still goes on.", "Reopen it first."
        )


def absorb(
    target: Incident, source: Incident, members: Sequence[Anomaly], zone: tzinfo, now: int, by: str
) -> tuple[Incident, Transition]:
    """`target` with the anomalies of `source` in it; `members` are those of both, none withdrawn.

    It stays as people left it. Where it has to be told by a series of the other, or knows no cause, the other's cause
    comes with it. That the two are one is no news to those who were told of it.
    """
    bare = replace(
        target,
        subjects={**source.subjects, **target.subjects},
        monitors=tuple(sorted({*target.monitors, *source.monitors})),
        told_severity=max(target.told_severity, source.told_severity),
        told_causes=tuple(dict.fromkeys(target.told_causes + source.told_causes)),
        also_about=tuple(dict.fromkeys(target.also_about + _story(source).about)),
    )
    cause = _inherited(bare, source, members, zone, now)
    after, transition = retell(bare, members, bare.subjects, cause, zone, now, revived=False)
    after = remembered(after, cause.slices if cause else ())
    note = f"{by} merged #{source.number} into it."
    return _changed_by_hand(target, after, transition, TransitionKind.MERGED, note)


def swallowed(source: Incident, target: Incident, now: int) -> Incident:
    """`source` once it is part of `target`: whatever is done to it is done to that one."""
    return replace(
        source,
        state=IncidentState.MERGED,
        merged_into=target.number,
        snoozed_until_ms=None,
        resolved_ms=source.resolved_ms if source.resolved_ms is not None else now,
        ended_ms=source.ended_ms if source.ended_ms is not None else source.last_window_ms,
        revision=source.revision + 1,
    )


def carve(
    source: Incident, number: int, members: Sequence[Anomaly], zone: tzinfo, now: int, by: str
) -> tuple[Incident, Transition]:
    """A new incident of these anomalies of `source`. What is over when it is carved out is resolved at once."""
    cause = Cause.kept(source.explanation)
    of = cause.explanation.get("of")
    measures = {(member.stream_id, member.measure) for member in members}
    fits = of is not None and (of["stream_id"], of["measure"]) in measures and cause.found
    subjects = {key: subject for key, subject in source.subjects.items() if key in measures}
    bare = opened(source.workspace_id, number, members, subjects, cause if fits else None, zone, now)
    new = replace(bare, monitors=source.monitors)
    note = f"{by} split it off from #{source.number}."
    if not any(member.ongoing for member in members):
        over, _ = retell(new, members, subjects, None, zone, now, revived=False)
        return over, Transition(TransitionKind.OPENED, over, significant=False, note=note)
    return new, Transition(TransitionKind.OPENED, new, significant=True, note=note)


def remain(
    before: Incident,
    members: Sequence[Anomaly],
    zone: tzinfo,
    now: int,
    kind: TransitionKind,
    note: str,
) -> tuple[Incident, Transition]:
    """What is left of an incident, told anew. A cause that speaks of a series that left goes with it."""
    bare = before
    of = before.explanation.get("of")
    if of is not None and (of["stream_id"], of["measure"]) not in {(m.stream_id, m.measure) for m in members}:
        bare = replace(before, cause="", explanation={})
    after, transition = retell(bare, members, before.subjects, None, zone, now, revived=False)
    after = replace(after, told_severity=max(after.severity, before.told_severity))
    return _changed_by_hand(before, after, transition, kind, note)


def _changed_by_hand(
    before: Incident, after: Incident, transition: Transition | None, kind: TransitionKind, note: str
) -> tuple[Incident, Transition]:
    """The step of a change by hand. People hear of it only where it is over now."""
    counted = replace(after, revision=max(after.revision, before.revision + 1))
    if transition is not None and transition.kind in (TransitionKind.RESOLVED, TransitionKind.RETRACTED):
        return counted, Transition(transition.kind, counted, significant=True, note=note)
    return counted, Transition(kind, counted, significant=False, note=note)


def _inherited(target: Incident, source: Incident, members: Sequence[Anomaly], zone: tzinfo, now: int) -> Cause | None:
    theirs, ours = Cause.kept(source.explanation), Cause.kept(target.explanation)
    if not theirs.found:
        return None
    after, _ = retell(target, members, target.subjects, None, zone, now, revived=False)
    return theirs if after.series != target.series or not ours.found else None


def _story(incident: Incident) -> Story:
    return Story.of(incident, (), Cause(incident.explanation, incident.cause).slices)
