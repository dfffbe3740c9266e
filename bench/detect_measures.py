"""Alerts promised and told on quiet series of every kind of measure: sums, uniques, percentiles, shares, averages.

    python bench/detect_measures.py [--seed 5] [--series 200]

The events under a measure have a daily rhythm (a weekly one in daily series) and a little more spread than Poisson.
Prices are lognormal, so that a sum of few of them is skewed; uniques come from a pool that is nearly used up in every
window, or ten times as large as the events; the percentile is the 95th of waiting times.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.detect import Grid, Measure, Sensitivity, anomalies, score

HOUR_MS = 3_600_000
BUDGETS = (0.01, 0.03, 0.3)
LEVELS = (8.0, 200.0)
GRAINS = (("hourly", HOUR_MS, 24, 168, 24, 1), ("daily", 24 * HOUR_MS, 120, 7, 7, 2))
"""Name, window, weeks, windows in a week and in the rhythm, and how many times as many series."""
KINDS = ("sum", "uniques, small pool", "uniques, large pool", "95th percentile", "share", "average")
EXACT = 200.0  # a sum of more prices than this is drawn as a normal one
SPREAD = 0.8  # of the logarithm of a price
Drawn = tuple[Any, Any, Measure]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--series", type=int, default=200)
    arguments = parser.parse_args()
    Console(width=120).print(measures(arguments.series, arguments.seed))


def measures(count: int, seed: int) -> Table:
    """Achieved / promised, with the standard deviation of a Poisson number of alerts beside it."""
    heads = ("Quiet series", *(f"{budget} a week" for budget in BUDGETS))
    table = Table(*heads, title="measures: achieved / promised", box=None)
    for grain, step, weeks, season, rhythm, times in GRAINS:
        start = np.arange(weeks * season, dtype=np.int64) * step
        grid = Grid(start, start + step)
        for place, kind in enumerate(KINDS):
            for level in LEVELS:
                rng = np.random.default_rng([seed, place, int(level), step])
                values, weights, measure = drawn(rng, kind, level, (count * times, len(start)), rhythm)
                cells = []
                for budget in BUDGETS:
                    wish = Sensitivity(budget)
                    scored = score(values, grid, measure, weights=weights, sensitivity=wish)
                    found = anomalies(values, grid, scored, measure, wish)
                    told = sum(one.start >= len(start) // 2 for one in found)
                    promised = budget * count * times * weeks / 2
                    cells.append(f"{told / promised:.2f} +- {np.sqrt(told) / promised:.2f}")
                table.add_row(f"{grain}, {kind}, {level:g} events", *cells)
    return table


def drawn(rng: Any, kind: str, level: float, shape: tuple[int, int], rhythm: int) -> Drawn:
    """Values and weights (series, windows) of one kind, and its measure."""
    usual = level * np.exp(0.4 * np.sin(np.arange(shape[1]) * 2 * np.pi / rhythm))
    events = rng.poisson(usual * rng.gamma(400.0, 1 / 400.0, shape)).astype(np.float64)
    some, there = np.maximum(events, 1.0), events > 0
    if kind == "sum":
        return revenue(rng, events), events, Measure.SUM
    if kind.startswith("uniques"):
        pool = int(level * (1.2 if "small" in kind else 10.0)) + 1
        return rng.binomial(pool, 1 - np.exp(-events / pool)).astype(np.float64), None, Measure.UNIQUES
    if kind == "share":
        return np.where(there, rng.binomial(events.astype(int), 0.3) / some, np.nan), events, Measure.RATIO
    if kind == "average":
        return np.where(there, 50 + 20 * rng.normal(size=shape) / np.sqrt(some), np.nan), events, Measure.MEAN
    rank = np.maximum(np.ceil(0.95 * events), 1.0)  # the order statistic of uniform numbers is beta
    waits = -100 * np.log1p(-rng.beta(rank, np.maximum(events - rank + 1, 1.0)))
    return np.where(there, waits, np.nan), events, Measure.PERCENTILE


def revenue(rng: Any, events: Any) -> Any:
    """Sums of as many lognormal prices as there are events."""
    few = events <= EXACT
    owner = np.repeat(np.flatnonzero(few), events[few].astype(int))
    total = np.bincount(owner, rng.lognormal(3.0, SPREAD, owner.size), events.size).reshape(events.shape)
    mean = np.exp(3.0 + SPREAD**2 / 2)
    spread = mean * np.sqrt(np.expm1(SPREAD**2))
    total[~few] = events[~few] * mean + rng.normal(size=int((~few).sum())) * spread * np.sqrt(events[~few])
    return total


if __name__ == "__main__":
    main()
