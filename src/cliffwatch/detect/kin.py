"""What a slice takes from the series that it is part of: rhythm and drift that its few points do not tell. Pure.

A slice's hour of day is its total's and a difference of its own, of which only the variance is known beforehand
(`Tuning.kin` of the prior): empirical Bayes. Whatever its total learns of an hour moves the slice by what their
uncertainties still have in common. That share is one for a new slice and falls with every point of its own, so a large
slice soon stands alone. The drift is shared likewise: weighted by size, the drifts of all slices average to that of
their total, which is therefore the best guess for a slice that cannot tell its own.

Memory and scores stay a slice's own: without its total it goes on from what it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cliffwatch.detect.calendar import Calendar
from cliffwatch.detect.layout import EVENTS, HOLIDAY, OWN, SLOW, WEEKDAY, Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Ints

if TYPE_CHECKING:
    from cliffwatch.detect.filter import Forecast

STRANGER = 1e9  # times the usual variance: nothing is taken
_RHYTHM = (
    *((int(Row.HOUR) + i, int(Row.P_HOUR) + i) for i in range(24)),
    *((int(Row.WEEKEND) + i, int(Row.P_WEEKEND) + i) for i in range(24)),
    *((int(Row.EVENT) + i, int(Row.P_EVENT) + i) for i in range(EVENTS)),
    *((int(Row.SLOW) + i, int(Row.P_SLOW) + i * (SLOW + 1)) for i in range(WEEKDAY, HOLIDAY + 1)),
)  # the parts that a slice takes, each with the row of its variance


@dataclass(frozen=True, slots=True)
class Kin:
    """Which series of a block take from which: `child` and `root` are positions in the block, pair by pair."""

    child: Ints
    root: Ints


def kin_of(roots: Ints | None) -> Kin | None:
    """From each series' topmost ancestor in the block (itself: it has none); None when none takes from another."""
    if roots is None:
        return None
    child = np.flatnonzero(roots != np.arange(len(roots)))
    return Kin(child, roots[child]) if child.size else None


def compare(x: Floats, kin: Kin, count: Floats, there: Floats | None, tune: Tuning) -> None:
    """Hold the events of a slice's first windows against those of its total, from its first event on.

    When enough of them are seen, how far its rhythm is from its total's is told once more; a slice that turns out to be
    farther is less certain of what it has taken.
    """
    young = x[Row.KIN_SEEN, kin.child] < tune.kin_warm * tune.warm
    child, root = kin.child[young], kin.root[young]
    mine, total = count[child], count[root]
    seen = ((x[Row.KIN_COUNT, child] + mine > 0) & (total > 0)).astype(x.dtype)
    if there is not None:
        seen *= there[child] * there[root]
    mine = seen * mine
    x[Row.KIN_SQUARES, child] += mine * mine / np.maximum(total, 1.0)
    x[Row.KIN_TOTAL, child] += seen * total
    x[Row.KIN_COUNT, child] += mine
    x[Row.KIN_SEEN, child] += seen
    child = child[(seen > 0) & (x[Row.KIN_SEEN, child] == tune.kin_warm * tune.warm)]
    if not child.size:
        return
    before, now = x[Row.KIN, child], _how_far(x, child, tune)
    x[Row.KIN, child] = now
    more = np.maximum(np.minimum(now, 1.0 / tune.kin) - np.minimum(before, 1.0 / tune.kin), 0.0) * x[Row.UNIT, child]
    for row, p_row in _RHYTHM:
        prior = _prior(row, tune)
        x[p_row, child] = np.minimum(x[p_row, child] + tune.kin * prior * more, prior * x[Row.UNIT, child])


def _how_far(x: Floats, child: Ints, tune: Tuning) -> Floats:
    """How many times the usual variance a slice's rhythm is from its total's, by its first counts.

    Pearson's dispersion of the slice's counts around its share of the total, less what chance gives, estimates that
    variance; as far as the counts are too few to tell, it is the usual one (James & Stein). Between 1 and 1 / `kin`;
    beyond that the total's rhythm tells less than none, and the slice is a STRANGER.
    """
    total, seen = x[Row.KIN_TOTAL, child], x[Row.KIN_SEEN, child]
    count = np.maximum(x[Row.KIN_COUNT, child], 1.0)
    dispersion = total / count * x[Row.KIN_SQUARES, child] - count
    prior = tune.kin * tune.prior_hour
    found = (dispersion - (seen - 1.0)) / count - prior
    trust = tune.kin_spread**2 / (tune.kin_spread**2 + 2.0 * np.maximum(seen - 1.0, 1.0) / count**2)
    far = np.where(total > 0, 1.0 + trust * np.maximum(found, 0.0) / prior, 1.0)
    result: Floats = np.where(far < 1.0 / tune.kin, far, STRANGER)
    return result


def inherit(x: Floats, kin: Kin, ready: Bools, cal: Calendar, t: int, tune: Tuning) -> None:
    """Begin the slices that are `ready` after window `t` with what their totals know by now."""
    who = ready[kin.child] & (x[Row.TRUST, kin.root] > 0)
    child, root = kin.child[who], kin.root[who]
    if not child.size:
        return
    x[Row.KIN, child] = _how_far(x, child, tune)
    alike = x[Row.KIN, child] < STRANGER
    child, root = child[alike], root[alike]
    for row, p_row in _RHYTHM:
        x[row, child] = x[row, root]
        x[p_row, child] = x[p_row, root] + _apart(x, row, child, tune)
    x[Row.SLOW, child] -= _season_so_far(x[:, root], cal, t, tune)


