"""Counts of many events a leaf: a forecast that is a tenth off in each leaf is no cause, and one cause is told once."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.explain import Leaves, expected_leaves, explain

SIZES = (5, 4, 3)


def counts(rng: np.random.Generator, sizes: tuple[int, ...], per_leaf: float, off: float, **moved: int) -> Leaves:
    """Heavy-tailed leaves whose now strays by `off` from six past periods; the slice `moved` fell by two fifths."""
    codes = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1).astype(np.int32)
    level = per_leaf * rng.weibull(0.8, len(codes))
    names = tuple("abcd"[: len(sizes)])
    inside = np.all([codes[:, names.index(name)] == value for name, value in moved.items()], axis=0) & bool(moved)
    drift = np.clip(rng.normal(1, off, len(codes)), 0.1, 2)
    now = rng.poisson(level * drift * np.where(inside, 0.6, 1.0)).astype(float)
    expected = expected_leaves(codes, rng.poisson(level[:, None], (len(codes), 6)).astype(float))
    values = tuple(tuple(str(value) for value in range(size)) for size in sizes)
    return Leaves(names, codes, values, now, expected)


@pytest.mark.parametrize("seed", range(6))
def test_parts_that_moved_alike_are_told_as_the_one_value_that_moved(seed: int) -> None:
    leaves = counts(np.random.default_rng(seed), SIZES, 60, 0.1, b=3)
    assert [cause.slice for cause in explain(leaves, event_size=1.2).causes] == [{"b": "3"}]


@pytest.mark.parametrize("seed", range(6))
def test_leaves_that_stray_by_a_tenth_name_nothing(seed: int) -> None:
    assert not explain(counts(np.random.default_rng(50 + seed), SIZES, 60, 0.1), event_size=1.2).causes


def test_among_300_values_that_stray_by_a_fifth_hardly_one_is_named_by_chance() -> None:
    rng = np.random.default_rng(90)
    named = [explain(counts(rng, (300,), 100, 0.2), event_size=1.2).causes for _ in range(20)]
    assert sum(map(bool, named)) <= 2
