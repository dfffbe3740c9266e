"""The recursion: one step of the forecast for all series at once. Pure, vectorised over series.

A series is level + slope + weekday + holiday (the slow parts, learned once per local day with their full
covariance) + hour of day (+ the weekend's own hours) + drift (a wandering that returns), on a log scale for counts
and sums and as it is for averages. It is a Kalman filter whose observation noise is negative binomial for counts
(West & Harrison, Bayesian Forecasting and Dynamic Models, chapters 4, 8 and 14). The slow parts learn from a day's
mean with the drift's variance as noise, so a wandering day does not become a weekday's habit. A surprising point
teaches nothing, but makes its hour less certain: told twice, a habit is learned. Points that speak for another
level for long enough move the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.bounds import at_least, at_most
from cliffwatch.detect.calendar import Calendar
from cliffwatch.detect.kin import Kin, bound_season, compare, follow_points, inherit
from cliffwatch.detect.layout import HOLIDAY, SLOPE, SLOW, WEEKDAY, Family, Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Ints
from cliffwatch.detect.slow import start
from cliffwatch.detect.surprise import (
    against_bursts,
    against_tail,
    as_if_known,
    evidence,
    follow,
    how_normal,
    larger_by_prices,
    one_sided,
    unskewed,
    value_per_event,
    what_is_new,
    where_tails_begin,
)
from cliffwatch.detect.tails import relative_score, share_score

Season = list[tuple[int, int, float | Floats]]
"""(row, row of its variance, share): which parts of the season a window feels how much; some shares are per series."""
Felt = tuple[tuple[int, float], ...]
"""(slot, share): of which events a window feels how much."""
NOTHING = 0.05  # a sum's smallest level; the log scale has no zero


@dataclass(slots=True)
class Parts:
    """What an expectation is made of, in the link's scale (logs of factors, or addends); they sum to the centre."""

    level: Floats
    trend: Floats  # of the last week, in the level
    weekday: Floats | float
    holiday: Floats | float
    hour: Floats | float
    event: Floats | float
    drift: Floats


@dataclass(slots=True)
class Forecast:
    """The prediction of one window: its parts, and the variances that its spread is made of."""

    parts: Parts
    centre: Floats
    spread: Floats  # the drift's long-run variance
    p_drift: Floats
    p_slow: Floats
    p_all: Floats  # slow parts and season
    season: Season


@dataclass(slots=True)
class Step:
    """Where a step puts what a window gives per series: expected value, relative (log links) or absolute variance."""

    mean: Floats
    variance: Floats
    score: Floats  # signed
    news: Floats  # the score, less what the points before have told already


