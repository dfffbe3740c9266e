"""The delivery overview: what came, what became of it, what it was, and what sent it, per period. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.ingest.delivered import Delivered, by_verdict
from cliffwatch.ingest.volumes import Volume
from cliffwatch.spec.sender import Sender
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.views.live import outcome_of
from cliffwatch.web.views.period import Period

MOST_EVENTS = 50
MOST_SENDERS = 50
BY = (("app_version", "App version"), ("library", "Library"))
_BARS = 30
_HEIGHT = 96.0
_PIECES = ("stored", "repeated", "filtered", "rejected")


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
class SenderLine:
    """What one app version or library sent: received, stored, repeated, filtered, rejected."""

    value: str
    label: str
    counts: tuple[str, ...]
    share: float  # of the one that sent most, in percent
    refused: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time: stacked pieces (stored, repeated, filtered, rejected), each (y, height) in the picture's
    units; and what it says."""

    x: float
    width: float
    pieces: tuple[tuple[float, float], ...]
    label: str
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    figures: tuple[Figure, ...]
    reasons: tuple[Reason, ...]
    events: tuple[EventLine, ...]
    more_events: int
    senders: tuple[SenderLine, ...]
    more_senders: int
    bars: tuple[Bar, ...]
    nothing: bool
    by: str
    only: str | None  # the app version or library that the counts are of, None for all
    only_label: str


def chosen_by(asked: str, counts: Sequence[Delivered]) -> str:
    """By what senders are told apart: as asked for, else by app version where any message says one."""
    if asked in dict(BY):
        return asked
    return "app_version" if any(count.sender.app_version for count in counts) else "library"


def overview(
    period: Period,
    counts: Sequence[Delivered],
    volumes: Sequence[Volume],
    before: Sequence[Volume],
    zone: tzinfo,
    *,
    by: str = "app_version",
    only: str | None = None,
) -> Overview:
    """`counts` are messages by verdict and sender, `volumes` taken messages of the period, `before` those of the period
    before it. `only` leaves what one app version or library sent."""
    all_counts = counts
    if only is not None:
        counts = [count for count in counts if _value(count.sender, by) == only]
    totals: Counter[Verdict] = Counter()
    for count in counts:
        totals[count.verdict] += count.count
    figures = by_verdict(totals)
    lines = _sender_lines(all_counts, by)
    return Overview(
        figures=_figures(figures),
        reasons=tuple(
            _reason(verdict, count)
            for verdict, count in sorted(totals.items(), key=lambda item: -item[1])
            if verdict not in (Verdict.ACCEPTED, Verdict.SELF_METRICS)
        ),
        events=tuple(_event_lines(volumes[:MOST_EVENTS], before)),
        more_events=max(len(volumes) - MOST_EVENTS, 0),
        senders=tuple(lines[:MOST_SENDERS]),
        more_senders=max(len(lines) - MOST_SENDERS, 0),
        bars=tuple(_bars(counts, period, zone)),
        nothing=figures["received"] == 0,
        by=by,
        only=only,
        only_label=_label(only or "", by),
    )


def _value(sender: Sender, by: str) -> str:
    return sender.app_version if by == "app_version" else sender.library


def _label(value: str, by: str) -> str:
    return value or ("No app version said" if by == "app_version" else "No library said")


def _reason(verdict: Verdict, count: int) -> Reason:
    outcome = "repeated" if verdict is Verdict.DUPLICATE else outcome_of(verdict)
    return Reason(verdict.value, verdict.sentence, outcome, formats.number(count), outcome == "rejected")


def _figures(counts: Mapping[str, int]) -> tuple[Figure, ...]:
    received = counts["received"]

    def figure(label: str, name: str, tone: str) -> Figure:
        count = counts[name]
        percent = 100 * count / received if received else 0.0
        share = f"{percent:.1f} %" if percent >= 0.1 or not count else "< 0.1 %"
        share = share if received else ""
        return Figure(label, formats.number(count), share, tone if count else "")

    return (
        Figure("Received", formats.number(received), "", ""),
        figure("Rejected", "rejected", "bad"),
        figure("Filtered", "filtered", ""),
        figure("Sent again", "repeated", ""),
        figure("Stored", "stored", "good"),
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


def _sender_lines(counts: Sequence[Delivered], by: str) -> list[SenderLine]:
    """One line per app version or library, the one that sent most first. All lines add up to the figures."""
    found: dict[str, Counter[Verdict]] = defaultdict(Counter)
    for count in counts:
        found[_value(count.sender, by)][count.verdict] += count.count
    lines = [(value, by_verdict(verdicts)) for value, verdicts in found.items()]
    lines = sorted((line for line in lines if line[1]["received"]), key=lambda line: (-line[1]["received"], line[0]))
    most = lines[0][1]["received"] if lines else 1
    return [
        SenderLine(
            value,
            _label(value, by),
            tuple(formats.number(numbers[name]) for name in ("received", *_PIECES)),
            round(100 * numbers["received"] / most, 1),
            numbers["rejected"] > 0,
        )
        for value, numbers in lines
    ]


def _bars(counts: Sequence[Delivered], period: Period, zone: tzinfo) -> list[Bar]:
    spans = (period.end_ms - period.start_ms) // period.span_ms
    length = max(-(-spans // (2 * _BARS)), 1) if spans > _BARS else 1
    length_ms = length * period.span_ms
    found: dict[int, Counter[Verdict]] = defaultdict(Counter)
    for count in counts:
        found[(count.start_ms - period.start_ms) // length_ms][count.verdict] += count.count
    stretches = [by_verdict(found[at]) for at in range(-(-spans // length))]
    most = max((numbers["received"] for numbers in stretches), default=0) or 1
    width = 1000 / max(len(stretches), 1)
    bars = []
    for at, numbers in enumerate(stretches):
        start_ms = period.start_ms + at * length_ms
        label = formats.span(start_ms, min(start_ms + length_ms, period.end_ms), zone)
        bars.append(
            Bar(
                x=round(at * width + 1, 1),
                width=round(width - 2, 1),
                pieces=_stacked(numbers, most),
                label=label,
                counts=tuple(formats.number(numbers[name]) for name in _PIECES),
            )
        )
    return bars


def _stacked(numbers: Mapping[str, int], most: int) -> tuple[tuple[float, float], ...]:
    pieces: list[tuple[float, float]] = []
    base = _HEIGHT
    for name in _PIECES:
        height = _HEIGHT * numbers[name] / most
        height = max(height, 1.5) if numbers[name] else 0.0
        base -= height
        pieces.append((round(max(base, 0.0), 1), round(height, 1)))
    return tuple(pieces)
