"""Bringing a stream up to date: facts -> points -> scores, for the windows that are new or changed.

A run goes on from what detection remembers, so it costs its new windows, however long the past. Where there is no
memory from before them (a new stream, another version of detection, a change older than every memory) the history is
replayed from the stored points, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import Scored, Sensitivity, State, anomalies, in_company
from cliffwatch.guidance import Advice
from cliffwatch.pipeline.memory import Memories, Memory, kept_ends
from cliffwatch.pipeline.replaying import (
    Setting,
    columns_of,
    cut,
    noise_of,
    parents_of,
    replay,
    rows_of,
    side_by_side,
)
from cliffwatch.pipeline.scoring import Judged, to_points
from cliffwatch.store import EventStore
from cliffwatch.streams.aggregate import Collected, SeriesKey, collect
from cliffwatch.streams.governor import monitored
from cliffwatch.streams.history import Stored, load
from cliffwatch.streams.model import Stream, Window
from cliffwatch.streams.revised import Revised, revised_points
from cliffwatch.streams.schedule import windows

Floats = NDArray[np.float64]

SPAN_MS = 84 * 24 * 3_600_000
"""A series without a memory is learned from twelve weeks ..."""
MOST_WINDOWS = 4_000
"""... but not from more windows than this. What has a memory remembers everything since."""
TAIL = 96
"""Windows before the new ones that are looked at for anomalies that go on."""


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a stream's windows from `fresh_from_ms` on. `judged` also holds some windows before them."""

    judged: Judged
    fresh_from_ms: int
    until_ms: int
    points_revised: int  # older points whose value late events changed
    remembered_ms: int  # end of the memory from which the run went on; 0: it replayed everything
    memories: tuple[Memory, ...]  # to be kept with the end of the run
    revised: tuple[Revised, ...] = ()  # which points these are, or the most important of them


def bring_up_to_date(
    store: EventStore,
    stream: Stream,
    *,
    fresh_from_ms: int,
    until_ms: int,
    country: str | None,
    advice: Advice,
    memories: Memories | None = None,
    ongoing_since_ms: int | None = None,
) -> Update | None:
    """Aggregate the windows in [fresh_from_ms, until_ms), score them after their history, and store their points.

    None when the stream has no facts yet, or no window is complete. A series that is new gets its history from
    the facts. `memories` are only read; without them everything is replayed. `ongoing_since_ms` is the start of the
    oldest anomaly that still goes on. Doing it twice writes the same points.
    """
    grid = grid_of(store, stream, until_ms)
    if not grid:
        return None
    setting = Setting(stream, country, advice)
    fresh = [window for window in grid if window.start_ms >= fresh_from_ms] or [grid[-1]]
    first_fresh = len(grid) - len(fresh)
    measured = monitored(store, stream, until_ms)
    newest = collect(store, stream, fresh, measured)
    memory, behind = _remembered(memories, setting, grid, first_fresh)
    first = min(behind, _tail(grid, first_fresh, ongoing_since_ms))
    stored = load(store, stream, grid[first:])
    matrix, revisions, revised = lay_out(stored, newest, grid[first:], first_fresh - first)
    known = memory.series if memory is not None else stored.series
    strangers = [row for row, key in enumerate(newest.series) if key not in set(known)] if first_fresh else []
    past = history = None
    if strangers:
        history = collect(store, stream, grid[:first_fresh], measured)
        past = rows_of(history, strangers, newest.series)
        matrix.values[strangers, : first_fresh - first] = past.values[:, first:]
        matrix.weights[strangers, : first_fresh - first] = past.weights[:, first:]
    wishes = setting.sensitivities(newest.series)
    state, before = _begin(setting, memory, newest.series, history, strangers, wishes, behind)
    ends = kept_ends([window.end_ms for window in grid[behind:]], setting.step_ms)
    _, scored, kept = replay(setting, state, columns_of(matrix, behind - first, None), wishes, set(ends))
    verdicts = verdicts_of(stored, newest.series)
    _put(verdicts, scored, slice(None), first_fresh - first, first_fresh - behind)
    together = in_company(matrix.values, verdicts, wishes, setting.step_ms, first_fresh - first)
    verdicts = replace(verdicts, flagged=together)
    _write(store, stream, matrix, verdicts, revisions, first_fresh - first)
    if past is not None:
        told = side_by_side([before, cut(scored, strangers, 0, first_fresh - behind)], len(strangers))
        _put(verdicts, told, strangers, 0, first)
        store.write_points(to_points(stream, past, told, np.zeros(past.values.shape, np.int64)))
    noises = [noise_of(stream, key) for key, _ in newest.series]
    found = anomalies(matrix.values, setting.grid(matrix.windows), verdicts, noises, wishes)
    return Update(
        Judged(matrix, verdicts, tuple(found)),
        fresh[0].start_ms,
        grid[-1].end_ms,
        revised,
        grid[behind].start_ms if memory is not None else 0,
        tuple(remembered(setting, newest.series, state) for state in kept),
        revised_points(stored, newest) if revised else (),
    )


