"""Which slices explain the change: the decision of this room.

Additive measures are searched as they are. A ratio is taken apart first: what each leaf's denominator would have given
at the leaf's expected rate is compared with what came (*rate*), and the denominators themselves with their expected
weights (*mix*). The two effects add up to the ratio's change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffwatch.errors import InvalidInput
from cliffwatch.explain.cube import Rows
from cliffwatch.explain.model import Cause, Explanation, Floats, Kind, Leaves, Limits, Reason
from cliffwatch.explain.search import Deviations, Found, search
from cliffwatch.explain.thin import counts_of_thin_leaves, few_events, thin_search

SAME = 1e-9  # relative difference below which two sums are the same number
CANCELLED = 0.25  # a total that moved by less than this fraction of its causes' moves is no measure of them
MATTERS = 0.05  # fraction of a ratio's change from which on a change of mix is worth naming
MIX_LOOK = 0.1  # fraction of a ratio's change from which on the mix is looked into
MANY = 16  # leaves from which on their noise can be read off them
RATE_WINDOWS = 4  # an expected rate comes from about so many windows' worth of events


def explain(leaves: Leaves, *, limits: Limits | None = None, event_size: float | None = None) -> Explanation:
    """The few slices that explain why `leaves.actual` differs from `leaves.expected`, most important first.

    `event_size` says that an additive measure is the sum of single events, and gives its variance per unit: 1 for a
    count, E[x^2] / E[x] for a sum of x. Then the noise of thin leaves is known; otherwise it is read off the leaves.
    Raises InvalidInput where a measure is not a finite number. Finding nothing is a valid answer; `reason` then says
    why. The order of leaves and dimensions does not matter, and leaves with the same values are added up.
    """
    limits = limits or Limits()
    for name, column in leaves.measures():
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InvalidInput(name, f"must be a finite number in every leaf; it is {column[row]} in leaf {row + 1}.")
    leaves = merged(leaves, with_empty=not leaves.is_ratio and (event_size is not None or not leaves.expected.any()))
    if leaves.actual_weight is None or leaves.expected_weight is None:
        if event_size is None and counts_of_thin_leaves(leaves.actual, leaves.expected):
            event_size = 1.0
        return explain_sum(leaves, limits, event_size)
    return explain_ratio(leaves, leaves.actual_weight, leaves.expected_weight, limits)


def merged(leaves: Leaves, *, with_empty: bool = False) -> Leaves:
    """The same leaves with each combination of values once (its rows added up) and without the empty ones.

    Where few events were expected, or none, empty leaves tell where it stayed so: `with_empty`.
    """
    codes, columns = leaves.codes, [column for _, column in leaves.measures()]
    keep = np.full(len(codes), with_empty)
    for column in columns:
        keep |= column != 0
    if not keep.all():
        codes, columns = codes[keep], [column[keep] for column in columns]
    key, cells = np.zeros(len(codes), np.int64), 1
    for d, vocabulary in enumerate(leaves.values):
        if cells * len(vocabulary) >= 2**62:
            known, key = np.unique(key, return_inverse=True)
            cells = len(known)
        key = key * len(vocabulary) + codes[:, d]
        cells *= len(vocabulary)
    if doubled(key, cells):
        known, first, group = np.unique(key, return_index=True, return_inverse=True)
        codes = codes[first]
        columns = [np.asarray(np.bincount(group, column, len(known)), np.float64) for column in columns]
    weights = (columns[2], columns[3]) if leaves.is_ratio else (None, None)
    return Leaves(leaves.dimensions, codes, leaves.values, columns[0], columns[1], *weights)


def doubled(key: NDArray[np.int64], cells: int) -> bool:
    """Whether a key, of `cells` possible ones, is there twice."""
    if cells <= 4 * len(key):
        return bool(np.bincount(key, minlength=1).max(initial=0) > 1)
    ordered = np.sort(key)
    return bool((ordered[1:] == ordered[:-1]).any())


def hopeless(leaves: Leaves) -> Reason | None:
    """Why there is nothing to search, if there is not."""
    if len(leaves.actual) == 0:
        return Reason.NO_LEAVES
    if not leaves.dimensions:
        return Reason.NO_DIMENSION
    weights = (leaves.actual_weight, leaves.expected_weight)
    pairs = [(leaves.actual, leaves.expected), weights]
    if all(np.array_equal(a, e) for a, e in pairs if a is not None and e is not None):
        return Reason.NO_CHANGE
    if leaves.is_ratio and not all(w is not None and w.sum() > 0 for w in weights):
        return Reason.NO_LEAVES
    return Reason.ONE_LEAF if len(leaves.actual) == 1 else None


def explain_sum(leaves: Leaves, limits: Limits, event_size: float | None) -> Explanation:
    actual, expected = float(leaves.actual.sum()), float(leaves.expected.sum())
    reason = hopeless(leaves)
    if reason:
        return Explanation((), actual, expected, 0.0 if reason is Reason.NO_CHANGE else 1.0, reason=reason)
    if event_size is not None and min(leaves.actual.min(), leaves.expected.min()) >= 0:
        thin = len(leaves.actual) < MANY or few_events(np.maximum(leaves.actual, leaves.expected) / event_size)
        look = (thinly_looked if thin or one_dimension(leaves) else counted_looked)(leaves, event_size, limits)
    else:
        look = looked(leaves, Deviations.of(leaves.actual, leaves.expected), limits)
    change = actual - expected
    whole = unit(change, [float(look.residual[f.rows].sum()) for f in look.found])
    causes = causes_of(leaves, look.found, added(look.residual), whole, Kind.VOLUME, limits)
    everywhere = (change - float(look.residual.sum())) / whole if look.evenly and whole else 0.0
    if not causes:
        reason = why_not(change, abs(actual) + abs(expected), look)
    unexplained = left(change, whole, causes, everywhere)
    return Explanation(causes, actual, expected, unexplained, everywhere=everywhere, reason=reason)


def explain_ratio(leaves: Leaves, weight: Floats, expected_weight: Floats, limits: Limits) -> Explanation:
    amounts = (float(leaves.actual.sum()), float(leaves.expected.sum()))
    weights = (float(weight.sum()), float(expected_weight.sum()))
    reason = hopeless(leaves)
    if reason:
        unexplained = 0.0 if reason is Reason.NO_CHANGE else 1.0
        return Explanation((), *amounts, unexplained, *weights, rate_effect=0.0, mix_effect=0.0, reason=reason)
    total_rate = amounts[1] / weights[1]
    change = amounts[0] / weights[0] - total_rate
    at_rate, rate = expected_at_rate(leaves, weight, expected_weight, total_rate)
    look = looked(leaves, rate_deviations(leaves.actual, at_rate, weight, expected_weight, total_rate), limits)
    residual = (leaves.actual - at_rate) / weights[0]
    rate_effect = float(residual.sum())
    mix_effect = change - rate_effect
    whole = unit(change, [float(residual[f.rows].sum()) for f in look.found])
    causes = causes_of(leaves, look.found, added(residual), whole, Kind.RATE, limits)
    mix: tuple[Cause, ...] = ()
    if not causes or abs(mix_effect) > MIX_LOOK * abs(change):
        mix = mix_drivers(leaves, weight, expected_weight, rate, whole, limits)
    if not causes:
        mixed = abs(mix_effect) > abs(rate_effect) and not look.evenly
        reason = Reason.MIX_ONLY if mixed else why_not(change, abs(total_rate), look)
    by_mix = mix_effect / whole if whole and mix else 0.0
    everywhere = (rate_effect - sum(c.share for c in causes) * whole) / whole if look.evenly and whole else 0.0
    return Explanation(
        causes,
        *amounts,
        left(change, whole, causes, everywhere + by_mix),
        *weights,
        everywhere=everywhere,
        rate_effect=rate_effect,
        mix_effect=mix_effect,
        mix=mix,
        reason=reason,
    )


def expected_at_rate(
    leaves: Leaves, weight: Floats, expected_weight: Floats, total_rate: float
) -> tuple[Floats, Floats]:
    """What each leaf's weight would have given at its expected rate, and that rate; each (L,).

    A leaf's rate is drawn to the total's by half an event's worth, since a rate seen on little weight is not one.
    A leaf that came without being expected, or the other way round, has no rate to compare: it is a change of mix.
    """
    rarer = min(total_rate, 1 - total_rate) if 0 < total_rate < 1 else 1.0
    prior = 0.5 / max(rarer, 0.005)
    rate = (leaves.expected + prior * total_rate) / (np.maximum(expected_weight, 0) + prior)
    both = (weight > 0) & (expected_weight > 0)
    return np.where(both, weight * rate, leaves.actual), rate


def rate_deviations(
    actual: Floats, at_rate: Floats, weight: Floats, expected_weight: Floats, total_rate: float
) -> Deviations:
    """The deviations of a ratio's numerators from what their weights would have given.

    Where the numerator counts a part of the denominator, the rarer side tells more: 1 % failed became 3 %, rather than
    99 % became 97 %; and the noise is at least that of counting.
    """
    counts = bool(((actual >= 0) & (actual <= weight) & (actual == np.rint(actual))).all())
    if counts and total_rate > 0.5:
        actual, at_rate, total_rate = weight - actual, np.maximum(weight - at_rate, 0.0), 1 - total_rate
    from_history = weight / (RATE_WINDOWS * np.maximum(expected_weight, 1e-300))
    counted = np.abs(at_rate) * np.where(expected_weight > 0, 1 + from_history, 1.0)
    size = np.maximum(np.abs(actual), np.abs(at_rate))
    return Deviations(actual - at_rate, at_rate, size, counted, max(1 - total_rate, 0.0) if counts else 0.0)


def mix_drivers(
    leaves: Leaves, weight: Floats, expected_weight: Floats, rate: Floats, whole: float, limits: Limits
) -> tuple[Cause, ...]:
    """The slices whose weight changed and thereby moved the ratio.

    A slice's effect is what the ratio would lose if the slice had kept its expected weight.
    """
    look = looked(leaves, Deviations.of(weight, expected_weight), limits)
    fair = weight - look.residual  # what was expected, grown like everything
    all_weight, value = float(weight.sum()), float((weight * rate).sum() / weight.sum())

    def effect(rows: Rows) -> float:
        more, gain = float((weight - fair)[rows].sum()), float(((weight - fair) * rate)[rows].sum())
        without = all_weight - more
        return value - (value * all_weight - gain) / without if without > 0 else 0.0

    drivers = causes_of(leaves, look.found, effect, whole, Kind.MIX, limits)
    return tuple(driver for driver in drivers if abs(driver.share) >= MATTERS)


@dataclass(frozen=True, slots=True)
class Look:
    """What a search found; the residuals (L,) beyond what all leaves share, and whether all moved evenly."""

    found: list[Found]
    residual: Floats
    evenly: bool


def looked(leaves: Leaves, deviations: Deviations, limits: Limits) -> Look:
    """Search, and where everything moved evenly, search again for what moved beyond that."""
    sizes = tuple(len(vocabulary) for vocabulary in leaves.values)

    def found(those: Deviations) -> list[Found]:
        used = np.flatnonzero(those.size > 0)
        if len(used) == len(those.size):
            return search(leaves.codes, sizes, those, limits)
        some = search(leaves.codes[used], sizes, those.of_rows(used), limits)
        return [Found(f.codes, used[f.members], used[f.rows], f.odds) for f in some]

    first = found(deviations)
    evenly = any(not f.codes for f in first)
    if evenly and not first[0].codes:
        deviations = deviations.beyond_level()
        first = found(deviations)
    return Look([f for f in first if f.codes], deviations.residual, evenly)


def one_dimension(leaves: Leaves) -> bool:
    """Whether each leaf is a slice by itself: there is no depth to find, nor are there leaves within it to compare."""
    return sum(len(vocabulary) > 1 for vocabulary in leaves.values) == 1


def counted_looked(leaves: Leaves, event_size: float, limits: Limits) -> Look:
    """The same for sums of many single events a leaf: the noise is read off the leaves, and is at least of counting."""
    return looked(leaves, replace(Deviations.of(leaves.actual, leaves.expected), least_count=event_size), limits)


def thinly_looked(leaves: Leaves, event_size: float, limits: Limits) -> Look:
    """The same for sums of single events, whose noise is known."""
    sizes = tuple(len(vocabulary) for vocabulary in leaves.values)
    expected = leaves.expected
    found = thin_search(leaves.codes, sizes, leaves.actual, expected, event_size, limits)
    evenly = bool(found) and not found[0].codes
    if evenly and expected.sum() > 0:
        expected = expected * (leaves.actual.sum() / expected.sum())
        found = thin_search(leaves.codes, sizes, leaves.actual, expected, event_size, limits)
    return Look([f for f in found if f.codes], leaves.actual - expected, evenly)


def causes_of(
    leaves: Leaves, found: list[Found], effect: Callable[[Rows], float], whole: float, kind: Kind, limits: Limits
) -> tuple[Cause, ...]:
    """The causes that found slices are; a share counts the leaves that no surer cause explains."""
    causes = []
    for slice_ in found:
        sums = [float(column[slice_.members].sum()) for _, column in leaves.measures()]
        items = tuple((leaves.dimensions[d], leaves.values[d][code]) for d, code in sorted(slice_.codes.items()))
        share = effect(slice_.rows) / whole if whole else 0.0
        probability = 1 / (1 + math.exp(-min(slice_.odds, 700.0)))
        if probability >= limits.min_probability and abs(share) >= limits.min_share:
            causes.append(Cause(items, sums[0], sums[1], share, probability, kind, *sums[2:]))
    return tuple(sorted(causes, key=lambda c: (-abs(c.share), c.slice_items))[: limits.max_causes])


def added(residual: Floats) -> Callable[[Rows], float]:
    """What leaves bring about together, where effects add up."""
    return lambda rows: float(residual[rows].sum())


def unit(change: float, moves: list[float]) -> float:
    """What a share is a fraction of: the total's change, or all moves together where ups and downs cancel."""
    gross = sum(abs(move) for move in moves)
    return gross if abs(change) < CANCELLED * gross else change


def left(change: float, whole: float, causes: tuple[Cause, ...], otherwise: float) -> float:
    """The fraction of the change that is neither in a cause nor explained otherwise."""
    return abs(change / whole - sum(cause.share for cause in causes) - otherwise) if whole else 0.0


def why_not(change: float, size: float, look: Look) -> Reason:
    if look.evenly:
        return Reason.EVENLY
    return Reason.NO_CHANGE if abs(change) <= SAME * size else Reason.NOTHING_STANDS_OUT
