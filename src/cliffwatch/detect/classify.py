"""From flagged points to anomalies: consecutive surprises, what kind they are, and what they cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cliffwatch.detect.model import (
    DAY_MS,
    HOUR_MS,
    AnomalyKind,
    Bools,
    Floats,
    Found,
    Grid,
    Measure,
    Scored,
    Sensitivity,
)

BRIDGE = 1  # windows between two flags of one direction that do not end an anomaly
LEANING = 1.96  # standard-normal units (a chance of 5 %) from which a window still belongs to the anomaly before it


def anomalies(
    values: Floats,
    grid: Grid,
    scored: Scored,
    measures: Sequence[Measure] | Measure,
    sensitivity: Sensitivity | Sequence[Sensitivity],
) -> list[Found]:
    """The anomalies of a scored matrix, by series and time.

    What began goes on while windows lean the same way (a score of `LEANING` and more): they would not have been flagged
    by themselves, and are not back to normal either. A single calm window between two of the same direction does not
    end an anomaly. An anomaly is `ongoing` when it reaches the last window. With `minimum_windows`, it starts at its
    first surprising window, not at the one where it was told.
    """
    matrix = np.asarray(values, np.float64)
    kinds = [measures] * len(matrix) if isinstance(measures, Measure) else list(measures)
    found = []
    for series in np.flatnonzero(scored.flagged.any(axis=1)).tolist():
        wish = sensitivity if isinstance(sensitivity, Sensitivity) else sensitivity[series]
        for start, end in _runs(scored.flagged[series], scored.score[series], wish.minimum_windows):
            found.append(_describe(series, start, end, matrix[series], grid, scored, kinds[series]))
    return found


def _runs(flagged: Bools, score: Floats, minimum: int) -> list[tuple[int, int]]:
    """Half-open runs of flags of one side, with what leans the same way after them, bridged over short calm."""
    side, goes_on = np.sign(score), flagged | (np.abs(score) >= LEANING)
    runs: list[tuple[int, int]] = []
    for at in np.flatnonzero(flagged).tolist():
        if runs and at < runs[-1][1]:
            continue
        end = at + 1
        while end < len(flagged) and goes_on[end] and side[end] == side[at]:
            end += 1
        if runs and at - runs[-1][1] <= BRIDGE and side[at] == side[runs[-1][1] - 1]:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((at, end))
    back = minimum - 1
    return [(max(0, start - back), end) for start, end in runs]


def _describe(series: int, start: int, end: int, values: Floats, grid: Grid, scored: Scored, measure: Measure) -> Found:
    span = slice(start, end)
    there = np.isfinite(values[span]) & np.isfinite(scored.expected[series, span])
    y, mean = values[span][there], scored.expected[series, span][there].astype(np.float64)
    z = np.where(np.isfinite(scored.score[series, span]), scored.score[series, span], 0.0)
    peak = start + int(np.argmax(np.abs(z)))
    direction = 1 if z[peak - start] > 0 else -1
    total = np.sum if measure.additive else np.mean
    actual, expected = float(total(y)), float(total(mean))
    return Found(
        series=series,
        kind=_kind(y, mean, direction, end - start, grid, measure),
        direction=direction,
        start=start,
        end=end,
        peak=peak,
        peak_score=float(z[peak - start]),
        actual=actual,
        expected=expected,
        impact=actual - expected,
        relative=(actual - expected) / abs(expected) if expected else float("inf") * direction,
        ongoing=end == len(grid),
    )


def _kind(y: Floats, mean: Floats, direction: int, length: int, grid: Grid, measure: Measure) -> AnomalyKind:
    """Silence: nothing came where something was expected. Lasting changes are shifts, or trends when they grow."""
    if measure.additive and direction < 0 and np.all(y <= 0.0):
        return AnomalyKind.SILENCE
    step = grid.step_ms
    lasting = 8 if step >= 20 * HOUR_MS else max(8, min(48, round(10 * HOUR_MS / step)))
    if len(y) >= lasting // 2 and step < 32 * DAY_MS:
        gap = (y - mean) / np.maximum(np.abs(mean), 1e-12)
        half = len(gap) // 2
        first, second = abs(float(np.mean(gap[:half]))), abs(float(np.mean(gap[half:])))
        if second > 1.5 * first:  # told sooner than a shift: a forecast that follows a slide soon forgives it
            return AnomalyKind.TREND_CHANGE
        if length >= lasting:
            return AnomalyKind.LEVEL_SHIFT
    return AnomalyKind.SPIKE if direction > 0 else AnomalyKind.DIP