def grid_of(store: EventStore, stream: Stream, until_ms: int) -> list[Window]:
    """The complete windows that detection looks at: from the stream's first facts on, not further than it learns."""
    span = store.fact_span(stream.facts_id)
    if span is None:
        return []
    schedule = stream.definition.schedule
    oldest = max(span[0], until_ms - min(SPAN_MS, MOST_WINDOWS * schedule.frequency_minutes * 60_000))
    return windows(schedule, oldest, until_ms)


def _remembered(
    memories: Memories | None, setting: Setting, grid: Sequence[Window], first_fresh: int
) -> tuple[Memory | None, int]:
    """The newest memory from before the fresh windows, and the index of the window after it."""
    if memories is None:
        return None, 0

    def told(end_ms: int) -> str:
        return setting.advice.told(end_ms, setting.country)

    memory = memories.newest(setting.stream, grid[first_fresh].start_ms, told)
    if memory is None:
        return None, 0
    behind = next((i for i, window in enumerate(grid) if window.start_ms == memory.window_end_ms), None)
    return (memory, behind) if behind is not None else (None, 0)


def _tail(grid: Sequence[Window], first_fresh: int, ongoing_since_ms: int | None) -> int:
    """The index of the first window that is looked at for anomalies that reach into the fresh ones."""
    first = max(first_fresh - TAIL, 0)
    if ongoing_since_ms is not None:
        first = min(first, next((i for i, w in enumerate(grid) if w.end_ms > ongoing_since_ms), first))
    return max(first - 1, 0)


def _begin(
    setting: Setting,
    memory: Memory | None,
    series: Sequence[SeriesKey],
    history: Collected | None,
    strangers: Sequence[int],
    wishes: Sequence[Sensitivity],
    behind: int,
) -> tuple[State, Scored]:
    """The memory of all series before window `behind`, and what strangers scored until then.

    A stranger is a series that is measured for the first time: it learns from its `history`, beside its total. The
    others keep what they remember.
    """
    if memory is None or history is None:
        nothing = side_by_side([], len(strangers))
        if memory is None:
            return setting.begun(series), nothing
        place = {key: at for at, key in enumerate(memory.series)}
        return memory.state.take([place[key] for key in series]).related(parents_of(series)), nothing
    new = [series[row] for row in strangers]
    measures = {measure for measure, _ in new}
    totals = [row for row, key in enumerate(series) if not key[1] and key[0] in measures and key not in set(new)]
    past = rows_of(columns_of(history, 0, behind), [*strangers, *totals], series)
    both, scored, _ = replay(setting, setting.begun(past.series), past, [wishes[row] for row in (*strangers, *totals)])
    fresh = both.take(range(len(new)))
    known = [key for key in series if key not in set(new)]
    place = {key: at for at, key in enumerate(memory.series)}
    state = memory.state.take([place[key] for key in known]).joined(fresh) if known else fresh
    order = {key: at for at, key in enumerate((*known, *new))}
    state = state.take([order[key] for key in series]).related(parents_of(series))
    return state, cut(scored, range(len(new)), 0, None)


def remembered(setting: Setting, series: tuple[SeriesKey, ...], state: State) -> Memory:
    """What a run remembers after a window, with when each series that is still being learned should be judged."""
    assert state.last_end_ms is not None
    end_ms = state.last_end_ms
    left = state.points_to_learn
    learning = {series[row]: end_ms + int(left[row]) * setting.step_ms for row in np.flatnonzero(left).tolist()}
    return Memory(end_ms, series, setting.advice.told(end_ms, setting.country), learning, state)


def verdicts_of(stored: Stored, series: Sequence[SeriesKey]) -> Scored:
    """What was said of the stored points, for these series; NaN where there is none."""
    row_of = {key: row for row, key in enumerate(stored.series)}
    old = [row_of.get(key, -1) for key in series]
    rows, there = np.maximum(old, 0), np.array(old) >= 0

    def lay(values: Floats) -> Floats:
        if not len(stored.series):
            return np.full((len(series), len(stored.windows)), np.nan)
        return np.where(there[:, None], values[rows], np.nan)

    expected = lay(stored.expected)
    flagged = np.zeros(expected.shape, np.bool_)
    if len(stored.series):
        flagged = stored.flagged[rows] & there[:, None]
    return Scored(
        expected, lay(stored.lower), lay(stored.upper), lay(stored.score), learning=np.isnan(expected), flagged=flagged
    )


def _put(verdicts: Scored, scored: Scored, rows: slice | Sequence[int], at: int, since: int) -> None:
    """Lay the scores from their window `since` on over the verdicts from window `at` on, in place."""
    for field in fields(Scored):
        new = getattr(scored, field.name)[:, since:]
        getattr(verdicts, field.name)[rows, at : at + new.shape[1]] = new


def _write(
    store: EventStore,
    stream: Stream,
    matrix: Collected,
    verdicts: Scored,
    revisions: NDArray[np.int64],
    first: int,
) -> None:
    every = range(len(matrix.series))
    store.write_points(
        to_points(stream, columns_of(matrix, first, None), cut(verdicts, every, first, None), revisions[:, first:])
    )


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
