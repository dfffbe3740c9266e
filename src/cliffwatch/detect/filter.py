"""The recursion: one step of the forecast for all series at once. Pure, vectorised over series.

A series is level + slope + weekday + holiday (the slow parts, learned once per local day with their full
covariance) + hour of day (+ the weekend's own hours) + drift (a wandering that returns), on a log scale for counts
and sums and as it is for averages. It is a Kalman filter whose observation noise is negative binomial for counts
(West & Harrison, Bayesian Forecasting and Dynamic Models, chapters 4, 8 and 14). The slow parts learn from a day's
mean with the drift's variance as noise, so a wandering day does not become a weekday's habit. A surprising point
teaches nothing; a run of them in one direction is adopted as a new level.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.calendar import Calendar
from cliffwatch.detect.model import DAY_MS, HOUR_MS, Bools, Floats
from cliffwatch.detect.tails import count_score


class Family(enum.IntEnum):
    COUNT = 0  # log link, variance mean + k mean^2
    SUM = 1  # log link, variance k mean^1.5 x level^0.5
    LINEAR = 2  # identity link, variance k / weight


SLOW = 10  # level, slope, seven weekdays, holiday
SLOPE, WEEKDAY, HOLIDAY = 1, 2, 9


class Row(enum.IntEnum):
    """Rows of the state matrix; a state is (ROWS, series)."""

    N = 0  # points seen
    MEAN = 1  # of the first points, until the filter starts
    SQUARES = 2
    DRIFT = 3
    P_DRIFT = 4
    NOISE_NUM = 5
    NOISE_DEN = 6
    COV_NUM = 7  # lag-one covariance of what the slow parts leave over: the drift's variance
    COV_DEN = 8
    PREVIOUS = 9
    UNIT = 10  # squared unit of the scale: 1 for log links
    LOG_WEIGHT = 11
    RUN = 12  # consecutive surprises, signed
    GAP = 13  # their summed distance
    DAY_SUM = 14  # today's residual against the slow parts, precision weighted
    DAY_WEIGHT = 15
    BEFORE = 16  # the innovation before
    STREAK = 17  # surprising windows in a row, signed
    SHORT = 18  # evidence of the last few points, its own variance, and their mean distance
    V_SHORT = 19
    FAR_SHORT = 20
    LONG = 21  # the same over more points
    V_LONG = 22
    FAR_LONG = 23
    DAY_DRIFT = 24  # today's drift, weighted as the residual is
    HOUR = 25
    P_HOUR = 49
    WEEKEND = 73
    P_WEEKEND = 97
    SLOW = 121
    P_SLOW = 131


ROWS = Row.P_SLOW + SLOW * SLOW


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants of the filter for one window length; variances are in squared units of the scale."""

    rho: float
    warm: int
    learn_points: int
    adopt_after: int
    per_hour: float
    drift_prior: float
    noise_prior: float
    keep_spread: float
    step_days: float
    keep_hour: float = 0.985
    whiten: float = 2.0
    huber: float = 2.5
    cut: float = 4.0
    cut_run: float = 3.5
    habit: float = 0.2
    doubt: float = 0.5
    blend: float = 0.25
    clip: float = 4.5
    gate: float = 0.7
    keep_short: float = 0.5
    keep_long: float = 0.8
    evidence_rate: float = 0.005
    q_level: float = 0.004**2  # per day
    q_slope: float = 0.0002**2
    q_weekday: float = 0.002**2
    prior_level: float = 0.1
    prior_slope: float = 0.003**2
    prior_hour: float = 0.3
    prior_weekend: float = 0.02
    prior_weekday: float = 0.1
    prior_holiday: float = 0.1


OVERRIDE: dict = {}


def tuning(step_ms: int) -> Tuning:
    step_h = step_ms / HOUR_MS
    daily = step_h >= 20
    return Tuning(
        rho=0.9 if daily else float(np.clip(0.97**step_h, 0.9, 0.99)),
        warm=7 if daily else int(np.clip(round(24 / step_h), 7, 288)),
        learn_points=14 if daily else max(14, math.ceil(48 / step_h)),
        adopt_after=8 if daily else int(np.clip(round(10 / step_h), 8, 48)),
        per_hour=max(1.0, 1 / step_h),
        drift_prior=0.03**2,
        noise_prior=0.03**2,
        keep_spread=1 - 1 / 150 if daily else 1 - 1 / 400,
        step_days=step_ms / DAY_MS,
        **OVERRIDE,
    )


def empty(count: int, tune: Tuning) -> Floats:
    """The state of series that have never been seen: (ROWS, count)."""
    x = np.zeros((ROWS, count))
    x[Row.UNIT] = 1.0
    x[Row.NOISE_DEN] = 20.0
    x[Row.COV_DEN] = 30.0
    x[Row.V_SHORT] = 1.0
    x[Row.V_LONG] = 1.0
    return x


