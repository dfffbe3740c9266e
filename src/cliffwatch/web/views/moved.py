"""Merges and splits of an incident as its page shows and offers them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.incidents import Anomaly, Incident, IncidentState, Move
from cliffwatch.incidents.headline import name_of
from cliffwatch.incidents.model import SeriesKey
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.why import short_change


@dataclass(frozen=True, slots=True)
class MoveLine:
    """What was put together or taken apart, in words."""

    id: int
    text: str
    other: int
    href: str  # "" where the other incident is part of this one
    headline: str
    person: str
    at: Moment
    undone: bool
    undo: str  # what the button says


def line(move: Move, zone: tzinfo, now: int) -> MoveLine:
    if move.kind == "merge":
        text, undo = (f"#{move.other} is part of it" if move.came else f"It is part of #{move.other}"), "Separate again"
    else:
        text, undo = (f"Split off from #{move.other}" if move.came else f"#{move.other} was split off"), "Put back"
    return MoveLine(
        move.id,
        text,
        move.other,
        "" if move.kind == "merge" and move.undone_ms is None else f"/incidents/{move.other}",
        move.other_headline,
        move.person or "",
        formats.moment(move.at_ms, zone, now),
        move.undone_ms is not None,
        undo,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A series of the story that may become an incident of its own. `value` names its anomalies in the form."""

    name: str
    stream: str
    value: str
    change: str


def parts(incident: Incident, anomalies: Sequence[Anomaly]) -> tuple[Part, ...]:
    """Every series of the story, broad ones first as the service orders them."""
    gathered: dict[SeriesKey, list[Anomaly]] = {}
    for one in anomalies:
        if one.withdrawn_ms is None:
            gathered.setdefault(one.series, []).append(one)
    found = []
    for (stream_id, measure, slice_), members in gathered.items():
        subject = incident.subjects.get((stream_id, measure))
        first = members[0]
        relative = first.impact / abs(first.expected) if first.expected else None
        found.append(
            Part(
                name_of(subject.measure_name if subject else measure, slice_),
                subject.stream_name if subject else "",
                ",".join(str(one.id) for one in members),
                short_change(relative),
            )
        )
    return tuple(found)


def others(incident: Incident, known: Sequence[Incident]) -> list[tuple[int, str]]:
    """Incidents that it may become part of: (number, what the list says), what goes on first."""
    able = [
        one
        for one in known
        if one.number != incident.number
        and one.state is not IncidentState.MERGED
        and (one.state.live or not incident.state.live)
    ]
    able.sort(key=lambda one: not one.state.live)
    return [(one.number, f"#{one.number} · {one.headline}") for one in able]
