"""Incidents as lists and pages show them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from cliffwatch.incidents import Anomaly, Incident, IncidentState, TimelineEntry
from cliffwatch.incidents.headline import change, loss, rate, slice_phrase
from cliffwatch.streams.model import NOT_SET, Slice, make_slice
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment

LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in words, with its tone and icon."""

    label: str
    tone: str
    icon: str


STATES: Mapping[IncidentState, Badge] = {
    IncidentState.OPEN: Badge("Open", "bad", "circle-alert"),
    IncidentState.ACKNOWLEDGED: Badge("Acknowledged", "accent", "eye"),
    IncidentState.SNOOZED: Badge("Snoozed", "warn", "moon-star"),
    IncidentState.RESOLVED: Badge("Resolved", "good", "circle-check"),
    IncidentState.FALSE_ALARM: Badge("False alarm", "", "bell-off"),
    IncidentState.EXPECTED: Badge("Expected", "", "calendar-check"),
    IncidentState.NEW_NORMAL: Badge("New normal", "", "check-check"),
}

FILTERS: Sequence[tuple[str, str, tuple[IncidentState, ...] | None]] = (
    ("live", "Needs attention", LIVE),
    ("resolved", "Resolved", (IncidentState.RESOLVED,)),
    (
        "dismissed",
        "False alarm or expected",
        (IncidentState.FALSE_ALARM, IncidentState.EXPECTED, IncidentState.NEW_NORMAL),
    ),
    ("all", "All", None),
)


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident in a list."""

    number: int
    stream_id: int
    headline: str
    cause: str
    state: Badge
    live: bool
    stream_name: str
    started: Moment
    lasted: str
    change: str
    loss: str
    direction: int
    owner: str
    owner_initials: str


def line(incident: Incident, zone: tzinfo, now: int) -> IncidentLine:
    return IncidentLine(
        incident.number,
        incident.stream_id,
        incident.headline,
        cause_words(incident),
        STATES[incident.state],
        incident.state.live,
        incident.stream_name,
        formats.moment(incident.started_ms, zone, now),
        lasted(incident, now),
        short_change(incident.relative),
        loss(incident),
        incident.direction,
        incident.owner or "",
        formats.initials(incident.owner) if incident.owner else "",
    )


def cause_words(incident: Incident) -> str:
    """The cause's sentence without what the headline above it has just said."""
    head, _, rest = incident.cause.partition("; ")
    return rest[:1].upper() + rest[1:] if rest and head.startswith(incident.measure_name) else incident.cause


def lasted(incident: Incident, now: int) -> str:
    """How long it has gone on, or went on."""
    end = incident.ended_ms if incident.ended_ms is not None else (incident.resolved_ms or now)
    return formats.duration(max(end - incident.started_ms, 0))


def short_change(relative: float | None) -> str:
    """`−31 %`; `new` where nothing was expected; "–" without a value."""
    if relative is None:
        return "new"
    return formats.signed_percent(relative) if abs(relative) < 10 else f"×{relative + 1:,.0f}"