def _season_so_far(x: Floats, cal: Calendar, t: int, tune: Tuning) -> Floats:
    """The logarithm of how much busier than usual the first points were, by the rhythm of `x`."""
    felt = np.zeros(x.shape[1])
    if cal.has_weekdays:
        felt = felt + x[Row.SLOW + WEEKDAY + int(cal.weekday[t])]
        if cal.holiday[t]:
            felt = felt + x[Row.SLOW + HOLIDAY]
    if cal.has_hours:
        back = np.arange(tune.warm) * (tune.step_days * 24.0)
        slots = (int(cal.slot[t]) - back.astype(np.int64)) % 24
        hours = x[Row.HOUR + slots]
        if cal.weekend[t] or cal.holiday[t]:
            hours = hours + x[Row.WEEKEND + slots]
        felt = felt + np.log(np.mean(np.exp(hours), axis=0))
    return felt


def _apart(x: Floats, row: int, child: Ints, tune: Tuning) -> Floats:
    """The variance by which a slice's part differs from its total's."""
    result: Floats = (tune.kin * _prior(row, tune)) * x[Row.KIN, child] * x[Row.UNIT, child]
    return result


def _prior(row: int, tune: Tuning) -> float:
    """The variance of a part of the rhythm before anything is known, in squared units."""
    if row >= Row.EVENT:
        return tune.prior_event if row >= Row.EVENT + OWN else tune.prior_month
    if row >= Row.SLOW:
        return tune.prior_weekday if row < Row.SLOW + HOLIDAY else tune.prior_holiday
    return tune.prior_hour if row < Row.WEEKEND else tune.prior_weekend


def follow_points(
    x: Floats, kin: Kin, ahead: Forecast, u: Floats, gain: Floats, base: Floats, trust: Floats, tune: Tuning
) -> tuple[Floats, Floats, Floats]:
    """Move the slices by what their totals learn of this window; gives innovation, drift and season's variance left.

    The total speaks first, because it knows more: what it explains of a slice's innovation `u` is not learned twice.
    `gain` is that of the drift, `base` the variance against which a season learns.
    """
    child, root = kin.child, kin.root
    u, drift, p_all = u.copy(), ahead.parts.drift.copy(), ahead.p_all.copy()
    left = u[root] + drift[root]
    for row, p_row, share in ahead.season:
        before, own = x[p_row, root], x[p_row, child]
        felt, of_root = (share[child], share[root]) if isinstance(share, np.ndarray) else (share, share)
        gained = of_root * before * trust[root] / base[root]
        common = np.minimum(own / (_apart(x, row, child, tune) + before), 1.0)
        moved, less = common * gained * left, common * common * (of_root * gained * before)
        x[row, child] += moved
        x[p_row, child] = np.maximum(own - less, 0.0)
        u[child] -= felt * moved
        p_all[child] -= felt * felt * np.minimum(less, own)
    begun = (x[Row.TRUST, child] > 0) & (x[Row.KIN, child] < STRANGER)
    common = begun * np.minimum(ahead.p_drift[child] / ahead.spread[child], 1.0)
    moved = common * gain[root] * u[root]
    drift[child] += moved
    u[child] -= moved
    return u, drift, p_all


def bound_season(x: Floats, kin: Kin, row: int, p_row: int, tune: Tuning) -> None:
    """A slice is not less certain of its rhythm than its total is and they may differ."""
    most = x[p_row, kin.root] + _apart(x, row, kin.child, tune)
    x[p_row, kin.child] = np.minimum(x[p_row, kin.child], most)


def follow_day(x: Floats, kin: Kin, felt: list[int], tune: Tuning) -> None:
    """Move the slices' weekday (`felt` but for the level) by what their totals learn of this day."""
    child, root = kin.child, kin.root
    cov = x[Row.P_SLOW :].reshape(SLOW, SLOW, -1)
    weight = x[Row.DAY_WEIGHT, root]
    seen = weight > 0
    safe = np.where(seen, weight, 1.0)
    drift = np.maximum(x[Row.COVARIANCE, root] / tune.rho, 1e-6 * x[Row.UNIT, root])
    reach = sum(cov[i][:, root] for i in felt)
    gain = reach * (seen / (sum(reach[i] for i in felt) + drift + 1.0 / safe))
    for at in felt[1:]:
        own = np.maximum(cov[at, at, child], 1e-12 * x[Row.UNIT, child])
        before = cov[at, at, root]
        common = np.minimum(own / (_apart(x, Row.SLOW + at, child, tune) + before), 1.0)
        along = cov[at][:, child] / own
        moved = common * gain[at] * x[Row.DAY_SUM, root] / safe
        x[Row.SLOW : Row.SLOW + SLOW, child] += along * moved
        less = along * (common * common * gain[at] * reach[at])
        for i in range(SLOW):
            cov[i][:, child] -= along[i] * less
        x[Row.DAY_SUM, child] -= x[Row.DAY_WEIGHT, child] * moved * sum(along[i] for i in felt)
