"""The cube of all slices: which cuboids are looked at, and how sums over leaves become sums over slices.

A cuboid is a set of dimensions, a cell of it one value for each: a slice. Sums are taken from the leaves only for
the largest cuboids; each smaller one is the sum of an already summed larger one along its other axes.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain.model import Codes, Floats

Cuboid = tuple[int, ...]
Rows = NDArray[np.intp]
Tables = dict[Cuboid, Floats]

CELLS_PER_LEAF = 2  # a cuboid with more cells than this per leaf is thinner than its leaves and tells nothing more
FEWEST_CELLS = 1024  # cuboids up to this size are always looked at


class Cube:
    """All cuboids of up to `max_depth` dimensions of the leaves."""

    def __init__(self, codes: Codes, sizes: tuple[int, ...], max_depth: int) -> None:
        """`codes` is (L, D) with 0 <= codes[:, d] < sizes[d]."""
        self.sizes = sizes
        self.leaves = len(codes)
        self.columns = np.ascontiguousarray(codes.T)
        self._room = max(CELLS_PER_LEAF * self.leaves, FEWEST_CELLS)
        self.cuboids = [dims for dims in subsets(len(sizes), max_depth) if self.cells(dims) <= self._room]
        self._plan = self._planned()

    def _planned(self) -> list[tuple[Cuboid, Cuboid | None]]:
        """Each cuboid with the one from which its sums are taken, larger ones first; None means from the leaves."""
        whole = tuple(range(len(self.sizes)))
        helper = [whole] if whole not in self.cuboids and self.cells(whole) <= self._room else []
        plan: list[tuple[Cuboid, Cuboid | None]] = []
        for dims in [*helper, *self.cuboids]:
            larger = [known for known, _ in plan if set(dims) < set(known)]
            plan.append((dims, min(larger, key=self.cells, default=None)))
        return plan

    def cells(self, dims: Cuboid) -> int:
        """How many slices the cuboid has."""
        return math.prod(self.sizes[d] for d in dims)

    def keys(self, dims: Cuboid, rows: Rows | None = None) -> Rows:
        """The cell of each leaf in the cuboid."""
        key = np.zeros(self.leaves if rows is None else len(rows), np.intp)
        for d in dims:
            key *= self.sizes[d]
            key += self.columns[d] if rows is None else self.columns[d][rows]
        return key

    def sums(self, columns: Floats) -> Tables:
        """(K, L) columns -> for each cuboid their sums (K, cells)."""
        tables: Tables = {}
        for dims, source in self._plan:
            if source is None:
                key, cells = self.keys(dims), self.cells(dims)
                tables[dims] = np.stack([np.bincount(key, column, cells) for column in columns])
            else:
                tables[dims] = self._folded(tables[source], source, dims)
        return tables

    def remove(self, tables: Tables, columns: Floats, rows: Rows) -> None:
        """Take leaves out of the sums again; `columns` (K, L) are those that were summed."""
        part = columns[:, rows]
        fresh: set[Cuboid] = set()
        for dims, source in self._plan:
            table, key = tables[dims], None
            if source in fresh:
                tables[dims] = self._folded(tables[source], source, dims)
                fresh.add(dims)
                continue
            key = self.keys(dims, rows)
            if len(rows) * 4 < self.cells(dims):
                for sums, column in zip(table, part, strict=True):
                    np.subtract.at(sums, key, column)
                table[:, key[table[0, key] < 0.5]] = 0.0
            else:
                table -= np.stack([np.bincount(key, column, self.cells(dims)) for column in part])
                table[:, table[0] < 0.5] = 0.0
                if source is None and len(rows) * 8 > self.leaves:
                    fresh.add(dims)

    def _folded(self, table: Floats, source: Cuboid, dims: Cuboid) -> Floats:
        """The sums of a smaller cuboid from those of a larger one."""
        shape = [len(table), *(self.sizes[d] for d in source)]
        gone = tuple(axis + 1 for axis, d in enumerate(source) if d not in dims)
        folded: Floats = table.reshape(shape).sum(axis=gone).reshape(len(table), -1)
        return folded

    def members(self, dims: Cuboid, cell: int) -> Rows:
        """The rows of the leaves that lie in a slice."""
        inside = np.ones(self.leaves, bool)
        for d, code in zip(dims, self.coordinates(dims, cell), strict=True):
            inside &= self.columns[d] == code
        return np.flatnonzero(inside)

    def coordinates(self, dims: Cuboid, cell: int) -> tuple[int, ...]:
        """The value code of each dimension of a slice."""
        return tuple(int(i) for i in np.unravel_index(cell, [self.sizes[d] for d in dims])) if dims else ()

    def parts(self, dims: Cuboid, cell: int, extra: int) -> tuple[Cuboid, Rows]:
        """The cells into which one more dimension splits a slice, in the order of that dimension's codes."""
        below = tuple(sorted((*dims, extra)))
        fixed = dict(zip(dims, self.coordinates(dims, cell), strict=True))
        key = np.zeros(self.sizes[extra], np.intp)
        for d in below:
            key = key * self.sizes[d] + (np.arange(self.sizes[extra]) if d == extra else fixed[d])
        return below, key

    def whole(self, dims: Cuboid, cell: int, gone: int) -> tuple[Cuboid, int]:
        """The slice that a slice becomes without one of its dimensions."""
        above = tuple(d for d in dims if d != gone)
        fixed = dict(zip(dims, self.coordinates(dims, cell), strict=True))
        key = 0
        for d in above:
            key = key * self.sizes[d] + fixed[d]
        return above, key


def subsets(dimensions: int, max_depth: int) -> list[Cuboid]:
    """Every set of up to `max_depth` dimensions, the largest sets first, the empty one last."""
    return [
        dims
        for depth in range(min(max_depth, dimensions), -1, -1)
        for dims in itertools.combinations(range(dimensions), depth)
    ]