def streams_of(incident: Incident) -> set[int]:
    """The streams that an incident speaks of: a story may run through several."""
    return {stream_id for stream_id, _ in incident.subjects} | {incident.stream_id}


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A slice that explains a part of the change; `share` and `confidence` are 0 to 1, `width` fills the bar."""

    slice: Slice
    tags: tuple[tuple[str, str], ...]
    words: str
    actual: str
    expected: str
    change: str
    direction: int
    share: str
    width: float
    confidence: str
    kind: str


@dataclass(frozen=True, slots=True)
class Why:
    """The root cause: its sentence, its slices, and what they leave open."""

    sentence: str
    causes: tuple[CauseRow, ...]
    mix: tuple[CauseRow, ...]
    note: str
    unexplained: str
    effects: tuple[tuple[str, str], ...]
    of: tuple[int, str]  # the measure that is explained: another than the headline's where that does not know why
    seen_in: str  # its name, where it is another


_KINDS = {"volume": "Volume", "rate": "Rate", "mix": "Mix"}


def why(incident: Incident) -> Why:
    """Read what `explain` stored. An incident without an explanation has an empty one."""
    document = incident.explanation
    of = document.get("of") or {}  # the series that is explained: a witness where the headline's own does not know
    told = (incident.stream_id, incident.measure)
    key = (int(of["stream_id"]), str(of["measure"])) if of else told
    unit = formats.shown_unit(key[1], of["unit"] if of else incident.unit)
    explained = make_slice(of["slice"]) if of else incident.slice
    unexplained = float(document.get("unexplained") or 0.0)
    effects = tuple(
        (label, formats.signed_percent(float(document[key]) / abs(float(document["expected"]))))
        for label, key in (("What people did (rate)", "rate_effect"), ("Who came (mix)", "mix_effect"))
        if document.get(key) is not None and document.get("expected")
    )
    causes = tuple(_cause(cause, unit, explained) for cause in document.get("causes", ()))
    return Why(
        cause_words(incident),
        causes,
        tuple(_cause(cause, unit, explained) for cause in document.get("mix", ())),
        str(document.get("note") or ""),
        formats.percent(unexplained) if causes and abs(unexplained) >= 0.01 else "",
        effects,
        key,
        str(of["name"]) if key != told else "",
    )


def _cause(cause: Mapping[str, Any], unit: str | None, within: Slice) -> CauseRow:
    """`within` is the incident's own slice: what explains Germany's fall is read together with Germany."""
    slice_ = make_slice(dict(within) | {str(path): str(value) for path, value in cause["slice"].items()})
    actual, expected = float(cause["actual"]), float(cause["expected"])
    share, confidence = float(cause.get("share") or 0.0), float(cause.get("confidence") or 0.0)
    relative = (actual - expected) / abs(expected) if expected else None
    return CauseRow(
        slice_,
        tuple((path.rsplit(".", 1)[-1].replace("_", " "), value_words(value)) for path, value in slice_),
        slice_phrase(slice_),
        formats.quantity(actual, unit, 3),
        formats.quantity(expected, unit, 3),
        short_change(relative),
        1 if actual > expected else -1,
        formats.percent(share),
        round(min(abs(share), 1.0) * 100, 1),
        confidence_words(confidence),
        _KINDS.get(str(cause.get("kind")), ""),
    )


def value_words(value: str) -> str:
    return "(not set)" if value == NOT_SET else value


def confidence_words(confidence: float) -> str:
    """A probability in words that do not pretend to precision."""
    return "Certain" if confidence >= 0.99 else "Very likely" if confidence >= 0.9 else "Likely"


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str
    note: str = ""


def facts(incident: Incident, zone: tzinfo, now: int) -> tuple[Fact, ...]:
    """Since when, and how much: the figures under the headline."""
    relative = incident.relative
    known = not math.isnan(incident.actual)
    unit = formats.shown_unit(incident.measure, incident.unit)

    def told(value: float) -> str:
        if math.isnan(value):
            return "no value"
        return formats.quantity(value, unit) if unit == formats.PERCENT else rate(incident, value)

    found = [
        Fact("Since", formats.moment(incident.started_ms, zone, now).text, f"{lasted(incident, now)} long"),
        Fact("Actual", told(incident.actual), f"expected {told(incident.expected)}"),
    ]
    if known and relative is not None:
        found.append(Fact("Change", short_change(relative), change(relative)))
    if text := loss(incident):
        amount, _, rest = text.partition(" ")
        found.append(Fact("Impact so far" if incident.state.live else "Impact", amount, rest))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Moved:
    """Another series that belongs to the same story."""

    name: str
    stream_id: int
    measure: str
    slice: Slice
    change: str
    direction: int
    since: Moment


def also_moved(incident: Incident, anomalies: Sequence[Anomaly], zone: tzinfo, now: int) -> tuple[Moved, ...]:
    """The incident's other series, largest first as the service orders them, each once."""
    seen, found = {incident.series}, []
    for anomaly in anomalies:
        if anomaly.series in seen or anomaly.withdrawn_ms is not None:
            continue
        seen.add(anomaly.series)
        subject = incident.subjects.get((anomaly.stream_id, anomaly.measure))
        name = subject.measure_name if subject else anomaly.measure
        relative = anomaly.impact / abs(anomaly.expected) if anomaly.expected else None
        found.append(
            Moved(
                f"{name} · {slice_phrase(anomaly.slice)}" if anomaly.slice else name,
                anomaly.stream_id,
                anomaly.measure,
                anomaly.slice,
                short_change(relative),
                anomaly.direction,
                formats.moment(anomaly.start_ms, zone, now),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline."""

    at: Moment
    at_ms: int
    icon: str
    tone: str
    who: str
    what: str
    text: str


_STEPS: Mapping[str, tuple[str, str, str]] = {
    "opened": ("circle-alert", "bad", "Opened"),
    "updated": ("refresh-cw", "", "Updated"),
    "resolved": ("circle-check", "good", "Resolved"),
    "retracted": ("rotate-ccw", "", "Taken back by late events"),
    "reopened": ("rotate-ccw", "bad", "Reopened"),
    "acknowledged": ("eye", "accent", "acknowledged it"),
    "snoozed": ("moon-star", "warn", "snoozed it"),
    "false_alarm": ("bell-off", "", "marked it as a false alarm"),
    "expected": ("calendar-check", "", "marked it as expected"),
    "new_normal": ("check-check", "", "marked it as the new normal"),
    "commented": ("message-square", "", "commented"),
    "assigned": ("user", "", "assigned it"),
    "cause": ("target", "accent", "Cause found"),
    "joined": ("plus", "", "Another series joined"),
    "withdrawn": ("rotate-ccw", "", "A series was taken back by late events"),
    "sent": ("send", "", "Told"),
}


def step(entry: TimelineEntry, zone: tzinfo, now: int) -> Step:
    icon, tone, what = _STEPS.get(entry.action, ("circle-dot", "", entry.action.replace("_", " ").capitalize()))
    if entry.person and entry.action == "resolved":
        what = "resolved it"
    return Step(formats.moment(entry.at_ms, zone, now), entry.at_ms, icon, tone, entry.person or "", what, entry.text)


def snooze_until(choice: str, zone: tzinfo, now: int) -> int | None:
    """The end of a snooze of the menu: `1h`, `4h`, or `tomorrow` at 9:00 in the workspace's zone."""
    hours = {"1h": 1, "4h": 4}.get(choice)
    if hours is not None:
        return now + hours * formats.HOUR_MS
    if choice != "tomorrow":
        return None
    morning = formats.local(now, zone).replace(hour=9, minute=0, second=0, microsecond=0, fold=0)
    return int((morning + timedelta(days=1)).timestamp() * 1000)
