"""Find the slices that moved: score every slice of the cube, take the best, go down while its parts tell it better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cliffwatch.explain.cube import Cube, Cuboid
from cliffwatch.explain.model import Floats, Leaves, Limits, NDArray
from cliffwatch.explain.noise import estimate

PRIOR_LEAVES = 2.0
TAILS = (2.0, 2.5, 3.0, 3.5, 4.2, 5.0)
DEBUG=0
SLACK = 1.6
LEAST_MOVE = 0.04


@dataclass(frozen=True, slots=True)
class Found:
    """A slice that moved: its dimensions and value codes, all its leaves (`members`), those of them that no earlier find
    explains (`rows`), and the log odds that it moved."""

    dims: Cuboid
    codes: tuple[int, ...]
    members: NDArray[np.intp]
    rows: NDArray[np.intp]
    gain: float


def huber2(z: Floats, tail: float) -> Floats:
    """Twice the surprise of an unmoved leaf: square in the middle, linear in the tail."""
    return np.where(z < tail, z * z, 2 * tail * z - tail**2)


def fit_tail(z: Floats) -> float:
    """Where the noise turns from Gaussian to exponential, by the likelihood of the leaves below 6 deviations."""
    z = z[z < 6]
    if len(z) < 200:
        return TAILS[2]
    grid = np.linspace(0, 6, 601)
    best, found = -np.inf, TAILS[-1]
    for tail in reversed(TAILS):
        norm = np.exp(-0.5 * huber2(grid, tail)).sum() * 0.01
        fit = -0.5 * float(huber2(z, tail).sum()) - len(z) * np.log(norm)
        if fit > best + 2:
            best, found = fit, tail
    return found


class Scorer:
    def __init__(self, cube: Cube) -> None:
        self.cube = cube
        self.cost = {
            dims: np.log(max(len(cube.cuboids), 1)) + np.log(max(cube.cells(dims), 1)) + 1.0 for dims in cube.cuboids
        }

    def gain(self, table: Floats, dims: Cuboid) -> Floats:
        """Log likelihood ratio of "moved alike" to "did not move", less the cost of naming the slice."""
        n, p, q, r, h = table
        with np.errstate(divide="ignore", invalid="ignore"):
            m = np.where(p > 0, q / p, 0)
            ss = np.maximum(r - m * q, 0)
            kappa = (PRIOR_LEAVES + ss) / (PRIOR_LEAVES + n)
            calm = np.clip(h / n, 1 / SLACK, SLACK)
            value = 0.5 * (h / calm + n * np.log(calm)) - 0.5 * n * np.log(kappa) - 0.5 * ss / kappa - np.log1p(n)
            value = np.minimum(value, 0.5 * q * m)  # a slice that is only calmer than usual did not move
            value = np.where(np.abs(m) < LEAST_MOVE, -np.inf, value)
        return np.where(n > 0.5, value, -np.inf) - self.cost[dims]


def columns(residual: Floats, size: Floats, variance: Floats) -> Floats:
    z = np.abs(residual) / np.sqrt(variance)
    tail = fit_tail(z[:: max(1, len(z) // 50_000)])
    return np.stack([np.ones_like(size), size**2 / variance, residual * size / variance, z * z, huber2(z, tail)])


def search(
    leaves: Leaves, residual: Floats, expected: Floats, size: Floats, limits: Limits, counting: Floats, least_count: float = 0.0
) -> tuple[list[Found], bool]:
    """The slices whose leaves moved alike, in the order of evidence; and whether everything moved evenly.

    `residual`, `expected` and `size` are (L,): what came more than expected, what was expected, and the larger of
    actual and expected. `least_count` is the least variance per unit that counting brings.
    """
    used = np.flatnonzero(size > 0)
    dims = [d for d in range(leaves.codes.shape[1]) if len(leaves.values[d]) > 1]
    codes = leaves.codes[:, dims] if len(used) == len(size) else leaves.codes[np.ix_(used, dims)]
    if len(used) < 2 or not dims:
        return [], False
    residual, expected, size, counting = residual[used], expected[used], size[used], counting[used]
    cube = Cube(codes, tuple(len(leaves.values[d]) for d in dims), limits.max_depth)
    noise = estimate(residual, counting, size, least_count)
    for _ in range(3):
        picks, alive = greedy(cube, residual, expected, size, counting, noise, limits)
        if alive.sum() < 20 or alive.mean() > 0.97:
            break
        again = estimate(residual[alive], counting[alive], size[alive], least_count)
        if abs(np.log(again.relative / noise.relative)) < 0.1 and abs(again.count - noise.count) <= 0.1 * noise.count:
            break
        noise = again
    if DEBUG: print('noise', noise)
    found, even = [], False
    for (cuboid, cell), rows, gain in picks:
        if not cuboid:
            even = True
            continue
        found.append(
            Found(
                tuple(dims[d] for d in cuboid),
                cube.coordinates(cuboid, cell),
                used[cube.members(cuboid, cell)],
                used[rows],
                gain,
            )
        )
    return found, even


def greedy(cube, residual, expected, size, counting, noise, limits):
    scorer = Scorer(cube)
    base = np.abs(expected)
    reg = base + np.maximum(size - base - 3 * np.sqrt(noise.count * (np.abs(counting) + noise.count)), 0)
    reg = np.maximum(reg, noise.count / 2)
    variance = noise.variance(counting, reg)
    stats = columns(residual, reg, variance)
    weigh = Weigh(cube, residual, expected, variance)
    tables = cube.sums(stats)
    alive = np.ones(len(residual), bool)
    picks = []
    for _ in range(limits.max_causes):
        best, where = 0.0, None
        gains = {d: scorer.gain(tables[d], d) for d in cube.cuboids}
        for dims in cube.cuboids:
            cell = int(np.argmax(gains[dims]))
            if gains[dims][cell] > best:
                best, where = float(gains[dims][cell]), (dims, cell)
        if where is None:
            break
        where = descend(cube, gains, *where, weigh, alive)
        where = ascend(cube, gains, *where, weigh, alive)
        where = narrow(cube, gains, *where, weigh, alive)
        rows = cube.members(*where)
        rows = rows[alive[rows]]
        picks.append((where, rows, float(gains[where[0]][where[1]])))
        alive[rows] = False
        if not where[0]:
            break
        for dims, table in cube.sums(stats[:, rows], rows).items():
            tables[dims] -= table
            tables[dims][:, tables[dims][0] < 0.5] = 0
    return picks, alive


class Weigh:
    def __init__(self, cube, residual, expected, variance):
        self.cube, self.r, self.e, self.v = cube, residual, expected, variance

    def parts(self, dims, cell, extra, alive):
        rows = self.cube.members(dims, cell)
        rows = rows[alive[rows]]
        code = self.cube.codes[rows, extra]
        n = self.cube.sizes[extra]
        r, e, v = (np.bincount(code, c[rows], n) for c in (self.r, self.e, self.v))
        return r, e, v

    @staticmethod
    def move(r, e):
        a = e + r
        top = np.maximum(np.abs(a), np.abs(e))
        return np.divide(r, top, out=np.zeros_like(r), where=top > 0), top


ALIKE = 0.35
STAYED = 0.08


def stayed_share(r, e, v, m):
    y, top = Weigh.move(r, e)
    sign = np.sign(m)
    se = np.sqrt(v) / np.maximum(top, 1e-300)
    stayed = (y * sign < ALIKE * abs(m)) & ((abs(m) - y * sign) > 2.0 * se) & (top > 0)
    weight = np.abs(e) if e.any() else top
    return float(weight[stayed].sum() / weight.sum()), stayed


def narrow(cube, gains, dims, cell, weigh, alive):
    while True:
        least, where = 2.5, None
        for extra in range(len(cube.sizes)):
            if extra in dims:
                continue
            below, cells = cube.children(dims, cell, extra)
            if below not in gains:
                continue
            r, e, v = weigh.parts(dims, cell, extra, alive)
            if (v > 0).sum() < 2:
                continue
            top = int(np.argmax(np.abs(r)))
            others = np.arange(len(r)) != top
            z = r[others].sum() * np.sign(r[top]) / np.sqrt(v[others].sum() + 1e-300)
            if z < least and gains[below][cells[top]] > 0:
                least, where = z, (below, int(cells[top]))
        if where is None:
            return dims, cell
        dims, cell = where


def ascend(cube, gains, dims, cell, weigh, alive):
    while dims:
        best, where = 4.0, None
        at = dict(zip(dims, cube.coordinates(dims, cell)))
        for gone in dims:
            up = tuple(d for d in dims if d != gone)
            if up not in gains or not up:
                continue
            key = 0
            for d in up:
                key = key * cube.sizes[d] + at[d]
            if gains[up][key] <= 0:
                continue
            r, e, v = weigh.parts(up, key, gone, alive)
            y, _ = Weigh.move(r, e)
            m = y[at[gone]]
            share, stayed = stayed_share(r, e, v, m)
            others = np.arange(len(r)) != at[gone]
            z = r[others].sum() * np.sign(m) / np.sqrt(v[others].sum() + 1e-300)
            ym, _ = Weigh.move(r[others].sum(keepdims=True), e[others].sum(keepdims=True))
            if share <= STAYED and z > best and ym[0] * np.sign(m) > ALIKE * abs(m):
                best, where = z, (up, key)
        if where is None:
            return dims, cell
        dims, cell = where
    return dims, cell


def descend(cube: Cube, gains: dict[Cuboid, Floats], dims: Cuboid, cell: int, weigh, alive) -> tuple[Cuboid, int]:
    """Go to the best part while the parts, told one by one, explain more than the whole."""
    while True:
        best, where = gains[dims][cell], None
        for extra in range(len(cube.sizes)):
            if extra in dims:
                continue
            below, cells = cube.children(dims, cell, extra)
            if below not in gains:
                continue
            part = gains[below][cells]
            total = part[part > 0].sum()
            if total > best:
                r, e, v = weigh.parts(dims, cell, extra, alive)
                y, _ = Weigh.move(r, e)
                if stayed_share(r, e, v, y[int(np.argmax(part))])[0] > STAYED:
                    best, where = total, (below, int(cells[np.argmax(part)]))
        if where is None:
            return dims, cell
        dims, cell = where
