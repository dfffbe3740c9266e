"""What a surprise means: evidence over several points, the series' own tail, another level. Pure."""

from __future__ import annotations

import functools
import math

import numpy as np

from cliffwatch.detect.bounds import at_least, at_most
from cliffwatch.detect.layout import Family, Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Ints
from cliffwatch.detect.slow import adopt
from cliffwatch.detect.tails import relative_score

TAILS = slice(Row.TAIL_UP, Row.TAIL_DOWN + 1)
N_TAILS = slice(Row.N_TAIL_UP, Row.N_TAIL_DOWN + 1)
TAILS_FROM = slice(Row.TAIL_FROM_UP, Row.TAIL_FROM_DOWN + 1)
SUMS = slice(Row.SHORT, Row.LONG + 1)
VARIANCES = slice(Row.V_SHORT, Row.V_LONG + 1)


@functools.lru_cache(maxsize=64)
def _kept(keep_short: float, keep_long: float, series: int, kind: str) -> Floats:
    """What the two sums of evidence keep, as large as they are."""
    return np.repeat(np.array([[keep_short], [keep_long]], kind), series, axis=1)


def evidence(
    x: Floats, z: Floats, size: Floats, side: Floats, common: Floats, rate: Floats, ok: Floats | None, tune: Tuning
) -> Floats:
    """The square of a point's score joined with that of the last few and of more points before it.

    The sums are exponentially weighted, of clipped scores, and measured against their own past variance (learned at
    `rate`), so a series whose scores lean together pays for it; `common` is the share of a point's variance that it
    has in common with its neighbours. A sum counts only while the point itself leans the same way. `size` and `side`
    are the absolute value and the sign of `z`; `ok` masks points, None is all.
    """
    keeps = (tune.keep_short, tune.keep_long)
    sums, variance = x[SUMS], x[VARIANCES]
    before = None if ok is None else sums.copy()
    clipped = at_most(z, tune.clip)
    at_least(clipped, -tune.clip, out=clipped)
    along, least = np.empty((2, *sums.shape), x.dtype)
    for keep, more, beside in zip(keeps, along, least, strict=True):
        np.multiply(clipped, math.sqrt(1 - keep * keep), out=more)
        np.multiply(common, 2 * keep / (1 - keep), out=beside)
    sums *= _kept(*keeps, len(z), x.dtype.char)
    sums += along
    if before is not None:
        np.copyto(sums, before, where=ok == 0.0)
    for total, leaning in zip(sums, along, strict=True):
        np.multiply(total, side, out=leaning)
    at_least(along, 0.0, out=along)
    along *= along
    least += 1.0
    np.maximum(least, variance, out=least)
    along /= least
    joint = np.maximum(along[0], along[1], out=along[0])
    joint *= size > tune.gate
    best = size * size
    np.maximum(best, joint, out=best)
    square = np.multiply(sums, sums, out=along)
    at_most(square, 9.0, out=square)
    square -= variance
    for pace in square:
        np.multiply(pace, rate, out=pace)
    variance += square
    return best


def unskewed(x: Floats, z: Floats, slope: Floats | None, learn: Floats, tune: Tuning) -> Floats:
    """The normal score of a skewed one, by the third moment of the series' own scores.

    Wilson & Hilferty's cube root for a Pearson III variable, on the side of its long tail; the short one is only moved,
    because real values do not end where that distribution does. An average over fewer events is more skewed: the third
    moment is kept for the usual number and grows with the root of `slope`. `learn` is 1 where a point may teach.
    """
    skew = x[Row.SKEW]
    thin = 1.0 if slope is None else np.sqrt(slope)
    cut = np.minimum(np.maximum(z, -tune.cut), tune.cut)
    lean = skew * skew
    lean = skew * (lean / (lean + tune.skew_doubt**2)) * thin
    lean = np.minimum(np.maximum(lean, -2.0), 2.0)
    skew += tune.skew_rate * learn * (cut * cut * cut / thin - skew)
    tail = z * lean > 1e-4
    bent = np.where(tail, lean, 1.0)
    bent = (6.0 / bent) * (np.cbrt(1.0 + 0.5 * np.maximum(bent * z, 0.0)) - 1.0)
    result: Floats = np.where(tail, bent, z) + lean / 6.0
    return result


