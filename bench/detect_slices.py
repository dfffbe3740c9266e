"""Slices with and without the total that they are part of: their forecast, what is found, what is told falsely.

    python bench/detect_slices.py [--seed 7]

A stream of 24 slices beside a large rest: one daily and weekly rhythm, a drift that all share and one of their own.
`differ` is the amplitude of what each slice's own day adds to it (1: hardly anything in common). "new" slices begin
five weeks after their total, "old" ones with it; an event takes 60 % away for four hours.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.detect import Grid, Measure, Sensitivity, score

HOUR_MS = 3_600_000
MONDAY = 1_736_121_600_000
WEEK = 168
WEEKS, SLICES, REST, REPEATS = 9, 24, 4_000.0, 3
BEGIN = 5 * WEEK + 55
BUDGET = Sensitivity(0.01)
LASTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    Console(width=120).print(slices(parser.parse_args().seed))


def slices(seed: int) -> Table:
    """Alone -> with the total: mean error of the forecast (logarithm), events found, false alerts a series and week."""
    heads = ("Slices", "differ", "Error, days 3-7", "Error, weeks 2-3", "Found", "False alerts/series/week")
    table = Table(*heads, title="slices: alone -> with their total", box=None)
    for begins, name in ((BEGIN, "new"), (0, "old")):
        for mean in (2.0, 8.0, 30.0, 120.0):
            for differ in (0.1, 0.5, 1.0):
                rng = np.random.default_rng([seed, int(mean), int(10 * differ), begins])
                alone, kin = np.mean([measured(rng, mean, differ, begins) for _ in range(REPEATS)], axis=0)
                cells = [f"{a:.3f} -> {b:.3f}" for a, b in zip(alone, kin, strict=True)]
                table.add_row(f"{name}, {mean:g} an hour", f"{differ:g}", *cells)
    return table


def measured(rng: Any, mean: float, differ: float, begins: int) -> Any:
    """(alone, with the total) x (error early, error later, found, false alerts per series and week)."""
    truth, values = stream(rng, mean, differ)
    values[1:, :begins] = np.nan
    starts = rng.integers(begins + 60, begins + 3 * WEEK, SLICES)
    calm = np.ones((SLICES, WEEKS * WEEK), bool)
    for row, start in enumerate(starts):
        hit = slice(start, start + LASTS)
        values[row + 1, hit] = rng.binomial(values[row + 1, hit].astype(int), 0.4)
        calm[row, start : start + 2 * LASTS] = False
    at = MONDAY + np.arange(WEEKS * WEEK, dtype=np.int64) * HOUR_MS
    rows = []
    for parents in (None, np.array([-1] + [0] * SLICES)):
        grid = Grid(at, at + HOUR_MS)
        scored = score(values, grid, Measure.COUNT, parents=parents, sensitivity=BUDGET)
        error = np.abs(np.log(scored.expected[1:] / truth))
        spans = (slice(begins + 48, begins + WEEK), slice(begins + WEEK, begins + 3 * WEEK))
        found = np.mean([scored.flagged[i + 1, s : s + LASTS].any() for i, s in enumerate(starts)])
        false = (scored.flagged[1:] & calm)[:, begins : begins + 4 * WEEK].sum() / (4 * SLICES)
        rows.append([*(np.nanmean(error[:, span]) for span in spans), found, false])
    return rows


def stream(rng: Any, mean: float, differ: float) -> tuple[Any, Any]:
    """What the slices tend to (series, hours), and counts: the total first."""
    t = np.arange(WEEKS * WEEK)
    phase, amplitude = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0)
    day = 2 * np.pi * t / 24
    common = (
        amplitude * np.sin(day + phase) + np.where(t // 24 % 7 >= 5, rng.uniform(-0.8, 0.2), 0.0) + drift(rng, 0.04)
    )
    own = [differ * np.sin(day + rng.uniform(0, 2 * np.pi)) + drift(rng, 0.03) for _ in range(SLICES)]
    truth = mean * np.exp(common + np.array(own))
    counts = rng.poisson(truth * rng.gamma(1_000.0, 1 / 1_000.0, truth.shape))
    return truth, np.vstack([counts.sum(axis=0) + rng.poisson(REST * np.exp(common)), counts]).astype(np.float64)


def drift(rng: Any, size: float) -> Any:
    """A wandering that returns."""
    shocks, wander = rng.normal(0, size * np.sqrt(1 - 0.97**2), WEEKS * WEEK), np.zeros(WEEKS * WEEK)
    for t in range(1, len(wander)):
        wander[t] = 0.97 * wander[t - 1] + shocks[t]
    return wander


if __name__ == "__main__":
    main()