def _start(x: Floats, who: Bools, family: Family, tune: Tuning) -> None:
    """Begin the filter from the mean and the spread of the first points."""
    mean = x[Row.MEAN][who]
    unit = np.ones(mean.shape)
    if family is Family.LINEAR:
        unit = x[Row.SQUARES][who] / np.maximum(x[Row.N][who], 1.0)
        unit = np.maximum(unit, 1e-12 * mean * mean + 1e-18)
        x[Row.SLOW, who] = mean
    else:
        x[Row.SLOW, who] = np.log(np.maximum(mean, 0.05))
    x[Row.UNIT, who] = unit
    for row, prior in ((Row.P_HOUR, tune.prior_hour), (Row.P_WEEKEND, tune.prior_weekend)):
        x[row : row + 24, who] = prior * unit
    slow = (tune.prior_level, tune.prior_slope, *[tune.prior_weekday] * 7, tune.prior_holiday)
    for i, prior in enumerate(slow):
        x[Row.P_SLOW + i * SLOW + i, who] = prior * unit
    noise = tune.noise_prior if family is not Family.LINEAR else 0.2
    drift = tune.drift_prior if family is not Family.LINEAR else 0.05
    x[Row.P_DRIFT, who] = drift * unit
    if tune.step_days * tune.warm <= 1.5:  # the first day has also been a day of its weekday
        x[Row.DAY_WEIGHT, who] = 1.0 / (drift * unit)
    x[Row.NOISE_NUM, who] = 20.0 * noise * unit
    x[Row.COV_NUM, who] = 30.0 * drift * tune.rho * unit


@dataclass(slots=True)
class Step:
    """What one step gives per series: mean and spread in the link's scale, and the raw score."""

    mean: Floats
    variance: Floats
    score: Floats
    learning: Bools
    parts: Parts


@dataclass(slots=True)
class Parts:
    """What an expectation is made of, in the link's scale (logs of factors, or addends); they sum to the centre."""

    level: Floats
    weekday: Floats | float
    holiday: Floats | float
    hour: Floats | float
    drift: Floats


def close_day(x: Floats, weekday: int, holiday: bool, days: float, tune: Tuning) -> None:
    """Teach the slow parts what the day left over, then let `days` pass."""
    unit = x[Row.UNIT]
    slow = x[Row.SLOW : Row.SLOW + SLOW]
    cov = x[Row.P_SLOW :].reshape(SLOW, SLOW, -1)
    weight = x[Row.DAY_WEIGHT]
    seen = weight > 0
    spread_d = np.maximum(x[Row.COV_NUM] / x[Row.COV_DEN] / tune.rho, 1e-6 * unit)
    ph = cov[0].copy()
    if weekday >= 0:
        ph += cov[WEEKDAY + weekday]
    if holiday:
        ph += cov[HOLIDAY]
    s = ph[0] + (ph[WEEKDAY + weekday] if weekday >= 0 else 0.0) + (ph[HOLIDAY] if holiday else 0.0)
    safe = np.where(seen, weight, 1.0)
    gain = ph * (seen / (s + spread_d + 1.0 / safe))
    r = x[Row.DAY_SUM] / safe
    slow += gain * r
    cov -= gain[:, None] * ph[None, :]
    moved = gain[0] + (gain[WEEKDAY + weekday] if weekday >= 0 else 0.0) + (gain[HOLIDAY] if holiday else 0.0)
    x[Row.DRIFT] -= moved * x[Row.DAY_DRIFT] / safe
    x[Row.DAY_DRIFT] = 0.0
    x[Row.DAY_SUM] = 0.0
    x[Row.DAY_WEIGHT] = 0.0
    started = x[Row.N] >= tune.warm
    slow[0] += days * slow[SLOPE]
    cov[0] += days * cov[SLOPE]
    cov[:, 0] += days * cov[:, SLOPE]
    q = unit * started * days
    cov[0, 0] += tune.q_level * q
    cov[SLOPE, SLOPE] += tune.q_slope * q
    for i in range(WEEKDAY, WEEKDAY + 7):
        cov[i, i] += tune.q_weekday * q


