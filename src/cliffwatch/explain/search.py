"""Find the slices that moved: weigh every slice of the cube, take the surest, bring it to its right depth, repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cliffwatch.explain.cube import Cube, Cuboid, Rows, Tables
from cliffwatch.explain.evidence import columns, costs, odds, promising
from cliffwatch.explain.model import Codes, Floats, Limits
from cliffwatch.explain.noise import Noise, estimate
from cliffwatch.explain.settle import Settler, Spot

COARSE = 2  # depth at which a first look finds the causes that are large enough to pass for noise
CONTAMINATED = 0.02  # fraction of moved leaves from which on the first look is worth it


@dataclass(frozen=True, slots=True)
class Deviations:
    """How far each leaf is from its expectation; every column is (L,).

    `residual` is actual less `expected`, `size` the larger of both without sign, and `counted` the amount whose counting noise
    the residual has: `least_count` is the least variance per unit of it.
    """

    residual: Floats
    expected: Floats
    size: Floats
    counted: Floats
    least_count: float = 0.0

    @classmethod
    def of(cls, actual: Floats, expected: Floats) -> Deviations:
        base = np.abs(expected)
        return cls(actual - expected, expected, np.maximum(np.abs(actual), base), base)

    def noise(self, rows: Rows | slice = slice(None)) -> Noise:
        return estimate(self.residual[rows], self.counted[rows], self.size[rows], self.least_count)

    def reach(self, noise: Noise) -> Floats:
        """What a move is a fraction of: the expected value, grown to the actual where that is surely larger.

        Taking the larger of both at once would let the chance hits of thin leaves pass for moves.
        """
        base = np.abs(self.expected)
        chance = 3 * np.sqrt(noise.count * (self.counted + noise.count))
        return np.maximum(base + np.maximum(self.size - base - chance, 0.0), noise.count / 2)


@dataclass(frozen=True, slots=True)
class Found:
    """A slice that moved: dimensions and value codes, all its leaves, those that no surer cause explains, log odds."""

    dims: Cuboid
    codes: tuple[int, ...]
    members: Rows
    rows: Rows
    odds: float


def search(codes: Codes, sizes: tuple[int, ...], deviations: Deviations, limits: Limits) -> list[Found]:
    """The slices whose leaves moved alike, surest first; the empty slice when all moved evenly.

    `codes` is (L, D); each combination of codes should be there once, and no leaf should be empty.
    """
    dims = [d for d, size in enumerate(sizes) if size > 1]
    if len(codes) < 2 or not dims:
        return []
    codes, sizes = codes[:, dims] if len(dims) < len(sizes) else codes, tuple(sizes[d] for d in dims)
    noise = deviations.noise()
    if noise.moved > CONTAMINATED and len(codes) > 20:
        calm = np.ones(len(codes), bool)
        for _, spot, _ in picks(Cube(codes, sizes, COARSE), deviations, noise, limits):
            calm[spot.rows] = False
        if calm.sum() >= 20 and not calm.all():
            noise = deviations.noise(np.flatnonzero(calm))
    cube = Cube(codes, sizes, limits.max_depth)
    return [
        Found(
            tuple(dims[d] for d in spot.dims),
            cube.coordinates(spot.dims, spot.cell),
            cube.members(spot.dims, spot.cell),
            spot.rows,
            value,
        )
        for _, spot, value in picks(cube, deviations, noise, limits)
    ]


def picks(cube: Cube, deviations: Deviations, noise: Noise, limits: Limits) -> Iterator[tuple[int, Spot, float]]:
    """One cause after the other, with its log odds, until no slice has odds above zero."""
    reach = deviations.reach(noise)
    variance = noise.variance(deviations.counted, reach)
    stats = columns(deviations.residual, reach, variance)
    tables, cost = cube.sums(stats), costs(cube)
    settler = Settler(cube, cost, deviations.residual, deviations.expected, variance)
    alive = np.ones(cube.leaves, bool)
    for number in range(limits.max_causes):
        best = surest(tables, cost, skip_total=not settler.even(settler.spot(alive, (), 0)))
        if best is None:
            return
        spot = settler.settle(tables, alive, *best)
        value = float(odds(tables[spot.dims][:, [spot.cell]], cost[spot.dims])[0])
        yield number, spot, value
        alive[spot.rows] = False
        if not spot.dims or not alive.any():
            return
        cube.remove(tables, stats, spot.rows)


def surest(tables: Tables, cost: dict[Cuboid, float], skip_total: bool) -> tuple[Cuboid, int] | None:
    """The slice with the best odds above zero."""
    best, found = 0.0, None
    for dims, price in cost.items():
        if not dims and skip_total:
            continue
        cells = promising(tables[dims], price)
        if len(cells):
            values = odds(tables[dims][:, cells], price)
            top = int(np.argmax(values))
            if values[top] > best:
                best, found = float(values[top]), (dims, int(cells[top]))
    return found
