"""The cube of all slices: which cuboids are looked at, and how sums over leaves become sums over slices.

A cuboid is a set of dimensions, a slice of it one value for each. Sums are taken from the leaves only for the largest
cuboids; each smaller one is the sum of an already summed larger one along one axis.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from cliffwatch.explain.model import Codes, Floats, NDArray

Cuboid = tuple[int, ...]
CELLS_PER_LEAF = 2  # a cuboid with more slices than this per leaf is thinner than its leaves and tells nothing more


class Cube:
    """All cuboids of up to `max_depth` dimensions of the leaves."""

    def __init__(self, codes: Codes, sizes: tuple[int, ...], max_depth: int) -> None:
        """`codes` is (L, D) with 0 <= codes[:, d] < sizes[d]."""
        self.codes = codes
        self.sizes = sizes
        room = max(CELLS_PER_LEAF * len(codes), 1024)
        every = range(len(sizes))
        self.cuboids: list[Cuboid] = [
            dims
            for depth in range(min(max_depth, len(sizes)), -1, -1)
            for dims in itertools.combinations(every, depth)
            if self.cells(dims) <= room
        ]
        whole = tuple(every)
        self._plan: list[tuple[Cuboid, Cuboid | None]] = []
        listed = [whole] if self.cells(whole) <= room and whole not in self.cuboids else []
        for dims in [*listed, *self.cuboids]:
            above = [c for c, _ in self._plan if len(c) == len(dims) + 1 and set(dims) < set(c)]
            if not above:
                above = [c for c, _ in self._plan if set(dims) < set(c)]
            self._plan.append((dims, min(above, key=self.cells, default=None)))

    def cells(self, dims: Cuboid) -> int:
        """How many slices the cuboid has."""
        return math.prod(self.sizes[d] for d in dims)

    def keys(self, dims: Cuboid, rows: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.int64]:
        """The slice number of each leaf in the cuboid."""
        key = np.zeros(len(self.codes[rows]), np.int64)
        for d in dims:
            key *= self.sizes[d]
            key += self.codes[rows, d]
        return key

    def sums(self, columns: Floats, rows: NDArray[np.intp] | slice = slice(None)) -> dict[Cuboid, Floats]:
        """(K, L) columns -> for each cuboid (K, slices)."""
        tables: dict[Cuboid, Floats] = {}
        for dims, source in self._plan:
            if source is None:
                key = self.keys(dims, rows)
                cells = self.cells(dims)
                tables[dims] = np.stack([np.bincount(key, column, cells) for column in columns])
            else:
                shape = [len(columns), *(self.sizes[d] for d in source)]
                gone = tuple(i + 1 for i, d in enumerate(source) if d not in dims)
                tables[dims] = tables[source].reshape(shape).sum(axis=gone).reshape(len(columns), -1)
        return tables

    def members(self, dims: Cuboid, cell: int) -> NDArray[np.intp]:
        """The rows of the leaves that lie in a slice."""
        inside = np.ones(len(self.codes), bool)
        for d, value in zip(dims, self.coordinates(dims, cell), strict=True):
            inside &= self.codes[:, d] == value
        return np.flatnonzero(inside)

    def coordinates(self, dims: Cuboid, cell: int) -> tuple[int, ...]:
        """The value code of each dimension of a slice."""
        return tuple(int(i) for i in np.unravel_index(cell, [self.sizes[d] for d in dims])) if dims else ()

    def children(self, dims: Cuboid, cell: int, extra: int) -> tuple[Cuboid, NDArray[np.int64]]:
        """The slices into which one more dimension splits a slice."""
        below = tuple(sorted((*dims, extra)))
        fixed = dict(zip(dims, self.coordinates(dims, cell), strict=True))
        key = np.zeros(self.sizes[extra], np.int64)
        for d in below:
            key = key * self.sizes[d] + (np.arange(self.sizes[extra]) if d == extra else fixed[d])
        return below, key