def value_per_event(x: Floats, y: Floats, weight: Floats, ok: Floats, tune: Tuning) -> Floats:
    """The score of what the single events under a sum were worth: prices fell although as many bought.

    Given how many events there were, a sum varies much less than without. `ok` is 1 where there is a value.
    """
    there = ok * (weight > 0)
    events = np.maximum(weight, 1.0)
    usual, variance, run = x[Row.EACH], x[Row.V_EACH], x[Row.RUN_EACH]
    new = (usual <= 0) & (there > 0) & (y > 0)
    usual[new] = y[new] / events[new]
    variance[new] = 1.0
    known = usual > 0
    safe = np.where(known, usual, 1.0)
    gap = np.where(known, y / (events * safe) - 1.0, 0.0)
    spread = variance / events + tune.each_doubt**2
    z = relative_score((gap + 1.0) / spread, gap, spread, np.full_like(gap, 1e-9), spread) * there * known
    far = np.abs(z)
    run += there * ((far > tune.cut_run) * (run + 1.0) - run)
    rate = np.where(
        run >= tune.adopt_after, 0.5, tune.each_rate * np.minimum(1.0, tune.huber / np.maximum(far, tune.huber))
    )
    rate = np.maximum(rate, 1.0 / (x[Row.N] + 10.0)) * there * known
    usual += rate * safe * gap
    variance += rate * (np.minimum(gap * gap * events, 9.0 * variance) - variance)
    result: Floats = z
    return result


def where_tails_begin(x: Floats, now: Floats, at: Ints, held: Ints, tune: Tuning) -> None:
    """Move the scores above which the tails begin so that a set share of points lies there; not during an incident.

    `now` are scores in reach of it and `at` where they lie among the series' two tails, `held` the series with an
    incident or without a point.
    """
    begin = x[TAILS_FROM]
    saved = begin.take(held, axis=1)
    flat = begin.reshape(-1)  # the memory is contiguous, so this is a view
    above = at[now > flat[at]]
    less = 1.0 - tune.tail_pace * tune.tail_rate
    begin *= less
    flat[above] *= (less + tune.tail_pace) / less
    begin[:, held] = saved
    at_least(begin, tune.tail_from, out=begin)


def larger_by_prices(x: Floats, who: Ints, own: Floats, tune: Tuning) -> Floats:
    """The least mean excess of upward surprises of the sums `who`, whose relative variance is `own`.

    A sum of few is skewed beyond what its variance tells where single values are very unlike (lognormal prices). Skew
    grows with the root of the variance; what is due to prices is their share of it, not that of the number of events.
    """
    each = x[Row.V_EACH][who]
    result: Floats = tune.tail_prior * (1.0 + tune.tail_prices * np.sqrt(own[who]) * (each / (1.0 + each)))
    return result


def against_tail(
    x: Floats,
    far: Floats,
    now: Floats,
    who: Ints,
    at: Ints,
    tune: Tuning,
    *,
    normal: Floats | float = 0.0,
    upward: Floats | None = None,
) -> None:
    """Measure the surprises `now` of the series `who` by the series' own past ones of that side, into `far`.

    Above `tail_from` the logarithm of a score counts by its mean excess (B. M. Hill, 1975), which is known for normal
    scores and learned for others, and by how often it comes so far: heavy tails shrink. Only the first point of an
    incident teaches, and no single one much. As far as single scores are `normal` (0 to 1) only the looks are paid for.
    `at` is where these series' sides lie among the two tails of all.
    `upward` is the least mean excess of upward surprises, where it is known to be more than that of normal scores.
    """
    series, begin = len(far), x[TAILS_FROM].reshape(-1)[at]  # the memory is contiguous, so these are views
    tails, points = x[TAILS].reshape(-1), x[N_TAILS].reshape(-1)
    excess = np.log(now / begin)
    mine, other = tails[at], tails[who + (who + series) - at]
    hint = np.minimum(0.5 * tune.tail_points / points[at], 0.5)  # the other side's tail, while this one is unknown
    other = np.minimum(other, 2.0 * tune.tail_prior)  # bursts tell nothing of dips
    usual = np.maximum(np.maximum(mine, mine + hint * (other - mine)), tune.tail_prior)
    if upward is not None:
        np.maximum(usual, upward, out=usual, where=at < series)
    over = excess > 0
    base = now / begin
    if not isinstance(normal, float):
        base *= (as_a_single_look(now, begin, tune) / (tune.tail_from * base)) ** normal
    elif normal:
        base = as_a_single_look(now, begin, tune) / tune.tail_from
    far[who] = tune.tail_from * base ** np.where(over, tune.tail_prior / usual, x.dtype.type(1.0))
    teaches = (over & (x[Row.RUN][who] == 0)).nonzero()[0]
    if teaches.size:
        at, past = at[teaches], mine[teaches]
        many = points[at] + 1.0
        points[at] = many
        tails[at] = past + (np.minimum(excess[teaches], tune.tail_cap * past) - past) / many


