"""Bounds that a step sets often. Pure.

numpy compares an array with a number element by element, but with another array in whole registers: more than twice
as fast. So numbers become arrays here, once for each shape; one of the same shape is also cheaper than one to repeat.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def at_least(x: Floats, bound: float, out: Floats | None = None) -> Floats:
    """`np.maximum(x, bound, out)`."""
    result: Floats = np.maximum(x, _full(bound, x.shape, x.dtype.char), out=out)
    return result


def at_most(x: Floats, bound: float, out: Floats | None = None) -> Floats:
    """`np.minimum(x, bound, out)`."""
    result: Floats = np.minimum(x, _full(bound, x.shape, x.dtype.char), out=out)
    return result


@functools.lru_cache(maxsize=64)
def _full(bound: float, shape: tuple[int, ...], kind: str) -> Floats:
    result: Floats = np.full(shape, bound, kind)
    result.setflags(write=False)
    return result
