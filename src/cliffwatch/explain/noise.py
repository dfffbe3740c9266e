"""How far leaves stray from their expectation by themselves.

A leaf's residual has variance `count * size + relative**2 * size**2`: the first part is that of counting
few things, the second that of a forecast (or a leaf) that is a few percent off. Both are read off the leaves at hand, by
the likelihood of a mixture in which some leaves moved anywhere, so that the changed ones do not pass for noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain.model import Floats

SAMPLE = 1_500  # leaves from which the noise is read
RELATIVE = np.array([0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.1, 0.15, 0.22, 0.32, 0.45])
COUNT = np.array([0.0, 0.015, 0.03, 0.06, 0.1, 0.16, 0.25, 0.4, 0.6, 0.9])
MOVED = np.array([0.001, 0.03, 0.15, 0.4])


@dataclass(frozen=True, slots=True)
class Noise:
    """`relative` is a fraction of a leaf's size; `count` the variance per unit of size (1 for pure counts)."""

    relative: float
    count: float
    moved: float

    def variance(self, counted: Floats, size: Floats) -> Floats:
        """Residual variance of leaves of this size."""
        return self.count * np.maximum(counted, self.count / 2) + (self.relative * size) ** 2


def sample(residual: Floats, size: Floats) -> NDArray[np.intp]:
    """Some SAMPLE leaves, chosen by their own numbers, so that the order of the leaves does not matter."""
    mixed = (residual.view(np.uint64) ^ (size.view(np.uint64) << np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    return np.flatnonzero(mixed < np.uint64(2**64 * SAMPLE / len(residual)))


def estimate(residual: Floats, counted: Floats, size: Floats, least_count: float = 0.0) -> Noise:
    """The noise of leaves of which an unknown part moved."""
    if len(residual) > 1.2 * SAMPLE:
        pick = sample(residual, size)
        if len(pick) >= SAMPLE // 4:  # else most leaves are one and the same number
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

    relative, c = 0.05, 0.0
    best = -np.inf
    for c0 in COUNT[::3]:
        for r in RELATIVE[::2]:
            if (f := fit(r, c0)) > best:
                best, relative, c = f, float(r), float(c0)
    step = 1.5
    while step > 1.04:
        better = False
        trials = [
            (relative * step, c),
            (relative / step, c),
            (relative, c * step),
            (relative, c / step),
            (relative / step, c * step),
            (relative * step, c / step),
        ]
        for r, c0 in trials:
            if 0.002 <= r <= 0.6 and (f := fit(r, c0)) > best + 1e-6:
                best, relative, c, better = f, r, c0, True
        if not better:
            step = step**0.5
    fit(relative, c)
    return Noise(relative, least_count + c * c * typical, moved[0])
