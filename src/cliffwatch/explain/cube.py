"""The cube of all slices: which cuboids are looked at, and how sums over leaves become sums over slices.

A cuboid is a set of dimensions; each combination of their values is a slice. All slices of all cuboids are
numbered through, so that the sums of the whole cube are one array. They are taken from the leaves only for the
largest cuboids;
each smaller one is the sum of an already summed larger one along its other axes.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain.model import Codes, Floats

Cuboid = tuple[int, ...]
Rows = NDArray[np.intp]

FEW_CELLS, MANY_CELLS = 20_000, 60_000
"""A cuboid with far more slices than there are leaves is thinner than the leaves and tells nothing more. One of up to
FEW_CELLS slices is always looked at; up to MANY_CELLS there may be two per leaf, beyond that one per two leaves."""
MOST_CUBOIDS = 800  # with very many dimensions the search is less deep rather than slow
HELPED_DIMENSIONS = 8
SCATTER = 6  # how much dearer it is to touch a slice by number than to add it up in order


class Cube:
    """All cuboids of up to `max_depth` dimensions of the leaves; slices are numbered 0 to `slices` - 1."""

    def __init__(self, codes: Codes, sizes: tuple[int, ...], max_depth: int) -> None:
        """`codes` is (L, D) with 0 <= codes[:, d] < sizes[d]."""
        self.sizes = sizes
        self.leaves = len(codes)
        self.columns = np.ascontiguousarray(codes.T)
        room = max(FEW_CELLS, min(2 * self.leaves, max(MANY_CELLS, self.leaves // 2)))
        depth = affordable(len(sizes), max_depth)
        self.cuboids = [dims for dims in subsets(len(sizes), depth) if self.cells(dims) <= room]
        self.starts = [0, *itertools.accumulate(self.cells(dims) for dims in self.cuboids)]
        self.slices = self.starts.pop()
        self._start = dict(zip(self.cuboids, self.starts, strict=True))
        self._plan = self._planned(max(room, 2 * self.leaves))
        self._folding = sum(self.cells(source) for _, source in self._plan if source is not None) + 3 * self.slices

    def _planned(self, room: int) -> list[tuple[Cuboid, Cuboid | None]]:
        """Each cuboid with the one from which its sums are taken, larger ones first; None means from the leaves.

        Larger cuboids that are not looked at help, because one pass over the leaves then serves many.
        """
        dimensions = len(self.sizes)
        deepest = dimensions if dimensions <= HELPED_DIMENSIONS else 0
        helpers = [
            dims for dims in subsets(dimensions, deepest) if dims not in self._start and self.cells(dims) <= room
        ]
        plan: list[tuple[Cuboid, Cuboid | None]] = []
        for dims in [*helpers, *self.cuboids]:
            larger = [known for known, _ in plan if set(dims) < set(known)]
            plan.append((dims, min(larger, key=self.cells, default=None)))
        needed = set(self.cuboids)
        for dims, source in reversed(plan):
            if dims in needed and source is not None:
                needed.add(source)
        return depth_first([step for step in plan if step[0] in needed])

    def cells(self, dims: Cuboid) -> int:
        """How many slices the cuboid has."""
        return math.prod(self.sizes[d] for d in dims)

    def keys(self, dims: Cuboid, rows: Rows | None = None) -> Rows:
        """Which of the cuboid's slices each leaf lies in, counted from the cuboid's first."""
        key = np.zeros(self.leaves if rows is None else len(rows), np.intp)
        for d in dims:
            key *= self.sizes[d]
            key += self.columns[d] if rows is None else self.columns[d][rows]
        return key

    def sums(self, columns: Floats, rows: Rows | None = None) -> Floats:
        """(K, L) columns -> their sums (K, slices); with `rows`, columns are (K, rows)."""
        out = np.empty((len(columns), self.slices))
        tables: dict[Cuboid, Floats] = {}
        last_use = {source: step for step, (_, source) in enumerate(self._plan)}
        for step, (dims, source) in enumerate(self._plan):
            cells = self.cells(dims)
            start = self._start.get(dims)
            table = np.empty((len(columns), cells)) if start is None else out[:, start : start + cells]
            if source is None:
                key = self.keys(dims, rows)
                for k, column in enumerate(columns):
                    table[k] = np.bincount(key, column, cells)
            else:
                table[:] = self._folded(tables[source], source, dims)
                if last_use[source] == step:
                    del tables[source]
            if dims in last_use:
                tables[dims] = table
        return out

    def _folded(self, table: Floats, source: Cuboid, dims: Cuboid) -> Floats:
        """The sums of a smaller cuboid from those of a larger one, one axis at a time."""
        left = list(source)
        for d in source:
            if d not in dims:
                at = left.index(d)
                after = math.prod(self.sizes[e] for e in left[at + 1 :])
                table = np.einsum("ijk->ik", table.reshape(-1, self.sizes[d], after))
                left.remove(d)
        return table.reshape(-1, self.cells(dims))

    def remove(self, sums: Floats, columns: Floats, rows: Rows) -> None:
        """Take leaves out of the sums again; `columns` (K, L) are those that were summed."""
        part = np.ascontiguousarray(columns[:, rows])
        if len(rows) * len(self.cuboids) * SCATTER > self._folding:
            sums -= self.sums(part, rows)
            sums[:, sums[0] < 0.5] = 0.0
            return
        for dims, start in self._start.items():
            touched = self.keys(dims, rows) + start
            for k, column in enumerate(part):
                np.subtract.at(sums[k], touched, column)
            sums[:, touched[sums[0, touched] < 0.5]] = 0.0

    def where(self, number: int) -> dict[int, int]:
        """Dimension -> value code of a slice."""
        at = bisect_right(self.starts, number) - 1
        dims = self.cuboids[at]
        cell = np.unravel_index(number - self.starts[at], [self.sizes[d] for d in dims]) if dims else ()
        return dict(zip(dims, map(int, cell), strict=True))

    def number(self, codes: dict[int, int]) -> int | None:
        """The slice with these value codes; None where its cuboid is not looked at."""
        dims = tuple(sorted(codes))
        if dims not in self._start:
            return None
        cell = 0
        for d in dims:
            cell = cell * self.sizes[d] + codes[d]
        return self._start[dims] + cell

    def parts(self, codes: dict[int, int], along: int) -> Rows | None:
        """The slices into which one more dimension splits a slice, in the order of that dimension's codes."""
        first = self.number({**codes, along: 0})
        if first is None:
            return None
        step = math.prod(self.sizes[d] for d in codes if d > along)
        return first + step * np.arange(self.sizes[along])

    def members(self, codes: dict[int, int]) -> Rows:
        """The rows of the leaves that lie in a slice."""
        inside = np.ones(self.leaves, bool)
        for d, code in codes.items():
            inside &= self.columns[d] == code
        return np.flatnonzero(inside)


