"""From values to scored points: a replay over windows, in blocks of series. Pure."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cliffwatch.detect.bounds import at_least
from cliffwatch.detect.calendar import STRETCH_MS, Calendar, calendar
from cliffwatch.detect.filter import Felt, Parts, Step, step
from cliffwatch.detect.judge import Wishes, decide, wishes
from cliffwatch.detect.kin import kin_of
from cliffwatch.detect.layout import EVENTS, MONTH, OWN, Family, Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Grid, Ints, Measure, Scored, Sensitivity
from cliffwatch.detect.slow import begin_event, close_day
from cliffwatch.detect.state import State, begin
from cliffwatch.detect.surprise import close_stretch
from cliffwatch.errors import InvalidInput

BLOCK = 16_384  # series that are stepped together: the larger, the less a step costs each of them
CHUNK = 32  # windows that are judged together
CACHED = 32_768  # numbers of an array that is worked on while it is in reach of the cache
TILE = 256  # series whose windows are turned into rows together
WEEK_DAYS = 7
DEFAULT = Sensitivity()
PARTS = ("level", "trend", "hour", "weekday", "holiday", "event", "drift")


def score(
    values: Floats,
    grid: Grid,
    measures: Sequence[Measure] | Measure,
    *,
    weights: Floats | None = None,
    sensitivity: Sensitivity | Sequence[Sensitivity] = DEFAULT,
    parents: Ints | None = None,
) -> Scored:
    """Score every point of `values` (series, windows), NaN = missing, from its past alone.

    `weights` has the shape of `values`: the events or the denominator under a mean, ratio or percentile.
    `parents` is the index of each series' parent in the same matrix, -1 for none. `sensitivity` is one for all series,
    or one for each.
    Raises InvalidInput for infinite values or shapes that do not fit.
    """
    matrix = _matrix(values, len(grid))
    kinds = [measures] * len(matrix) if isinstance(measures, Measure) else list(measures)
    if len(kinds) != len(matrix):
        raise InvalidInput("measures", f"names one measure per series: {len(matrix)}, not {len(kinds)}.")
    state = begin(kinds, grid.step_ms, parents)
    return advance(state, matrix, grid, weights=weights, sensitivity=sensitivity)[1]


def advance(
    state: State,
    values: Floats,
    grid: Grid,
    *,
    weights: Floats | None = None,
    sensitivity: Sensitivity | Sequence[Sensitivity] = DEFAULT,
) -> tuple[State, Scored]:
    """Score the next windows of known series; costs only the new points, whatever the length of the past.

    `values` is (series, K) over the K windows of `grid`, all later than what `state` has seen. A replay in pieces of
    any length gives the numbers of `score`. The given state is not changed.
    """
    matrix = _matrix(values, len(grid), state.series)
    shares = None if weights is None else _matrix(weights, len(grid), state.series)
    if len(grid) and state.last_end_ms is not None and int(grid.start_ms[0]) < state.last_end_ms:
        raise InvalidInput("grid", "starts before the end of what was already scored.", "Replay from an older state.")
    if not isinstance(sensitivity, Sensitivity) and len(sensitivity) != state.series:
        raise InvalidInput("sensitivity", f"is one, or one for each of {state.series} series, not {len(sensitivity)}.")
    wish = wishes(sensitivity, state.step_ms)
    cal = calendar(replace(grid, usual_ms=state.step_ms))
    kinds = _kinds(state.kinds, cal)
    rows = state.rows.copy()
    out = _empty_scored(state, len(grid))
    families = state.families
    ancestors = _ancestors(state.parents, families)
    for family in Family:
        for who in _blocks(np.flatnonzero(families == family), ancestors):
            at = _as_slice(who)
            block = np.ascontiguousarray(rows[:, at], _precision(family))
            part = None if shares is None else shares[at]
            _replay(
                block,
                matrix[at],
                part,
                cal,
                family,
                replace(state, kinds=kinds),
                wish.of(who),
                out,
                at,
                roots=_within(who, ancestors),
            )
            rows[:, at] = block
    if not len(grid):
        return replace(state, rows=rows), _turned(out)
    newest = replace(
        state,
        rows=rows,
        last_end_ms=int(grid.end_ms[-1]),
        day=int(cal.day[-1]),
        weekday=int(cal.weekday[-1]) if cal.has_weekdays else -1,
        holiday=bool(cal.holiday[-1]),
        kinds=kinds,
    )
    return newest, _turned(out)


def score_in_parts(
    values: Floats,
    grid: Grid,
    measures: Sequence[Measure],
    *,
    weights: Floats | None = None,
    sensitivity: Sensitivity | Sequence[Sensitivity] = DEFAULT,
    parents: Ints | None = None,
    state: State | None = None,
) -> tuple[Scored, dict[str, Floats]]:
    """Like `score` for series of one family of measures, and of what each expectation is made.

    The parts (PARTS) are matrices like the scores: level in the measure's unit, the others factors for counts and
    sums, addends for the rest. Level is that of a week ago, trend what the slope made of it since. With a `state` of
    these series the windows go on from there.
    """
    state = begin(measures, grid.step_ms, parents) if state is None else state
    cal = calendar(replace(grid, usual_ms=state.step_ms))
    state = replace(state, kinds=_kinds(state.kinds, cal))
    out = _empty_scored(state, len(grid))
    trace: list[Parts] = []
    family = Family(int(state.families[0]))
    roots = _within(np.arange(state.series), _ancestors(state.parents, state.families))
    shares = None if weights is None else _matrix(weights, len(grid), state.series)
    matrix = _matrix(values, len(grid), state.series)
    rows = state.rows.astype(_precision(family))
    wish = wishes(sensitivity, state.step_ms)
    everybody = slice(0, state.series)
    _replay(rows, matrix, shares, cal, family, state, wish, out, everybody, trace, roots)
    parts = {}
    for name in PARTS:
        part = np.array([np.broadcast_to(getattr(each, name), state.series) for each in trace]).reshape(len(grid), -1)
        parts[name] = part.astype(np.float64).T
    parts["trend"] = WEEK_DAYS * parts["trend"]
    parts["level"] = parts["level"] - parts["trend"]
    if family.log:
        parts = {name: np.exp(np.minimum(part, 60.0)) for name, part in parts.items()}
        parts["level"] = parts["level"] * cal.duration_h
    scored = _turned(out)
    others = [parts[name] for name in PARTS if name != "drift"]
    with np.errstate(over="ignore"):
        rest = scored.expected / np.prod(others, axis=0) if family.log else scored.expected - np.sum(others, axis=0)
    parts["drift"] = np.where(np.isfinite(rest), rest, parts["drift"])  # what keeps a mean within its bounds, too
    return scored, parts


def _replay(
    x: Floats,
    values: Floats,
    weights: Floats | None,
    cal: Calendar,
    family: Family,
    state: State,
    wish: Wishes,
    out: Scored,
    who: Ints | slice,
    trace: list[Parts] | None = None,
    roots: Ints | None = None,
) -> None:
    """Run the filter over all windows for one block of series; `x` is their memory, `who` their rows in `out`."""
    tune, wish = state.tuning, wish.exact_as(x.dtype)
    day, weekday, holiday = state.day, state.weekday, state.holiday
    log, mature = family.log, False
    kin = kin_of(roots) if log else None
    stretch = None if state.last_end_ms is None else (state.last_end_ms - 1) // STRETCH_MS
    eventful = [month >= 0 or bool(own) for month, own in zip(cal.month.tolist(), cal.own, strict=True)]
    direct = isinstance(who, slice) and out.score.dtype == x.dtype  # then numbers are written where they are to stay
    buffers = np.empty((0 if direct else 4, CHUNK, values.shape[0]), x.dtype)
    surprises = np.empty((CHUNK, values.shape[0]), x.dtype)
    variances = np.empty((CHUNK, values.shape[0]), x.dtype)
    seen = x[Row.N]
    together = max(1, CACHED // max(values.shape[0], 1))
    for first in range(0, values.shape[1], CHUNK):
        columns = _columns(values, first, x.dtype)
        at = slice(first, first + len(columns))
        present: Bools = np.asarray(np.isfinite(columns))
        full = np.asarray(present.all(axis=1))
        filled = columns if full.all() else np.where(present, columns, 0.0)
        shares = None if weights is None else np.ascontiguousarray(np.nan_to_num(weights[:, at].T), x.dtype)
        kept = (out.expected, out.lower, out.upper, out.score)
        mean, lower, upper, news = [k[at, who] for k in kept] if direct else buffers[:, : len(columns)]
        points, variance = surprises[: len(columns)], variances[: len(columns)]
        learning = np.zeros(columns.shape, bool)
        counted = np.zeros(len(columns), bool)
        for i in range(len(columns)):
            t = first + i
            today = int(cal.day[t])
            if day is not None and today != day:
                close_day(x, weekday, holiday=holiday, days=float(today - day), log=log, tune=tune, kin=kin)
            day, weekday, holiday = today, int(cal.weekday[t]) if cal.has_weekdays else -1, bool(cal.holiday[t])
            if tune.bursts and log and stretch != cal.stretch[t]:
                if stretch is not None:
                    close_stretch(x, tune)
                stretch = int(cal.stretch[t])
            mature = mature or bool(seen.min() >= tune.learn_points)
            if not mature:
                learning[i] = seen < tune.learn_points
            counted[i] = mature
            weight = None if shares is None else shares[i]
            there = None if full[i] else present[i]
            felt = _felt(x, cal, t, state.kinds, tune, log=log) if eventful[t] else ()
            into = Step(mean[i], variance[i], points[i], news[i])
            got = step(x, filled[i], there, weight, cal, t, family, tune, into, mature=mature, kin=kin, events=felt)
            if mature:  # while learning, the step itself counts
                seen += 1.0 if full[i] else present[i]
            if trace is not None:
                trace.append(copy.deepcopy(got))  # they are views of the memory, which moves on
            if (i + 1) % together == 0 or i + 1 == len(columns):
                some = slice(i - i % together, i + 1)
                _band(mean[some], variance[some], wish.limit, family, lower[some], upper[some])
        if family is Family.RATIO:
            held = x[Row.FREE] == 0
            np.maximum(lower, 0.0, out=lower, where=held)
            np.minimum(upper, 1.0, out=upper, where=held)
        if not counted.all():
            for array in (mean, lower, upper):
                array[learning] = np.nan
            out.learning[at, who] = learning
        if not (counted.all() and full.all()):
            unknown = learning | ~present
            points[unknown] = np.nan
            news[unknown] = np.nan
        out.flagged[at, who] = decide(columns, mean, points, x[Row.STREAK], wish)
        if not direct:
            for place, numbers in zip(kept, (mean, lower, upper, news), strict=True):
                place[at, who] = numbers


def _columns(values: Floats, first: int, kind: np.dtype[Any]) -> Floats:
    """A chunk of windows from `first` on, as (windows, series). Turned tile by tile, each within reach of the cache."""
    chunk = values[:, first : first + CHUNK]
    turned = np.empty(chunk.shape[::-1], kind)
    for at in range(0, len(chunk), TILE):
        turned[:, at : at + TILE] = chunk[at : at + TILE].T
    return turned


def _precision(family: Family) -> Any:
    """Counts are small numbers on a log scale: single precision is enough, and twice as fast."""
    return np.float32 if family is Family.COUNT else np.float64


def _kinds(known: tuple[str, ...], cal: Calendar) -> tuple[str, ...]:
    """The kinds of own events in the order in which they came up."""
    return tuple(dict.fromkeys((*known, *(kind for own in cal.own for kind, _, _ in own))))


def _felt(x: Floats, cal: Calendar, t: int, kinds: tuple[str, ...], tune: Tuning, *, log: bool) -> Felt:
    """The events that window `t` feels, as places in the memory; what begins is less certain than what goes on."""
    felt = [(MONTH + int(cal.month[t]), 1.0)] if cal.month[t] >= 0 else []
    for kind, share, begins in cal.own[t]:
        slot = min(OWN + kinds.index(kind), EVENTS - 1)
        if begins:
            begin_event(x, slot, log=log, tune=tune)
        felt.append((slot, share))
    return tuple(felt)


def _band(mean: Floats, variance: Floats, limit: Floats | float, family: Family, lower: Floats, upper: Floats) -> None:
    """Fill `lower` and `upper` with what lies `limit` scores below and above the expectation."""
    reach = np.sqrt(variance)
    reach *= limit
    if not family.log:
        np.subtract(mean, reach, out=lower)
        np.add(mean, reach, out=upper)
        return
    # the cube-root normal approximation of a gamma quantile (Wilson & Hilferty, 1931)
    reach /= 3.0
    middle = variance / 9.0
    np.subtract(1.0, middle, out=middle)
    np.subtract(middle, reach, out=lower)
    np.add(middle, reach, out=upper)
    for edge in (lower, upper):
        at_least(edge, 0.0, out=edge)
        cube = np.multiply(edge, edge, out=reach)
        cube *= edge
        np.multiply(mean, cube, out=edge)


def _ancestors(parents: Ints, families: Ints) -> Ints | None:
    """The topmost ancestor of the same family of each series (itself when it has none); None when nobody has any."""
    if not np.any(parents >= 0):
        return None
    top = np.arange(len(parents))
    while True:
        up = parents[top]
        climb = (up >= 0) & (families[np.maximum(up, 0)] == families)
        if not climb.any():
            return top
        top = np.where(climb, up, top)


def _blocks(members: Ints, ancestors: Ints | None) -> list[Ints]:
    """Cut series into blocks; a family tree stays together, in order, so that a block may exceed BLOCK."""
    if ancestors is None:
        return [members[at : at + BLOCK] for at in range(0, members.size, BLOCK)]
    return [members] if members.size else []


def _within(who: Ints, ancestors: Ints | None) -> Ints | None:
    """The ancestors of the series `who` as positions in `who`."""
    return None if ancestors is None else np.searchsorted(who, ancestors[who])


def _as_slice(who: Ints) -> Ints | slice:
    """Neighbouring rows are written much faster as a slice."""
    first, last = int(who[0]), int(who[-1])
    return slice(first, last + 1) if last - first + 1 == who.size else who


def _matrix(values: Floats, windows: int, series: int | None = None) -> Floats:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != windows or (series is not None and len(matrix) != series):
        wanted = f"({'series' if series is None else series}, {windows})"
        raise InvalidInput("values", f"have the shape {wanted}, not {matrix.shape}.")
    infinite = np.argwhere(np.isinf(matrix))
    if infinite.size:
        row, column = infinite[0]
        raise InvalidInput(
            f"series {row}, window {column}",
            "is infinite.",
            "Use NaN for a missing value; every other value is finite.",
        )
    return matrix


def _turned(out: Scored) -> Scored:
    """From windows x series, as it is filled, to series x windows, as it is given. Nothing is copied."""
    return Scored(*(getattr(out, field.name).T for field in fields(Scored)))


def _empty_scored(state: State, windows: int) -> Scored:
    """Room for scores, in the precision that they are reckoned in: fresh memory is a large part of a replay's cost."""
    shape = (windows, state.series)
    kind = np.float32 if np.all(state.families == Family.COUNT) else np.float64
    expected, lower, upper, points = (np.empty(shape, kind) for _ in range(4))
    return Scored(expected, lower, upper, points, learning=np.zeros(shape, bool), flagged=np.empty(shape, bool))
