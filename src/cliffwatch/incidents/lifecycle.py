"""What people do to an incident: which step is possible from which state, and what it changes. Pure."""

from __future__ import annotations

from dataclasses import replace

from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.incidents.model import Incident, IncidentState, Transition, TransitionKind

MAX_COMMENT = 10_000

_LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)


def acknowledge(incident: Incident, now: int, by: str) -> Transition:
    """Somebody has seen it and takes it on."""
    _must_be(incident, "acknowledge", IncidentState.OPEN, IncidentState.SNOOZED)
    after = replace(
        incident,
        state=IncidentState.ACKNOWLEDGED,
        acknowledged_ms=now,
        acknowledged_by=by,
        snoozed_until_ms=None,
    )
    return _step(after, TransitionKind.ACKNOWLEDGED)


def snooze(incident: Incident, now: int, until_ms: int) -> Transition:
    """Quiet until a time; it comes back by itself if it still goes on then."""
    _must_be(incident, "snooze", *_LIVE)
    if until_ms <= now:
        raise InvalidInput("snooze until", "must be in the future.", "Choose a later time.")
    return _step(replace(incident, state=IncidentState.SNOOZED, snoozed_until_ms=until_ms), TransitionKind.SNOOZED)


def wake(incident: Incident) -> Transition:
    """The snooze is over."""
    awake = replace(incident, state=IncidentState.OPEN, snoozed_until_ms=None, told_severity=incident.severity)
    return _step(awake, TransitionKind.UPDATED, significant=True, note="The snooze is over and it still goes on.")


def stop_watching(incident: Incident, now: int) -> Transition:
    """Its stream is paused or deleted: whether it went on is not known."""
    after = replace(
        incident,
        state=IncidentState.RESOLVED,
        resolved_ms=now,
        ended_ms=incident.last_window_ms,
        snoozed_until_ms=None,
    )
    return _step(after, TransitionKind.RESOLVED, note="Its stream is not watched any more.")


def resolve(incident: Incident, now: int, by: str) -> Transition:
    """Over, in a person's judgement."""
    _must_be(incident, "resolve", *_LIVE)
    after = replace(incident, state=IncidentState.RESOLVED, resolved_ms=now, snoozed_until_ms=None)
    return _step(after, TransitionKind.RESOLVED, significant=True, note=f"{by} resolved it.")


def false_alarm(incident: Incident, now: int) -> Transition:
    """Nothing had happened."""
    return _mark(incident, now, IncidentState.FALSE_ALARM, TransitionKind.FALSE_ALARM)


def expected(incident: Incident, now: int) -> Transition:
    """It happened, and was meant to."""
    return _mark(incident, now, IncidentState.EXPECTED, TransitionKind.EXPECTED)


def new_normal(incident: Incident, now: int) -> Transition:
    """It happened, and it stays: what is measured now is what is to be expected."""
    return _mark(incident, now, IncidentState.NEW_NORMAL, TransitionKind.NEW_NORMAL)


def reopen(incident: Incident) -> Transition:
    """Back to open, whatever was said before."""
    if incident.state is IncidentState.OPEN:
        raise Conflict(f"incident {incident.number}", "is open already.")
    after = replace(
        incident,
        state=IncidentState.OPEN,
        resolved_ms=None,
        ended_ms=None,
        acknowledged_ms=None,
        acknowledged_by=None,
        snoozed_until_ms=None,
    )
    return _step(after, TransitionKind.REOPENED)


def comment(incident: Incident, text: str) -> Transition:
    """A remark for those who come after."""
    text = text.strip()
    if not text:
        raise InvalidInput("comment", "is empty.", "Write something, or leave it.")
    if len(text) > MAX_COMMENT:
        raise InvalidInput("comment", f"has {len(text):,} characters; at most {MAX_COMMENT:,} fit.", "Shorten it.")
    return _step(incident, TransitionKind.COMMENTED, note=text)


def assign(incident: Incident, owner_id: int | None, owner: str | None) -> Transition:
    """It has an owner now, or none again."""
    after = replace(incident, owner_id=owner_id, owner=owner)
    return _step(after, TransitionKind.ASSIGNED, note=f"To {owner}." if owner else "To nobody.")


def _mark(incident: Incident, now: int, state: IncidentState, kind: TransitionKind) -> Transition:
    if incident.state is state:
        raise Conflict(f"incident {incident.number}", f"is already marked as {_words(state)}.")
    resolved_ms = incident.resolved_ms if incident.resolved_ms is not None else now
    return _step(replace(incident, state=state, resolved_ms=resolved_ms, snoozed_until_ms=None), kind)


def _must_be(incident: Incident, step: str, *states: IncidentState) -> None:
    if incident.state not in states:
        raise Conflict(
            f"incident {incident.number}",
            f"is {_words(incident.state)}: {step} is not possible now.",
            "Reopen it first." if not incident.state.live else "",
        )


def _words(state: IncidentState) -> str:
    return state.value.replace("_", " ")


def _step(incident: Incident, kind: TransitionKind, *, significant: bool = False, note: str = "") -> Transition:
    return Transition(kind, replace(incident, revision=incident.revision + 1), significant, note)
