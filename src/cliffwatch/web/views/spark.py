"""Sparklines: a series as the shapes of a small SVG. Pure."""

from __future__ import annotations

import itertools
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

    def x(i: int) -> float:
        return round(pad + (width - 2 * pad) * (i / max(len(data) - 1, 1)), 1)

    def y(value: float) -> float:
        return round(height - pad - (height - 2 * pad) * (min(max(value, low), high) - low) / (high - low), 1)

    runs = _runs(data)
    line = "".join(_path([(x(i), y(data[i])) for i in run]) for run in runs)
    area = "".join(
        _path([(x(run[0]), height), *((x(i), y(data[i])) for i in run), (x(run[-1]), height)]) + "Z" for run in runs
    )
    band = ""
    if lower is not None and upper is not None:
        edges = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
        band = "".join(
            _path([*((x(i), y(edges[1][i])) for i in run), *((x(i), y(edges[0][i])) for i in reversed(run))]) + "Z"
            for run in _runs(edges[0] + edges[1])
            if len(run) > 1
        )
    dots = tuple((x(i), y(data[i])) for i in np.flatnonzero(marks & np.isfinite(data)).tolist())
    last = runs[-1][-1]
    return Spark(width, height, line, area, band, dots, (x(last), y(data[last])))


def _range(finite: Floats) -> tuple[float, float]:
    low, high = float(finite.min()), float(finite.max())
    if 0 < low < 0.5 * high:
        low = 0.0
    if math.isclose(low, high):
        low, high = (0.0, high * 2) if high > 0 else (low - 1, high + 1)
    return low, high


def _runs(data: Floats) -> list[list[int]]:
    """Stretches of indices without a gap."""
    runs: list[list[int]] = []
    for i in np.flatnonzero(np.isfinite(data)).tolist():
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _path(points: Sequence[tuple[float, float]]) -> str:
    head, *tail = points
    if not tail:  # a lone point between gaps is still seen
        return f"M{head[0]:g} {head[1]:g}h.1"
    return f"M{head[0]:g} {head[1]:g}L" + " ".join(f"{a:g} {b:g}" for a, b in tail)


def thinned(values: Floats, most: int) -> Floats:
    """At most `most` values, each the mean of its neighbours, for sparklines of minutes."""
    if len(values) <= most:
        return values
    edges = np.linspace(0, len(values), most + 1).astype(int)
    pieces = [values[a:b][np.isfinite(values[a:b])] for a, b in itertools.pairwise(edges)]
    return np.array([piece.mean() if piece.size else math.nan for piece in pieces])