def step(
    x: Floats,
    y: Floats,
    present: Bools | None,
    weight: Floats | None,
    cal: Calendar,
    t: int,
    family: Family,
    tune: Tuning,
    into: Step,
    *,
    mature: bool,
    kin: Kin | None = None,
    events: Felt = (),
) -> Parts:
    """Forecast window `t`, score the values `y` (0 where not `present`, None = all are) against it and learn.

    Fills `into`; gives the parts of the expectation. `events` are the slots of events that the window feels. Changes
    the memory `x` (ROWS, series). `mature` says that every series has passed its learning; then the caller counts the
    points in `x[Row.N]`.
    """
    linear = not family.log
    ok = None if present is None else present.astype(x.dtype)
    old = None if mature else (x[Row.N] >= tune.learn_points).astype(x.dtype)
    both = old if ok is None else ok if old is None else ok * old
    hours = 1.0 if linear else float(cal.duration_h[t])
    ahead = predict(x, cal, t, tune, events, linear=linear)
    noise = np.maximum(x[Row.NOISE], 1e-6 * x[Row.UNIT]) if linear else at_least(x[Row.NOISE], 1e-6)
    p_sum = ahead.p_all + ahead.p_drift
    mean, q, slope = into.mean, into.variance, None  # slope of the variance in the noise
    if linear:
        mean[:], own = ahead.centre, noise
        slope = _weight_factor(x, weight, ok)
        if family is Family.RATIO:
            mean[:], slope = _within(x, y, mean, weight, slope, ok)
        v = y - mean
    else:
        np.exp(ahead.centre, out=mean)
        if hours != 1.0:
            mean *= hours
        if family is Family.COUNT:
            at_least(mean, 0.01, out=mean)
            rare = 1.0 / mean
            own = rare + noise
            v = y * rare
        else:
            slope = np.exp(0.5 * (ahead.parts.level - ahead.centre))
            v = np.maximum(y, 0.0) / mean  # more paid back than came in is nothing on a log scale
        v -= 1.0
    if slope is not None:
        own = noise * slope
    np.add(p_sum, own, out=q)
    if family is Family.COUNT:
        dispersion = noise + p_sum
        z = relative_score(y, v, rare, dispersion, q)
    elif family is Family.SUM:
        z = relative_score(y / (mean * own), v, own, p_sum, q)
        z[(y <= 0.0) & (mean < NOTHING)] = 0.0  # nothing came where next to nothing was expected
    else:
        z = v / np.sqrt(q)
        z = unskewed(x, z, slope if family is Family.LINEAR else None, np.ones_like(z) if both is None else both, tune)
        if family is Family.RATIO:
            bound = (x[Row.FREE] == 0).nonzero()[0]  # the others' mean may be no share at all
            share = mean[bound]
            z[bound] = share_score(y[bound], share, share * (1.0 - share) / q[bound])
    if ok is not None:
        z *= ok
    inverse = 1.0 / q
    size, side = np.abs(z), np.sign(z)
    calm = (size <= tune.cut).astype(x.dtype)
    if both is not None:
        calm *= both
    far = evidence(x, z, size, side, ahead.p_slow * inverse, tune.evidence_rate * calm, both, tune)
    far = np.sqrt(far, out=into.score)
    incident = x[Row.RUN] > 0
    running = incident.nonzero()[0]
    supports = np.zeros(incident.shape, bool)
    if running.size:
        supports[running] = _support(x, running, far, size, y, mean, linear=linear)
    u = v if linear else _in_logs(v, p_sum, inverse)
    robust = tune.huber / at_least(size, tune.huber)
    trust = calm * robust
    if old is not None:  # while learning even a surprise teaches, once the filter has started
        going = (x[Row.N] >= tune.warm).astype(x.dtype)
        start_trust = (1.0 - old) * going * robust
        trust += start_trust if ok is None else start_trust * ok
    _learn(x, ahead, u, own, inverse, trust, tune, kin, linear=linear)
    _spread(x, ahead, u, p_sum, own, noise, slope, inverse, trust if old is None else trust * old, tune, family)
    if family is Family.SUM and weight is not None:
        each = value_per_event(x, y, weight, np.ones_like(y) if ok is None else ok, tune)
        if both is not None:
            each *= both
        side = np.sign(np.where(np.abs(each) - 0.15 > far, each, z))
        np.maximum(far, np.abs(each) - 0.15, out=far)
    surprised = far > tune.tail_from
    if both is not None:
        surprised &= both > 0
    who = surprised.nonzero()[0]
    held = running if both is None else (incident | (both == 0)).nonzero()[0]
    now, at = far[who], who + len(far) * (side[who] <= 0)
    known = family is Family.COUNT and not tune.bursts
    if known and who.size:
        now = as_if_known(x, now, who, q, tune)
    where_tails_begin(x, now, at, held, tune)
    if who.size:
        prices = larger_by_prices(x, who, own, tune) if family is Family.SUM and weight is not None else None
        normal = 1.0 if known else how_normal(x, who, family, tune) if weight is not None else 0.0
        against_tail(x, far, now, who, at, tune, normal=normal, upward=prices)
        if known:
            one_sided(far, side, who, rare, dispersion, q, tune)
        if tune.bursts and not linear:
            against_bursts(x, far, y, side, who, tune)
    if tune.bursts and not linear:
        np.maximum(x[Row.PEAK], y, out=x[Row.PEAK])
    what_is_new(x, far, who, tune, into.news)
    active = far > tune.cut_run
    active |= incident
    if both is not None:
        active &= both > 0
    who = active.nonzero()[0]
    if who.size:
        gap = _distance(y[who], mean[who], linear=linear)
        _doubt(x, ahead, who, size[who], gap, cal, t, tune)
        habit = _new_habit(cal, t, tune)
        follow(x, who, far[who], z[who], np.sqrt(q[who]), gap, own[who], supports[who], habit, tune)
    if kin is not None:
        count = y if family is Family.COUNT else weight
        if count is not None:
            compare(x, kin, count, ok, tune)
    if old is not None:
        seen = np.ones_like(y) if ok is None else ok
        rate, warming = y / hours, seen * (1.0 - going)
        _warm_up(x, rate, warming, seen, family, tune, kin, cal, t)
    into.news *= side
    far *= side
    return ahead.parts


