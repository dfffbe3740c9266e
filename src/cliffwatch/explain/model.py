"""Frozen values of the root cause: the leaves that go in, the causes that come out. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.errors import InvalidInput

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Slice = tuple[tuple[str, str], ...]


class Kind(enum.StrEnum):
    """How a slice changed the measure."""

    VOLUME = "volume"
    """An additive measure went up or down in the slice."""
    RATE = "rate"
    """A ratio's numerator per denominator went up or down in the slice."""
    MIX = "mix"
    """The slice's weight in the whole went up or down, while rates stayed."""


class Reason(enum.StrEnum):
    """Why an explanation names no cause."""

    NO_LEAVES = "no_leaves"
    NO_HISTORY = "no_history"
    NO_DIMENSION = "no_dimension"
    ONE_LEAF = "one_leaf"
    NO_CHANGE = "no_change"
    EVENLY = "evenly"
    MIX_ONLY = "mix_only"
    NOTHING_STANDS_OUT = "nothing_stands_out"

    @property
    def sentence(self) -> str:
        """The reason in plain words."""
        return _SENTENCES[self]

    def within(self, slice_words: str) -> str:
        """The reason in plain words where only a slice was looked into ("" = everything was)."""
        told = _SENTENCES_WITHIN.get(self) if slice_words else None
        return told.format(slice=slice_words) if told else self.sentence


_SENTENCES: Mapping[Reason, str] = {
    Reason.NO_LEAVES: "There is no data to compare.",
    Reason.NO_HISTORY: "The stream's history does not reach back far enough to compare it with anything.",
    Reason.NO_DIMENSION: "There is no dimension to look into; choose dimensions to see what changed.",
    Reason.ONE_LEAF: "All of it is one single combination of values, so there is nothing to compare it with.",
    Reason.NO_CHANGE: "It is as expected in every slice.",
    Reason.EVENLY: "It changed evenly everywhere; no slice stands out.",
    Reason.MIX_ONLY: "Every rate is as expected; only the mix changed.",
    Reason.NOTHING_STANDS_OUT: "No slice stands out from the usual noise.",
}

