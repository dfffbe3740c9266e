"""From a score to a decision: the threshold of an alert budget, filters, and false discovery rate. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.model import WEEK_MS, Bools, Directions, Floats, Reason, Sensitivity
from cliffwatch.detect.tails import normal_quantile


def threshold(sensitivity: Sensitivity, step_ms: int) -> float:
    """The |score| from which a point is surprising, so that a quiet series keeps its budget of alerts."""
    chance = min(sensitivity.false_alerts_per_series_week * step_ms / WEEK_MS, 0.5)
    return -normal_quantile(chance / 2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether each point of a window is flagged, and the count of surprising windows in a row (signed)."""

    flagged: Bools
    streak: Floats


def decide(
    value: Floats, expected: Floats, score: Floats, learning: Bools, streak: Floats, limit: float, wish: Sensitivity
) -> Verdict:
    """Judge one window of all series; `streak` counts the surprising windows before it."""
    surprising = wanted(value, expected, score, limit, wish) & ~learning & np.isfinite(score)
    side = np.sign(score)
    run = np.where(surprising, np.where(streak * side > 0, streak, 0.0) + side, 0.0)
    run = np.where(np.isfinite(score), run, streak)
    return Verdict(surprising & (np.abs(run) >= wish.minimum_windows), run)


def wanted(value: Floats, expected: Floats, score: Floats, limit: float, wish: Sensitivity) -> Bools:
    """Points that surprise by at least `limit`, in a wanted direction and with the wished effect and impact."""
    impact = value - expected
    keep: Bools = np.abs(score) >= limit
    if wish.directions is not Directions.BOTH:
        keep &= score > 0 if wish.directions is Directions.UP else score < 0
    if wish.minimum_effect > 0:
        keep &= np.abs(impact) >= wish.minimum_effect * np.abs(expected)
    if wish.minimum_impact > 0:
        keep &= np.abs(impact) >= wish.minimum_impact
    return keep


def reason(
    value: float, expected: float, score: float, learning: bool, flagged: bool, limit: float, wish: Sensitivity
) -> Reason:
    """The one reason why a point was flagged or not."""
    impact = abs(value - expected)
    rules = (
        (flagged, Reason.SURPRISING),
        (bool(np.isnan(value)), Reason.MISSING),
        (learning, Reason.LEARNING),
        (not abs(score) >= limit, Reason.WITHIN_BAND),
        (wish.directions is Directions.UP and score < 0, Reason.WRONG_DIRECTION),
        (wish.directions is Directions.DOWN and score > 0, Reason.WRONG_DIRECTION),
        (impact < wish.minimum_effect * abs(expected), Reason.SMALL_EFFECT),
        (impact < wish.minimum_impact, Reason.SMALL_IMPACT),
    )
    return next((why for holds, why in rules if holds), Reason.TOO_SHORT)


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
