"""Why a point was expected so and judged so, in parts and in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cliffwatch.detect.judge import reasons
from cliffwatch.detect.model import Floats, Grid, Ints, Measure, Reason, Scored, Sensitivity
from cliffwatch.detect.replay import DEFAULT, score_in_parts
from cliffwatch.detect.state import FAMILIES, State

WORDS = {
    Reason.SURPRISING: "It was flagged: {actual} is {side} the {expected} that was expected ({relative}).",
    Reason.TOGETHER: "It was flagged because it changed with others of its stream; by itself it lies within its usual "
    "band, {lower} to {upper}.",
    Reason.WITHIN_BAND: "It was not flagged: {actual} lies within the usual band, {lower} to {upper}.",
    Reason.LEARNING: "It was not judged: the series is still learning its rhythm.",
    Reason.MISSING: "There is no value in this window, so nothing was judged.",
    Reason.WRONG_DIRECTION: "It was not flagged: {actual} is surprising, but you asked only for the other direction.",
    Reason.SMALL_EFFECT: "It was not flagged: the change ({relative}) is below the minimum effect you asked for.",
    Reason.SMALL_IMPACT: "It was not flagged: the change is smaller than the minimum impact you asked for.",
    Reason.TOO_SHORT: "It was not flagged: it has not lasted as many windows as you asked for.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an expectation: a factor (1.2 = 20 % more) when `relative`, else in the measure's unit."""

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
    state: State | None = None,
    joined: bool = False,
) -> PointExplanation:
    """Explain the point (series, window) of a matrix; arguments as for `score`.

    Replays only that series and those it descends from, up to the window; from `state` on, where the memory of that
    series (alone, without parents) is given. `joined` says that it was flagged in company, if not by itself.
    """
    kinds = [measures] * len(values) if isinstance(measures, Measure) else list(measures)
    line = _lineage(series, parents)
    matrix = np.asarray(values, np.float64)[line, : window + 1]
    shares = None if weights is None else np.asarray(weights, np.float64)[line, : window + 1]
    up = np.array([*range(1, len(line)), -1], np.int64)
    scored, parts = score_in_parts(
        matrix,
        grid.cut(0, window + 1),
        [kinds[i] for i in line],
        weights=shares,
        sensitivity=sensitivity,
        parents=up,
        state=state,
    )
    newest = {name: float(part[0, -1]) for name, part in parts.items()}
    return _explain(float(matrix[0, -1]), scored, newest, FAMILIES[kinds[series]].log, sensitivity, joined=joined)


def _lineage(series: int, parents: Ints | None) -> list[int]:
    line = [series]
    while parents is not None and parents[line[-1]] >= 0:
        line.append(int(parents[line[-1]]))
    return line


def _explain(
    actual: float, scored: Scored, newest: dict[str, float], relative: bool, wish: Sensitivity, *, joined: bool
) -> PointExplanation:
    last = (0, -1)
    expected, lower, upper, point = (
        float(a[last]) for a in (scored.expected, scored.lower, scored.upper, scored.score)
    )
    newest_only = Scored(*(getattr(scored, field.name)[:1, -1:] for field in fields(Scored)))
    why = Reason(str(reasons(np.array([[actual]]), newest_only, wish)[0, 0]))
    if joined and why is Reason.WITHIN_BAND:
        why = Reason.TOGETHER
    neutral = 1.0 if relative else 0.0
    parts = tuple(
        Part(name, effect, relative and name != "level")
        for name, effect in newest.items()
        if name == "level" or effect != neutral
    )
    words = WORDS[why].format(
        actual=readable(actual),
        expected=readable(expected),
        lower=readable(lower),
        upper=readable(upper),
        side="above" if actual > expected else "below",
        relative=f"{(actual - expected) / abs(expected):+.0%}" if expected else "from nothing",
    )
    return PointExplanation(actual, expected, lower, upper, point, parts, why, f"{words} {in_words(parts)}".strip())


def in_words(parts: tuple[Part, ...]) -> str:
    """The parts of an expectation as one sentence: "Expected from a level of 120, hour +20 %, weekday -5 %."."""
    rest = [f"{p.name} {p.effect - 1:+.0%}" if p.relative else f"{p.name} {p.effect:+,.4g}" for p in parts[1:]]
    return f"Expected from {', '.join([f'a level of {readable(parts[0].effect)}', *rest])}."


def readable(x: float) -> str:
    """A number as people read it: 1,284 or 0.031."""
    if not math.isfinite(x):
        return "no value"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:,.3g}"
