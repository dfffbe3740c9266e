"""Root-cause methods to compare with, written from their publications, over the same leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain import Leaves, Limits, explain

Answer = list[dict[str, str]]
Floats = NDArray[np.float64]

LEAST_POWER, ENOUGH_POWER = 0.1, 0.67  # Adtributor's thresholds T_EEP and T_EP, as published


def ours(leaves: Leaves) -> Answer:
    return [cause.slice for cause in explain(leaves).causes]


def ours_as_told(leaves: Leaves) -> Answer:
    """What an incident names: causes of at least a twentieth of the change."""
    return [cause.slice for cause in explain(leaves, limits=Limits(min_share=0.05)).causes]


def adtributor(leaves: Leaves) -> Answer:
    """Adtributor (Bhagwan et al., NSDI 2014): the one dimension whose few values are the most surprising and explain
    enough of the change. A ratio's explanatory power is that of its section 4.2, by finite differences."""
    best: tuple[float, Answer] = (0.0, [])
    for axis, dimension in enumerate(leaves.dimensions):
        size = len(leaves.values[axis])
        sums = [np.asarray(np.bincount(leaves.codes[:, axis], c, size), np.float64) for _, c in leaves.measures()]
        power, surprise = powers(sums), surprises(sums[0], sums[1])
        if len(sums) > 2:
            surprise += surprises(sums[2], sums[3])
        chosen, explained, total = [], 0.0, 0.0
        for code in np.argsort(-surprise, kind="stable").tolist():
            if power[code] > LEAST_POWER:
                chosen.append(code)
                explained, total = explained + float(power[code]), total + float(surprise[code])
            if explained > ENOUGH_POWER:
                break
        if explained > ENOUGH_POWER and total > best[0]:
            best = (total, [{dimension: leaves.values[axis][code]} for code in chosen])
    return best[1]


def powers(sums: list[Floats]) -> Floats:
    """Each value's fraction of the change."""
    actual, expected = sums[0], sums[1]
    if len(sums) == 2:
        effect = actual - expected
    else:
        weight, expected_weight = sums[2], sums[3]
        all_expected, all_weight = expected.sum(), expected_weight.sum()
        moved = (actual - expected) * all_weight - (weight - expected_weight) * all_expected
        effect = moved / np.maximum(all_weight * (all_weight + weight - expected_weight), 1e-12)
    whole = effect.sum()
    return np.asarray(effect / whole if whole else np.zeros_like(effect), np.float64)


def surprises(actual: Floats, expected: Floats) -> Floats:
    """Each value's part of the Jensen-Shannon divergence of the two shares."""
    p, q = expected / max(expected.sum(), 1e-12), actual / max(actual.sum(), 1e-12)
    mean = np.maximum((p + q) / 2, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = np.where(p > 0, p * np.log(p / mean), 0.0), np.where(q > 0, q * np.log(q / mean), 0.0)
    return np.asarray((left + right) / 2, np.float64)


def drill_down(leaves: Leaves) -> Answer:
    """What products with a drill-down do: the values of one dimension that changed most beyond the whole."""
    best: tuple[float, Answer] = (0.0, [])
    for axis, dimension in enumerate(leaves.dimensions):
        size = len(leaves.values[axis])
        sums = [np.bincount(leaves.codes[:, axis], column, size) for _, column in leaves.measures()]
        if len(sums) > 2:
            sums = [sums[0] / np.maximum(sums[2], 1e-9), sums[1] / np.maximum(sums[3], 1e-9)]
        change = (sums[0] - sums[1]) / np.maximum(sums[1], 1e-9)
        far = np.abs(change - np.median(change))
        limit = 3 * 1.4826 * np.median(far) + 0.05
        found = [{dimension: leaves.values[axis][code]} for code in np.flatnonzero(far > limit)]
        if found and far.max() > best[0]:
            best = (float(far.max()), found)
    return best[1]
