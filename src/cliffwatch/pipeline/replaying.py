"""From what is remembered over more windows: scores, with what people told taken into account. Pure.

Windows go through detection in pieces: a piece ends where its memory is to be kept, where a person has named a new
level, where own events of some slices begin and end, and around every window that teaches nothing. Such a window is
judged like any other, but the memory goes on as if it had been missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import Grid, OwnEvent, Scored, Sensitivity, State, advance, begin
from cliffwatch.detect import Measure as Noise
from cliffwatch.guidance import Advice
from cliffwatch.guidance.effect import Level, Quiet
from cliffwatch.streams.aggregate import Collected, SeriesKey
from cliffwatch.streams.model import Aggregation, Stream, Window

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_NOISE = {
    Aggregation.COUNT: Noise.COUNT,
    Aggregation.USERS: Noise.UNIQUES,
    Aggregation.SUM: Noise.SUM,
    Aggregation.AVERAGE: Noise.MEAN,
    Aggregation.RATIO: Noise.RATIO,
    Aggregation.MIN: Noise.EXTREME,
    Aggregation.MAX: Noise.EXTREME,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all windows of a stream: the stream, its holidays, and what people told."""

    stream: Stream
    country: str | None
    advice: Advice

    @property
    def step_ms(self) -> int:
        return self.stream.definition.schedule.frequency_minutes * 60_000

    def begun(self, series: Sequence[SeriesKey]) -> State:
        """The memory of series that have no history yet."""
        return begin([noise_of(self.stream, key) for key, _ in series], self.step_ms, parents_of(series))

    def sensitivities(self, series: Sequence[SeriesKey], of: int | None = None) -> list[Sensitivity]:
        """Of each series; the stream's budget is shared among `of` series (all of these when it is None)."""
        return self.advice.of(series, self.step_ms, of)

    def grid(self, windows: Sequence[Window], slice_: SeriesKey | None = None) -> Grid:
        """The windows as detection reads them, with the own events that all series feel, or those of one series."""
        events = self.advice.events
        if slice_ is not None:
            events = tuple(event for event in events if event.concerns(slice_[1]))
        return Grid(
            start_ms=np.array([window.start_ms for window in windows], dtype=np.int64),
            end_ms=np.array([window.end_ms for window in windows], dtype=np.int64),
            time_zone=self.stream.definition.schedule.time_zone,
            country=self.country,
            events=tuple(OwnEvent(event.kind.value, event.start_ms, event.end_ms) for event in events),
            usual_ms=self.step_ms,
        )


def parents_of(series: Sequence[SeriesKey]) -> Ints:
    """The place of each series' total, from which it takes what it does not know of its rhythm; -1 without one."""
    place = {key: at for at, (key, slice_) in enumerate(series) if not slice_}
    return np.array([place.get(key, -1) if slice_ else -1 for key, slice_ in series], np.int64)


def noise_of(stream: Stream, measure_key: str) -> Noise:
    """How a measure's values scatter, in the words of `detect`."""
    return _NOISE.get(stream.definition.measure(measure_key).aggregation, Noise.PERCENTILE)


def replay(
    setting: Setting,
    state: State,
    matrix: Collected,
    sensitivities: Sequence[Sensitivity],
    keep_ends: Collection[int] = (),
) -> tuple[State, Scored, list[State]]:
    """Score the windows of `matrix` after `state` (of the same series, in the same order).

    Returns the memory after the last window, the scores, and the memories after the windows that end at `keep_ends`.
    """
    windows = matrix.windows
    quiet = _quiet(setting.advice.quiet, matrix)
    row_of = {key: row for row, key in enumerate(matrix.series)}
    levels = _levels([level for level in setting.advice.levels if level.series in row_of], windows)
    kept: list[State] = []
    parts: list[Scored] = []
    for first, end in _pieces(windows, quiet, {*levels, *_scoped(setting, windows)}, keep_ends):
        for level in levels.get(first, ()):
            state = state.at_level(row_of[level.series], level.ratio, level.difference)
        state, scored = _advance(setting, state, matrix, first, end, sensitivities, quiet)
        parts.append(scored)
        if windows[end - 1].end_ms in keep_ends:
            kept.append(state)
    return state, side_by_side(parts, len(matrix.series)), kept


def _advance(
    setting: Setting,
    state: State,
    matrix: Collected,
    first: int,
    end: int,
    sensitivities: Sequence[Sensitivity],
    quiet: Bools,
) -> tuple[State, Scored]:
    """One piece. Series that feel other own events than the rest go through detection by themselves."""
    at = slice(first, end)
    columns = matrix.windows[at]
    hushed = quiet[:, first] if end - first == 1 else np.zeros(len(matrix.series), np.bool_)

    def go(state: State, who: Sequence[int], grid: Grid) -> tuple[State, Scored]:
        values, weights = matrix.values[who, at], matrix.weights[who, at]
        wishes = [sensitivities[i] for i in who]
        after, scored = advance(state, values, grid, weights=weights, sensitivity=wishes)
        mute = hushed[who]
        if mute.any():  # judged as always; but the memory goes on as if the value had been missing
            untold = np.where(mute[:, None], np.nan, values)
            after, _ = advance(state, untold, grid, weights=weights, sensitivity=wishes)
        return after, scored

    groups = _by_events(setting, matrix.series, columns)
    if len(groups) == 1:
        return go(state, range(len(matrix.series)), setting.grid(columns, matrix.series[0]))
    out = unscored(len(matrix.series), end - first)
    joined: State | None = None
    order: list[int] = []
    for who in groups:
        after, scored = go(state.take(who), who, setting.grid(columns, matrix.series[who[0]]))
        for field in fields(Scored):
            getattr(out, field.name)[who] = getattr(scored, field.name)
        joined = after if joined is None else joined.joined(after)
        order += who
    assert joined is not None
    return joined.take(np.argsort(order).tolist()).related(state.parents), out


