"""Runs of many series: alerts promised and sent where nothing happens, and what is found where something does.

    python bench/detect_runs.py [--seed 9] [--series 100 1000]

Hourly counts of independent series, 4 to 400 an hour, with a common rhythm; the stream's promise is one alert a week.
Every second day of the judged weeks, a tenth of the series loses 20, 35 or 50 % for three hours. Three rules
look at the same scores: each series alone with its share of the promise; a false discovery rate of 5 % in every run
without regard to the promise; and both, as runs are judged ("in company"). An alert is what begins within three hours.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.detect import Grid, Measure, Sensitivity, discoveries, score
from cliffwatch.detect.company import RATE, SINCE, in_company

HOUR_MS = 3_600_000
MONDAY = 1_736_121_600_000
WEEK, LEARNED, JUDGED = 168, 4 * 168, 26 * 168
LASTS, EVERY = 3, 48
LOSSES = (0.2, 0.35, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--series", type=int, nargs="+", default=[100, 1_000])
    arguments = parser.parse_args()
    Console(width=120).print(runs(arguments.series, arguments.seed))


def runs(sizes: list[int], seed: int) -> Table:
    heads = ("Series", "Rule", "False alerts a week (1 promised)", *(f"Found, -{loss:.0%}" for loss in LOSSES))
    table = Table(*heads, "Events known", "False in a story", title="runs of many series", box=None)
    for size in sizes:
        for name, cells in measured(size, seed).items():
            table.add_row(f"{size:,}", name, *cells)
    return table


def measured(size: int, seed: int) -> dict[str, list[str]]:
    rng = np.random.default_rng([seed, size])
    hours = np.arange(LEARNED + JUDGED)
    level = np.exp(rng.uniform(np.log(4), np.log(400), size))
    rhythm = np.exp(0.4 * np.sin(2 * np.pi * hours / 24) - 0.3 * (hours // 24 % 7 >= 5))
    calm = rng.poisson(level[:, None] * rhythm * rng.gamma(1_000.0, 1 / 1_000.0, (size, len(hours)))).astype(np.float64)
    values, hit, losses = calm.copy(), np.zeros(calm.shape, bool), []
    for number, start in enumerate(range(LEARNED + EVERY // 2, len(hours) - LASTS, EVERY)):
        who = rng.choice(size, max(size // 10, 1), replace=False)
        loss, span = LOSSES[number % len(LOSSES)], slice(start, start + LASTS)
        values[who, span] = rng.binomial(values[who, span].astype(int), 1 - loss)
        hit[who, span] = True
        losses.append((start, loss, who))
    quiet, busy = judged(calm), judged(values)
    found = {}
    for rule in quiet:
        columns = np.flatnonzero(quiet[rule][:, LEARNED:].any(axis=0))
        rate = alerts(columns) / (JUDGED / WEEK)
        cells = [f"{rate:.2f}"]
        for loss in LOSSES:
            told = [busy[rule][who, s : s + LASTS].any(axis=1).mean() for s, each, who in losses if each == loss]
            cells.append(f"{np.mean(told):.1%}")
        spans = [(busy[rule][:, s : s + LASTS], hit[:, s : s + LASTS]) for s, _, _ in losses]
        cells.append(f"{np.mean([(told & real).any() for told, real in spans]):.0%}")
        false = [(told & ~real).any(axis=1).sum() / max(told.any(axis=1).sum(), 1) for told, real in spans]
        found[rule] = [*cells, f"{np.mean(false):.1%}"]
    return found


def judged(values: Any) -> dict[str, Any]:
    """Rule -> flags of all series and hours."""
    at = MONDAY + np.arange(values.shape[1], dtype=np.int64) * HOUR_MS
    wish = Sensitivity(1.0 / len(values))
    scored = score(values, Grid(at, at + HOUR_MS), Measure.COUNT, sensitivity=wish)
    every = np.array([discoveries(column, RATE) for column in scored.p_value.T]).T
    company = in_company(values, scored, [wish] * len(values), HOUR_MS)
    return {"alone": scored.flagged, "false discovery rate": every, "in company": company}


def alerts(windows: Any) -> int:
    """How many stories these windows are: what begins within SINCE windows is one."""
    count, begun = 0, -SINCE - 1
    for window in windows.tolist():
        if window - begun > SINCE:
            count, begun = count + 1, window
    return count


if __name__ == "__main__":
    main()
