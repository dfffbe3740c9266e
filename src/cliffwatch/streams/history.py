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
    ends = np.array([window.end_ms for window in windows], dtype=np.int64)
    column = np.minimum(np.searchsorted(starts, points.window_start_ms), len(starts) - 1)
    fits = (starts[column] == points.window_start_ms) & (ends[column] == points.window_end_ms)
    kept = np.flatnonzero(fits)
    rows: dict[tuple[str, str], int] = {}
    row = np.array(
        [rows.setdefault((points.measure[at], points.slice[at]), len(rows)) for at in kept.tolist()], dtype=np.int64
    )
    shape = (len(rows), len(windows))
    values, weights = np.full(shape, np.nan), np.full(shape, np.nan)
    revisions, known = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    if len(kept):
        at = (row, column[kept])
        values[at] = points.value[kept]
        weights[at] = points.weight[kept]
        revisions[at] = points.revision[kept]
        known[at] = True
    series = tuple((measure, parse_slice_key(slice_)) for measure, slice_ in rows)
    return Stored(series, tuple(windows), values, weights, revisions, known)
