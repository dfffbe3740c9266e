"""Dimension x time: how surprising each value of each dimension was, window by window. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from cliffwatch.streams.model import Measure
from cliffwatch.web import formats
from cliffwatch.web.views.series import Columns, SeriesKey, shown, value_label

MOST_WINDOWS = 30
MOST_ROWS = 8
LEVELS = (3.0, 4.5, 7.0)
"""Scores from which on a cell is coloured, and more so: noise stays grey."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`level` is -3 (far below) to 3 (far above), 0 as expected, None without a forecast."""

    level: int | None
    title: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    label: str
    cells: tuple[Cell, ...]
    surprise: float


@dataclass(frozen=True, slots=True)
class HeatGroup:
    name: str
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Groups of rows over the same windows; `ticks` are (column, text) for the time axis."""

    groups: tuple[HeatGroup, ...]
    windows: int
    ticks: tuple[tuple[int, str], ...]


def heat_map(
    series: Mapping[SeriesKey, Columns], measure: Measure, paths: Sequence[str], zone: tzinfo, until_ms: int
) -> HeatMap | None:
    """The last windows before `until_ms`; rows of a dimension with the most surprising first. None without data."""
    own = {slice_: columns for (key, slice_), columns in series.items() if key == measure.key and len(slice_) == 1}
    starts = sorted({int(ms) for columns in own.values() for ms in columns.start_ms if ms < until_ms})[-MOST_WINDOWS:]
    if len(starts) < 2:
        return None
    groups = []
    for path in paths:
        rows = [
            _row(slice_[0][1], columns, starts, measure, zone)
            for slice_, columns in own.items()
            if slice_[0][0] == path
        ]
        if rows:
            rows.sort(key=lambda row: -row.surprise)
            name = path.rsplit(".", 1)[-1].replace("_", " ")
            groups.append(HeatGroup(name, tuple(rows[:MOST_ROWS])))
    groups.sort(key=lambda group: -group.rows[0].surprise)
    return HeatMap(tuple(groups), len(starts), _ticks(starts, zone)) if groups else None


def _row(value: str, columns: Columns, starts: Sequence[int], measure: Measure, zone: tzinfo) -> HeatRow:
    at = {int(ms): i for i, ms in enumerate(columns.start_ms)}
    cells = tuple(_cell(columns, at.get(start), start, measure, zone) for start in starts)
    scores = np.array([columns.score[at[start]] for start in starts[-12:] if start in at] or [0.0])
    return HeatRow(value_label(value), cells, float(np.nanmax(np.abs(np.nan_to_num(scores)))))


def _cell(columns: Columns, i: int | None, start: int, measure: Measure, zone: tzinfo) -> Cell:
    then = formats.local(start, zone)
    when = f"{then:%a %H:%M}"
    if i is None or not math.isfinite(columns.value[i]):
        return Cell(None, f"{when}: no value")
    actual, expected, score = float(columns.value[i]), float(columns.expected[i]), float(columns.score[i])
    if not math.isfinite(expected):
        return Cell(None, f"{when}: {formats.quantity(actual, shown(measure), 3)}, still learning")
    size = abs(score) if math.isfinite(score) else 0.0
    level = sum(size >= bound for bound in LEVELS)
    text = f"{formats.quantity(actual, shown(measure), 3)}, expected {formats.quantity(expected, shown(measure), 3)}"
    return Cell(level if score > 0 else -level, f"{when}: {text}")


def _ticks(starts: Sequence[int], zone: tzinfo) -> tuple[tuple[int, str], ...]:
    step = max(1, len(starts) // 5)
    found, day = [], None
    for column in range(0, len(starts), step):
        then = formats.local(starts[column], zone)
        found.append((column, f"{then:%H:%M}" if then.date() == day else f"{then:%a %H:%M}"))
        day = then.date()
    return tuple(found)
