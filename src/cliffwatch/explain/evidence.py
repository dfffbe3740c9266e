"""How surely a slice moved: the log odds of "its leaves moved alike" against "they only strayed".

Each leaf has a residual r, a size s and a noise variance v. When a slice moved by m, its residuals are m * s, with a spread of
their own that is read off the slice; when it did not, they are noise around zero, whose tail is as heavy as the tail
of all leaves. Both likelihoods need only five sums per slice, so that every slice of the cube is weighed at once. What it
costs to name one slice out of all is taken off (minimum description length), so odds above zero need no further threshold.
"""

from __future__ import annotations

import math

import numpy as np

from cliffwatch.explain.cube import Cube
from cliffwatch.explain.model import Floats

TAILS = (2.0, 2.5, 3.0, 3.5, 4.2, 5.0)  # deviations from which on the noise's tail is exponential
TAIL_SAMPLE = 5_000
TAIL_FEWEST = 200  # with fewer leaves the tail is taken as the third of TAILS
FAR = 6.0  # leaves beyond this many deviations say nothing of the noise
PRIOR_LEAVES = 2.0  # a slice's own spread starts as if it had been seen on this many leaves
SLACK = 1.6  # by which factor a slice's noise may differ from all leaves' without having moved
LEAST_MOVE = 0.04  # a slice that moved by less is not a cause, however sure


def columns(residual: Floats, size: Floats, variance: Floats) -> Floats:
    """The five columns (5, L) whose sums `odds` takes: 1, s²/v, r s/v, r²/v, and twice the surprise as noise."""
    out = np.empty((5, len(residual)))
    count, weight, moved, square, still = out
    count[:] = 1.0
    np.divide(size, variance, out=weight)
    np.multiply(residual, weight, out=moved)
    np.multiply(size, weight, out=weight)
    np.multiply(residual, residual, out=square)
    np.divide(square, variance, out=square)
    np.sqrt(square, out=still)
    tail = fitted_tail(still[:: max(1, len(still) // TAIL_SAMPLE)])
    far = np.flatnonzero(still > tail)
    beyond = 2 * tail * still[far] - tail**2
    still[:] = square
    still[far] = beyond
    return out


def surprise(z: Floats, tail: float) -> Floats:
    """Twice the negative log likelihood of noise of |z| deviations: square in the middle, linear in the tail (Huber)."""
    return np.where(z < tail, z * z, 2 * tail * z - tail**2)


def fitted_tail(z: Floats) -> float:
    """Where the noise turns from Gaussian to exponential, by the likelihood of the leaves that are not far out."""
    z = z[z < FAR]
    if len(z) < TAIL_FEWEST:
        return TAILS[2]
    grid = np.linspace(0, FAR, 601)
    best, found = -np.inf, TAILS[-1]
    for tail in reversed(TAILS):
        whole = float(np.exp(-0.5 * surprise(grid, tail)).sum()) * FAR / 600
        fit = -0.5 * float(surprise(z, tail).sum()) - len(z) * math.log(whole)
        if fit > best + 2:
            best, found = fit, tail
    return found


def costs(cube: Cube) -> Floats:
    """What naming each slice (slices,) costs: which cuboid, which of its slices, and that there is a cause at all."""
    kinds = math.log(len(cube.cuboids)) + 1.0
    cells = [cube.cells(dims) for dims in cube.cuboids]
    return np.repeat([kinds + math.log(max(c, 1)) for c in cells], cells)


def odds(sums: Floats, cost: Floats) -> Floats:
    """Log odds (M,) that slices with these sums (5, M) moved."""
    n, p, q, r, h = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where(p > 0, q / p, 0.0)
        spread = np.maximum(r - move * q, 0.0)
        own = (PRIOR_LEAVES + spread) / (PRIOR_LEAVES + n)
        calm = np.clip(h / n, 1 / SLACK, SLACK)
        still = 0.5 * (h / calm + n * np.log(calm))
        moved = 0.5 * (n * np.log(own) + spread / own) + np.log1p(n)
        # A slice that is only calmer or wilder than usual did not move: the shift alone must be surprising, too.
        value = np.minimum(still - moved, 0.5 * q * move)
    return np.where((n > 0.5) & (np.abs(move) >= LEAST_MOVE), value, -np.inf) - cost


def surest(sums: Floats, cost: Floats) -> int | None:
    """The slice with the best odds above zero, of all slices (5, slices)."""
    p, q = sums[1], sums[2]
    promising = np.flatnonzero(q * q > 2 * cost * p)  # all others' shift alone is not worth their cost
    if not len(promising):
        return None
    values = odds(sums[:, promising], cost[promising])
    best = int(np.argmax(values))
    return int(promising[best]) if values[best] > 0 else None
