"""What happened around an incident, as its page shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.explain.verdict import Finding, Verdict
from cliffwatch.incidents import Incident
from cliffwatch.incidents.headline import slice_phrase
from cliffwatch.pipeline.near import Near, NearKind
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.links import series_href
from cliffwatch.web.views.why import short_change

_TONES = {
    Finding.TRACKING: ("unplug", "bad"),
    Finding.BUSINESS: ("trending-down", "warn"),
    Finding.UNCLEAR: ("circle-help", ""),
}
LIKELY = 0.5
"""An own event that fits at least so well is named beside the root cause."""
_ICONS = {NearKind.SERIES: "chart-line", NearKind.SOURCE: "radio", NearKind.ANNOTATION: "flag"}


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The finding and its evidence: (what it speaks for, sentence)."""

    words: str
    icon: str
    tone: str
    evidence: tuple[tuple[str, str], ...]


def verdict_view(verdict: Verdict | None) -> VerdictView | None:
    if verdict is None or not verdict.evidence:
        return None
    icon, tone = _TONES[verdict.finding]
    evidence = tuple((_speaks_for(one.weight), one.text) for one in verdict.evidence)
    return VerdictView(verdict.finding.words, icon, tone, evidence)


def _speaks_for(weight: float) -> str:
    return "tracking" if weight > 0 else "business" if weight < 0 else "neither"


def suspect(near: Sequence[Near], incident: Incident) -> str:
    """What people did just before, in a sentence beside the root cause; "" where nothing fits well enough.

    "Release: 4.2.1 began 10 minutes before." It is a candidate, not a finding.
    """
    found = next((one for one in near if one.kind is NearKind.ANNOTATION and one.fit >= LIKELY), None)
    if found is None:
        return ""
    return f"{found.text} began {away(found.at_ms - incident.started_ms)}."


@dataclass(frozen=True, slots=True)
class NearRow:
    """One thing that happened near the incident; `away` is its distance from the onset."""

    icon: str
    text: str
    detail: str
    change: str
    direction: int
    at: Moment
    away: str
    href: str


def near_row(near: Near, incident: Incident, zone: tzinfo, now: int) -> NearRow:
    series = near.kind is NearKind.SERIES and near.stream_id is not None
    href = near.url if near.url.startswith(("https://", "http://")) else ""
    if series and near.stream_id is not None:
        href = series_href(near.stream_id, near.measure, near.slice)
    return NearRow(
        _ICONS[near.kind],
        near.text,
        slice_phrase(near.slice),
        short_change(near.relative) if series or near.relative is not None else "",
        near.direction,
        formats.moment(near.at_ms, zone, now),
        "" if near.kind is NearKind.SOURCE else away(near.at_ms - incident.started_ms),
        href,
    )


def away(ms: int) -> str:
    """`at the same time`, `12 minutes before`, `2 hours after`."""
    if abs(ms) < 60_000:
        return "at the same time"
    return f"{formats.duration(abs(ms))} {'before' if ms < 0 else 'after'}"
