"""Sparklines: a series as the shapes of a small SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spark:
    """Path data within `width` x `height`; `dots` are the surprising points. `empty` when there is nothing to draw."""

    width: int
    height: int
    line: str
    area: str
    band: str
    dots: tuple[tuple[float, float], ...]
    end: tuple[float, float] | None

    @property
    def empty(self) -> bool:
        return not self.line


def spark(
    values: Sequence[float] | Floats,
    *,
    flagged: Sequence[bool] | NDArray[np.bool_] | None = None,
    lower: Sequence[float] | Floats | None = None,
    upper: Sequence[float] | Floats | None = None,
    width: int = 132,
    height: int = 34,
) -> Spark:
    """Draw the values from left to right, zero included where it is near; missing ones leave a gap."""
    data = np.asarray(values, np.float64)
    marks = np.zeros(len(data), bool) if flagged is None else np.asarray(flagged, bool)
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        return Spark(width, height, "", "", "", (), None)
    low, high = _range(finite)
    pad = 3.0

    x = np.round(pad + (width - 2 * pad) * (np.arange(len(data)) / max(len(data) - 1, 1)), 1)

    def y(edge: Floats) -> Floats:
        return np.round(height - pad - (height - 2 * pad) * (np.clip(edge, low, high) - low) / (high - low), 1)

    across, down = x.tolist(), y(data).tolist()
    points = [f"{a:g} {b:g}" for a, b in zip(across, down, strict=True)]
    runs = _runs(data)
    line = "".join(_path(points[first:end]) for first, end in runs)
    floor = f"{height:g}"
    area = "".join(
        _path([f"{across[first]:g} {floor}", *points[first:end], f"{across[end - 1]:g} {floor}"]) + "Z"
        for first, end in runs
    )
    band = ""
    if lower is not None and upper is not None:
        edges = [np.asarray(edge, np.float64) for edge in (lower, upper)]
        bottom, top = ([f"{a:g} {b:g}" for a, b in zip(across, y(edge).tolist(), strict=True)] for edge in edges)
        band = "".join(
            _path([*top[first:end], *bottom[first:end][::-1]]) + "Z"
            for first, end in _runs(edges[0] + edges[1])
            if end - first > 1
        )
    dots = tuple((across[i], down[i]) for i in np.flatnonzero(marks & np.isfinite(data)).tolist())
    last = runs[-1][1] - 1
    return Spark(width, height, line, area, band, dots, (across[last], down[last]))


def _range(finite: Floats) -> tuple[float, float]:
    low, high = float(finite.min()), float(finite.max())
    if 0 < low < 0.5 * high:
        low = 0.0
    if math.isclose(low, high):
        low, high = (0.0, high * 2) if high > 0 else (low - 1, high + 1)
    return low, high


def _runs(data: Floats) -> list[tuple[int, int]]:
    """Half-open stretches of indices without a gap."""
    known = np.concatenate([[False], np.isfinite(data), [False]])
    turns = np.flatnonzero(known[1:] != known[:-1]).tolist()
    return list(zip(turns[::2], turns[1::2], strict=True))


def _path(points: Sequence[str]) -> str:
    head, *tail = points
    if not tail:  # a lone point between gaps is still seen
        return f"M{head}h.1"
    return f"M{head}L" + " ".join(tail)


def thinned(values: Floats, most: int) -> Floats:
    """At most `most` values, each the mean of its neighbours, for sparklines of minutes."""
    if len(values) <= most:
        return values
    edges = np.linspace(0, len(values), most + 1).astype(int)[:-1]
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.float64), edges)
    sums = np.add.reduceat(np.where(known, values, 0.0), edges)
    means: Floats = np.divide(sums, counts, out=np.full(most, math.nan), where=counts > 0)
    return means