def depth_first(plan: list[tuple[Cuboid, Cuboid | None]]) -> list[tuple[Cuboid, Cuboid | None]]:
    """The same steps with each cuboid followed by those that come from it: few sums need to be kept at a time."""
    after: dict[Cuboid | None, list[Cuboid]] = {}
    for dims, source in reversed(plan):
        after.setdefault(source, []).append(dims)
    ordered: list[tuple[Cuboid, Cuboid | None]] = []
    left: list[tuple[Cuboid, Cuboid | None]] = [(dims, None) for dims in after.get(None, [])]
    while left:
        step = left.pop()
        ordered.append(step)
        left += [(dims, step[0]) for dims in after.get(step[0], [])]
    return ordered


def subsets(dimensions: int, max_depth: int) -> list[Cuboid]:
    """Every set of up to `max_depth` dimensions, the largest sets first, the empty one last."""
    return [
        dims
        for depth in range(min(max_depth, dimensions), -1, -1)
        for dims in itertools.combinations(range(dimensions), depth)
    ]


def affordable(dimensions: int, max_depth: int) -> int:
    """The depth up to which there are not too many cuboids."""
    depth = min(max_depth, dimensions)
    while depth > 1 and sum(math.comb(dimensions, k) for k in range(depth + 1)) > MOST_CUBOIDS:
        depth -= 1
    return depth
