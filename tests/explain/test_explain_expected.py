"""What leaves are expected to be: the edge cases of fitting."""

from __future__ import annotations

import numpy as np

from cliffwatch.explain.expected import expected_leaves, raked


def test_a_stretch_without_any_leaf_is_raked_to_nothing() -> None:
    nothing = raked(np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0))
    assert (nothing.shape, nothing.dtype) == ((0,), np.float64)


def test_a_leaf_that_stayed_empty_where_its_parents_made_many_events_likely_is_expected_to_stay_so() -> None:
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)
    history = np.array([[400.0], [400.0], [400.0], [0.0]]) * np.ones((4, 6))
    expected = expected_leaves(codes, history, event=1.0)
    assert expected[3] < 1
    assert abs(expected[:3] - 400).max() < 1


def test_a_leaf_that_was_rarely_to_be_expected_borrows_from_its_parents() -> None:
    codes = np.stack(np.divmod(np.arange(400), 20), axis=1).astype(np.int32)
    history = np.random.default_rng(1).poisson(0.05, (400, 6)).astype(float)
    unseen = ~history.any(axis=1)
    assert 0.01 < expected_leaves(codes, history)[unseen].mean() < 0.05