def as_if_known(x: Floats, far: Floats, who: Ints, variance: Floats, tune: Tuning) -> Floats:
    """The surprises `far` of the counts `who` as they were if their relative `variance` were known and not learned.

    A score by a variance that was learned from n points follows Student's t with n degrees of freedom, whose tail is
    longer (West & Harrison, section 4.5); Wallace's approximation (1959) makes it normal. Old points fade, so up to
    twice as many stand behind a number as `Row.TRUST` weighs; and no variance is less than that of chance, so where
    noise is a small part of it, little can be wrong.
    """
    noise, _, trust = x[Row.NOISE : Row.TRUST + 1].take(who, axis=1)
    q = variance[who]
    n = q * (math.sqrt(0.5) / tune.noise_prior)
    n *= n
    n *= trust
    n *= 1.0 + n * (1.0 - tune.keep_spread)
    share = at_least(noise, tune.noise_prior) / q
    doubt = np.minimum(0.5 * share * share, 1.0 / n)
    result: Floats = np.sqrt(np.log1p(doubt * far * far) / doubt)
    result *= 1.0 - 0.25 * doubt
    return result


def how_normal(x: Floats, who: Ints, family: Family, tune: Tuning) -> Floats | float:
    """How far (0 to 1) single scores of the series `who` are known to be normal: those of averages and shares of known
    weight are, as far as the series' own are not skewed; those of sums and of windows of minutes are not."""
    if tune.bursts or family is Family.SUM:
        return 0.0
    lean = x[Row.SKEW][who] * (1.0 / tune.skew_doubt)
    result: Floats = 1.0 / (1.0 + lean * lean)
    return result


def as_a_single_look(far: Floats, begin: Floats, tune: Tuning) -> Floats:
    """The normal score as rare as `far` is where the tail begins at `begin` instead of at `tail_from`.

    Looking at several sums makes normal scores come k times as often, at any height; half the square of a normal score
    has an exponential tail, so that k takes the same from every square. What lies beyond `tail_looks` is scale.
    """
    most = np.minimum(begin, tune.tail_looks)
    alike = far * (most / begin)
    square = alike * alike - (most * most - tune.tail_from**2)
    result: Floats = np.where(
        far > begin, np.sqrt(np.maximum(square, tune.tail_from**2)), far * (tune.tail_from / begin)
    )
    return result


def one_sided(
    far: Floats, side: Floats, who: Ints, rare: Floats, dispersion: Floats, variance: Floats, tune: Tuning
) -> None:
    """Where not even nothing would be as rare as a count that is high, only one side can surprise.

    Its chance is then that of the one tail, not of two (an exact two-sided test): half, in `far` of the series `who`.
    `rare`, `dispersion` and `variance` are what `relative_score` takes.
    """
    up = who[(side[who] > 0) & (rare[who] > tune.few)]
    if up.size:
        none = np.zeros(up.size, far.dtype)
        nothing = relative_score(none, none - 1.0, rare[up], dispersion[up], variance[up])
        alone = up[-nothing < far[up]]
        far[alone] = np.sqrt(far[alone] * far[alone] + tune.half_as_rare)


def against_bursts(x: Floats, far: Floats, y: Floats, side: Floats, who: Ints, tune: Tuning) -> None:
    """Measure the upward surprises of heavy-tailed series by the largest values of the last days, whatever the hour.

    Where bursts are usual, a burst is a surprise when it is larger than bursts are: by as many standard deviations (of
    the logarithm of a stretch's largest value) as its score exceeds 1.
    """
    up = who[(side[who] > 0) & (x[Row.N_PEAKS, who] > 1)]
    weight = x[Row.TAIL_UP, up] * x[Row.TAIL_FROM_UP, up] / (tune.tail_prior * tune.tail_usual)
    heavy = weight > tune.heavy_from
    up, weight = up[heavy], weight[heavy]
    if not up.size:
        return
    share = (weight - tune.heavy_from) / (tune.heavy - tune.heavy_from)
    size = 1.1 + (np.log1p(y[up]) - x[Row.PEAKS, up]) / np.sqrt(x[Row.V_PEAKS, up])
    far[up] += np.minimum(share, 1.0) * (np.maximum(size, 0.0) - far[up])


