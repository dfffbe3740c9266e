"""A series' points as columns: for the chart, the sentence, the table and the small multiples. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffwatch.incidents import Anomaly
from cliffwatch.incidents.headline import slice_phrase
from cliffwatch.store import PointBatch
from cliffwatch.streams.history import series_of
from cliffwatch.streams.model import NOT_SET, TOTAL, Measure, Slice, parse_slice_key
from cliffwatch.web import formats
from cliffwatch.web.views.spark import Spark, spark, thinned

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MS = 86_400_000
SPARK_POINTS = 180
NEWEST = 3
"""Windows that count as now."""


@dataclass(frozen=True, slots=True)
class Range:
    """How far back a chart looks."""

    key: str
    label: str
    words: str
    ms: int


RANGES = (
    Range("24h", "24h", "the last 24 hours", DAY_MS),
    Range("7d", "7d", "the last 7 days", 7 * DAY_MS),
    Range("14d", "14d", "the last 14 days", 14 * DAY_MS),
    Range("8w", "8w", "the last 8 weeks", 56 * DAY_MS),
)
DEFAULT_RANGE = RANGES[2]


def range_of(key: str) -> Range:
    return next((choice for choice in RANGES if choice.key == key), DEFAULT_RANGE)


@dataclass(frozen=True, slots=True)
class Columns:
    """One series over time, arrays of equal length in ascending order; NaN = missing or not forecast yet."""

    start_ms: Ints
    end_ms: Ints
    value: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    flagged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start_ms)


SeriesKey = tuple[str, Slice]


def shown(measure: Measure) -> str | None:
    """The unit in which people read the measure."""
    return formats.shown_unit(measure.key, measure.unit)


def split(points: PointBatch) -> dict[SeriesKey, Columns]:
    """The points of each series, which the store gives together and in order."""
    names, row = series_of(points)
    starts = np.searchsorted(row, np.arange(len(names) + 1)).tolist()
    return {
        (measure, parse_slice_key(key)): _take(points, slice(first, end))
        for (measure, key), (first, end) in zip(names, pairwise(starts), strict=True)
    }


def _take(points: PointBatch, rows: slice) -> Columns:
    return Columns(
        np.asarray(points.window_start_ms)[rows],
        np.asarray(points.window_end_ms)[rows],
        np.asarray(points.value)[rows],
        np.asarray(points.expected)[rows],
        np.asarray(points.lower)[rows],
        np.asarray(points.upper)[rows],
        np.asarray(points.score)[rows],
        np.asarray(points.flagged)[rows],
    )


def empty() -> Columns:
    none, numbers = np.array([], np.int64), np.array([], np.float64)
    return Columns(none, none, numbers, numbers, numbers, numbers, numbers, np.array([], bool))


def chart_data(
    series: Columns,
    measure: Measure,
    zone: str,
    anomalies: Sequence[Anomaly],
    numbers: Mapping[int, int],
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the chart module reads: columns of equal length, times in seconds, null where there is no value.

    `anomalies` are those of this very series; `numbers` maps an incident's id to its number; `notes` are own events
    and labels, ready to be drawn.
    """
    return {
        **(notes or {}),
        "measure": measure.name,
        "unit": shown(measure) or "",
        "zone": zone,
        "start": [ms // 1000 for ms in series.start_ms.tolist()],
        "end": [ms // 1000 for ms in series.end_ms.tolist()],
        "actual": json_numbers(series.value),
        "expected": json_numbers(series.expected),
        "lower": json_numbers(series.lower),
        "upper": json_numbers(series.upper),
        "score": json_numbers(series.score, 2),
        "flagged": series.flagged.tolist(),
        "anomalies": [
            {
                "start": anomaly.start_ms // 1000,
                "end": anomaly.end_ms // 1000,
                "kind": anomaly.kind.replace("_", " "),
                "direction": anomaly.direction,
                "incident": numbers.get(anomaly.incident_id or 0),
            }
            for anomaly in anomalies
        ],
    }


def json_numbers(values: Floats, digits: int = 6) -> list[float | None]:
    known = np.isfinite(values)
    rounded: list[float | None] = np.round(np.where(known, values, 0.0), digits).tolist()
    if not known.all():
        for at in np.flatnonzero(~known).tolist():
            rounded[at] = None
    return rounded


def summary(series: Columns, measure: Measure, slice_: Slice, words: str, anomalies: int) -> str:
    """The chart in one sentence: "Revenue came to €412,300 over the last 14 days, 3 % below expected; 1 anomaly." """
    name = measure.name + (f" ({slice_words(slice_)})" if slice_ else "")
    known = np.isfinite(series.value)
    if not known.any():
        return f"{name} has no values over {words}."
    forecast = known & np.isfinite(series.expected)
    if measure.aggregation.additive:
        total = float(series.value[known].sum())
        start = f"{name} came to {formats.quantity(total, shown(measure), digits=4)} over {words}"
        actual, expected = float(series.value[forecast].sum()), float(series.expected[forecast].sum())
    else:
        start = f"{name} averaged {formats.quantity(float(series.value[known].mean()), shown(measure), 3)} over {words}"
        actual = float(series.value[forecast].mean()) if forecast.any() else math.nan
        expected = float(series.expected[forecast].mean()) if forecast.any() else math.nan
    end = f"; {formats.plural(anomalies, 'anomaly', 'anomalies')}." if anomalies else "; no anomalies."
    if not forecast.any():
        return f"{start}. It is still learning what to expect."
    return f"{start}, {_compared(actual, expected)}{end}"


def _compared(actual: float, expected: float) -> str:
    if not expected or abs(actual / expected - 1) < 0.005:
        return "as expected"
    share = actual / expected - 1
    return f"{formats.percent(share)} {'above' if share > 0 else 'below'} expected"


def slice_words(slice_: Slice) -> str:
    """A slice as people say it; "Total" for the empty one."""
    return slice_phrase(slice_) if slice_ else "Total"


def value_label(value: str) -> str:
    return "(not set)" if value == NOT_SET else value


@dataclass(frozen=True, slots=True)
class TableRow:
    window: str
    iso: str
    actual: str
    expected: str
    band: str
    difference: str
    flagged: bool
    direction: int
    why: str


def table(
    series: Columns, measure: Measure, zone: tzinfo, here: Callable[..., str] | None = None, most: int = 400
) -> tuple[TableRow, ...]:
    """The newest windows first, each number in the measure's unit. `here` makes addresses of the page."""
    unit = shown(measure)

    def text(value: float) -> str:
        return formats.quantity(value, unit) if math.isfinite(value) else "–"

    rows = []
    for i in range(len(series) - 1, max(len(series) - most, 0) - 1, -1):
        actual, expected = float(series.value[i]), float(series.expected[i])
        low, high = float(series.lower[i]), float(series.upper[i])
        start, end = int(series.start_ms[i]), int(series.end_ms[i])
        share = actual / expected - 1 if expected and math.isfinite(expected) else math.nan
        rows.append(
            TableRow(
                formats.span(start, end, zone),
                formats.local(start, zone).isoformat(timespec="minutes"),
                text(actual),
                _rounded(expected, unit),
                f"{_rounded(low, unit)} – {_rounded(high, unit)}" if math.isfinite(low) else "–",
                formats.signed_percent(share),
                bool(series.flagged[i]),
                1 if actual > expected else -1,
                f"{here(at=str(start))}#judgement" if here is not None else "",
            )
        )
    return tuple(rows)


def _rounded(value: float, unit: str | None) -> str:
    """A forecast without decimals that nobody believes."""
    return formats.quantity(value, unit, digits=4) if math.isfinite(value) else "–"


@dataclass(frozen=True, slots=True)
class Multiple:
    """One slice among its siblings."""

    label: str
    slice: Slice
    spark: Spark
    figure: str
    share: float | None  # of the dimension's sum, additive measures only
    flagged: int
    recent: bool  # surprising in one of the newest windows


@dataclass(frozen=True, slots=True)
class Facet:
    """A dimension with its slices, the largest first."""

    path: str
    name: str
    multiples: tuple[Multiple, ...]


def facets(series: Mapping[SeriesKey, Columns], measure: Measure, paths: Sequence[str]) -> tuple[Facet, ...]:
    """Small multiples of each dimension that the stream watches."""
    found = []
    for path in paths:
        slices = {
            slice_: columns
            for (key, slice_), columns in series.items()
            if key == measure.key and len(slice_) == 1 and slice_[0][0] == path
        }
        if not slices:
            continue
        sizes = {slice_: float(np.nansum(columns.value)) for slice_, columns in slices.items()}
        whole = sum(sizes.values()) if measure.aggregation.additive else 0.0
        if not measure.aggregation.additive:  # sizes of averages say nothing: the most surprising first
            sizes = {slice_: newest_surprise(columns) for slice_, columns in slices.items()}
        ordered = sorted(slices, key=lambda slice_: (-sizes[slice_], slice_))
        multiples = tuple(_multiple(slice_, slices[slice_], measure, whole) for slice_ in ordered)
        found.append(Facet(path, path.rsplit(".", 1)[-1].replace("_", " "), multiples))
    return tuple(found)


def newest_surprise(columns: Columns) -> float:
    """The largest score, whatever its sign, of the newest windows."""
    return float(np.abs(np.nan_to_num(columns.score[-NEWEST:])).max(initial=0.0))


def _multiple(slice_: Slice, columns: Columns, measure: Measure, whole: float) -> Multiple:
    known = columns.value[np.isfinite(columns.value)]
    size = float(known.sum())
    figure = size if measure.aggregation.additive else (float(known.mean()) if known.size else math.nan)
    return Multiple(
        value_label(slice_[0][1]),
        slice_,
        small(columns, width=168, height=36),
        formats.compact(figure, shown(measure)),
        size / whole if whole > 0 else None,
        int(columns.flagged.sum()),
        bool(columns.flagged[-NEWEST:].any()),
    )


def small(columns: Columns, *, width: int = 132, height: int = 34) -> Spark:
    """A sparkline of a series, thinned where it has more points than pixels."""
    if len(columns) <= SPARK_POINTS:
        return spark(columns.value, flagged=columns.flagged, width=width, height=height)
    flagged = np.nan_to_num(thinned(columns.flagged.astype(np.float64), SPARK_POINTS)) > 0
    return spark(thinned(columns.value, SPARK_POINTS), flagged=flagged, width=width, height=height)


def is_learning(columns: Columns) -> bool:
    """Whether the newest windows have no forecast yet."""
    return len(columns) == 0 or not np.isfinite(columns.expected[-3:]).any()


def total_of(series: Mapping[SeriesKey, Columns], measure: str) -> Columns:
    return series.get((measure, TOTAL), empty())
