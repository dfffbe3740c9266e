"""Points -> matrix: the stored series of a stream over its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store import EventStore, PointQuery
from cliffwatch.streams.aggregate import SeriesKey
from cliffwatch.streams.model import Stream, Window, parse_slice_key

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored points laid out over windows: values, weights and revisions are (S, W).

    `known` says which (series, window) have a point at all; a known point may still be missing (NaN).
    """

    series: tuple[SeriesKey, ...]
    windows: tuple[Window, ...]
    values: Floats
    weights: Floats
    revisions: NDArray[np.int64]
    known: NDArray[np.bool_]


def load(store: EventStore, stream: Stream, windows: Sequence[Window]) -> Stored:
    """The stream's points of these windows. Points of other windows (an older schedule) are passed over."""
    points = store.read_points(PointQuery(stream.id, windows[0].start_ms, windows[-1].end_ms))
    starts = np.array([window.start_ms for window in windows], dtype=np.int64)
    column = np.searchsorted(starts, points.window_start_ms)
    fits = (column < len(starts)) & (starts[np.minimum(column, len(starts) - 1)] == points.window_start_ms)
    rows: dict[tuple[str, str], int] = {}
    names = list(zip(points.measure, points.slice, strict=True))
    row = np.array([rows.setdefault(name, len(rows)) for name in names], dtype=np.int64)
    shape = (len(rows), len(windows))
    values, weights = np.full(shape, np.nan), np.full(shape, np.nan)
    revisions, known = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    if len(names):
        at = (row[fits], column[fits])
        values[at] = points.value[fits]
        weights[at] = points.weight[fits]
        revisions[at] = points.revision[fits]
        known[at] = True
    series = tuple((measure, parse_slice_key(slice_)) for measure, slice_ in rows)
    return Stored(series, tuple(windows), values, weights, revisions, known)
