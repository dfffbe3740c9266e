"""Detection: quality, false alerts and speed on a corpus with known events, beside a seasonal-naive base line.

    python bench/detect.py --corpus metric_corpus.py --seed 301 --series 100

The corpus is a Python file with `make_corpus`, `judged_weeks` and `score`. The base line compares each point with the
same hour (or weekday) of the last six weeks by median and MAD, and flags beyond 4.5 of them.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.detect import Grid, Measure, advance, begin, score
from corpus import load

HOUR_MS = 3_600_000
Series = tuple[str, Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="the corpus' Python file")
    parser.add_argument("--seed", type=int, default=301)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--speed-series", type=int, default=5_000)
    arguments = parser.parse_args()
    corpus = load(arguments.corpus)
    series, events = corpus.make_corpus(arguments.seed, arguments.series)
    console = Console()
    table = Table("Method", "F1", "Precision", "Recall", "False/series/week", "Median delay", box=None)
    for name, method in (("Cliffwatch", cliffwatch_flags), ("seasonal naive, MAD", naive_flags)):
        flags = {each[0]: judged(each, method(each)) for each in series}
        got = corpus.score(events, flags, {n: corpus.judged_weeks(t) for n, t, _ in series})
        figures = [f"{got[key]:.3f}" for key in ("f1", "precision", "recall")]
        alerts = f"{got['false_alerts_per_series_week']:.4f}"
        table.add_row(name, *figures, alerts, f"{got['median_delay_buckets']}")
    console.print(table)
    console.print(speed(arguments.speed_series))


def judged(series: Series, flagged: Any) -> Any:
    """The flagged timestamps of the second half: the first is history to learn from."""
    _, timestamps, _ = series
    half = len(timestamps) // 2
    return timestamps[half:][flagged[half:]]


def cliffwatch_flags(series: Series) -> Any:
    _, timestamps, values = series
    start = timestamps.astype("datetime64[ms]").astype(np.int64)
    grid = Grid(start, start + (start[1] - start[0]))
    return score(values[None, :], grid, Measure.COUNT).flagged[0]


def naive_flags(series: Series) -> Any:
    name, _, values = series
    season = 168 if name.startswith("hourly") else 7
    flagged = np.zeros(len(values), bool)
    for t in range(3 * season, len(values)):
        past = values[t - season : max(t - 6 * season, 0) - 1 if t > 6 * season else None : -season]
        middle = np.nanmedian(past)
        spread = 1.4826 * np.nanmedian(np.abs(past - middle)) + np.sqrt(max(middle, 1.0))
        flagged[t] = abs(values[t] - middle) > 4.5 * spread
    return flagged


def speed(count: int) -> Table:
    """Series per second on one core: twelve weeks of hours replayed, and the newest hour scored from stored state."""
    hours = 12 * 168
    start = np.arange(hours + 1, dtype=np.int64) * HOUR_MS
    grid = Grid(start, start + HOUR_MS)
    values = np.random.default_rng(1).poisson(50.0, (count, hours + 1)).astype(np.float64)
    state, replay = measured(
        lambda: advance(begin([Measure.COUNT] * count, HOUR_MS), values[:, :hours], grid.cut(0, hours))
    )
    _, newest = measured(lambda: advance(state, values[:, hours:], grid.cut(hours, hours + 1)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table = Table("Speed", "series/s", box=None)
    table.add_row("replaying twelve weeks of hours", f"{count / replay:,.0f}")
    table.add_row("the newest hour from stored state", f"{count / newest:,.0f}")
    table.add_row("state of a series, bytes", f"{len(state.to_bytes()) / count:,.0f}")
    table.add_row("peak memory of this bench, MB", f"{memory:,.0f}")
    return table


def measured(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    state, _ = work()
    return state, time.perf_counter() - began


if __name__ == "__main__":
    main()
