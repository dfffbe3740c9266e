"""How a series' memory is laid out, and the constants of the filter for each window length. Pure."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.model import DAY_MS, HOUR_MS, Floats


class Family(enum.IntEnum):
    """The kinds of noise; a measure belongs to one."""

    COUNT = 0  # log link, variance mean + k mean^2
    SUM = 1  # log link, variance k mean^1.5 level^0.5
    LINEAR = 2  # identity link, variance k / weight
    RATIO = 3  # identity link, variance k mean (1 - mean) / weight

    @property
    def log(self) -> bool:
        return self in (Family.COUNT, Family.SUM)


SLOW = 10  # level, slope, seven weekdays, holiday
SLOPE, WEEKDAY, HOLIDAY = 1, 2, 9
MONTH, OWN, EVENTS = 0, 2, 8  # slots: two days of a month, then kinds of own events; further kinds share the last one


class Row:
    """Rows of the memory; a block of series is a matrix (ROWS, series). Variances are in squared units of the link.

    What is moved together lies together. Plain numbers, because a step looks up some eighty of them.
    """

    N = 0  # points seen
    MEAN = 1  # of the first points, until the filter starts
    SQUARES = 2
    DRIFT = 3
    P_DRIFT = 4
    NOISE = 5  # what the noise's variance is multiplied with: over-dispersion of a count, variance of an average
    COVARIANCE = 6  # lag-one covariance of what the slow parts leave over: the drift's variance
    TRUST = 7  # the summed weight behind these two
    LEFT = 8  # what the slow parts left over at the point before, and its innovation
    INNOVATION = 9
    UNIT = 10  # squared unit of the scale: 1 for log links, the first points' variance for the identity
    LOG_WEIGHT = 11  # the usual logarithm of the denominator
    RUN = 12  # points that speak for another level, and how far away it is
    GAP = 13
    SHORT = 14  # evidence of the last few points, the same over more points, and their own variances
    LONG = 15
    V_SHORT = 16
    V_LONG = 17
    TAIL_UP = 18  # mean excess of the series' own upward and downward surprises, and how many each rests on
    TAIL_DOWN = 19
    N_TAIL_UP = 20
    N_TAIL_DOWN = 21
    RECENT = 138  # the largest surprise of late, fading
    PEAK = 137  # the largest value of this stretch of hours
    FREE = 22  # 1 when a ratio has been seen outside 0..1
    SKEW = 23  # third moment of an average's scores
    EACH = 24  # the usual value per event under a sum, its relative variance, and windows in a row away from it
    V_EACH = 25
    RUN_EACH = 26
    STREAK = 27  # surprising windows in a row, signed
    DAY_SUM = 28  # today's leftovers, drift and weight, for the slow parts to learn from at midnight
    DAY_DRIFT = 29
    DAY_WEIGHT = 30
    HOUR = 31
    P_HOUR = 55
    WEEKEND = 79
    P_WEEKEND = 103
    SLOW = 127
    EVENT = 139  # what the last and the first day of a month do, and own events by kind
    P_EVENT = 147
    PEAKS = 155  # the largest values of past stretches of hours (logarithm): mean, variance, how many
    V_PEAKS = 156
    N_PEAKS = 157
    TAIL_FROM_UP = 158  # the score above which the tail of that side begins
    TAIL_FROM_DOWN = 159
    KIN = 160  # how many times the usual variance a slice's rhythm is from its total's
    KIN_SQUARES = 161  # what that is told from: the slice's first counts against its total's
    KIN_TOTAL = 162
    KIN_COUNT = 163
    KIN_SEEN = 164
    P_SLOW = 165


ROWS = Row.P_SLOW + SLOW * SLOW


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants of the filter. Variances and levels are in (squared) units of the link's scale."""

    rho: float  # what a window keeps of the drift
    warm: int  # points before the filter starts
    learn_points: int  # points before anything is judged
    adopt_after: int  # points that must speak for another level before it is adopted
    per_hour: float  # windows that share an hour's slot
    step_days: float
    bursts: bool  # windows so short that a stretch of hours holds many
    today: bool  # windows so short that the drift has followed a day's level long before midnight
    keep_spread: float
    keep_recent: float
    tail_begins: float  # where the tail of counts is taken to begin at first: normal scores, looked at jointly
    keep_hour: float = 0.985
    keep_short: float = 0.5
    keep_long: float = 0.8
    evidence_rate: float = 0.005
    whiten: float = 2.0
    huber: float = 2.5
    cut: float = 4.0  # |score| from which a point teaches nothing
    cut_run: float = 3.5  # |score| from which another level is considered
    blend: float = 0.25
    clip: float = 4.5
    gate: float = 0.7
    several: float = 0.0  # what looking at three scores costs
    habit: float = 0.2
    doubt: float = 0.5
    q_level: float = 0.004**2  # per day
    q_slope: float = 0.0002**2
    q_weekday: float = 0.002**2
    noise_prior: float = 0.03**2
    drift_prior: float = 0.03**2
    linear_noise_prior: float = 0.2
    linear_drift_prior: float = 0.05
    prior_trust: float = 15.0  # points that what is believed of the noise at first is worth
    prior_trust_free: float = 8.0  # where the noise has no known scale
    trust_points: float = 150.0
    prior_level: float = 0.1
    prior_slope: float = 0.003**2
    prior_hour: float = 0.3
    prior_weekend: float = 0.02
    prior_weekday: float = 0.1
    prior_holiday: float = 0.1
    prior_month: float = 0.03**2
    prior_event: float = 0.3
    linear_event_prior: float = 4.0
    q_event: float = 0.1**2  # from one event of a kind to the next
    tail_from: float = 2.3  # score from which a surprise is measured by the series' own past ones
    tail_prior: float = 0.15  # mean of log(score / tail_from) above it when scores are normal
    tail_usual: float = 2.5  # where the tail of normal scores begins when looked at jointly with those before
    tail_looks: float = 2.65  # how far looking at three scores can move that at most
    few: float = 1.0 / 40.0  # 1 / mean of counts for which nothing is hardly rare
    half_as_rare: float = 1.3  # what the square of a normal score gains when its chance is halved, from 3 to 4.5
    tail_rate: float = 0.01  # how often normal scores come so far on a side
    tail_points: float = 40.0
    tail_cap: float = 6.0
    tail_pace: float = 0.006
    tail_prices: float = 2.2  # how much larger unlike prices make the upward surprises of a sum of few
    old_news: float = 0.6
    peaks_prior: float = 0.6  # standard deviation of the logarithm of a stretch's largest value
    peaks_trust: float = 4.0
    peaks_keep: float = 0.97
    peaks_cap: float = 2.5
    heavy_from: float = 1.1  # times the tail of normal scores: from here to `heavy` bursts are compared with bursts
    heavy: float = 1.3
    kin: float = 0.05  # the variance of a slice's own rhythm against its total's, as a share of the prior's
    kin_warm: int = 4  # times the points before the filter starts: then a slice's likeness to its total is known
    kin_spread: float = 0.05  # how unlike in this the slices of streams are
    skew_rate: float = 0.005
    skew_doubt: float = 0.2
    each_rate: float = 0.025
    each_doubt: float = 0.03


