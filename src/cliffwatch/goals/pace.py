"""Where a period lands: the points so far, and the forecast of the rest with what it is usually off by. Pure.

A stream's windows are gathered into local days (or stay as they are where they are longer), so that a month is thirty
steps of a weekly rhythm instead of thousands of minutes. What is left of a day under way is its forecast times the
share that usually comes after this time of day. A window counts where it begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import Ahead, Grid, Measure, ahead
from cliffwatch.goals.decide import reached
from cliffwatch.goals.model import Aim, Day, GoalGiven, Pace, Span
from cliffwatch.goals.period import midnights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MS = 86_400_000
HISTORY_DAYS = 180
"""So far back a forecast looks."""
PROFILE_DAYS = 28
CENTRAL = 0.8
Z = NormalDist().inv_cdf(0.5 + CENTRAL / 2)
DOUBT = 0.01
"""What is not certain is neither more likely than 99 % nor less than 1 %."""


@dataclass(frozen=True, slots=True)
class Past:
    """A series' windows in order of time up to the last measured one: (N,) starts, ends (Unix ms) and values, NaN where
    nothing was measured."""

    start_ms: Ints
    end_ms: Ints
    value: Floats


def pace(
    given: GoalGiven,
    span: Span,
    past: Past,
    *,
    until_ms: int,
    step_ms: int,
    noise: Measure,
    zone: ZoneInfo,
    country: str | None = None,
) -> Pace:
    """Where the period stands after the window that ended at `until_ms`, and where it lands.

    `past` reaches back before the period, the further the better; `step_ms` is the usual length of a window, `noise`
    how the measure's values scatter.
    """
    until_ms = min(max(until_ms, span.start_ms), span.end_ms)
    seen = past.start_ms < until_ms
    inside = seen & (past.start_ms >= span.start_ms)
    so_far = float(np.nansum(past.value[inside])) if inside.any() else 0.0
    ahead_of = _rest(span, past, seen, until_ms, step_ms, noise, zone, country)
    grown = bool(np.nanmin(past.value[seen], initial=0.0) >= 0.0)
    return _pace(given, span, until_ms, so_far, ahead_of, _came(past, inside, ahead_of.ends), grown=grown)


@dataclass(frozen=True, slots=True)
class Rest:
    """The steps of the period: their ends; and of those that are still to come what each is expected to add, the first
    of which may be the rest of a day under way. `spread` as in `Ahead`."""

    ends: Ints
    first: int  # index of the first step that is still to come
    expected: Floats
    spread: float | None


def _rest(
    span: Span,
    past: Past,
    seen: NDArray[np.bool_],
    until_ms: int,
    step_ms: int,
    noise: Measure,
    zone: ZoneInfo,
    country: str | None,
) -> Rest:
    edges = _edges(span, past, seen, step_ms, zone)
    starts, ends = edges[:-1], edges[1:]
    seen = seen & (past.start_ms >= edges[0])
    of = (starts >= span.start_ms) & (starts < span.end_ms)
    whole = ends <= until_ms
    left = of & ~whole
    first = int(np.sum(of & whole))
    if not left.any():
        return Rest(ends[of], first, np.zeros(0), 0.0)
    step = np.searchsorted(edges, past.start_ms[seen], side="right") - 1
    known, value = np.isfinite(past.value[seen]), past.value[seen]
    sums = np.bincount(step[known], value[known], len(starts))
    counts = np.bincount(step[known], minlength=len(starts))
    totals = np.where(counts > 0, sums, np.nan)
    history = np.flatnonzero(whole & (np.cumsum(counts) > 0))
    if seen.any() and len(history) and starts[history[0]] < past.start_ms[seen][0]:
        history = history[1:]  # of its first day only a part is known
    if not len(history):
        return Rest(ends[of], first, np.full(int(left.sum()), np.nan), None)
    grid = Grid(starts, ends, zone.key, country)
    last = int(np.flatnonzero(left)[-1])
    begun = int(history[-1]) + 1
    told: Ahead = ahead(totals[history[0] : begun], grid.cut(int(history[0]), begun), noise, grid.cut(begun, last + 1))
    expected = told.expected[np.flatnonzero(left) - begun].copy()
    at = int(np.flatnonzero(left)[0])
    if starts[at] < until_ms:
        rest = past.start_ms[seen] - starts[np.clip(step, 0, len(starts) - 1)] >= until_ms - starts[at]
        expected[0] *= _share_after(step, value, known & rest, known, history[-PROFILE_DAYS:])
    return Rest(ends[of], first, expected, told.spread)


def _edges(span: Span, past: Past, seen: NDArray[np.bool_], step_ms: int, zone: ZoneInfo) -> Ints:
    """Where steps begin, over the past and to the end of the period."""
    oldest = span.start_ms
    if seen.any():
        oldest = min(oldest, max(int(past.start_ms[seen][0]), span.start_ms - HISTORY_DAYS * DAY_MS))
    if step_ms <= DAY_MS:
        return np.array(midnights(oldest, span.end_ms, zone), np.int64)
    known = past.start_ms[seen & (past.start_ms >= oldest)]
    newest = int(past.end_ms[seen][-1]) if seen.any() else span.start_ms
    coming = np.arange(newest, span.end_ms + step_ms, step_ms, dtype=np.int64)
    return np.unique(np.concatenate([known, coming]))


def _share_after(step: Ints, value: Floats, rest: NDArray[np.bool_], known: NDArray[np.bool_], days: Ints) -> float:
    """Which share of a day comes after this time of day, over some days."""
    among = np.isin(step, days)
    whole = float(value[among & known].sum())
    return min(max(float(value[among & rest].sum()) / whole, 0.0), 1.0) if whole > 0 else 0.0


def _came(past: Past, inside: NDArray[np.bool_], ends: Ints) -> Floats:
    """What had come by the end of each step of the period."""
    starts, values = past.start_ms[inside], np.nan_to_num(past.value[inside])
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[np.searchsorted(starts, ends, side="left")])


def _pace(given: GoalGiven, span: Span, until_ms: int, so_far: float, rest: Rest, came: Floats, *, grown: bool) -> Pace:
    over = until_ms >= span.end_ms
    known = over or (rest.spread is not None and bool(np.isfinite(rest.expected).all()))
    more = np.cumsum(rest.expected) if known else np.zeros(0)
    landing = so_far + (float(more[-1]) if len(more) else 0.0) if known else None
    off = (rest.spread or 0.0) * (float(more[-1]) if len(more) else 0.0)
    days = []
    for at, end in enumerate(rest.ends.tolist()):
        if at < rest.first:
            days.append(Day(int(end), float(came[at]), None, None, None))
        elif known:
            middle = so_far + float(more[at - rest.first])
            reach = Z * (rest.spread or 0.0) * float(more[-1]) * math.sqrt((at - rest.first + 1) / len(more))
            low = max(middle - reach, so_far) if grown else middle - reach
            days.append(Day(int(end), None, middle, low, middle + reach))
    return Pace(
        span=span,
        until_ms=until_ms,
        so_far=so_far,
        landing=landing,
        low=None if landing is None else max(landing - Z * off, so_far) if grown else landing - Z * off,
        high=None if landing is None else landing + Z * off,
        chance=None if landing is None else _chance(given, so_far, landing, off, over=over, grown=grown),
        missing=given.target - so_far,
        days_left=max(span.end_ms - until_ms, 0) / DAY_MS,
        days=tuple(days),
    )


def _chance(given: GoalGiven, so_far: float, landing: float, off: float, *, over: bool, grown: bool) -> float:
    """How likely the target is fulfilled. What only grows cannot fall below what it has reached."""
    if over:
        return float(reached(given.aim, so_far, given.target))
    if grown and so_far >= given.target and given.aim is Aim.AT_LEAST:
        return 1.0
    if grown and so_far > given.target and given.aim is Aim.AT_MOST:
        return 0.0
    below = NormalDist(landing, off).cdf(given.target) if off > 0 else float(landing <= given.target)
    chance = below if given.aim is Aim.AT_MOST else 1.0 - below
    return min(max(chance, DOUBT), 1.0 - DOUBT)
