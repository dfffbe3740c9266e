"""An incident as a Markdown document, for a post-mortem, a ticket or a wiki. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from cliffwatch.incidents.headline import name_of, slice_phrase, when
from cliffwatch.incidents.model import Anomaly, Incident, TimelineEntry
from cliffwatch.incidents.numbers import numbers
from cliffwatch.streams.model import make_slice

MAX_SERIES = 50
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def markdown(
    incident: Incident,
    anomalies: Sequence[Anomaly],
    timeline: Sequence[TimelineEntry],
    *,
    zone: tzinfo,
    now: int,
    url: str,
    near: Sequence[str] = (),
) -> str:
    """The whole story. `near` are sentences of what happened at the same time, the best fit first."""
    parts = [
        f"# {escaped(incident.headline)}",
        f"Incident [#{incident.number}]({url}) · {escaped(incident.stream_name)} · "
        f"{incident.state.value.replace('_', ' ')}",
        _figures(incident, zone, now),
        _section("Why", _why(incident)),
        _section("What else moved", _moved(incident, anomalies, zone, now)),
        _section("At the same time", "\n".join(f"- {escaped(text)}" for text in near)),
        _section("What was done", _done(timeline, zone, now)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def file_name(incident: Incident) -> str:
    """`incident-7-revenue.md`: letters and digits only."""
    words = re.sub(r"[^a-z0-9]+", "-", incident.measure_name.lower()).strip("-")[:40]
    return f"incident-{incident.number}{'-' + words if words else ''}.md"


def escaped(text: str) -> str:
    """Text that says in Markdown what it says as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _figures(incident: Incident, zone: tzinfo, now: int) -> str:
    told = numbers(incident)
    rows = [
        (told.actual_label, _with_rate(told.actual_words, told.actual_rate)),
        (told.expected_label, _with_rate(told.expected_words, told.expected_rate)),
        ("Change", told.change_words),
        ("Loss" if incident.impact < 0 else "Excess", told.loss_words),
        ("Since" if incident.ended_ms is None else "From", when(incident.started_ms, zone, now)),
        ("To", when(incident.ended_ms, zone, now) if incident.ended_ms is not None else ""),
        ("Lasted", told.duration_words),
        ("Where", slice_phrase(incident.slice) or f"All of {name_of(incident.measure_name, ())}"),
        ("Owner", incident.owner or ""),
    ]
    lines = [f"| {label} | {escaped(value)} |" for label, value in rows if value]
    return "\n".join(["|  |  |", "|---|---|", *lines])


def _with_rate(words: str, per: str) -> str:
    return f"{words} ({per})" if per and per != words else words


def _why(incident: Incident) -> str:
    lines = [escaped(incident.cause)] if incident.cause else []
    rows = [_cause(cause) for cause in incident.explanation.get("causes", ())]
    if rows:
        lines.append("\n".join(["| Slice | Share of the change |", "|---|---|", *rows]))
    return "\n\n".join(lines) or "No slice explains it better than chance."


def _cause(cause: Mapping[str, Any]) -> str:
    share = cause.get("share")
    told = f"{share * 100:.0f} %" if isinstance(share, int | float) else "–"
    return f"| {escaped(slice_phrase(make_slice(cause['slice'])))} | {told} |"


def _moved(incident: Incident, anomalies: Sequence[Anomaly], zone: tzinfo, now: int) -> str:
    seen, rows = {incident.series}, []
    for one in anomalies:
        if one.series in seen or one.withdrawn_ms is not None:
            continue
        seen.add(one.series)
        subject = incident.subjects.get((one.stream_id, one.measure))
        name = name_of(subject.measure_name if subject else one.measure, one.slice)
        relative = f"{one.impact / abs(one.expected) * 100:+.0f} %" if one.expected else "new"
        rows.append(f"| {escaped(name)} | {relative} | {when(one.start_ms, zone, now)} |")
    if not rows:
        return ""
    more = [f"\nand {len(rows) - MAX_SERIES} more"] if len(rows) > MAX_SERIES else []
    return "\n".join(["| Series | Change | Since |", "|---|---|---|", *rows[:MAX_SERIES], *more])


def _done(timeline: Sequence[TimelineEntry], zone: tzinfo, now: int) -> str:
    lines = []
    for entry in timeline:
        who = f"{escaped(entry.person)}: " if entry.person else ""
        what = entry.action.replace("_", " ")
        text = f" – {escaped(entry.text)}" if entry.text else ""
        lines.append(f"- {when(entry.at_ms, zone, now)} · {who}{what}{text}")
    return "\n".join(lines)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""
