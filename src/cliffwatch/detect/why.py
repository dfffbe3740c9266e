"""Why a point was expected so and judged so, in parts and in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.calendar import calendar
from cliffwatch.detect.filter import Parts
from cliffwatch.detect.judge import reason, threshold
from cliffwatch.detect.model import Floats, Grid, Ints, Measure, Reason, Scored, Sensitivity
from cliffwatch.detect.replay import DEFAULT, replay_block
from cliffwatch.detect.state import FAMILIES, begin

WORDS = {
    Reason.SURPRISING: "It was flagged: {actual} is {side} the {expected} that was expected ({relative}).",
    Reason.WITHIN_BAND: "It was not flagged: {actual} lies within the usual band, {lower} to {upper}.",
    Reason.LEARNING: "It was not judged: the series is still learning its rhythm.",
    Reason.MISSING: "There is no value in this window, so nothing was judged.",
    Reason.WRONG_DIRECTION: "It was not flagged: {actual} is surprising, but you asked only for the other direction.",
    Reason.SMALL_EFFECT: "It was not flagged: the change ({relative}) is smaller than the minimum effect you asked for.",
    Reason.SMALL_IMPACT: "It was not flagged: the change is smaller than the minimum impact you asked for.",
    Reason.TOO_SHORT: "It was not flagged: it has not lasted as many windows as you asked for.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an expectation. `effect` is a factor (1.2 = 20 % more) when `relative`, else in the measure's unit."""

    name: str
    effect: float
    relative: bool


@dataclass(frozen=True, slots=True)
class PointExplanation:
    """Why one point was expected so (`parts`, level first) and judged so (`reason`, and `sentence` in words)."""

    actual: float
    expected: float
    lower: float
    upper: float
    score: float
    parts: tuple[Part, ...]
    reason: Reason
    sentence: str


def explain_point(
    values: Floats,
    grid: Grid,
    measures: Sequence[Measure] | Measure,
    series: int,
    window: int,
    *,
    weights: Floats | None = None,
    sensitivity: Sensitivity = DEFAULT,
    parents: Ints | None = None,
) -> PointExplanation:
    """Explain the point (series, window) of a matrix; arguments as for `score`.

    Replays only that series and those it descends from, up to the window.
    """
    kinds = [measures] * len(values) if isinstance(measures, Measure) else list(measures)
    line = _lineage(series, parents)
    matrix = np.asarray(values, np.float64)[line, : window + 1]
    shares = None if weights is None else np.asarray(weights, np.float64)[line, : window + 1]
    up = np.array([*range(1, len(line)), -1], np.int64)
    state = begin([kinds[i] for i in line], grid.step_ms, up)
    scored, trace = replay_block(state, matrix, grid.cut(0, window + 1), shares, sensitivity)
    return _explain(matrix[0, -1], scored, trace, kinds[series], grid, window, sensitivity)


def _lineage(series: int, parents: Ints | None) -> list[int]:
    line = [series]
    while parents is not None and parents[line[-1]] >= 0:
        line.append(int(parents[line[-1]]))
    return line


def _explain(
    actual: float, scored: Scored, trace: Parts, measure: Measure, grid: Grid, window: int, wish: Sensitivity
) -> PointExplanation:
    at = (0, window)
    expected, lower, upper = (float(a[at]) for a in (scored.expected, scored.lower, scored.upper))
    point = float(scored.score[at])
    learning, flagged = bool(scored.learning[at]), bool(scored.flagged[at])
    why = reason(actual, expected, point, learning, flagged, threshold(wish, grid.step_ms), wish)
    relative = FAMILIES[measure].log
    hours = float(calendar(grid.cut(window, window + 1)).duration_h[0]) if relative else 1.0
    parts = tuple(_parts(trace, relative, hours))
    words = WORDS[why].format(
        actual=readable(actual),
        expected=readable(expected),
        lower=readable(lower),
        upper=readable(upper),
        side="above" if point > 0 else "below",
        relative=f"{(actual - expected) / abs(expected):+.0%}" if expected else "from nothing",
    )
    return PointExplanation(actual, expected, lower, upper, point, parts, why, f"{words} {in_words(parts)}".strip())


def _parts(trace: Parts, relative: bool, hours: float) -> list[Part]:
    def first(x: Floats | float) -> float:
        return float(np.ravel(x)[0])

    level = first(trace.level)
    named = [("level", math.exp(min(level, 60.0)) * hours if relative else level, False)]
    for name in ("hour", "weekday", "holiday", "drift"):
        effect = first(getattr(trace, name))
        if effect:
            named.append((name, math.exp(effect) if relative else effect, relative))
    return [Part(*each) for each in named]


def in_words(parts: tuple[Part, ...]) -> str:
    """The parts of an expectation as one sentence: "Expected from a level of 120, hour +20 %, weekday -5 %."."""
    rest = [f"{p.name} {p.effect - 1:+.0%}" if p.relative else f"{p.name} {p.effect:+,.4g}" for p in parts[1:]]
    return f"Expected from {', '.join([f'a level of {readable(parts[0].effect)}', *rest])}."


def readable(x: float) -> str:
    """A number as people read it: 1,284 or 0.031."""
    if not math.isfinite(x):
        return "no value"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:,.3g}"
