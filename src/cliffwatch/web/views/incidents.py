"""Incidents as lists and pages show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from cliffwatch.incidents import Anomaly, Incident, IncidentState, TimelineEntry
from cliffwatch.incidents.filters import Show, Whose
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.headline import loss, slice_phrase
from cliffwatch.incidents.numbers import numbers
from cliffwatch.streams.model import Slice, make_slice
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.why import Link, Why, nowhere, short_change, why_of

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
    IncidentState.MERGED: Badge("Merged", "", "link"),
}

SHOWS: Mapping[Show, str] = {
    Show.LIVE: "Needs attention",
    Show.RESOLVED: "Resolved",
    Show.DISMISSED: "False alarm or expected",
    Show.ALL: "All",
}
OWNERS: Mapping[Whose, str] = {Whose.ANYBODY: "Any owner", Whose.ME: "Mine", Whose.NOBODY: "Nobody’s"}


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
        lasted(incident),
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


def lasted(incident: Incident) -> str:
    """How long it has gone on, or went on."""
    return numbers(incident).duration_words


def streams_of(incident: Incident) -> set[int]:
    """The streams that an incident speaks of: a story may run through several."""
    return {stream_id for stream_id, _ in incident.subjects} | {incident.stream_id}


@dataclass(frozen=True, slots=True)
class Explained:
    """The series that an incident's explanation speaks of: a witness where the headline's own does not know why."""

    stream_id: int
    measure: str
    slice: Slice
    unit: str | None
    seen_in: str  # its measure's name, where it is another than the headline's


def explained(incident: Incident) -> Explained:
    of = incident.explanation.get("of")
    if not of:
        unit = formats.shown_unit(incident.measure, incident.unit)
        return Explained(incident.stream_id, incident.measure, incident.slice, unit, "")
    key = (int(of["stream_id"]), str(of["measure"]))
    seen_in = str(of["name"]) if key != (incident.stream_id, incident.measure) else ""
    return Explained(*key, make_slice(of["slice"]), formats.shown_unit(key[1], of["unit"]), seen_in)


def why(incident: Incident, link: Link = nowhere) -> Why:
    """Read what `explain` stored. An incident without an explanation has an empty one."""
    of = explained(incident)
    return why_of(incident.explanation, cause_words(incident), of.unit, of.slice, link)


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str
    note: str = ""


def facts(incident: Incident, zone: tzinfo, now: int, anomalies: Sequence[Anomaly] = ()) -> tuple[Fact, ...]:
    """Since when, and how much: the figures under the headline. Where another of its `anomalies` began earlier, that is
    the first sign of it."""
    told = numbers(incident)
    rates = [
        (told.actual_label, told.actual_words, told.actual_rate),
        (told.expected_label, told.expected_words, told.expected_rate),
    ]
    of_goal = incident.kind == GOAL
    begun = formats.moment(incident.opened_ms if of_goal else incident.started_ms, zone, now).text
    first_ms = min((one.start_ms for one in anomalies if one.withdrawn_ms is None), default=incident.started_ms)
    signs = f"; first signs {formats.moment(first_ms, zone, now).text}" if first_ms < incident.started_ms else ""
    found = [
        Fact("Warned", begun, "") if of_goal else Fact("Since", begun, f"{told.duration_words} long{signs}"),
        *(Fact(label, words, rate if rate != words else "") for label, words, rate in rates),
    ]
    if told.relative is not None:
        found.append(Fact("Change", short_change(told.relative), told.change_words))
    if told.loss_words:
        amount = told.loss_words.partition(" less")[0].partition(" more")[0]
        label = "Difference" if of_goal else "Impact so far" if incident.state.live else "Impact"
        found.append(Fact(label, amount, told.loss_words.removeprefix(amount).strip()))
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
    "merged": ("link", "", "merged incidents"),
    "separated": ("rotate-ccw", "", "took a merge back"),
    "split": ("copy", "", "split the incident"),
    "undone": ("rotate-ccw", "", "took a step back"),
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
