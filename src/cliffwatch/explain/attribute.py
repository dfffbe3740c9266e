"""Which slices explain the change: the decision of this room.

Additive measures are searched as they are. A ratio is taken apart first: what each leaf's denominator would have given at the
leaf's expected rate is compared with what came (*rate*), and the denominators themselves with their expected
weights (*mix*). The two effects add up to the ratio's change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cliffwatch.errors import InvalidInput
from cliffwatch.explain.model import Cause, Explanation, Floats, Kind, Leaves, Limits, NDArray, Reason
from cliffwatch.explain.search import Deviations, Found, search

FROM_HISTORY = 0.25  # an expected rate comes from about four windows' worth of events
EXACT = 1e-9  # relative difference below which two sums are the same number


def explain(leaves: Leaves, *, limits: Limits | None = None) -> Explanation:
    """The few slices that explain why `leaves.actual` differs from `leaves.expected`, most important first.

    Raises InvalidInput where a measure is not a finite number. Finding nothing is a valid answer; then `reason` says why.
    """
    limits = limits or Limits()
    for name, column in measures(leaves):
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InvalidInput(name, f"must be a finite number in every leaf; it is {column[row]} in leaf {row + 1}.")
    leaves = merged(leaves)
    if leaves.actual_weight is None or leaves.expected_weight is None:
        return explain_sum(leaves, limits)
    return explain_ratio(leaves, leaves.actual_weight, leaves.expected_weight, limits)


def measures(leaves: Leaves) -> list[tuple[str, Floats]]:
    named = [
        ("actual", leaves.actual),
        ("expected", leaves.expected),
        ("actual weight", leaves.actual_weight),
        ("expected weight", leaves.expected_weight),
    ]
    return [(name, column) for name, column in named if column is not None]


def merged(leaves: Leaves) -> Leaves:
    """The same leaves with each combination of values once (its rows added up) and without the empty ones."""
    columns = [column for _, column in measures(leaves)]
    keep = np.zeros(len(leaves.actual), bool)
    for column in columns:
        keep |= column != 0
    codes = leaves.codes
    if not keep.all():
        codes, columns = codes[keep], [column[keep] for column in columns]
    key = np.zeros(len(codes), np.int64)
    for d, vocabulary in enumerate(leaves.values):
        if len(vocabulary) and key.size and key.max() > np.iinfo(np.int64).max // (len(vocabulary) + 1):
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
        key = key * len(vocabulary) + codes[:, d]
    known, first, group = np.unique(key, return_index=True, return_inverse=True)
    if len(known) < len(key):
        codes = codes[first]
        columns = [np.bincount(group, column, len(known)) for column in columns]
    weights: Sequence[Floats | None] = columns[2:] or (None, None)
    return Leaves(leaves.dimensions, codes, leaves.values, columns[0], columns[1], weights[0], weights[1])


def nothing(leaves: Leaves) -> Reason | None:
    """Why there is nothing to search, if there is not."""
    if len(leaves.actual) == 0:
        return Reason.NO_LEAVES
    if not leaves.dimensions:
        return Reason.NO_DIMENSION
    if len(leaves.actual) == 1:
        return Reason.ONE_LEAF
    if all(
        np.array_equal(a, e)
        for a, e in ((leaves.actual, leaves.expected), (leaves.actual_weight, leaves.expected_weight))
        if a is not None and e is not None
    ):
        return Reason.NO_CHANGE
    return None


def explain_sum(leaves: Leaves, limits: Limits) -> Explanation:
    actual, expected = float(leaves.actual.sum()), float(leaves.expected.sum())
    reason = nothing(leaves)
    if reason:
        unexplained = 0.0 if reason in (Reason.NO_CHANGE, Reason.NO_LEAVES) else 1.0
        return Explanation((), actual, expected, unexplained, reason=reason)
    residual = leaves.actual - leaves.expected
    found = look(leaves, Deviations.of(leaves.actual, leaves.expected), limits)
    even = False
    whole = change_unit(residual)
    causes = ranked([cause_of(leaves, f, residual, whole, Kind.VOLUME) for f in found], limits)
    unexplained = 1 - sum(cause.share for cause in causes)
    return Explanation(
        causes, actual, expected, unexplained, reason=None if causes else reason_for(actual, expected, even)
    )


def explain_ratio(leaves: Leaves, weight: Floats, expected_weight: Floats, limits: Limits) -> Explanation:
    totals = [float(column.sum()) for column in (leaves.actual, leaves.expected, weight, expected_weight)]
    actual, expected, all_weight, all_expected_weight = totals
    reason = nothing(leaves)
    if reason is None and (all_weight <= 0 or all_expected_weight <= 0):
        reason = Reason.NO_LEAVES
    if reason:
        unexplained = 0.0 if reason in (Reason.NO_CHANGE, Reason.NO_LEAVES) else 1.0
        return Explanation((), actual, expected, unexplained, all_weight, all_expected_weight, 0.0, 0.0, (), reason)
    total_rate = expected / all_expected_weight
    change = actual / all_weight - total_rate
    rate = shrunk_rate(leaves.expected, expected_weight, total_rate)
    both = (weight > 0) & (expected_weight > 0)
    at_rate = np.where(both, weight * rate, leaves.actual)
    residual = leaves.actual - at_rate
    counted = is_part(leaves.actual, weight)
    if counted and total_rate > 0.5:  # what is rare tells more: 1 % failed became 3 %, not 99 % became 97 %
        rare, rarely = weight - leaves.actual, np.maximum(weight - at_rate, 0)
    else:
        rare, rarely = leaves.actual, at_rate
    least = max(1 - min(total_rate, 1 - total_rate), 0.0) if counted else 0.0
    unsure = 1 + FROM_HISTORY * weight / np.maximum(expected_weight, 1e-300)
    counting = np.where(both, rarely * unsure, rarely)
    size = np.maximum(np.abs(rare), np.abs(rarely))
    found = look(leaves, Deviations(rare - rarely, rarely, size, np.abs(counting), least), limits)
    even = False
    rate_effect = float(residual.sum()) / all_weight
    mix_effect = change - rate_effect
    gross = float(np.abs(residual).sum()) / all_weight
    whole = change if abs(change) > 0.01 * gross else gross
    causes = ranked([cause_of(leaves, f, residual / all_weight, whole, Kind.RATE) for f in found], limits)
    mix: tuple[Cause, ...] = ()
    if abs(mix_effect) > 0.1 * abs(change) or not causes:
        mix = mix_drivers(leaves, weight, expected_weight, rate - total_rate, whole, limits)
    if not causes:
        reason = Reason.MIX_ONLY if abs(mix_effect) > abs(rate_effect) else reason_for(change, 0.0, even)
    unexplained = 1 - sum(c.share for c in causes) - (mix_effect / whole if whole and mix else 0.0)
    return Explanation(
        causes, actual, expected, unexplained, all_weight, all_expected_weight, rate_effect, mix_effect, mix, reason
    )


def shrunk_rate(expected: Floats, weight: Floats, total_rate: float) -> Floats:
    """Each leaf's expected rate, drawn to the total's where the leaf has little weight (by half an event's worth)."""
    rarer = min(abs(total_rate), abs(1 - total_rate)) if 0 < total_rate < 1 else 1.0
    prior = 0.5 / max(rarer, 0.005)
    return (expected + prior * total_rate) / (weight + prior)


def is_part(actual: Floats, weight: Floats) -> bool:
    """Whether the numerator counts a part of the denominator, so that its noise is at least binomial."""
    return bool(((actual >= 0) & (actual <= weight) & (actual == np.rint(actual))).all())


def look(leaves: Leaves, deviations: Deviations, limits: Limits) -> list[Found]:
    sizes = tuple(len(v) for v in leaves.values)
    used = np.flatnonzero(deviations.size > 0)
    if len(used) == len(deviations.size):
        return search(leaves.codes, sizes, deviations, limits)
    d = deviations
    found = search(leaves.codes[used], sizes, Deviations(d.residual[used],d.expected[used],d.size[used],d.counted[used],d.least_count), limits)
    return [Found(f.dims,f.codes,used[f.members],used[f.rows],f.odds) for f in found]


def mix_drivers(
    leaves: Leaves, weight: Floats, expected_weight: Floats, excess: Floats, whole: float, limits: Limits
) -> tuple[Cause, ...]:
    """The slices whose weight in the whole changed, and moved the ratio because their rate is not the total's."""
    fair = expected_weight * (weight.sum() / expected_weight.sum())
    residual = weight - fair
    found = look(leaves, Deviations.of(weight, fair), limits)
    effect = residual / weight.sum() * excess
    drivers = [cause_of(leaves, f, effect, whole, Kind.MIX) for f in found]
    return ranked([driver for driver in drivers if abs(driver.share) >= 0.05], limits)


def cause_of(leaves: Leaves, found: Found, effect: Floats, whole: float, kind: Kind) -> Cause:
    """The cause that a found slice is; its share counts the leaves that no other cause explains."""
    inside = found.members
    sums = [float(column[inside].sum()) for _, column in measures(leaves)]
    items = tuple(
        (leaves.dimensions[d], leaves.values[d][code]) for d, code in zip(found.dims, found.codes, strict=True)
    )
    share = float(effect[found.rows].sum()) / whole if whole else 0.0
    return Cause(items, sums[0], sums[1], share, probability(found.odds), kind, *sums[2:])


def probability(gain: float) -> float:
    """Log odds -> probability."""
    return 1 / (1 + math.exp(-min(gain, 700)))


def ranked(causes: list[Cause], limits: Limits) -> tuple[Cause, ...]:
    kept = [c for c in causes if c.confidence >= limits.min_probability and abs(c.share) >= limits.min_share]
    return tuple(sorted(kept, key=lambda c: (-abs(c.share), c.slice_items))[: limits.max_causes])


def change_unit(residual: Floats) -> float:
    """What a share is a fraction of: the total's change, or the gross change where ups and downs cancel."""
    net, gross = float(residual.sum()), float(np.abs(residual).sum())
    return net if abs(net) > 0.01 * gross else gross


def reason_for(actual: float, expected: float, even: bool) -> Reason:
    if even:
        return Reason.EVENLY
    if math.isclose(actual, expected, rel_tol=EXACT, abs_tol=EXACT):
        return Reason.NO_CHANGE
    return Reason.NOTHING_STANDS_OUT


__all__ = ["NDArray", "explain"]