_SENTENCES_WITHIN: Mapping[Reason, str] = {
    Reason.ONE_LEAF: "Within {slice} all is one single combination of values; there is nothing to compare it with.",
    Reason.NO_CHANGE: "It is as expected in every slice within {slice}.",
    Reason.EVENLY: "All of {slice} changed alike; within it no slice stands out.",
    Reason.MIX_ONLY: "Within {slice} every rate is as expected; only the mix changed.",
    Reason.NOTHING_STANDS_OUT: "Within {slice} no slice stands out from the usual noise.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the search goes.

    `max_depth` is the largest number of dimensions that a cause fixes, `max_causes` the most causes named.
    `min_probability` is the probability from which on a slice is named; `min_share` hides causes whose
    change is a smaller fraction of the gross change (0 shows all).
    """

    max_depth: int = 4
    max_causes: int = 12
    min_probability: float = 0.5
    min_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Leaves:
    """Distinct combinations of dimension values with what was measured and what was expected.

    `codes` is (L, D) and indexes `values`, the vocabulary of each of the D `dimensions`. `actual` and `expected`
    are (L,) values of an additive measure. For a ratio or a mean they are numerators, and `actual_weight` and
    `expected_weight` are the denominators.
    """

    dimensions: tuple[str, ...]
    codes: Codes
    values: tuple[tuple[str, ...], ...]
    actual: Floats
    expected: Floats
    actual_weight: Floats | None = None
    expected_weight: Floats | None = None

    def __post_init__(self) -> None:
        size = len(self.actual)
        if self.codes.shape != (size, len(self.dimensions)) or len(self.values) != len(self.dimensions):
            raise InvalidInput("Leaves", f"codes must be {size} rows of {len(self.dimensions)} dimensions.")
        if (self.actual_weight is None) != (self.expected_weight is None):
            raise InvalidInput("Leaves", "a ratio needs both its actual and its expected weights.")
        for column in (self.expected, self.actual_weight, self.expected_weight):
            if column is not None and column.shape != (size,):
                raise InvalidInput("Leaves", f"every column must have {size} values.")

    @classmethod
    def from_columns(
        cls,
        dimensions: Mapping[str, Sequence[str]],
        actual: Sequence[float] | Floats,
        expected: Sequence[float] | Floats,
        actual_weight: Sequence[float] | Floats | None = None,
        expected_weight: Sequence[float] | Floats | None = None,
    ) -> Leaves:
        """The leaves of plain columns. Raises InvalidInput where columns have different lengths."""
        measures = [actual, expected, actual_weight, expected_weight]
        size = len(actual)
        for name, column in [*dimensions.items(), *((None, m) for m in measures if m is not None)]:
            if len(column) != size:
                raise InvalidInput(
                    name or "Leaves", f"expected {size} values like the other columns, got {len(column)}."
                )
        codes = np.empty((size, len(dimensions)), np.int32)
        vocabulary = []
        for d, column in enumerate(dimensions.values()):
            known, codes[:, d] = np.unique(np.asarray(column, dtype=object).astype(str), return_inverse=True)
            vocabulary.append(tuple(str(value) for value in known))
        arrays = [None if m is None else np.asarray(m, np.float64) for m in measures]
        assert arrays[0] is not None
        assert arrays[1] is not None
        return cls(tuple(dimensions), codes, tuple(vocabulary), arrays[0], arrays[1], arrays[2], arrays[3])

    def measures(self) -> list[tuple[str, Floats]]:
        """The columns that are there, with their names."""
        named = [
            ("actual", self.actual),
            ("expected", self.expected),
            ("actual weight", self.actual_weight),
            ("expected weight", self.expected_weight),
        ]
        return [(name, column) for name, column in named if column is not None]

    @property
    def is_ratio(self) -> bool:
        return self.actual_weight is not None


@dataclass(frozen=True, slots=True)
class Cause:
    """One slice that explains a part of the change.

    `actual` and `expected` are the slice's values of the measure: sums, or for a ratio numerators, whose denominators
    are `actual_weight` and `expected_weight`. `share` is the signed fraction of the total's change that the slice
    brings about (of the gross change, where ups and downs cancel in the total). `confidence` is the probability that
    the
    slice changed by itself and not by chance.
    """

    slice_items: Slice
    actual: float
    expected: float
    share: float
    confidence: float
    kind: Kind = Kind.VOLUME
    actual_weight: float | None = None
    expected_weight: float | None = None

    @property
    def slice(self) -> dict[str, str]:
        """Dimension -> value."""
        return dict(self.slice_items)

    @property
    def actual_value(self) -> float:
        """What a person reads: the sum, or the ratio (0 without weight)."""
        return value_of(self.actual, self.actual_weight)

    @property
    def expected_value(self) -> float:
        return value_of(self.expected, self.expected_weight)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a measure changed.

    `causes` come most important first and never overlap in what they explain; `mix` are the slices whose weight
    moved a ratio. `everywhere` is the fraction of the change that all slices share, `unexplained` the fraction that is
    in no cause, in no mix and not everywhere. For a ratio, `rate_effect` and `mix_effect` are the parts of its change
    that come from the slices' own rates and from their weights; they add up to the change. `reason` says why `causes`
    is empty.
    """

    causes: tuple[Cause, ...]
    actual: float
    expected: float
    unexplained: float
    actual_weight: float | None = None
    expected_weight: float | None = None
    everywhere: float = 0.0
    rate_effect: float | None = None
    mix_effect: float | None = None
    mix: tuple[Cause, ...] = ()
    reason: Reason | None = None

    def note(self, within: str = "") -> str:
        """Why there is no cause, in one sentence; "" when there is one. `within` names the slice looked into."""
        return self.reason.within(within) if self.reason else ""

    @property
    def actual_value(self) -> float:
        return value_of(self.actual, self.actual_weight)

    @property
    def expected_value(self) -> float:
        return value_of(self.expected, self.expected_weight)


def value_of(amount: float, weight: float | None) -> float:
    """A sum as it is, a ratio as numerator per denominator; a ratio without weight is 0."""
    if weight is None:
        return amount
    return amount / weight if weight else 0.0
