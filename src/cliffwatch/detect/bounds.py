"""Bounds that a step sets often. Pure.

numpy compares an array with a number element by element, but with another array in whole registers: more than twice
as fast. So numbers become arrays here, once for each size of block.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def at_least(x: Floats, bound: float, out: Floats | None = None) -> Floats:
    """`np.maximum(x, bound, out)` for an `x` of one or two dimensions."""
    result: Floats = np.maximum(x, _full(bound, x.shape[-1], x.dtype.char), out=out)
    return result


def at_most(x: Floats, bound: float, out: Floats | None = None) -> Floats:
    """`np.minimum(x, bound, out)` for an `x` of one or two dimensions."""
    result: Floats = np.minimum(x, _full(bound, x.shape[-1], x.dtype.char), out=out)
    return result


@functools.lru_cache(maxsize=64)
def _full(bound: float, size: int, kind: str) -> Floats:
    result: Floats = np.full(size, bound, kind)
    result.setflags(write=False)
    return result