def predict(x: Floats, cal: Calendar, t: int, tune: Tuning, events: Felt = (), *, linear: bool) -> Forecast:
    """The forecast of window `t`, before its values are seen."""
    slow = x[Row.SLOW : Row.SLOW + SLOW]
    cov = x[Row.P_SLOW :].reshape(SLOW, SLOW, -1)
    spread = x[Row.COVARIANCE] * (1.0 / tune.rho)
    if linear:
        np.maximum(spread, 1e-6 * x[Row.UNIT], out=spread)
    else:
        at_least(spread, 1e-6, out=spread)
    parts = Parts(slow[0].copy(), slow[SLOPE], 0.0, 0.0, 0.0, 0.0, x[Row.DRIFT] * tune.rho)
    centre = parts.level + parts.drift
    p_slow = cov[0, 0]
    if cal.has_weekdays:
        day = WEEKDAY + int(cal.weekday[t])
        parts.weekday = slow[day]
        centre += parts.weekday
        p_slow = p_slow + cov[day, day]
        p_slow += cov[0, day] + cov[0, day]
        if cal.holiday[t]:
            parts.holiday = slow[HOLIDAY]
            centre += parts.holiday
            p_slow += cov[HOLIDAY, HOLIDAY] + 2.0 * (cov[0, HOLIDAY] + cov[day, HOLIDAY])
    if tune.today:  # today's many points have told the drift of the slow parts already, if not yet the slow parts
        told = x[Row.DAY_WEIGHT]
        p_slow = p_slow * ((spread * told + 1.0) / ((spread + p_slow) * told + 1.0))
    season: Season = []
    weekend = bool(cal.weekend[t] or (cal.holiday[t] and cal.has_hours))
    hours: Sequence[tuple[int, float | Floats]] = cal.hours[t]
    if cal.sums and len(hours) > 1 and not linear:
        parts.hour, hours = _added(x, cal.hours[t], weekend=weekend)
    for slot, share in hours:
        season.append((Row.HOUR + slot, Row.P_HOUR + slot, share))
        if weekend:
            season.append((Row.WEEKEND + slot, Row.P_WEEKEND + slot, share))
    p_all = p_slow
    for row, p_row, share in season:
        if hours is cal.hours[t]:
            felt = x[row] if whole(share) else share * x[row]
            parts.hour = felt.copy() if isinstance(parts.hour, float) else parts.hour + felt
        p_all = p_all + (x[p_row] if whole(share) else share * share * x[p_row])
    if season:
        centre += parts.hour
    for slot, share in events:
        season.append((Row.EVENT + slot, Row.P_EVENT + slot, share))
        parts.event = parts.event + share * x[Row.EVENT + slot]
        p_all = p_all + share * share * x[Row.P_EVENT + slot]
    if events:
        centre += parts.event
    p_drift = x[Row.P_DRIFT] * tune.rho**2
    p_drift += (1 - tune.rho**2) * spread
    return Forecast(parts, centre, spread, p_drift, p_slow, p_all, season)


def _added(
    x: Floats, hours: Sequence[tuple[int, float]], *, weekend: bool
) -> tuple[Floats, list[tuple[int, float | Floats]]]:
    """The logarithm of what a window's hours add up to by their shares, and how much of it each is, per series."""
    busy = [share * np.exp(x[Row.HOUR + at] + (x[Row.WEEKEND + at] if weekend else 0.0)) for at, share in hours]
    total = np.sum(busy, axis=0, dtype=x.dtype)
    return np.log(total), [(at, part / total) for (at, _), part in zip(hours, busy, strict=True)]


def whole(share: float | Floats) -> bool:
    """Whether a part of the season is felt in full; for most windows it is, and then it costs less."""
    return isinstance(share, float) and share == 1.0


