"""What the next windows of a series are expected to add up to, and how far off that usually is. Pure.

Expectations come from the memory of detection, rolled on over windows without a value: level, trend, hours, weekdays
and holidays are those of its bands. How far off they are is not assumed but tried: from several moments of the past
the same stretch is forecast and held against what came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.model import Floats, Grid, Measure
from cliffwatch.detect.replay import advance
from cliffwatch.detect.state import State, begin

ORIGINS = 12
"""So many moments of the past are forecast from, at most."""
FEWEST = 3
"""With fewer, how far off a forecast is cannot be said."""
LEAST = 0.01
"""Nothing is known better than to one per cent."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next windows: `expected` is (H,) in the measure's unit, NaN while the series is still being learned.

    `spread` is the standard deviation of their sum as a share of it; None where too little was seen to say.
    """

    expected: Floats
    spread: float | None


def ahead(values: Floats, grid: Grid, measure: Measure, until: Grid) -> Ahead:
    """Forecast the windows of `until`, which follow those of `grid`; `values` is (T,) of an additive series."""
    state = begin([measure], grid.step_ms)
    horizon = len(until)
    origins = _origins(len(values), horizon)
    errors: list[tuple[int, float]] = []
    seen = 0
    for origin, length in origins:
        state = _learn(state, values, grid, seen, origin)
        seen = origin
        guess = _roll(state, grid.cut(origin, origin + length))
        came = values[origin : origin + length]
        known = np.isfinite(came) & np.isfinite(guess)
        if known.all() and guess.sum() > 0:
            errors.append((origin, float(came.sum() / guess.sum()) - 1.0))
    state = _learn(state, values, grid, seen, len(values))
    expected = _roll(state, until)
    if not np.isfinite(expected).all():
        return Ahead(np.full(horizon, np.nan), None)
    return Ahead(expected, _spread([error for _, error in errors]))


def _learn(state: State, values: Floats, grid: Grid, start: int, end: int) -> State:
    return advance(state, values[None, start:end], grid.cut(start, end))[0] if end > start else state


def _roll(state: State, grid: Grid) -> Floats:
    """Expectations of windows that have not come: the memory is rolled on without values."""
    scored = advance(state, np.full((1, len(grid)), np.nan), grid)[1]
    return np.asarray(scored.expected[0], np.float64)


def _origins(count: int, horizon: int) -> list[tuple[int, int]]:
    """(index, length) of the stretches that are tried: as long as the horizon where the past is long enough for three
    of them, else a third of the past; spaced evenly over its younger three quarters."""
    length = max(min(horizon, count // 4), 1)
    first = max(count // 4, 1)
    last = count - length
    if last <= first:
        return []
    picked = np.unique(np.linspace(first, last, min(ORIGINS, last - first + 1)).astype(int))
    return [(int(one), length) for one in picked]


def _spread(errors: list[float]) -> float | None:
    """The root of the mean square, with one good stretch of doubt: a few lucky ones do not make certain."""
    if len(errors) < FEWEST:
        return None
    usual = float(np.mean(np.square(errors)))
    return max(float(np.sqrt(usual * (1 + 2 / len(errors)))), LEAST)
