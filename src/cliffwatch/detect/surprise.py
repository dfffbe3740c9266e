"""What a surprise means: evidence over several points, the series' own tail, another level. Pure."""

from __future__ import annotations

import math

import numpy as np

from cliffwatch.detect.layout import Row, Tuning
from cliffwatch.detect.model import Bools, Floats, Ints
from cliffwatch.detect.slow import adopt
from cliffwatch.detect.tails import count_score

EVIDENCE = ((Row.SHORT, Row.V_SHORT), (Row.LONG, Row.V_LONG))


def evidence(
    x: Floats, z: Floats, size: Floats, common: Floats, rate: Floats, ok: Floats | None, tune: Tuning
) -> Floats:
    """The score of a point joined with that of the last few and of more points before it.

    The sums are exponentially weighted, of clipped scores, and measured against their own past variance (learned at
    `rate`), so a series whose scores lean together pays for it; `common` is the share of a point's variance that it
    has in common with its neighbours. Taking the largest of three scores costs a fifth of a unit, so that a quiet
    series stays as quiet. A sum counts only while the point itself leans the same way. `ok` masks points, None is all.
    """
    clipped = np.minimum(np.maximum(z, -tune.clip), tune.clip)
    side = np.copysign(1.0, z)
    best = size * size
    for (row, v_row), keep in zip(EVIDENCE, (tune.keep_short, tune.keep_long), strict=True):
        sums, variance = x[row], x[v_row]
        if ok is None:
            sums *= keep
            sums += math.sqrt(1 - keep * keep) * clipped
        else:
            sums *= 1.0 - (1.0 - keep) * ok
            sums += (math.sqrt(1 - keep * keep) * clipped) * ok
        along = sums * side
        absolute = np.abs(along)
        along *= absolute
        absolute *= absolute
        along /= np.maximum(variance, 1.0 + common * (2 * keep / (1 - keep)))
        np.maximum(best, along, out=best)
        variance += rate * (np.minimum(absolute, 9.0) - variance)
    far = np.sqrt(best)
    far = np.where(size > tune.gate, far, size)
    far -= np.minimum(0.1 * far, tune.several)
    return far


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
    safe = np.maximum(usual, 1e-300)
    gap = y / (events * safe) - 1.0
    spread = variance / events + tune.each_doubt**2
    z = count_score((gap + 1.0) / spread, 1.0 / spread, np.full(gap.shape, 1e-9)) * there * (usual > 0)
    far = np.abs(z)
    run += there * ((far > tune.cut_run) * (run + 1.0) - run)
    rate = np.where(
        run >= tune.adopt_after, 0.5, tune.each_rate * np.minimum(1.0, tune.huber / np.maximum(far, tune.huber))
    )
    rate = np.maximum(rate, 1.0 / (x[Row.N] + 10.0)) * there
    usual += rate * safe * gap
    variance += rate * (np.minimum(gap * gap * events, 9.0 * variance) - variance)
    result: Floats = z
    return result


def against_tail(x: Floats, far: Floats, side: Floats, who: Ints, news: Bools, tune: Tuning) -> None:
    """Measure the surprises of the series `who` (in `far`, changed in place) by the series' own past ones of that side.

    Above `tail_from` the logarithm of a score counts by its mean excess (B. M. Hill, 1975), which is known for normal
    scores and learned for others, and by how often it comes so far: heavy tails shrink. Only `news` (the first point of
    an incident) teaches, and no single one much.
    """
    begin = x[Row.TAIL_FROM, who]
    excess = np.log(far[who] / begin)
    for row, n_row, members in (
        (Row.TAIL_UP, Row.N_TAIL_UP, side > 0),
        (Row.TAIL_DOWN, Row.N_TAIL_DOWN, side <= 0),
    ):
        at, over = who[members], excess[members]
        other = Row.TAIL_UP + Row.TAIL_DOWN - row
        usual = np.maximum(np.maximum(x[row, at], 0.5 * (x[row, at] + x[other, at])), tune.tail_prior)
        far[at] = tune.tail_from * np.exp(over * np.where(over > 0, tune.tail_prior / usual, 1.0))
        teaches = news[members] & (over > 0)
        taught, fresh = at[teaches], over[teaches]
        x[n_row, taught] += 1.0
        past = x[row, taught]
        x[row, taught] += (np.minimum(fresh, tune.tail_cap * past) - past) / x[n_row, taught]


def what_is_new(x: Floats, far: Floats, who: Ints, tune: Tuning) -> Floats:
    """The scores of all series, less what is no news: a surprise (of the series `who`) smaller than one just before it.

    Given that an incident goes on, its next point is no great surprise. What is flagged does not depend on this.
    """
    recent = x[Row.RECENT]
    recent *= tune.keep_recent
    news = far.copy()
    before, now = recent[who], far[who]
    news[who] = np.where(now < before, np.maximum(tune.old_news * now, np.minimum(now, tune.tail_from)), now)
    recent[who] = np.maximum(before, now)
    return news


def follow(
    x: Floats,
    who: Ints,
    far: Floats,
    z: Floats,
    root: Floats,
    distance: Floats,
    noise: Floats,
    weekday: int,
    tune: Tuning,
) -> None:
    """Follow another level for the series `who`: begun by a surprise, fed by points that are nearer to it than to
    the forecast, adopted after enough of them, forgotten when they stop. All arrays are for `who` alone.
    """
    run, gap = x[Row.RUN, who], x[Row.GAP, who]
    supports = (run > 0) & (distance * np.sign(gap) > 0.5 * np.abs(gap))
    fresh = (far > tune.cut_run) & ~supports
    largest, begin, seen_before = np.abs(z), distance, np.zeros(len(who))
    for points, (row, v_row), keep in zip((2.0, 4.0), EVIDENCE, (tune.keep_short, tune.keep_long), strict=True):
        sums = x[row, who]
        joint = np.abs(sums) / np.sqrt(np.maximum(x[v_row, who], 1.0)) * (sums * z > 0)
        begin = np.where(joint > largest, sums * math.sqrt((1 - keep) / (1 + keep)) * root, begin)
        seen_before = np.where(joint > largest, points, seen_before)
        largest = np.maximum(largest, joint)
    length = np.where(supports, run + 1.0, np.where(fresh, 1.0 + seen_before, run - 2.0))
    blend = np.maximum(1.0 / np.maximum(length, 1.0), tune.blend)
    x[Row.GAP, who] = np.where(supports, gap + blend * (distance - gap), np.where(fresh, begin, gap))
    x[Row.RUN, who] = np.maximum(length, 0.0)
    over = who[(run > 0) & (length <= 0)]
    if over.size:
        x[Row.SHORT, over] = 0.0
        x[Row.LONG, over] = 0.0
    enough = length >= tune.adopt_after
    if enough.any():
        adopt(x, who[enough], noise[enough], weekday, tune)