def _learn(
    x: Floats,
    ahead: Forecast,
    u: Floats,
    own: Floats,
    inverse: Floats,
    trust: Floats,
    tune: Tuning,
    kin: Kin | None,
    *,
    linear: bool,
) -> None:
    """Move drift and season by their share of the innovation `u`, and gather what the slow parts learn at midnight."""
    drift, p_all = ahead.parts.drift, ahead.p_all
    gain = trust * (ahead.p_drift + ahead.p_slow if tune.today else ahead.p_drift)
    gain *= inverse
    base = own
    if ahead.season:
        # the points of one slot share the drift, so together they tell no more than one point with its variance
        base = p_all + own
        base += ahead.spread if tune.per_hour == 1.0 else tune.per_hour * ahead.spread
    if kin is not None:
        u, drift, p_all = follow_points(x, kin, ahead, u, gain, base, trust, tune)
    left = u + drift
    np.add(drift, gain * u, out=x[Row.DRIFT])
    gain *= ahead.p_drift
    np.subtract(ahead.p_drift, gain, out=x[Row.P_DRIFT])
    if ahead.season:
        if kin is not None:
            base -= ahead.p_all - p_all
        np.divide(trust, base, out=base)
        forget = tune.keep_hour ** (-1.0 / tune.per_hour)
        most = tune.prior_hour * x[Row.UNIT] if linear else None
        for row, p_row, share in ahead.season:
            part, p = x[row], x[p_row]
            k = base * p if whole(share) else base * (share * p)
            part += k * left
            k *= p if whole(share) else share * p
            p -= k
            if row < Row.EVENT:
                p *= forget
                if most is None:
                    at_most(p, tune.prior_hour, out=p)
                else:
                    np.minimum(p, most, out=p)
                if kin is not None:
                    bound_season(x, kin, row, p_row, tune)
        precise = p_all - ahead.p_slow
        precise += own
        np.divide(trust, precise, out=precise)
    else:
        precise = trust / own
    weight, total, drifted = x[Row.DAY_WEIGHT], x[Row.DAY_SUM], x[Row.DAY_DRIFT]
    weight += precise
    left *= precise
    total += left
    precise *= drift
    drifted += precise


def _spread(
    x: Floats,
    ahead: Forecast,
    u: Floats,
    p_sum: Floats,
    own: Floats,
    noise: Floats,
    slope: Floats | None,
    inverse: Floats,
    trust: Floats,
    tune: Tuning,
    family: Family,
) -> None:
    """Learn the noise from squared innovations, and the drift's variance from how neighbouring leftovers agree."""
    # a point tells of the noise what its own share of the variance allows
    weight = inverse * tune.noise_prior if family is Family.COUNT else inverse * noise
    if slope is not None:
        weight *= slope
    weight *= weight
    weight *= trust
    weight += weight
    total = x[Row.TRUST]
    kept = trust * (tune.keep_spread - 1.0)
    kept += 1.0
    total *= kept
    total += weight
    weight /= total + 1e-30
    # the innovation's square less what is known of it, against what is believed of the noise
    news = np.empty((2, *u.shape), u.dtype)
    both = news[0]
    np.multiply(u, u, out=both)
    both -= p_sum
    both -= own
    if slope is not None:
        both /= slope
    both += noise
    left = u + ahead.parts.drift
    shared = np.multiply(left, x[Row.LEFT], out=news[1])
    lag = tune.whiten * u
    lag *= x[Row.INNOVATION]
    shared += lag
    shared -= ahead.p_all
    learned = x[Row.NOISE : Row.COVARIANCE + 1]
    news -= learned
    both *= weight  # one by one: a ufunc that repeats an operand costs more than two calls
    shared *= weight
    learned += news
    np.multiply(left, trust, out=x[Row.LEFT])
    np.multiply(u, trust, out=x[Row.INNOVATION])


def _in_logs(v: Floats, p_sum: Floats, inverse: Floats) -> Floats:
    """The relative innovation `v` on the log scale, as far as it is not noise."""
    bend = 0.5 * inverse
    bend *= p_sum
    bend *= v
    bend += 1.0
    result: Floats = np.divide(v, bend, out=bend)
    return result


