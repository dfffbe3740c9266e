"""Find the slices that moved: weigh every slice of the cube, take the surest, bring it to its right depth, repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cliffwatch.explain.cube import Cube, Rows
from cliffwatch.explain.evidence import Evidence
from cliffwatch.explain.model import Codes, Floats, Limits
from cliffwatch.explain.noise import Noise, estimate, sample
from cliffwatch.explain.settle import Settler, Spot

GLANCE = 12_000  # leaves for a first look
COARSE = 2  # depth at which a first look finds the causes that are large enough to pass for noise
FEW = 1_000  # with fewer leaves, taking causes out would take noise out with them
CONTAMINATED = 0.02  # fraction of moved leaves from which on the first look is worth it


@dataclass(frozen=True, slots=True)
class Deviations:
    """How far each leaf is from its expectation; every column is (L,).

    `residual` is actual less `expected`, `size` the larger of both without sign, and `counted` the amount whose
    counting noise
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

    def of_rows(self, rows: Rows) -> Deviations:
        return Deviations(
            self.residual[rows], self.expected[rows], self.size[rows], self.counted[rows], self.least_count
        )

    def beyond_level(self) -> Deviations:
        """The deviations beyond a factor that all share: the median of actual by expected, by what was expected."""
        base = np.abs(self.expected)
        known = np.flatnonzero(base > 0)
        if not len(known):  # nothing was expected anywhere: all of it is what all share
            nothing = np.zeros_like(base)
            return Deviations(nothing, nothing, nothing, nothing, self.least_count)
        ratio = 1 + self.residual[known] / self.expected[known]
        order = np.argsort(ratio, kind="stable")
        below = np.cumsum(base[known][order])
        level = float(ratio[order][np.searchsorted(below, below[-1] / 2)])
        actual, expected = self.expected + self.residual, self.expected * level
        size = np.maximum(np.abs(actual), np.abs(expected))
        return Deviations(actual - expected, expected, size, self.counted * abs(level), self.least_count)

    def noise(self) -> Noise:
        return estimate(self.residual, self.counted, self.size, self.least_count)

    def reach(self, noise: Noise) -> Floats:
        """What a move is a fraction of: the expected value, grown to the actual where that is surely larger.

        Taking the larger of both at once would let the chance hits of thin leaves pass for moves.
        """
        base = np.abs(self.expected)
        chance = 3 * np.sqrt(noise.count * (self.counted + noise.count))
        size: Floats = np.maximum(base + np.maximum(self.size - base - chance, 0.0), noise.count / 2)
        return size


@dataclass(frozen=True, slots=True)
class Found:
    """A slice that moved: dimension -> value code, all its leaves, those that no surer cause explains, log odds."""

    codes: dict[int, int]
    members: Rows
    rows: Rows
    odds: float


def search(codes: Codes, sizes: tuple[int, ...], deviations: Deviations, limits: Limits) -> list[Found]:
    """The slices whose leaves moved alike, surest first; the empty slice when all moved evenly.

    `codes` is (L, D); each combination of codes should be there once, and no leaf should be empty.
    """
    dims = sorted((d for d, size in enumerate(sizes) if size > 1), key=lambda d: sizes[d])  # long axes add up faster
    if len(codes) < 2 or not dims:
        return []
    codes, sizes = codes[:, dims], tuple(sizes[d] for d in dims)
    noise = settled_noise(codes, sizes, deviations, limits)
    cube = Cube(codes, sizes, limits.max_depth)
    return [
        Found({dims[d]: code for d, code in spot.codes.items()}, cube.members(spot.codes), spot.rows, value)
        for spot, value in picks(cube, deviations, noise, limits)
    ]


def settled_noise(codes: Codes, sizes: tuple[int, ...], deviations: Deviations, limits: Limits) -> Noise:
    """The noise of the leaves that are in no large cause."""
    noise = deviations.noise()
    if noise.moved <= CONTAMINATED or len(codes) <= FEW:
        return noise
    some = sample(deviations.residual, deviations.size, GLANCE)
    deviations = deviations.of_rows(some)
    calm = np.ones(len(some), bool)
    for spot, _ in picks(Cube(codes[some], sizes, COARSE), deviations, noise, limits):
        calm[spot.rows] = False
    return deviations.of_rows(np.flatnonzero(calm)).noise() if FEW <= calm.sum() < len(some) else noise


def picks(cube: Cube, deviations: Deviations, noise: Noise, limits: Limits) -> Iterator[tuple[Spot, float]]:
    """One cause after the other, with its log odds, until no slice has odds above zero."""
    reach = deviations.reach(noise)
    variance = noise.variance(deviations.counted, reach)
    evidence = Evidence(cube, deviations.residual, reach, variance)
    settler = Settler(evidence, deviations.residual, deviations.expected, variance)
    alive = np.ones(cube.leaves, bool)
    total = cube.number({})
    watched = evidence.promising()
    for _ in range(limits.max_causes):
        best = evidence.surest(watched)
        if best is None:  # what was taken out may have hidden others
            watched = evidence.promising()
            best = evidence.surest(watched)
        if best == total and not settler.even(settler.spot(alive, {})):
            watched = watched[watched != total]
            best = evidence.surest(watched)
        if best is None:
            return
        spot = settler.settle(alive, cube.where(best))
        yield spot, evidence.odds_of(spot.codes)
        alive[spot.rows] = False
        if not spot.codes or not alive.any():
            return
        evidence.remove(spot.rows)
