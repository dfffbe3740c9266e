"""What each leaf should have been: its own history, drawn to its parents' where it is thin, adding up to the total's
forecast.

A leaf's history is its values in comparable past windows (the same hours of the same weekday, or the windows just
before). A thin leaf borrows from its parents: what its dimension values would give if they were independent.
"""

from __future__ import annotations

import numpy as np

from cliffwatch.errors import InvalidInput
from cliffwatch.explain.model import Codes, Floats

THICK = 10.0  # from this mean on a leaf's median is a better middle than its mean
RAKES = 3  # rounds of bringing sums to their own past
BORROWED = 0.5  # windows' worth of history that the parents weigh
FEW = 0.05  # the quantile of amounts that is taken for that of one event
FAR = 20.0  # a total's forecast further than this factor from the leaves' own sum is not forced upon them


def expected_leaves(
    codes: Codes, history: Floats, expected_total: float | None = None, *, event: float | None = None
) -> Floats:
    """Expected value (L,) of each leaf of an additive measure.

    `codes` is (L, D), the leaves of now and of the past together; `history` is (L, H): each leaf's value in H
    comparable windows, 0 where the leaf was absent, NaN where the window does not count. A value that is new has an
    expectation of 0, one that vanished keeps its own. The result sums to `expected_total` where that is given and
    is of the history's sign. `event` is the mean amount of one event, where it is known. A metric whose history is
    all zero is expected to stay at zero.
    """
    check(codes, history)
    counted = np.isfinite(history)
    values = np.where(counted, history, 0.0)
    windows = counted.sum(axis=1)
    mean = values.sum(axis=1) / np.maximum(windows, 1)
    own = middle(history, mean, windows)
    if (values >= 0).all():
        squares = (values**2).sum(axis=1)
        seen = np.divide(values.sum(axis=1) ** 2, squares, out=np.zeros_like(mean), where=squares > 0)
        borrowed = independent(codes, mean)
        told = np.maximum(seen, windows * borrowed / (event or one_event(values)))
        trust = told / (told + BORROWED)
        own = raked(codes, trust * own + (1 - trust) * borrowed, own)
    total = float(own.sum())
    if expected_total is None or total == 0 or not 1 / FAR <= expected_total / total <= FAR:
        return own if expected_total != 0 else np.zeros_like(own)
    return own * (expected_total / total)


def expected_ratio_leaves(
    codes: Codes,
    numerators: Floats,
    denominators: Floats,
    expected_weight: float | None = None,
    expected_value: float | None = None,
) -> tuple[Floats, Floats]:
    """Expected (numerators, denominators), each (L,), of the leaves of a ratio or a mean.

    `numerators` and `denominators` are histories (L, H) as in `expected_leaves`; `expected_weight` is the forecast of
    the
    total's denominator and `expected_value` that of the ratio itself. A leaf's rate is drawn to what its dimension
    values' rates make likely, by about one event's worth.
    """
    check(codes, numerators)
    weight = expected_leaves(codes, denominators, expected_weight)
    both = np.isfinite(numerators) & np.isfinite(denominators)
    n = np.where(both, numerators, 0.0).sum(axis=1)
    d = np.where(both, denominators, 0.0).sum(axis=1)
    if d.sum() <= 0:
        return np.zeros_like(weight), weight
    overall = float(n.sum() / d.sum())
    likely = np.full(len(n), overall)
    if overall > 0 and (n >= 0).all():
        prior = 1 / overall if overall < 1 else 1.0
        for axis in range(codes.shape[1]):
            by_n, by_d = np.bincount(codes[:, axis], n), np.bincount(codes[:, axis], d)
            rate = (by_n + prior * overall) / (by_d + prior)
            likely *= (rate / overall)[codes[:, axis]]
        likely = np.clip(likely, overall / 10, overall * 10)
        if (n <= d).all():
            likely = np.minimum(likely, 1.0)
        n, d = n + prior * likely, d + prior
    rate = np.divide(n, d, out=likely.copy(), where=d > 0)
    expected = weight * rate
    now = float(expected.sum() / weight.sum()) if weight.sum() > 0 else 0.0
    if expected_value is not None and now != 0 and 1 / FAR <= expected_value / now <= FAR:
        expected = expected * (expected_value / now)
    return expected, weight


def check(codes: Codes, history: Floats) -> None:
    if history.ndim != 2 or len(history) != len(codes):
        raise InvalidInput("History", f"must be a matrix of {len(codes)} leaves by windows, got shape {history.shape}.")


def middle(history: Floats, mean: Floats, windows: Floats) -> Floats:
    """The mean where a leaf is thin or windows are few, else the median, which one bad window does not move."""
    own = mean.copy()
    thick = (np.abs(mean) >= THICK) & (windows >= 3)
    if thick.any():
        own[thick] = np.nanmedian(history[thick], axis=1)
    return own


def one_event(values: Floats) -> float:
    """About the amount of a single event, where it is not known: nearly the least that ever came to a leaf in a window.

    It tells how often something should have come to a leaf. One that stayed empty, or nearly, through windows in which
    its parents made hundreds of events likely is such a leaf by itself, and borrows nothing.
    """
    came = values[values > 0]
    return float(np.quantile(came, FEW)) if len(came) else 1.0


def raked(codes: Codes, level: Floats, own: Floats) -> Floats:
    """`level` (L,) with each dimension value's sum brought to that of `own` (iterative proportional fitting).

    Shrinking moves amounts from leaves that were seen to those that were not, of which only some are at hand: without
    this, values of few events would seem to have risen whenever cubes are sparse.
    """
    for _ in range(RAKES):
        for axis in range(codes.shape[1]):
            code = codes[:, axis]
            wanted, there = np.bincount(code, own), np.bincount(code, level)
            level = level * np.divide(wanted, there, out=np.zeros(len(wanted)), where=there > 0)[code]
    return level


def independent(codes: Codes, level: Floats) -> Floats:
    """What each leaf would be if its dimension values were independent; sums to the level's sum."""
    total = float(level.sum())
    if total <= 0:
        return np.zeros_like(level)
    product = np.full(len(level), total)
    for axis in range(codes.shape[1]):
        product *= (np.bincount(codes[:, axis], level) / total)[codes[:, axis]]
    whole = float(product.sum())
    return product * (total / whole) if whole > 0 else level
