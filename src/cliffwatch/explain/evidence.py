"""How surely a slice moved: the log odds of "its leaves moved alike" against "they only strayed".

Each leaf has a residual r, a size s and a noise variance v. When a slice moved by m, its residuals are m * s, with a
spread of
their own that is read off the slice; when it did not, they are noise around zero, whose tail is as heavy as the tail
of all leaves. Both likelihoods need only five sums per slice, so that every slice of the cube is weighed at once.
What it
costs to name one slice out of all is taken off (minimum description length), so odds above zero need no further
threshold.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from cliffwatch.explain.cube import Cube, Rows
from cliffwatch.explain.model import Floats

TAILS = (2.0, 2.5, 3.0, 3.5, 4.2, 5.0)  # deviations from which on the noise's tail is exponential
TAIL_SAMPLE = 5_000
TAIL_FEWEST = 200  # with fewer leaves the tail is taken as the third of TAILS
FAR = 6.0  # leaves beyond this many deviations say nothing of the noise
PRIOR_LEAVES = 2.0  # a slice's own spread starts as if it had been seen on this many leaves
SLACK, SLACK_LEAVES, DOUBT = 1.6, 4.0, 7.0
"""A slice's noise may differ from all leaves' by a factor of SLACK without having moved, once it has more than about
SLACK_LEAVES of them; a single leaf has no noise of its own. Noise that is read off few leaves L is itself in doubt, by
DOUBT / sqrt(L)."""
AT_ONCE = 2_000  # slices weighed at once; most can be left out after the first lot
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
    """Twice the negative log likelihood of noise of |z| deviations: square in the middle, linear in the tail
    (Huber)."""
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


class Evidence:
    """The sums of all slices over the leaves that no cause explains yet, and what they say."""

    def __init__(self, cube: Cube, residual: Floats, size: Floats, variance: Floats) -> None:
        """Every column is (L,)."""
        self.cube = cube
        self._columns = columns(residual, size, variance)
        self._sums = cube.sums(self._columns)
        cells = [cube.cells(dims) for dims in cube.cuboids]
        kinds = math.log(len(cells)) + 1.0
        self._cost = np.repeat([kinds + math.log(max(c, 1)) for c in cells], cells)
        self._doubt = DOUBT / math.sqrt(cube.leaves)

    def odds(self, slices: Rows) -> Floats:
        """Log odds (M,) that the slices with these numbers (M,) moved."""
        n, p, q, r, h = self._sums[:, slices]
        with np.errstate(divide="ignore", invalid="ignore"):
            move = np.where(p > 0, q / p, 0.0)
            spread = np.maximum(r - move * q, 0.0)
            own = (PRIOR_LEAVES + spread) / (PRIOR_LEAVES + n)
            slack = 1 + self._doubt + (SLACK - 1) * (n - 1) / (n + SLACK_LEAVES)
            calm = np.clip(h / n, 1 / slack, slack)
            still = 0.5 * (h / calm + n * np.log(calm))
            moved = 0.5 * (n * np.log(own) + spread / own) + np.log1p(n)
            # A slice that is only calmer or wilder than usual did not move: the shift alone must be surprising, too.
            value = np.minimum(still - moved, 0.5 * q * move)
        value = np.where((n > 0.5) & (np.abs(move) >= LEAST_MOVE), value, -np.inf)
        return cast("Floats", value - self._cost[slices])

    def odds_of(self, codes: dict[int, int]) -> float:
        """Log odds that the slice with these value codes moved; minus infinity where it is not looked at."""
        number = self.cube.number(codes)
        return -math.inf if number is None else float(self.odds(np.array([number]))[0])

    def promising(self) -> Rows:
        """The slices whose shift alone is worth at least half their cost; no other can be a cause."""
        return np.flatnonzero(self._sums[2] * self._sums[2] > self._cost * self._sums[1])

    def surest(self, among: Rows) -> int | None:
        """The slice with the best odds above zero, of those `among` all, which are in order."""
        p, q = self._sums[1, among], self._sums[2, among]
        limit = np.divide(0.5 * q * q, p, out=np.zeros_like(p), where=p > 0) - self._cost[among]
        best, found = 0.0, None
        while len(among):
            few = len(among) <= AT_ONCE
            first = among if few else among[np.argpartition(limit, -AT_ONCE)[-AT_ONCE:]]
            values = self.odds(first)
            top = int(np.argmax(values))
            if values[top] <= best:
                return found
            best, found = float(values[top]), int(first[top])
            rest = limit > best  # odds are never more than the shift alone
            rest[np.searchsorted(among, first)] = False
            among, limit = among[rest], limit[rest]
        return found

    def remove(self, rows: Rows) -> None:
        """Take leaves out, because a cause explains them."""
        self.cube.remove(self._sums, self._columns, rows)
