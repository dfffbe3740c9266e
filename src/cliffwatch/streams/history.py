"""Points -> matrix: the stored series of a stream over its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store import EventStore, PointBatch, PointQuery
from cliffwatch.streams.aggregate import SeriesKey
from cliffwatch.streams.model import Stream, Window, parse_slice_key, slice_key

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored points laid out over windows: values, weights, revisions and what was forecast are (S, W).

    `known` says which (series, window) have a point at all; a known point may still be missing (NaN). A point that has
    no forecast was still being learned.
    """

    series: tuple[SeriesKey, ...]
    windows: tuple[Window, ...]
    values: Floats
    weights: Floats
    revisions: NDArray[np.int64]
    known: NDArray[np.bool_]
    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    flagged: NDArray[np.bool_]


def load(store: EventStore, stream: Stream, windows: Sequence[Window]) -> Stored:
    """The stream's points of these windows. Points of other windows (an older schedule) are passed over."""
    return _lay_out(store.read_points(PointQuery(stream.id, windows[0].start_ms, windows[-1].end_ms)), windows)


def load_series(store: EventStore, stream: Stream, windows: Sequence[Window], key: SeriesKey) -> Stored:
    """The stored points of one series; no series when it has none."""
    query = PointQuery(stream.id, windows[0].start_ms, windows[-1].end_ms, key[0], [slice_key(key[1])])
    return _lay_out(store.read_points(query), windows)


def _lay_out(points: PointBatch, windows: Sequence[Window]) -> Stored:
    starts = np.array([window.start_ms for window in windows], dtype=np.int64)
    ends = np.array([window.end_ms for window in windows], dtype=np.int64)
    column = np.minimum(np.searchsorted(starts, points.window_start_ms), len(starts) - 1)
    fits = (starts[column] == points.window_start_ms) & (ends[column] == points.window_end_ms)
    names, row = series_of(points)
    present = np.unique(row[fits])
    names = [names[at] for at in present.tolist()]
    row, column = np.searchsorted(present, row[fits]), column[fits]
    shape = (len(names), len(windows))
    numbers = []
    for column_of in (points.value, points.weight, points.expected, points.lower, points.upper, points.score):
        laid = np.full(shape, np.nan)
        laid[row, column] = column_of[fits]
        numbers.append(laid)
    values, weights, expected, lower, upper, score = numbers
    revisions, known, flagged = np.zeros(shape, np.int64), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    revisions[row, column] = points.revision[fits]
    flagged[row, column] = points.flagged[fits]
    known[row, column] = True
    series = tuple((measure, parse_slice_key(slice_)) for measure, slice_ in names)
    return Stored(series, tuple(windows), values, weights, revisions, known, expected, lower, upper, score, flagged)


def series_of(points: PointBatch) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
    """The distinct (measure, slice) in order, and each point's place among them.

    Points come ordered by series and then by time, so a stretch of ascending times whose ends have one name is one
    series; only where two series happen to join in time is every name looked at.
    """
    names: list[tuple[str, str]] = []
    row = np.empty(len(points), np.int64)
    breaks = (np.flatnonzero(np.diff(points.window_start_ms) <= 0) + 1).tolist()
    for first, end in pairwise([0, *breaks, len(points)]):
        at = first
        while at < end:
            name = (points.measure[at], points.slice[at])
            stop = end
            if (points.measure[end - 1], points.slice[end - 1]) != name:
                stop = next(i for i in range(at, end) if (points.measure[i], points.slice[i]) != name)
            row[at:stop] = len(names)
            names.append(name)
            at = stop
    return names, row
