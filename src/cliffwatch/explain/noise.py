"""How far leaves stray from their expectation by themselves.

A leaf's residual has variance `count * size + relative**2 * size**2`: the first part is that of counting
few things, the second that of a forecast (or a leaf) that is a few percent off. Both are read off the leaves at hand,
by
the likelihood of a mixture in which some leaves moved anywhere, so that the changed ones do not pass for noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain.model import Floats

SAMPLE = 1_500  # leaves from which the noise is read
RELATIVE = (0.002, 0.6)  # the range of relative noise
CLIMBS = 40
STARTS = (0.01, 0.05, 0.2)
MOVED = (0.001, 0.03, 0.15, 0.4)


@dataclass(frozen=True, slots=True)
class Noise:
    """`relative` is a fraction of a leaf's size; `count` the variance per unit of size (1 for pure counts)."""

    relative: float
    count: float
    moved: float

    def variance(self, counted: Floats, size: Floats) -> Floats:
        """Residual variance of leaves of this size."""
        return self.count * np.maximum(counted, self.count / 2) + (self.relative * size) ** 2


def sample(residual: Floats, size: Floats, wanted: int) -> NDArray[np.intp]:
    """About `wanted` leaves, chosen by their own numbers, so that the order of the leaves does not matter."""
    if len(residual) <= 1.2 * wanted:
        return np.arange(len(residual))
    mixed = (residual.view(np.uint64) ^ (size.view(np.uint64) << np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    pick = np.flatnonzero(mixed < np.uint64(2**64 * (wanted / len(residual))))
    return pick if len(pick) >= wanted // 4 else np.arange(len(residual))  # else most leaves are one and the same


def estimate(residual: Floats, counted: Floats, size: Floats, least_count: float = 0.0) -> Noise:
    """The noise of leaves of which an unknown part moved."""
    pick = sample(residual, size, SAMPLE)
    residual, counted, size = residual[pick], counted[pick], size[pick]
    typical = float(np.median(size))
    y2 = residual**2 / size**2
    base = counted / size**2

    moved = [0.0]

    def fit(relative: float, c: float) -> float:
        v = relative**2 + (least_count + c * c * typical) * np.maximum(
            base, (least_count + c * c * typical) / 2 / size**2
        )
        density = np.exp(-0.5 * y2 / v) / np.sqrt(2 * np.pi * v)
        value, share = max((float(np.log((1 - e) * density + e * 0.5).sum()), e) for e in MOVED)
        moved[0] = share
        return value - 0.5 * float(np.log(relative / 0.05)) ** 2

    best, relative, c = max((fit(r, c), r, c) for r in STARTS for c in (0.0, 0.1, 0.4))
    step = 2.2
    for _ in range(CLIMBS):
        if step < 1.05:
            break
        before = best
        for r, d in ((step, 1), (1 / step, 1), (1, step), (1, 1 / step), (step, 1 / step), (1 / step, step)):
            trial = float(np.clip(relative * r, *RELATIVE)), c * d
            if trial != (relative, c) and (value := fit(*trial)) > best + 1e-6:
                best, (relative, c) = value, trial
        if best == before:
            step = step**0.5
    fit(relative, c)
    return Noise(relative, least_count + c * c * typical, moved[0])