def tuning(step_ms: int) -> Tuning:
    """The constants for windows of `step_ms`."""
    step_h = step_ms / HOUR_MS
    daily = step_h >= 20
    return Tuning(
        rho=0.9 if daily else float(np.clip(0.97**step_h, 0.9, 0.99)),
        warm=7 if daily else int(np.clip(round(24 / step_h), 7, 288)),
        learn_points=14 if daily else max(14, math.ceil((48 if step_h >= 0.5 else 24) / step_h)),
        adopt_after=7 if daily else int(np.clip(round(10 / step_h), 8, 48)),
        per_hour=max(1.0, 1 / step_h),
        step_days=step_ms / DAY_MS,
        bursts=step_h < 1,
        today=step_h < 5 / 60,
        tail_begins=2.35 if daily else 2.45 if step_h >= 1 else 2.3,
        keep_recent=0.8 if daily else 0.96 if step_h >= 0.5 else 0.995 ** (12 * step_h),
        keep_spread=1 - 1 / 150 if daily else 1 - 1 / 400,
    )


def empty(count: int) -> Floats:
    """The memory of series that have never been seen: (ROWS, count)."""
    x = np.zeros((ROWS, count))
    x[[Row.UNIT, Row.V_SHORT, Row.V_LONG, Row.KIN]] = 1.0
    return x
