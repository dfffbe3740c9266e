"""Dimension x time: how surprising each value of each dimension was, window by window. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from cliffwatch.streams.model import Measure, Slice
from cliffwatch.web import formats
from cliffwatch.web.views.series import Columns, SeriesKey, shown, value_label
from cliffwatch.web.views.why import Link, nowhere, relative_words

MOST_WINDOWS = 30
MOST_ROWS = 8
LEVELS = (3.0, 4.5, 7.0)
"""Scores from which on a cell is coloured, and more so: noise stays grey."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`level` is -3 (far below) to 3 (far above), 0 as expected, None without a forecast."""

    level: int | None
    title: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A value over the windows; `actual`, `expected` and `change` speak of the stretch that is looked at."""

    label: str
    cells: tuple[Cell, ...]
    surprise: float
    href: str = ""
    actual: str = ""
    expected: str = ""
    change: str = ""
    surprising: int = 0


@dataclass(frozen=True, slots=True)
class HeatGroup:
    name: str
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Groups of rows over the same windows; `ticks` are (column, text) for the time axis; `summary` is one sentence."""

    groups: tuple[HeatGroup, ...]
    windows: int
    ticks: tuple[tuple[int, str], ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a heat map is drawn for: a measure of a stream, the stretch [start_ms, end_ms) that rows are summed over,
    and where a value's series is."""

    measure: Measure
    start_ms: int
    end_ms: int
    zone: tzinfo
    link: Link = nowhere


def heat_map(
    series: Mapping[SeriesKey, Columns], paths: Sequence[str], until_ms: int, looked: Looked
) -> HeatMap | None:
    """The last windows before `until_ms`; rows of a dimension with the most surprising first. None without data."""
    key = looked.measure.key
    own = {slice_: columns for (of, slice_), columns in series.items() if of == key and len(slice_) == 1}
    starts = sorted({int(ms) for columns in own.values() for ms in columns.start_ms if ms < until_ms})[-MOST_WINDOWS:]
    if len(starts) < 2:
        return None
    groups = []
    for path in paths:
        rows = [_row(slice_, columns, starts, looked) for slice_, columns in own.items() if slice_[0][0] == path]
        if rows:
            rows.sort(key=lambda row: -row.surprise)
            name = path.rsplit(".", 1)[-1].replace("_", " ")
            groups.append(HeatGroup(name, tuple(rows[:MOST_ROWS])))
    groups.sort(key=lambda group: -group.rows[0].surprise)
    if not groups:
        return None
    return HeatMap(tuple(groups), len(starts), _ticks(starts, looked.zone), _summary(groups))


def _summary(groups: Sequence[HeatGroup]) -> str:
    """`country DE stands out most: −45 %, with 3 surprising windows. 2 of 9 values are surprising.`"""
    rows = [(group.name, row) for group in groups for row in group.rows]
    surprising = [(name, row) for name, row in rows if row.surprising]
    if not surprising:
        return f"None of the {formats.plural(len(rows), 'value')} shown is surprising by itself."
    name, row = max(surprising, key=lambda pair: pair[1].surprise)
    change = f"{row.change}, with " if row.change else ""
    told = f"{name} {row.label} stands out most: {change}{formats.plural(row.surprising, 'surprising window')}."
    verb = "is" if len(surprising) == 1 else "are"
    return f"{told} {len(surprising)} of {formats.plural(len(rows), 'value')} {verb} surprising."


def _row(slice_: Slice, columns: Columns, starts: Sequence[int], looked: Looked) -> HeatRow:
    at = {int(ms): i for i, ms in enumerate(columns.start_ms)}
    href = looked.link(slice_)
    cells = tuple(_cell(columns, at.get(start), start, looked, href) for start in starts)
    scores = np.abs(
        np.nan_to_num(np.array([columns.score[at[start]] for start in starts[-12:] if start in at] or [0.0]))
    )
    unit = shown(looked.measure)
    actual, expected = _over(columns, looked)
    known = math.isfinite(actual) and math.isfinite(expected)
    return HeatRow(
        value_label(slice_[0][1]),
        cells,
        float(scores.max()),
        href,
        formats.quantity(actual, unit, 3) if math.isfinite(actual) else "–",
        formats.quantity(expected, unit, 3) if math.isfinite(expected) else "–",
        relative_words(actual, expected) if known and (expected or actual) else "",
        sum(cell.level is not None and cell.level != 0 for cell in cells),
    )


def _over(columns: Columns, looked: Looked) -> tuple[float, float]:
    """Actual and expected over the stretch: sums where the measure adds up, else means of its windows."""
    inside = (columns.start_ms >= looked.start_ms) & (columns.start_ms < looked.end_ms)
    inside &= np.isfinite(columns.value) & np.isfinite(columns.expected)
    if not inside.any():
        return math.nan, math.nan
    fold = np.sum if looked.measure.aggregation.additive else np.mean
    return float(fold(columns.value[inside])), float(fold(columns.expected[inside]))


def _cell(columns: Columns, i: int | None, start: int, looked: Looked, href: str) -> Cell:
    then = formats.local(start, looked.zone)
    when = f"{then:%a %H:%M}"
    unit = shown(looked.measure)
    if i is None or not math.isfinite(columns.value[i]):
        return Cell(None, f"{when}: no value", href)
    actual, expected, score = float(columns.value[i]), float(columns.expected[i]), float(columns.score[i])
    if not math.isfinite(expected):
        return Cell(None, f"{when}: {formats.quantity(actual, unit, 3)}, still learning", href)
    size = abs(score) if math.isfinite(score) else 0.0
    level = sum(size >= bound for bound in LEVELS)
    text = f"{formats.quantity(actual, unit, 3)}, expected {formats.quantity(expected, unit, 3)}"
    return Cell(level if score > 0 else -level, f"{when}: {text}", href)


def _ticks(starts: Sequence[int], zone: tzinfo) -> tuple[tuple[int, str], ...]:
    step = max(1, len(starts) // 5)
    found, day = [], None
    for column in range(0, len(starts), step):
        then = formats.local(starts[column], zone)
        found.append((column, f"{then:%H:%M}" if then.date() == day else f"{then:%a %H:%M}"))
        day = then.date()
    return tuple(found)
