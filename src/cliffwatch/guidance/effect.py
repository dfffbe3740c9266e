"""What people told, as detection takes it: wider bands, stretches that teach nothing, levels, own events. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cliffwatch.detect import Sensitivity as SeriesSensitivity
from cliffwatch.detect import threshold
from cliffwatch.guidance.model import (
    Annotation,
    AnnotationKind,
    Filters,
    Label,
    Mark,
    MarkKind,
    Sensitivity,
    SeriesKey,
)
from cliffwatch.streams.model import slice_key

LEAST_WIDER, MOST_WIDER = 1.03, 1.15
"""A false alarm widens its series' band until it would have lain inside, within these factors."""
WIDEST = 2.0
LEAST_RATIO, MOST_RATIO = 0.02, 50.0
SMALLEST_BUDGET, LARGEST_BUDGET = 1e-6, 50.0
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Quiet:
    """A stretch [start_ms, end_ms) that teaches nothing; `series` None: all series of the stream that it concerns."""

    start_ms: int
    end_ms: int
    series: SeriesKey | None = None
    annotation: Annotation | None = None

    def concerns(self, key: SeriesKey) -> bool:
        if self.series is not None:
            return self.series == key
        return self.annotation is None or self.annotation.concerns(key[1])


@dataclass(frozen=True, slots=True)
class Level:
    """From `at_ms` on a series is at another level: `ratio` times for counts and sums, else higher by `difference`."""

    series: SeriesKey
    at_ms: int
    ratio: float
    difference: float


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that people told about one stream, as one value."""

    sensitivity: Sensitivity = field(default_factory=Sensitivity)
    base: SeriesSensitivity = field(default_factory=SeriesSensitivity)
    marks: tuple[Mark, ...] = ()
    labels: tuple[Label, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    @property
    def quiet(self) -> tuple[Quiet, ...]:
        """Stretches that teach nothing: what was expected, what was labelled an anomaly, outages."""
        expected = [m for m in self.marks if m.kind is MarkKind.EXPECTED and not m.undone]
        anomalies = [label for label in self.labels if label.is_anomaly and label.incident is None]
        outages = [a for a in self.annotations if a.kind is AnnotationKind.OUTAGE]
        return (
            *(Quiet(mark.start_ms, mark.end_ms, mark.series) for mark in expected),
            *(Quiet(label.start_ms, label.end_ms, label.series) for label in anomalies),
            *(Quiet(a.start_ms, a.end_ms, annotation=a) for a in outages),
        )

    @property
    def levels(self) -> tuple[Level, ...]:
        """The new levels, in order of time."""
        marks = [m for m in self.marks if m.kind is MarkKind.NEW_NORMAL and not m.undone]
        return tuple(sorted((_level(mark) for mark in marks), key=lambda level: (level.at_ms, level.series)))

    @property
    def events(self) -> tuple[Annotation, ...]:
        """Own events whose effect detection learns."""
        return tuple(a for a in self.annotations if a.kind.moves)

    def of(self, series: Sequence[SeriesKey], step_ms: int, among: int | None = None) -> list[SeriesSensitivity]:
        """The sensitivity of each series of the stream: its share of the budget, its filters, what marks taught.

        The budget is shared among `among` series; among these when it is None.
        """
        share = series_budget(self.sensitivity, len(series) if among is None else among, self.base)
        widths = dict(wider(self.marks, share, step_ms))
        return [sensitivity_of(self.sensitivity.of(key[0]), share, widths.get(key, 1.0), self.base) for key in series]

    def widths(self, series: int, step_ms: int) -> dict[SeriesKey, float]:
        """How much wider false alarms have made the bands of a stream's series; those that have none are left out."""
        return dict(wider(self.marks, series_budget(self.sensitivity, series, self.base), step_ms))

    def told(self, until_ms: int, country: str | None) -> str:
        """A digest of what had been told about the windows before `until_ms`: memories with the same one may go on.

        `country` is that whose holidays are kept.
        """
        quiet = sorted(
            (q.start_ms, min(q.end_ms, until_ms), _named(q.series), _scope(q.annotation))
            for q in self.quiet
            if q.start_ms < until_ms
        )
        levels = [
            (level.at_ms, _named(level.series), level.ratio, level.difference)
            for level in self.levels
            if level.at_ms < until_ms
        ]
        events = sorted(
            (a.start_ms, min(a.end_ms, until_ms), a.kind.value, _scope(a)) for a in self.events if a.start_ms < until_ms
        )
        text = json.dumps([country, quiet, levels, events], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _named(series: SeriesKey | None) -> str:
    return "" if series is None else f"{series[0]}|{slice_key(series[1])}"


def _scope(annotation: Annotation | None) -> str:
    return "" if annotation is None else slice_key(annotation.scope)


def series_budget(sensitivity: Sensitivity, series: int, base: SeriesSensitivity) -> float:
    """False alerts per series and week: the stream's promise in equal shares."""
    if sensitivity.alerts_per_week is None or not series:
        return base.false_alerts_per_series_week
    return min(max(sensitivity.alerts_per_week / series, SMALLEST_BUDGET), LARGEST_BUDGET)


def promise(sensitivity: Sensitivity, series: int, base: SeriesSensitivity) -> float:
    """The stream's alerts per week when nothing happens."""
    return sensitivity.alerts_per_week or base.false_alerts_per_series_week * series


def sensitivity_of(filters: Filters, budget: float, width: float, base: SeriesSensitivity) -> SeriesSensitivity:
    return SeriesSensitivity(
        false_alerts_per_series_week=budget,
        minimum_effect=max(filters.minimum_effect, base.minimum_effect),
        minimum_impact=max(filters.minimum_impact, base.minimum_impact),
        directions=filters.directions,
        minimum_windows=max(filters.minimum_windows, base.minimum_windows),
        width=width,
    )


def wider(marks: Iterable[Mark], budget: float, step_ms: int) -> list[tuple[SeriesKey, float]]:
    """How much wider false alarms have made the band of each series that has some.

    Each widens it until the alarm would have lain inside, by 3 to 15 %; a band is never more than twice as wide.
    """
    limit = threshold(SeriesSensitivity(false_alerts_per_series_week=budget), step_ms)
    widths: dict[SeriesKey, float] = {}
    for mark in sorted(marks, key=lambda mark: (mark.marked_ms, mark.incident)):
        if mark.kind is MarkKind.FALSE_ALARM and not mark.undone:
            width = widths.get(mark.series, 1.0)
            needed = abs(mark.score) / (limit * width)
            widths[mark.series] = min(width * min(max(needed, LEAST_WIDER), MOST_WIDER), WIDEST)
    return list(widths.items())


def _level(mark: Mark) -> Level:
    ratio = mark.actual / mark.expected if mark.expected > 0 else MOST_RATIO
    if not math.isfinite(ratio):
        ratio = 1.0
    difference = mark.actual - mark.expected
    return Level(
        mark.series,
        mark.start_ms,
        min(max(ratio, LEAST_RATIO), MOST_RATIO),
        difference if math.isfinite(difference) else 0.0,
    )
