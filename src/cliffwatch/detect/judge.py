"""From a score to a decision: the threshold of an alert budget, filters, and false discovery rate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect.model import HOUR_MS, WEEK_MS, Bools, Directions, Floats, Ints, Reason, Scored, Sensitivity
from cliffwatch.detect.tails import normal_quantile

WINDOWS_PER_ALERT = 1.05  # a false alert of short windows lasts so long on average, measured on quiet series


def chance(sensitivity: Sensitivity, step_ms: int) -> float:
    """How often a window of a quiet series may be flagged, so that the series keeps its budget of alerts.

    The budget counts alerts, not points: consecutive surprises are one alert.
    """
    together = WINDOWS_PER_ALERT if step_ms < 20 * HOUR_MS else 1.0
    return min(sensitivity.false_alerts_per_series_week * together * step_ms / WEEK_MS, 0.5)


def threshold(sensitivity: Sensitivity, step_ms: int) -> float:
    """The |score| from which a point is surprising; who wants to hear of one direction spends all on that."""
    sides = 2 if sensitivity.directions is Directions.BOTH else 1
    return -normal_quantile(chance(sensitivity, step_ms) / sides) * sensitivity.width


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of every series of a block: a number each, or an array with one per series."""

    limit: Floats | float  # the |score| from which a point is surprising
    minimum_effect: Floats | float
    minimum_impact: Floats | float
    up: Bools | bool
    down: Bools | bool
    minimum_windows: Ints | int

    def exact_as(self, kind: np.dtype[Any]) -> Wishes:
        """The same numbers in the precision of the scores, so that one wish and one for each series decide alike."""
        limit, effect, impact = (
            np.asarray(wished, kind) for wished in (self.limit, self.minimum_effect, self.minimum_impact)
        )
        return replace(self, limit=limit, minimum_effect=effect, minimum_impact=impact)

    def of(self, who: Ints) -> Wishes:
        """The wishes of the series `who`."""
        if not isinstance(self.limit, np.ndarray):
            return self
        return Wishes(*(np.asarray(getattr(self, name))[who] for name in self.__slots__))


def wishes(sensitivity: Sensitivity | Sequence[Sensitivity], step_ms: int) -> Wishes:
    """One sensitivity for all series, or one for each, as `decide` reads them."""
    if isinstance(sensitivity, Sensitivity):
        return Wishes(
            threshold(sensitivity, step_ms),
            sensitivity.minimum_effect,
            sensitivity.minimum_impact,
            sensitivity.directions is not Directions.DOWN,
            sensitivity.directions is not Directions.UP,
            sensitivity.minimum_windows,
        )
    limits = {each: threshold(each, step_ms) for each in set(sensitivity)}
    return Wishes(
        np.array([limits[each] for each in sensitivity]),
        np.array([each.minimum_effect for each in sensitivity]),
        np.array([each.minimum_impact for each in sensitivity]),
        np.array([each.directions is not Directions.DOWN for each in sensitivity]),
        np.array([each.directions is not Directions.UP for each in sensitivity]),
        np.array([each.minimum_windows for each in sensitivity], np.int64),
    )


def decide(value: Floats, expected: Floats, score: Floats, streak: Floats, wish: Wishes) -> Bools:
    """Which points (windows, series) are flagged. NaN scores (missing, learning) never are.

    `streak` (series) holds the surprising windows in a row before these, signed; it is moved on in place. A missing
    window neither ends nor feeds a streak.
    """
    flagged = wanted(value, expected, score, wish)
    minimum = np.asarray(wish.minimum_windows)
    lasting = bool(np.any(minimum > 1))
    # few are flagged, so only they and the streaks that they end or feed are looked at
    windows, series = np.divmod(np.flatnonzero(flagged), flagged.shape[1])
    edges = np.searchsorted(windows, np.arange(len(score) + 1)).tolist()
    held = streak.nonzero()[0]
    for i in range(len(score)):
        who = series[edges[i] : edges[i + 1]]
        if not (who.size or held.size):
            continue
        side = np.copysign(1.0, score[i, who])
        before = streak[who]
        gone = held[np.isnan(score[i, held])]
        waiting = streak[gone]
        streak[held] = 0.0
        streak[gone] = waiting
        streak[who] = np.where(side * before > 0, before, 0.0) + side
        held = np.concatenate([who, gone])
        if lasting:
            wished = minimum[who] if minimum.ndim else minimum
            flagged[i, who] = np.abs(streak[who]) >= wished
    return flagged


def wanted(value: Floats, expected: Floats, score: Floats, wish: Wishes) -> Bools:
    """Points that surprise by at least the limit, in a wanted direction and with the wished effect and impact."""
    keep: Bools = np.asarray(score >= wish.limit)
    keep |= score <= -wish.limit
    if not (np.all(wish.up) and np.all(wish.down)):
        keep &= np.where(score > 0, wish.up, wish.down)
    if np.any(np.asarray(wish.minimum_effect) > 0):
        keep &= np.abs(value - expected) >= wish.minimum_effect * np.abs(expected)
    if np.any(np.asarray(wish.minimum_impact) > 0):
        keep &= np.abs(value - expected) >= wish.minimum_impact
    return keep


def reasons(value: Floats, scored: Scored, wish: Sensitivity) -> NDArray[np.str_]:
    """The one reason why each point was flagged or not, in the shape of `value`."""
    impact = value - scored.expected
    outside = (value < scored.lower) | (value > scored.upper)
    rules = (
        (scored.flagged, Reason.SURPRISING),
        (np.isnan(value), Reason.MISSING),
        (scored.learning, Reason.LEARNING),
        (~outside, Reason.WITHIN_BAND),
        ((impact < 0) & (wish.directions is Directions.UP), Reason.WRONG_DIRECTION),
        ((impact > 0) & (wish.directions is Directions.DOWN), Reason.WRONG_DIRECTION),
        (np.abs(impact) < wish.minimum_effect * np.abs(scored.expected), Reason.SMALL_EFFECT),
        (np.abs(impact) < wish.minimum_impact, Reason.SMALL_IMPACT),
        (np.full(impact.shape, wish.minimum_windows > 1), Reason.TOO_SHORT),
    )
    return np.select([holds for holds, _ in rules], [why.value for _, why in rules], Reason.WITHIN_BAND.value)


def discoveries(p_values: Floats, rate: float) -> Bools:
    """Which p-values are discoveries when at most `rate` of the discoveries may be false.

    Benjamini & Hochberg, Controlling the False Discovery Rate, 1995. Any shape; NaN is never a discovery.
    """
    flat = np.asarray(p_values, float).ravel()
    valid = np.flatnonzero(np.isfinite(flat))
    found = np.zeros(flat.shape, bool)
    if valid.size:
        order = valid[np.argsort(flat[valid], kind="stable")]
        below = flat[order] <= rate * np.arange(1, order.size + 1) / order.size
        if below.any():
            found[order[: int(np.flatnonzero(below)[-1]) + 1]] = True
    return found.reshape(np.shape(p_values))