def step(x: Floats, y: Floats, ok: Floats, weight: Floats | None, cal: Calendar, t: int, family: Family, tune: Tuning) -> Step:
    log = family is not Family.LINEAR
    unit = x[Row.UNIT]
    n = x[Row.N]
    hours = cal.duration_h[t] if log else 1.0
    slow = x[Row.SLOW : Row.SLOW + SLOW]
    cov = x[Row.P_SLOW :].reshape(SLOW, SLOW, -1)
    spread_d = np.maximum(x[Row.COV_NUM] / x[Row.COV_DEN] / tune.rho, 1e-6 * unit)
    noise = np.maximum(x[Row.NOISE_NUM] / x[Row.NOISE_DEN], 1e-6 * unit)
    # predict
    d = x[Row.DRIFT] * tune.rho
    p_d = x[Row.P_DRIFT] * tune.rho**2 + (1 - tune.rho**2) * spread_d
    level = slow[0]
    p_slow = cov[0, 0]
    weekday: Floats | float = 0.0
    holiday: Floats | float = 0.0
    hour: Floats | float = 0.0
    if cal.has_weekdays:
        w = WEEKDAY + int(cal.weekday[t])
        weekday = slow[w]
        p_slow = p_slow + cov[w, w] + 2 * cov[0, w]
        if cal.holiday[t]:
            holiday = slow[HOLIDAY]
            p_slow = p_slow + cov[HOLIDAY, HOLIDAY] + 2 * (cov[0, HOLIDAY] + cov[w, HOLIDAY])
    season: list[tuple[int, int, float]] = []
    if cal.has_hours:
        for slot, share in cal.hours[t]:
            season.append((Row.HOUR + slot, Row.P_HOUR + slot, share))
            if cal.weekend[t] or cal.holiday[t]:
                season.append((Row.WEEKEND + slot, Row.P_WEEKEND + slot, share))
    p_all = p_slow
    for value, variance, share in season:
        hour = hour + share * x[value]
        p_all = p_all + share * share * x[variance]
    p_sum = p_all + p_d
    parts = Parts(level.copy(), weekday + 0.0, holiday + 0.0, hour, d)
    centre = level + weekday + holiday + hour + d
    if log:
        mean = np.exp(np.clip(centre, -7.0, 60.0)) * hours
        if family is Family.COUNT:
            mean = np.maximum(mean, 0.01)
            v0, f = 1.0 / mean, 1.0
        else:
            v0, f = 0.0, np.exp(0.5 * (level - centre))
        v = y / mean - 1.0
    else:
        mean = centre
        v0, f = 0.0, 1.0 if weight is None else _weight_factor(x, weight, ok)
        v = y - mean
    obs = v0 + noise * f
    q = p_sum + obs
    if family is Family.COUNT:
        z = count_score(y, mean, noise + p_sum)
    elif family is Family.SUM:
        cells = 1.0 / obs
        z = count_score(y / mean * cells, cells, p_sum)
    else:
        z = v / np.sqrt(q)
    z = z * ok
    size = np.abs(z)
    young = n < tune.learn_points
    calm = (size <= tune.cut) | young
    distance = np.log((np.maximum(y, 0.0) + 0.5) / (mean + 0.5)) if log else v
    total, source = _evidence(x, z, size, distance, p_slow / q, ok * ~young, tune)
    # learn
    started = (n >= tune.warm)
    trust = ok * np.minimum(1.0, tune.huber / np.maximum(size, 1e-9)) * calm * started
    u = v / (1.0 + 0.5 * v * p_sum / q) if log else v
    e = u + d
    k = trust * p_d / q
    x[Row.DRIFT] = d + k * u
    x[Row.P_DRIFT] = p_d * (1 - k)
    habit = ok * ~calm * (tune.habit * np.clip(np.abs(distance), 0.0, np.sqrt(unit))) ** 2
    if cal.has_weekdays and not cal.has_hours:
        cov[w, w] += habit
    for value, variance, share in season:
        p = x[variance]
        k = trust * share * p / (p_all + obs + tune.per_hour * spread_d)
        x[value] += k * e
        x[variance] = habit * share + np.minimum(p * (1 - k * share) / tune.keep_hour ** (1.0 / tune.per_hour), tune.prior_hour * unit)
    precise = trust / (obs+p_all-p_slow)
    x[Row.DAY_SUM] += precise * e
    x[Row.DAY_WEIGHT] += precise
    x[Row.DAY_DRIFT] += precise * d
    _spread(x, u, p_sum, p_all, v0, f, q, e, trust * ~young, unit, tune)
    early = cal.has_hours and cal.has_weekdays and (cal.slot[t] / 24 <= tune.step_days * (tune.adopt_after + 2))
    _runs(x, total, source, distance, obs, ok * started, WEEKDAY + int(cal.weekday[t]) if early else -1, tune)
    warming = ok * ~started
    gap = (y / hours - x[Row.MEAN]) * warming
    x[Row.N] += ok
    x[Row.MEAN] += gap / np.maximum(x[Row.N], 1)
    x[Row.SQUARES] += gap * (y / hours - x[Row.MEAN])
    begin = (warming > 0) & (x[Row.N] >= tune.warm)
    if begin.any():
        _start(x, begin, family, tune)
    return Step(mean, q, total, young, parts)