def _support(x: Floats, running: Ints, far: Floats, size: Floats, y: Floats, mean: Floats, *, linear: bool) -> Bools:
    """Which of the series `running`, for which points spoke for another level, are nearer to it than to the forecast.

    The others' point counts alone (in `far`): an incident does not echo.
    """
    gap = x[Row.GAP][running]
    along: Bools = _distance(y[running], mean[running], linear=linear) * np.sign(gap) > 0.5 * np.abs(gap)
    over = running[~along]
    far[over] = size[over]
    return along


def _distance(y: Floats, mean: Floats, *, linear: bool) -> Floats:
    """How far values are from the forecast, in the link's scale."""
    result: Floats = y - mean if linear else np.log((np.maximum(y, 0.0) + 0.5) / (mean + 0.5))
    return result


def _doubt(
    x: Floats, ahead: Forecast, who: Ints, size: Floats, gap: Floats, cal: Calendar, t: int, tune: Tuning
) -> None:
    """Make the hour (or, for days, the weekday) of a surprise less certain."""
    far = size > tune.cut
    who = who[far]
    if not who.size:
        return
    unit = np.sqrt(x[Row.UNIT][who])
    more = (tune.habit * np.minimum(np.abs(gap[far]), unit)) ** 2
    for _, p_row, share in ahead.season:
        x[p_row][who] += (share[who] if isinstance(share, np.ndarray) else share) * more
    if cal.has_weekdays and not cal.has_hours:
        x[Row.P_SLOW + (WEEKDAY + int(cal.weekday[t])) * (SLOW + 1), who] += more


def _new_habit(cal: Calendar, t: int, tune: Tuning) -> int:
    """The weekday whose new habit an adopted level may be: only when it began with the day. Else -1."""
    early = cal.has_hours and cal.slot[t] / 24 <= tune.step_days * (tune.adopt_after + 2)
    return int(cal.weekday[t]) if early else -1


def _weight_factor(x: Floats, weight: Floats | None, ok: Floats | None) -> Floats | None:
    """How much noisier than usual a point is, from the number of events under it."""
    if weight is None:
        return None
    logs = np.log(np.maximum(weight, 1e-9))
    x[Row.LOG_WEIGHT] += (1.0 if ok is None else ok) * (logs - x[Row.LOG_WEIGHT]) / np.minimum(x[Row.N] + 1.0, 200.0)
    result: Floats = 0.9 * np.exp(x[Row.LOG_WEIGHT] - logs) + 0.1
    return result


def _within(
    x: Floats, y: Floats, mean: Floats, weight: Floats | None, factor: Floats | None, ok: Floats | None
) -> tuple[Floats, Floats]:
    """The mean of a share kept inside 0..1, and its binomial variance. A ratio once seen outside is free of both."""
    outside = (y < 0.0) | (y > 1.0)
    x[Row.FREE] = np.maximum(x[Row.FREE], outside if ok is None else outside * ok)
    free = x[Row.FREE] > 0
    edge = np.full(mean.shape, 1e-3) if weight is None else np.minimum(1e-3, 0.2 / np.maximum(weight, 1.0))
    inside = np.minimum(np.maximum(mean, edge), 1.0 - edge)
    binomial = inside * (1.0 - inside)
    if weight is not None:
        binomial /= np.maximum(weight, 1.0)
    return np.where(free, mean, inside), np.where(free, 1.0 if factor is None else factor, binomial)


def _warm_up(
    x: Floats,
    rate: Floats,
    warming: Floats,
    ok: Floats,
    family: Family,
    tune: Tuning,
    kin: Kin | None,
    cal: Calendar,
    t: int,
) -> None:
    """Gather the mean and the spread of the first points; start the filter when there are enough of them."""
    gap = (rate - x[Row.MEAN]) * warming
    x[Row.N] += ok
    x[Row.MEAN] += gap / np.maximum(x[Row.N], 1.0)
    x[Row.SQUARES] += gap * (rate - x[Row.MEAN])
    ready = (warming > 0) & (x[Row.N] >= tune.warm)
    if ready.any():
        start(x, ready, family, tune)
        if kin is not None:
            inherit(x, kin, ready, cal, t, tune)