def close_stretch(x: Floats, tune: Tuning) -> None:
    """Learn the size of bursts from the largest value of the stretch of hours that is over."""
    peak, count = x[Row.PEAK], x[Row.N_PEAKS]
    seen = np.flatnonzero((peak > 0) & (x[Row.TRUST] > 0))
    mean, variance, n = x[Row.PEAKS, seen], x[Row.V_PEAKS, seen], count[seen]
    gap = np.log1p(peak[seen]) - mean
    prior = tune.peaks_prior**2
    variance = np.where(n > 0, variance, prior)
    gap = np.where(n > 0, np.minimum(gap, tune.peaks_cap * np.sqrt(variance)), gap)
    forget = 1.0 - tune.peaks_keep
    learned = variance + np.maximum(1.0 / (n + tune.peaks_trust), forget) * (gap * gap - variance)
    x[Row.V_PEAKS, seen] = np.where(n > 0, np.maximum(learned, 0.25 * prior), prior)
    x[Row.PEAKS, seen] = mean + np.maximum(1.0 / (n + 1.0), forget) * gap
    count[seen] += 1.0
    peak[:] = 0.0


def what_is_new(x: Floats, far: Floats, who: Ints, tune: Tuning, news: Floats) -> None:
    """Into `news`: the scores of all series, less what is no news: a surprise smaller than one just before it.

    `who` are the series that surprise. Given that an incident goes on, its next point is no great surprise. What is
    flagged does not depend on this.
    """
    recent = x[Row.RECENT]
    recent *= tune.keep_recent
    np.copyto(news, far)
    if who.size:
        before, now = recent[who], far[who]
        told = np.maximum(tune.old_news * now, np.minimum(now, tune.tail_from))
        news[who] = np.where(now < before, told, now)
        recent[who] = np.maximum(before, now)


def follow(
    x: Floats,
    who: Ints,
    far: Floats,
    z: Floats,
    root: Floats,
    distance: Floats,
    noise: Floats,
    supports: Bools,
    weekday: int,
    tune: Tuning,
) -> None:
    """Follow another level for the series `who`: begun by a surprise, fed by points that are nearer to it than to
    the forecast (`supports`), adopted after enough of them, forgotten when they stop. All arrays are for `who` alone.
    """
    run, gap = x[Row.RUN][who], x[Row.GAP][who]
    fresh = (far > tune.cut_run) & ~supports
    gathered = x[Row.SHORT : Row.V_LONG + 1].take(who, axis=1)
    sums, variances = gathered[:2], gathered[2:]
    joint = np.abs(sums) / np.sqrt(np.maximum(variances, 1.0)) * (sums * z > 0)
    alone = np.abs(z)
    by_few, by_more = joint[0] > alone, joint[1] > np.maximum(alone, joint[0])  # what shows the other level best
    few, more = (math.sqrt((1 - keep) / (1 + keep)) for keep in (tune.keep_short, tune.keep_long))
    begin = np.where(by_few, sums[0] * root * few, distance)
    begin = np.where(by_more, sums[1] * root * more, begin)
    seen_before = np.where(by_more, 4.0, np.where(by_few, 2.0, 0.0))
    length = np.where(supports, run + 1.0, np.where(fresh, 1.0 + seen_before, run - 2.0))
    blend = np.maximum(1.0 / np.maximum(length, 1.0), tune.blend)
    x[Row.GAP][who] = np.where(supports, gap + blend * (distance - gap), np.where(fresh, begin, gap))
    x[Row.RUN][who] = np.maximum(length, 0.0)
    over = who[(run > 0) & (length <= 0)]
    if over.size:
        x[SUMS][:, over] = 0.0
    enough = (length >= tune.adopt_after).nonzero()[0]
    if enough.size:
        adopt(x, who[enough], noise[enough], weekday, tune)