def _weight_factor(x: Floats, weight: Floats, ok: Floats) -> Floats:
    log_weight = np.log(np.maximum(weight, 1e-9))
    x[Row.LOG_WEIGHT] += ok * (log_weight - x[Row.LOG_WEIGHT]) / np.minimum(x[Row.N] + 1.0, 200.0)
    result: Floats = np.exp(x[Row.LOG_WEIGHT] - log_weight) * 0.9 + 0.1
    return result


def _spread(x, u, p_sum, p_slow, v0, f, q, e, w, unit, tune) -> None:
    seen = (w > 0) * tune.noise_prior**2 * 2
    weight = seen * f * f / (q * q) * unit * unit
    keep = 1 - (1 - tune.keep_spread) * (w > 0)
    square = np.minimum(u * u, 9 * q)
    x[Row.NOISE_NUM] = keep * x[Row.NOISE_NUM] + weight * (square - p_sum - v0) / f
    x[Row.NOISE_DEN] = keep * x[Row.NOISE_DEN] + weight
    bound = 3 * np.sqrt(q)
    left = np.clip(e, -bound, bound)
    x[Row.COV_NUM] = keep * x[Row.COV_NUM] + weight * (left * x[Row.PREVIOUS] - p_slow + tune.whiten * np.clip(u, -bound, bound) * x[Row.BEFORE])
    x[Row.COV_DEN] = keep * x[Row.COV_DEN] + weight
    x[Row.PREVIOUS] = left * (w > 0)
    x[Row.BEFORE] = np.clip(u, -bound, bound) * (w > 0)


def _evidence(x, z, size, distance, common, ok, tune):
    """Join the point's own surprise with that of the last few and of more points (exponentially weighted sums of
    clipped scores). Each sum is measured against its own past variance, so a series whose scores lean together pays
    for it. A calm point after an incident ends its evidence.
    """
    best = z
    source = np.zeros(z.shape)
    clipped = np.clip(z, -tune.clip, tune.clip)
    calm = ok * (size <= tune.cut)
    for level, (row, keep) in enumerate(((Row.SHORT, tune.keep_short), (Row.LONG, tune.keep_long)), 1):
        sums = x[row] + ok * ((keep - 1) * x[row] + math.sqrt(1 - keep * keep) * clipped)
        x[row] = sums
        x[row + 1] += calm * tune.evidence_rate * (np.minimum(sums * sums, 9.0) - x[row + 1])
        x[row + 2] += ok * (1 - keep) * (distance - x[row + 2])
        joint = sums / np.sqrt(np.maximum(x[row + 1], 1.0 + common * (2 * keep / (1 - keep))))
        better = (joint * z > 0) & (size > tune.gate) & (np.abs(joint) > np.abs(best))
        best = np.where(better, joint, best)
        source = np.where(better, level, source)
    far = np.abs(best)
    return np.sign(best) * (far - np.minimum(0.1 * far, 0.2)) * ok, source


def _runs(x, total, source, distance, noise, ok, weekday, tune) -> None:
    """Follow a candidate level: begun by a surprise, fed by points nearer to it than to the forecast."""
    run, gap = x[Row.RUN], x[Row.GAP]
    seen = ok > 0
    supports = seen & (run > 0) & (distance * np.sign(gap) > 0.5 * np.abs(gap))
    fresh = seen & (np.abs(total) > tune.cut_run) & ~supports
    length = np.where(supports, run + 1, np.where(fresh, 1.0 + 2 * source, np.where(seen, run - 2, run)))
    blend = np.maximum(1.0 / np.maximum(length, 1.0), tune.blend)
    begin = np.where(source == 2, x[Row.FAR_LONG], np.where(source == 1, x[Row.FAR_SHORT], distance))
    gap = np.where(supports, gap + blend * (distance - gap), np.where(fresh, begin, gap))
    ended = seen & (run > 0) & (length <= 0)
    x[Row.RUN] = np.maximum(length, 0.0)
    x[Row.GAP] = gap
    adopt = x[Row.RUN] >= tune.adopt_after
    if adopt.any():
        x[Row.SLOW][adopt] += gap[adopt]
        x[Row.P_SLOW][adopt] += 0.05 * gap[adopt] ** 2 + noise[adopt] * 0.2
        if weekday > 0:  # a shift at the day's beginning may as well be this weekday's new habit: the sum is known, the parts not
            doubt = (tune.doubt * gap[adopt]) ** 2
            for i, j, sign in ((0, 0, 1), (0, weekday, -1), (weekday, 0, -1), (weekday, weekday, 1)):
                x[Row.P_SLOW + i * SLOW + j][adopt] += sign * doubt
        for row in (Row.RUN, Row.GAP, Row.DAY_SUM, Row.DAY_WEIGHT, Row.DAY_DRIFT):
            x[row][adopt] = 0
    forget = ended | adopt
    if forget.any():
        for row in (Row.SHORT, Row.LONG, Row.FAR_SHORT, Row.FAR_LONG):
            x[row][forget] = 0
