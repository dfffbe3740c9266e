"""The delivery overview: what came, what became of it, and what it was, per period. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.ingest.volumes import Volume
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.views.live import outcome_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PERIODS = (("24h", "24 hours", 24), ("7d", "7 days", 7 * 24), ("14d", "14 days", 14 * 24), ("30d", "30 days", 30 * 24))
MOST_EVENTS = 50
_BARS = 30
_HEIGHT = 96.0


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    value: str
    share: str  # of what was received, "" when there was nothing
    tone: str


@dataclass(frozen=True, slots=True)
class Reason:
    verdict: str
    sentence: str
    outcome: str
    count: str
    can_be_replayed: bool


@dataclass(frozen=True, slots=True)
class EventLine:
    kind: str
    name: str
    count: str
    change: str  # against the period before, "" when there is nothing to compare with
    share: float  # of the most frequent, in percent


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time: three stacked pieces, each (y, height) in the picture's units; and what it says."""

    x: float
    width: float
    accepted: tuple[float, float]
    filtered: tuple[float, float]
    rejected: tuple[float, float]
    label: str
    counts: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Overview:
    period: str
    figures: tuple[Figure, ...]
    reasons: tuple[Reason, ...]
    events: tuple[EventLine, ...]
    more_events: int
    bars: tuple[Bar, ...]
    nothing: bool


def hours_of(period: str) -> int:
    """The length of a period; an unknown one is a day."""
    return next((hours for key, _, hours in PERIODS if key == period), 24)


def start_of(period: str, now: int) -> int:
    """The first whole hour of the period that ends with the current hour."""
    return now - now % HOUR_MS + HOUR_MS - hours_of(period) * HOUR_MS


def overview(
    period: str,
    by_hour: Mapping[int, Mapping[str, int]],
    volumes: Sequence[Volume],
    before: Sequence[Volume],
    zone: tzinfo,
    now: int,
) -> Overview:
    """`by_hour` are verdicts, `volumes` accepted messages of the period, `before` those of the period before it."""
    start = start_of(period, now)
    totals: dict[Verdict, int] = {}
    for hour, counts in by_hour.items():
        if hour >= start:
            for name, count in counts.items():
                totals[Verdict(name)] = totals.get(Verdict(name), 0) + count
    totals.pop(Verdict.SELF_METRICS, None)
    received = sum(totals.values())
    per_outcome = {"accepted": 0, "filtered": 0, "rejected": 0}
    for verdict, count in totals.items():
        per_outcome[outcome_of(verdict)] += count
    return Overview(
        period=period if any(key == period for key, _, _ in PERIODS) else PERIODS[0][0],
        figures=_figures(received, per_outcome),
        reasons=tuple(
            _reason(verdict, count)
            for verdict, count in sorted(totals.items(), key=lambda item: -item[1])
            if verdict is not Verdict.ACCEPTED
        ),
        events=tuple(_event_lines(volumes[:MOST_EVENTS], before)),
        more_events=max(len(volumes) - MOST_EVENTS, 0),
        bars=tuple(_bars(by_hour, start, hours_of(period), zone)),
        nothing=received == 0,
    )


def _reason(verdict: Verdict, count: int) -> Reason:
    outcome = outcome_of(verdict)
    return Reason(verdict.value, verdict.sentence, outcome, formats.number(count), outcome == "rejected")


def _figures(received: int, per_outcome: Mapping[str, int]) -> tuple[Figure, ...]:
    def share(count: int) -> str:
        return f"{100 * count / received:.1f} %" if received else ""

    stored, filtered, rejected = per_outcome["accepted"], per_outcome["filtered"], per_outcome["rejected"]
    return (
        Figure("Received", formats.number(received), "", ""),
        Figure("Rejected", formats.number(rejected), share(rejected), "bad" if rejected else ""),
        Figure("Filtered", formats.number(filtered), share(filtered), ""),
        Figure("Stored", formats.number(stored), share(stored), "good" if stored else ""),
    )


def _event_lines(volumes: Sequence[Volume], before: Sequence[Volume]) -> list[EventLine]:
    known = {(volume.kind, volume.name): volume.count for volume in before}
    most = max((volume.count for volume in volumes), default=1)
    return [
        EventLine(
            volume.kind.value,
            volume.name or f"Every {volume.kind.value}",
            formats.number(volume.count),
            formats.signed_percent(volume.count / known[volume.kind, volume.name] - 1)
            if known.get((volume.kind, volume.name))
            else "",
            round(100 * volume.count / most, 1),
        )
        for volume in volumes
    ]


def _bars(by_hour: Mapping[int, Mapping[str, int]], start: int, hours: int, zone: tzinfo) -> list[Bar]:
    length = max(hours // _BARS, 1)
    stretches: list[tuple[int, dict[str, int]]] = []
    for first in range(0, hours, length):
        counts = {"accepted": 0, "filtered": 0, "rejected": 0}
        for hour in range(first, min(first + length, hours)):
            for name, count in by_hour.get(start + hour * HOUR_MS, {}).items():
                if name != Verdict.SELF_METRICS.value:
                    counts[outcome_of(Verdict(name))] += count
        stretches.append((start + first * HOUR_MS, counts))
    most = max((sum(counts.values()) for _, counts in stretches), default=0) or 1
    width = 1000 / len(stretches)
    return [_bar(at, width, ms, length, counts, most, zone) for at, (ms, counts) in enumerate(stretches)]


def _bar(at: int, width: float, ms: int, hours: int, counts: Mapping[str, int], most: int, zone: tzinfo) -> Bar:
    pieces: list[tuple[float, float]] = []
    base = _HEIGHT
    for name in ("accepted", "filtered", "rejected"):
        height = _HEIGHT * counts[name] / most
        height = max(height, 1.5) if counts[name] else 0.0
        base -= height
        pieces.append((round(max(base, 0.0), 1), round(height, 1)))
    label = formats.span(ms, ms + hours * HOUR_MS, zone)
    stored, filtered, rejected = (formats.number(counts[name]) for name in ("accepted", "filtered", "rejected"))
    accepted_piece, filtered_piece, rejected_piece = pieces
    return Bar(
        x=round(at * width + 1, 1),
        width=round(width - 2, 1),
        accepted=accepted_piece,
        filtered=filtered_piece,
        rejected=rejected_piece,
        label=label,
        counts=(stored, filtered, rejected),
    )
