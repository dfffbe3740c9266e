"""Bring a slice that moved to its right depth.

The slice with the best odds may be a part of the true cause, or contain it. Three rules, over the sums of a slice's
parts along one more or one less dimension:
*split*   a slice of which a good part stayed, and whose parts told one by one explain more, gives way to its best part;
*widen*   a slice whose siblings moved like it becomes their parent;
*narrow*  a slice that moved through one part alone becomes that part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain.cube import Rows
from cliffwatch.explain.evidence import Evidence
from cliffwatch.explain.model import Floats

ALIKE = 0.35  # a part that moved by less than this fraction of its sibling's move did not move alike
STAYED = 0.08  # a slice of which more than this fraction stayed is not a cause as a whole
SURE = 2.0  # deviations by which a part must miss its sibling's move to count as stayed
OWN_MOVE = 2.5  # deviations from which on the rest of a slice moved by itself
SIBLINGS_MOVE = 4.0  # deviations from which on siblings moved like a slice


@dataclass(frozen=True, slots=True)
class Spot:
    """A slice and its leaves that no cause explains yet."""

    codes: dict[int, int]  # dimension -> value code
    rows: Rows


@dataclass(frozen=True, slots=True)
class Parts:
    """Sums over the parts of a slice along one dimension, each (values,): residual, expected, noise variance."""

    residual: Floats
    expected: Floats
    variance: Floats

    @property
    def present(self) -> int:
        return int((self.variance > 0).sum())

    @property
    def moves(self) -> Floats:
        """Each part's relative move, from -1 (vanished) to 1 (new)."""
        top = self.tops
        return np.divide(self.residual, top, out=np.zeros_like(top), where=top > 0)

    @property
    def tops(self) -> Floats:
        return np.maximum(np.abs(self.expected + self.residual), np.abs(self.expected))

    def stayed(self, move: float) -> float:
        """The fraction of the slice that surely did not move like a part that moved by `move`."""
        top = self.tops
        along = self.moves * np.sign(move)
        doubt = np.sqrt(self.variance) / np.maximum(top, 1e-300)
        still = (along < ALIKE * abs(move)) & (abs(move) - along > SURE * doubt) & (top > 0)
        weight = np.abs(self.expected)
        whole = float(weight.sum())
        return float(weight[still].sum()) / whole if whole > 0 else float(still.any())

    def rest(self, but: int) -> Parts:
        """All parts but one, as one."""
        others = np.arange(len(self.residual)) != but
        return Parts(*(sums[others].sum(keepdims=True) for sums in (self.residual, self.expected, self.variance)))

    def deviations(self, sign: float) -> float:
        """How many deviations the slice as a whole moved in a direction."""
        return float(sign * self.residual.sum() / np.sqrt(self.variance.sum() + 1e-300))


class Settler:
    """Knows the evidence and the leaves of the cube: residual, expected and noise variance, each (L,)."""

    def __init__(self, evidence: Evidence, residual: Floats, expected: Floats, variance: Floats) -> None:
        self.evidence = evidence
        self.cube = evidence.cube
        self.leaves = (residual, expected, variance)

    def settle(self, alive: NDArray[np.bool_], codes: dict[int, int]) -> Spot:
        """The cause that a slice with good odds belongs to. `alive` marks the leaves (L,) not explained yet."""
        spot = self.split(self.spot(alive, codes))
        return self.narrow(self.widen(alive, spot))

    def spot(self, alive: NDArray[np.bool_], codes: dict[int, int]) -> Spot:
        rows = self.cube.members(codes)
        return Spot(codes, rows[alive[rows]])

    def part(self, spot: Spot, along: int, code: int) -> Spot:
        return Spot({**spot.codes, along: code}, spot.rows[self.cube.columns[along][spot.rows] == code])

    def parts(self, spot: Spot, along: int) -> Parts:
        code, size = self.cube.columns[along][spot.rows], self.cube.sizes[along]
        columns: list[Floats] = [
            np.asarray(np.bincount(code, column[spot.rows], size), np.float64) for column in self.leaves
        ]
        return Parts(*columns)

    def further(self, spot: Spot) -> list[tuple[int, Rows]]:
        """The dimensions along which the slice has parts that are looked at, with their numbers."""
        free = [d for d in range(len(self.cube.sizes)) if d not in spot.codes]
        parts = [(d, self.cube.parts(spot.codes, d)) for d in free]
        return [(d, numbers) for d, numbers in parts if numbers is not None]

    def even(self, spot: Spot) -> bool:
        """Whether no dimension has a value that stayed."""
        for along in range(len(self.cube.sizes)):
            parts = self.parts(spot, along)
            if parts.stayed(float(parts.rest(-1).moves[0])) > STAYED:
                return False
        return True

    def split(self, spot: Spot) -> Spot:
        while True:
            best, found = self.evidence.odds_of(spot.codes), None
            for along, numbers in self.further(spot):
                told = self.evidence.odds(numbers)
                together = float(told[told > 0].sum())
                if together > best:
                    code = int(np.argmax(told))
                    parts = self.parts(spot, along)
                    if parts.stayed(float(parts.moves[code])) > STAYED:
                        best, found = together, self.part(spot, along, code)
            if found is None:
                return spot
            spot = found

    def widen(self, alive: NDArray[np.bool_], spot: Spot) -> Spot:
        while len(spot.codes) > 1:
            best, found = SIBLINGS_MOVE, None
            for gone, code in spot.codes.items():
                wider = Spot({d: c for d, c in spot.codes.items() if d != gone}, spot.rows)
                if self.evidence.odds_of(wider.codes) <= 0:
                    continue
                wider = self.spot(alive, wider.codes)
                parts = self.parts(wider, gone)
                move = float(parts.moves[code])
                siblings = parts.rest(code)
                surely = siblings.deviations(np.sign(move))
                alike = float(siblings.moves[0]) * np.sign(move) > ALIKE * abs(move)
                if surely > best and alike and parts.stayed(move) <= STAYED:
                    best, found = surely, wider
            if found is None:
                return spot
            spot = found
        return spot

    def narrow(self, spot: Spot) -> Spot:
        while True:
            least, found = OWN_MOVE, None
            for along, _ in self.further(spot):
                parts = self.parts(spot, along)
                if parts.present < 2:
                    continue
                code = int(np.argmax(np.abs(parts.residual)))
                own = parts.rest(code).deviations(float(np.sign(parts.residual[code])))
                if own < least:
                    part = self.part(spot, along, code)
                    if self.evidence.odds_of(part.codes) > 0:
                        least, found = own, part
            if found is None:
                return spot
            spot = found