def _by_events(setting: Setting, series: Sequence[SeriesKey], windows: Sequence[Window]) -> list[list[int]]:
    """Rows of the series, gathered by the scoped own events that they feel in these windows."""
    start, end = windows[0].start_ms, windows[-1].end_ms
    felt = [e for e in setting.advice.events if e.scope and e.start_ms < end and e.end_ms > start]
    groups: dict[tuple[bool, ...], list[int]] = {}
    for row, (_, slice_) in enumerate(series):
        groups.setdefault(tuple(event.concerns(slice_) for event in felt), []).append(row)
    return list(groups.values())


def _scoped(setting: Setting, windows: Sequence[Window]) -> set[int]:
    """The windows with which scoped own events begin or are over: slices that feel them part from the others there."""
    starts = np.array([window.start_ms for window in windows], np.int64)
    ends = np.array([window.end_ms for window in windows], np.int64)
    edges: set[int] = set()
    for event in setting.advice.events:
        if event.scope:
            first = int(np.searchsorted(ends, event.start_ms, "right"))
            edges |= {first, max(int(np.searchsorted(starts, event.end_ms)), first)}
    return {edge for edge in edges if edge < len(windows)}


def _quiet(stretches: Sequence[Quiet], matrix: Collected) -> Bools:
    """(series, windows): which points teach nothing."""
    found = np.zeros(matrix.values.shape, np.bool_)
    starts = np.array([window.start_ms for window in matrix.windows], np.int64)
    ends = np.array([window.end_ms for window in matrix.windows], np.int64)
    row_of = {key: row for row, key in enumerate(matrix.series)}
    for stretch in stretches:
        first, end = np.searchsorted(ends, stretch.start_ms, "right"), np.searchsorted(starts, stretch.end_ms)
        if first >= end:
            continue
        if stretch.series is not None:
            rows = [row_of[stretch.series]] if stretch.series in row_of else []
        else:
            rows = [row for key, row in row_of.items() if stretch.concerns(key)]
        found[rows, first:end] = True
    return found


def _levels(levels: Sequence[Level], windows: Sequence[Window]) -> dict[int, list[Level]]:
    """The levels that begin with each window."""
    starts = np.array([window.start_ms for window in windows], np.int64)
    found: dict[int, list[Level]] = {}
    for level in levels:
        at = int(np.searchsorted(starts, level.at_ms, "right")) - 1
        if at >= 0 and level.at_ms < windows[at].end_ms:
            found.setdefault(at, []).append(level)
    return found


def _pieces(
    windows: Sequence[Window], quiet: Bools, edges: Collection[int], keep_ends: Collection[int]
) -> list[tuple[int, int]]:
    """Half-open ranges of windows that go through detection at once."""
    cuts = {0, len(windows), *edges}
    cuts |= {i + 1 for i, window in enumerate(windows) if window.end_ms in keep_ends}
    for i in np.flatnonzero(quiet.any(axis=0)).tolist():
        cuts |= {i, i + 1}
    return list(pairwise(sorted(cuts)))


def side_by_side(parts: Sequence[Scored], series: int) -> Scored:
    """Scores of successive windows as one."""
    if not parts:
        return unscored(series, 0)
    return Scored(*(np.concatenate([getattr(p, f.name) for p in parts], axis=1) for f in fields(Scored)))


def unscored(series: int, windows: int) -> Scored:
    """Room for scores."""
    expected, lower, upper, score = np.full((4, series, windows), np.nan)
    learning, flagged = np.zeros((2, series, windows), np.bool_)
    return Scored(expected, lower, upper, score, learning, flagged)


def cut(scored: Scored, rows: Sequence[int], first: int, end: int | None) -> Scored:
    """The scores of some series over some windows."""
    return Scored(*(getattr(scored, field.name)[list(rows), first:end] for field in fields(Scored)))


def rows_of(matrix: Collected, rows: Sequence[int], series: Sequence[SeriesKey]) -> Collected:
    """The series that stand in `rows` of `series`, from a matrix that may have them in another order, or not at all."""
    place = {key: at for at, key in enumerate(matrix.series)}
    wanted = [series[row] for row in rows]
    shape = (len(wanted), len(matrix.windows))
    values, weights = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, key in enumerate(wanted):
        if (at := place.get(key)) is not None:
            values[row], weights[row] = matrix.values[at], matrix.weights[at]
    return Collected(tuple(wanted), matrix.windows, values, weights)


def columns_of(matrix: Collected, first: int, end: int | None) -> Collected:
    """Some windows of a matrix."""
    at = slice(first, end)
    return Collected(matrix.series, matrix.windows[at], matrix.values[:, at], matrix.weights[:, at])
