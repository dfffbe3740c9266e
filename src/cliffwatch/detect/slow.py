"""The slow parts (level, slope, weekday, holiday): how they begin, and what they learn at the end of a day. Pure."""

from __future__ import annotations

import numpy as np

from cliffwatch.detect.kin import Kin, follow_day
from cliffwatch.detect.layout import EVENTS, HOLIDAY, OWN, SLOPE, SLOW, WEEKDAY, Family, Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Ints

LOWEST = -7.0  # logarithm of the lowest level


def start(x: Floats, who: Bools, family: Family, tune: Tuning) -> None:
    """Begin the filter of the series `who` from the mean and the spread of their first points."""
    mean = x[Row.MEAN, who]
    variance = x[Row.SQUARES, who] / np.maximum(x[Row.N, who], 1.0)
    if family.log:
        unit = np.ones_like(mean)
        x[Row.SLOW, who] = np.log(np.maximum(mean, 0.05))
        drift = tune.drift_prior * unit
        noise = tune.noise_prior * unit
        if family is Family.SUM:
            noise = np.clip(0.5 * variance / np.maximum(mean * mean, 1e-12), tune.noise_prior, 4.0)
    else:
        unit = np.maximum(variance, 1e-12 * mean * mean + 1e-18)
        x[Row.SLOW, who] = mean
        drift, noise = tune.linear_drift_prior * unit, tune.linear_noise_prior * unit
        if family is Family.RATIO:
            noise = np.where(x[Row.FREE, who] > 0, noise, 1.0)
    x[Row.UNIT, who] = unit
    for row, prior in ((Row.P_HOUR, tune.prior_hour), (Row.P_WEEKEND, tune.prior_weekend)):
        x[row : row + 24, who] = prior * unit
    own_event = tune.prior_event if family.log else tune.linear_event_prior
    x[Row.P_EVENT : Row.P_EVENT + OWN, who] = tune.prior_month * unit
    x[Row.P_EVENT + OWN : Row.P_EVENT + EVENTS, who] = own_event * unit
    slow = (tune.prior_level, tune.prior_slope, *[tune.prior_weekday] * 7, tune.prior_holiday)
    for i, prior in enumerate(slow):
        x[Row.P_SLOW + i * SLOW + i, who] = prior * unit
    x[Row.P_DRIFT, who] = drift
    x[Row.NOISE, who] = noise
    x[Row.COVARIANCE, who] = drift * tune.rho
    trust = np.full_like(mean, tune.prior_trust_free)
    if family is Family.COUNT:  # so many points of the series' own precision
        per_window = np.maximum(mean * tune.step_days * 24.0, 0.05)
        usual = tune.noise_prior + tune.drift_prior + 1.0 / per_window
        trust = 2.0 * tune.prior_trust * (tune.noise_prior / usual) ** 2
    x[Row.TRUST, who] = trust
    x[Row.TAIL_UP, who] = x[Row.TAIL_DOWN, who] = tune.tail_prior
    begins = tune.tail_begins if family is Family.COUNT else tune.tail_from
    x[Row.TAIL_FROM_UP, who] = x[Row.TAIL_FROM_DOWN, who] = begins
    x[Row.N_TAIL_UP, who] = x[Row.N_TAIL_DOWN, who] = tune.tail_points
    if tune.step_days * tune.warm <= 1.5:  # the first day has also been a day of its weekday
        x[Row.DAY_WEIGHT, who] = 1.0 / drift


def close_day(
    x: Floats, weekday: int, *, holiday: bool, days: float, log: bool, tune: Tuning, kin: Kin | None = None
) -> None:
    """Teach the slow parts what the day left over, then let `days` pass. `weekday` is -1 when windows have none.

    One observation a day, the precision-weighted mean of the day's leftovers; its noise is the drift's variance and
    what remains of the points' own. What the slow parts take over, the drift hands back.
    """
    slow = x[Row.SLOW : Row.SLOW + SLOW]
    cov = x[Row.P_SLOW :].reshape(SLOW, SLOW, -1)
    weight = x[Row.DAY_WEIGHT]
    seen = weight > 0
    felt = [0] + ([WEEKDAY + weekday] if weekday >= 0 else []) + ([HOLIDAY] if holiday else [])
    if kin is not None and weekday >= 0:
        follow_day(x, kin, felt, tune)
    reach = _summed(cov, felt)
    safe = np.where(seen, weight, 1.0)
    drift = np.maximum(x[Row.COVARIANCE] / tune.rho, 1e-6 * x[Row.UNIT])
    gain = reach * (seen / (_summed(reach, felt) + drift + 1.0 / safe))
    slow += gain * (x[Row.DAY_SUM] / safe)
    less = np.empty_like(reach)
    for i in range(SLOW):  # row by row, so that what is subtracted stays in the cache
        cov[i] -= np.multiply(gain[i], reach, out=less)
    x[Row.DRIFT] -= _summed(gain, felt) * x[Row.DAY_DRIFT] / safe
    x[[Row.DAY_SUM, Row.DAY_DRIFT, Row.DAY_WEIGHT]] = 0.0
    slow[0] += days * slow[SLOPE]
    if log:  # a series of nothing but zeros stays within reach
        np.maximum(slow[0], LOWEST, out=slow[0])
    cov[0] += days * cov[SLOPE]
    cov[:, 0] += days * cov[:, SLOPE]
    grown = days * x[Row.UNIT] * (x[Row.TRUST] > 0)
    cov[0, 0] += tune.q_level * grown
    cov[SLOPE, SLOPE] += tune.q_slope * grown
    grown *= tune.q_weekday
    for i in range(WEEKDAY, HOLIDAY):
        cov[i, i] += grown


def _summed(matrix: Floats, rows: list[int]) -> Floats:
    total: Floats = matrix[rows[0]].copy()
    for row in rows[1:]:
        total += matrix[row]
    return total


def begin_event(x: Floats, slot: int, *, log: bool, tune: Tuning) -> None:
    """Another own event of a kind begins: no two are alike."""
    p = x[Row.P_EVENT + slot]
    p += tune.q_event * x[Row.UNIT] * (x[Row.TRUST] > 0)
    np.minimum(p, (tune.prior_event if log else tune.linear_event_prior) * x[Row.UNIT], out=p)


def adopt(x: Floats, who: Ints, noise: Floats, weekday: int, tune: Tuning) -> None:
    """Take the level that the last points spoke for (`x[GAP]` away) as the level of the series `who`.

    A change at a day's beginning may as well be a new habit of its `weekday` (-1: it may not): then the sum of the two
    is known and the parts are not, and the next days tell.
    """
    gap = x[Row.GAP, who]
    x[Row.SLOW, who] += gap
    x[Row.P_SLOW, who] += 0.05 * gap**2 + 0.2 * noise
    if weekday >= 0:
        doubt = (tune.doubt * gap) ** 2
        at = WEEKDAY + weekday
        for i, j, sign in ((0, 0, 1), (0, at, -1), (at, 0, -1), (at, at, 1)):
            x[Row.P_SLOW + i * SLOW + j, who] += sign * doubt
    for row in (Row.RUN, Row.GAP, Row.DAY_SUM, Row.DAY_DRIFT, Row.DAY_WEIGHT, Row.SHORT, Row.LONG):
        x[row, who] = 0.0
