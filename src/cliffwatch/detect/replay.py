"""From values to scored points: a replay over windows, in blocks of series that stay in the cache. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cliffwatch.detect.calendar import Calendar, calendar
from cliffwatch.detect.filter import Family, Parts, Row, Step, close_day, step
from cliffwatch.detect.judge import decide, threshold
from cliffwatch.detect.model import Floats, Grid, Ints, Measure, Scored, Sensitivity
from cliffwatch.detect.state import State, begin
from cliffwatch.detect.tails import two_sided
from cliffwatch.errors import InvalidInput

BLOCK = 2048
DEFAULT = Sensitivity()


def score(
    values: Floats,
    grid: Grid,
    measures: Sequence[Measure] | Measure,
    *,
    weights: Floats | None = None,
    sensitivity: Sensitivity = DEFAULT,
    parents: Ints | None = None,
) -> Scored:
    """Score every point of `values` (series, windows), NaN = missing, from its past alone.

    `weights` has the shape of `values`: the events or the denominator under a mean, ratio or percentile.
    `parents` is the index of each series' parent in the same matrix, -1 for none.
    Raises InvalidInput for infinite values or shapes that do not fit.
    """
    matrix = _matrix(values, len(grid))
    kinds = [measures] * len(matrix) if isinstance(measures, Measure) else list(measures)
    if len(kinds) != len(matrix):
        raise InvalidInput("measures", f"names one measure per series: {len(matrix)}, not {len(kinds)}.")
    state = begin(kinds, grid.step_ms, parents)
    return advance(state, matrix, grid, weights=weights, sensitivity=sensitivity)[1]


def advance(
    state: State, values: Floats, grid: Grid, *, weights: Floats | None = None, sensitivity: Sensitivity = DEFAULT
) -> tuple[State, Scored]:
    """Score the next windows of known series; costs only the new points, whatever the length of the past.

    `values` is (series, K) over the K windows of `grid`, all later than what `state` has seen. A replay in pieces of
    any length gives the numbers of `score`. The given state is not changed.
    """
    matrix = _matrix(values, len(grid), state.series)
    shares = None if weights is None else _matrix(weights, len(grid), state.series)
    if len(grid) and state.last_end_ms is not None and int(grid.start_ms[0]) < state.last_end_ms:
        raise InvalidInput("grid", "starts before the end of what was already scored.", "Replay from an older state.")
    cal = calendar(grid)
    rows = state.rows.copy()
    out = _empty_scored(state.series, len(grid))
    families = state.families
    for family in Family:
        members = np.flatnonzero(families == family)
        for at in range(0, members.size, BLOCK):
            who = members[at : at + BLOCK]
            block = np.ascontiguousarray(rows[:, who])
            part = None if shares is None else shares[who]
            _replay(block, matrix[who], part, cal, family, state, sensitivity, out, who)
            rows[:, who] = block
    if not len(grid):
        return replace(state, rows=rows), out
    newest = replace(
        state,
        rows=rows,
        last_end_ms=int(grid.end_ms[-1]),
        day=int(cal.day[-1]),
        weekday=int(cal.weekday[-1]) if cal.has_weekdays else -1,
        holiday=bool(cal.holiday[-1]),
    )
    return newest, out


def replay_block(
    state: State, values: Floats, grid: Grid, weights: Floats | None, sensitivity: Sensitivity
) -> tuple[Scored, Parts]:
    """Score series of one measure family from `state`, and say of what the newest expectation is made."""
    cal = calendar(grid)
    out = _empty_scored(state.series, len(grid))
    trace: list[Parts] = []
    rows = state.rows.copy()
    family = Family(int(state.families[0]))
    _replay(rows, _matrix(values, len(grid)), weights, cal, family, state, sensitivity, out, np.arange(state.series), trace)
    return out, trace[-1]


def _replay(
    x: Floats,
    values: Floats,
    weights: Floats | None,
    cal: Calendar,
    family: Family,
    state: State,
    wish: Sensitivity,
    out: Scored,
    who: Ints,
    trace: list[Parts] | None = None,
) -> None:
    tune = state.tuning
    limit = threshold(wish, state.step_ms)
    columns = np.ascontiguousarray(values.T)
    present = ~np.isnan(columns)
    filled = np.where(present, columns, 0.0)
    shares = None if weights is None else np.ascontiguousarray(np.nan_to_num(weights.T))
    day, weekday, holiday = state.day, state.weekday, state.holiday
    for t in range(len(columns)):
        today = int(cal.day[t])
        if day is not None and today != day:
            close_day(x, weekday, holiday, float(today - day), tune)
        day, weekday, holiday = today, int(cal.weekday[t]) if cal.has_weekdays else -1, bool(cal.holiday[t])
        ok = present[t].astype(np.float64)
        got = step(x, filled[t], ok, None if shares is None else shares[t], cal, t, family, tune)
        if trace is not None:
            trace.append(got.parts)
        _write(x, columns[t], present[t], got, limit, family, wish, out, who, t)


def _write(x, y, present, got: Step, limit, family, wish, out: Scored, who, t) -> None:
    known = present & ~got.learning
    expected = np.where(got.learning, np.nan, got.mean)
    lower, upper = _band(got, limit, family)
    points = np.where(known, got.score, np.nan)
    verdict = decide(y, got.mean, points, got.learning, x[Row.STREAK], limit, wish)
    x[Row.STREAK] = verdict.streak
    out.expected[who, t] = expected
    out.lower[who, t] = np.where(got.learning, np.nan, lower)
    out.upper[who, t] = np.where(got.learning, np.nan, upper)
    out.score[who, t] = points
    out.p_value[who, t] = two_sided(points)
    out.learning[who, t] = got.learning
    out.flagged[who, t] = verdict.flagged


def _band(got: Step, limit: float, family: Family) -> tuple[Floats, Floats]:
    root = np.sqrt(got.variance)
    if family is Family.LINEAR:
        return got.mean - limit * root, got.mean + limit * root
    # the cube-root normal approximation of a gamma quantile (Wilson & Hilferty, 1931)
    middle, reach = 1.0 - got.variance / 9.0, limit * root / 3.0
    lower = got.mean * np.maximum(middle - reach, 0.0) ** 3
    return lower, got.mean * np.maximum(middle + reach, 0.0) ** 3


def _matrix(values: Floats, windows: int, series: int | None = None) -> Floats:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != windows or (series is not None and len(matrix) != series):
        wanted = f"({'series' if series is None else series}, {windows})"
        raise InvalidInput("values", f"have the shape {wanted}, not {matrix.shape}.")
    infinite = np.argwhere(np.isinf(matrix))
    if infinite.size:
        row, column = infinite[0]
        raise InvalidInput(
            f"series {row}, window {column}", "is infinite.", "Use NaN for a missing value; every other value is finite."
        )
    return matrix


def _empty_scored(series: int, windows: int) -> Scored:
    shape = (series, windows)
    numbers = [np.full(shape, np.nan) for _ in range(5)]
    return Scored(*numbers, learning=np.ones(shape, bool), flagged=np.zeros(shape, bool))
