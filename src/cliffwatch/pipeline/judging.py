"""Bringing a stream up to date: facts -> points -> scores, for the windows that are new or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import Sensitivity
from cliffwatch.pipeline.scoring import Judged, judge, to_points
from cliffwatch.store import EventStore
from cliffwatch.streams.aggregate import Collected, SeriesKey, collect
from cliffwatch.streams.governor import monitored
from cliffwatch.streams.history import Stored, load
from cliffwatch.streams.model import Stream, Window
from cliffwatch.streams.schedule import windows

SPAN_MS = 84 * 24 * 3_600_000
"""Detection looks back twelve weeks ..."""
MOST_WINDOWS = 4_000
"""... but not over more windows than this (short windows forget sooner)."""


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a stream's windows from `fresh_from_ms` on."""

    judged: Judged
    fresh_from_ms: int
    until_ms: int
    points_revised: int  # older points whose value late events changed


def bring_up_to_date(
    store: EventStore,
    stream: Stream,
    *,
    fresh_from_ms: int,
    until_ms: int,
    country: str | None,
    sensitivity: Sensitivity,
) -> Update | None:
    """Aggregate the windows in [fresh_from_ms, until_ms), score them after their history, and store their points.

    None when the stream has no facts yet, or no window is complete. A series that is new gets its history from
    the facts. Doing it twice writes the same points.
    """
    grid = grid_of(store, stream, until_ms)
    if not grid:
        return None
    fresh = [window for window in grid if window.start_ms >= fresh_from_ms] or [grid[-1]]
    first_fresh = len(grid) - len(fresh)
    stored = load(store, stream, grid)
    values = monitored(store, stream, until_ms)
    newest = collect(store, stream, fresh, values)
    if first_fresh and not set(newest.series) <= set(stored.series):
        fresh, first_fresh, newest = list(grid), 0, collect(store, stream, grid, values)
    matrix, revisions, revised = lay_out(stored, newest, grid, first_fresh)
    judged = judge(stream, matrix, country=country, sensitivity=sensitivity)
    columns = slice(first_fresh, len(grid))
    store.write_points(to_points(stream, judged, columns, revisions[:, columns]))
    return Update(judged, fresh[0].start_ms, grid[-1].end_ms, revised)


def grid_of(store: EventStore, stream: Stream, until_ms: int) -> list[Window]:
    """The complete windows that detection looks at: from the stream's first facts on, not further than it remembers."""
    span = store.fact_span(stream.facts_id)
    if span is None:
        return []
    schedule = stream.definition.schedule
    oldest = max(span[0], until_ms - min(SPAN_MS, MOST_WINDOWS * schedule.frequency_minutes * 60_000))
    return windows(schedule, oldest, until_ms)


def lay_out(
    stored: Stored, newest: Collected, grid: Sequence[Window], first_fresh: int
) -> tuple[Collected, NDArray[np.int64], int]:
    """Stored history and fresh windows as one matrix, with each point's revision and how many older ones changed.

    Only series that are still measured are kept. A stored point whose value changed gets the next revision.
    """
    row_of: dict[SeriesKey, int] = {key: row for row, key in enumerate(stored.series)}
    shape = (len(newest.series), len(grid))
    values, weights = np.full(shape, np.nan), np.full(shape, np.nan)
    revisions, known = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for row, key in enumerate(newest.series):
        if (old := row_of.get(key)) is not None:
            values[row], weights[row] = stored.values[old], stored.weights[old]
            revisions[row], known[row] = stored.revisions[old], stored.known[old]
    before = values[:, first_fresh:].copy()
    values[:, first_fresh:], weights[:, first_fresh:] = newest.values, newest.weights
    same = np.isclose(before, newest.values, rtol=1e-9, atol=0.0, equal_nan=True)  # sums differ in their last digits
    changed = known[:, first_fresh:] & ~same
    revisions[:, first_fresh:] += changed
    return Collected(newest.series, tuple(grid), values, weights), revisions, int(changed.sum())
