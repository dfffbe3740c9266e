"""What leaves are expected to be: the edge cases of fitting."""

from __future__ import annotations

import numpy as np

from cliffwatch.explain.expected import raked


def test_a_stretch_without_any_leaf_is_raked_to_nothing() -> None:
    nothing = raked(np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0))
    assert (nothing.shape, nothing.dtype) == ((0,), np.float64)
