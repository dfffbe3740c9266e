"""Detection: quality, promised budgets, the Numenta benchmark and speed, beside other detectors in the same run.

    python bench/detect.py --corpus metric_corpus.py --seeds 301 302 --nab NAB_FOLDER --nab-score nab_score.py

The corpus is a Python file with `make_corpus`, `judged_weeks` and `score`; NAB_FOLDER holds the series' CSV files and
`windows.json`; nab_score.py has the commands `make` and `score`. What is not named is left out. Peers (the dependency
group `peers`) are judged on the first `--peer-series` of the first seed, as Cliffwatch is there too; the bench says
which are missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.detect import Grid, Measure, Sensitivity, State, advance, anomalies, begin, score
from cliffwatch.detect.table import run
from corpus import load
from detect_measures import measures
from detect_peers import available
from detect_runs import runs
from detect_slices import slices

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MANY_BLOCK = 4_096  # series that are held at once when there are many
BUDGETS = (0.002, 0.01, 0.03, 0.3)
BATCH = 1_000  # quiet series that are in memory together
LEVELS = {"low (4)": 4.0, "middle (200)": 200.0, "high (20,000)": 20_000.0}
Series = tuple[str, Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="the corpus' Python file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[301])
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--peer-series", type=int, default=20)
    parser.add_argument("--nab", type=Path, help="the folder of the Numenta benchmark's series and windows.json")
    parser.add_argument("--nab-score", type=Path, help="the Python file of its scorer")
    parser.add_argument("--quiet-series", type=int, default=1_000)
    parser.add_argument("--quiet-seed", type=int, default=5)
    parser.add_argument("--speed-series", type=int, default=16_384)
    parser.add_argument("--many-series", type=int, default=100_000)
    arguments = parser.parse_args()
    console = Console(width=120)
    if arguments.corpus:
        corpus = load(arguments.corpus)
        for seed in arguments.seeds:
            console.print(quality(corpus, seed, arguments.series, {"Cliffwatch": cliffwatch_flags}))
        peers, missing = available()
        for name in missing:
            console.print(f"{name}: not installed, not judged.")
        methods = {"Cliffwatch": cliffwatch_flags, "seasonal naive, MAD": naive_flags, **peers}
        console.print(quality(corpus, arguments.seeds[0], arguments.peer_series, methods))
    if arguments.nab and arguments.nab_score:
        console.print(numenta(arguments.nab, arguments.nab_score))
    if arguments.quiet_series:
        console.print(budgets(arguments.quiet_series, arguments.quiet_seed))
        console.print(measures(arguments.quiet_series // 5, arguments.quiet_seed))
        console.print(slices(arguments.quiet_seed))
        console.print(runs([100, 1_000], arguments.quiet_seed))
    if arguments.speed_series:
        console.print(speed(arguments.speed_series))
    if arguments.many_series:
        console.print(many(arguments.many_series))


def quality(corpus: Any, seed: int, count: int, methods: dict[str, Callable[[Series], Any]]) -> Table:
    """What each method finds of the events of one seed, what it tells falsely, and what it costs."""
    series, events = corpus.make_corpus(seed, count)
    columns = ("Method", "F1", "Precision", "Recall", "False/series/week", "Median delay", "Series/s of CPU")
    table = Table(*columns, title=f"seed {seed}, {count} series", box=None)
    for name, method in methods.items():
        began = time.process_time()
        flags = {each[0]: judged(each, method(each)) for each in series}
        pace = count / (time.process_time() - began)
        got = corpus.score(events, flags, {n: corpus.judged_weeks(t) for n, t, _ in series})
        figures = [f"{got[key]:.3f}" for key in ("f1", "precision", "recall")]
        alerts = f"{got['false_alerts_per_series_week']:.4f}"
        table.add_row(name, *figures, alerts, f"{got['median_delay_buckets']}", f"{pace:,.2f}")
    return table


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
    """Each point against the same hour (or weekday) of the last six weeks by median and MAD, beyond 4.5 of them."""
    name, _, values = series
    season = 168 if name.startswith("hourly") else 7
    flagged = np.zeros(len(values), bool)
    for t in range(3 * season, len(values)):
        past = values[t - season : max(t - 6 * season, 0) - 1 if t > 6 * season else None : -season]
        middle = np.nanmedian(past)
        spread = 1.4826 * np.nanmedian(np.abs(past - middle)) + np.sqrt(max(middle, 1.0))
        flagged[t] = abs(values[t] - middle) > 4.5 * spread
    return flagged


def numenta(folder: Path, scorer: Path) -> str:
    """The Numenta benchmark's standard profile, all files with one setting, through the command's own table."""
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "in.csv", Path(place) / "out.csv"
        subprocess.run([sys.executable, scorer, "make", folder, source], check=True)
        run(source, out)
        # the scorer's exit code compares with the bar, which it prints
        got = subprocess.run(
            [sys.executable, scorer, "score", folder, out, "70"], capture_output=True, text=True, check=False
        )
    return got.stdout.strip() or got.stderr.strip()


def budgets(count: int, seed: int) -> Table:
    """Alerts per series and week on series where nothing happens, against the budget that was promised.

    Beside each figure stands its sampling error: the standard deviation of a Poisson number of alerts.
    """
    table = Table("Quiet series", *(f"{b} a week" for b in BUDGETS), title="achieved / promised", box=None)
    for grain, step, weeks, season in (("hourly", HOUR_MS, 24, 168), ("daily", DAY_MS, 120, 7)):
        windows = weeks * season
        start = np.arange(windows, dtype=np.int64) * step
        grid = Grid(start, start + step)
        phase = np.arange(windows) * 2 * np.pi / (24 if grain == "hourly" else 7)
        for place, (name, level) in enumerate(LEVELS.items()):
            rng = np.random.default_rng([seed, place, step])
            told = dict.fromkeys(BUDGETS, 0)
            for first in range(0, count, BATCH):
                shape = (min(BATCH, count - first), windows)
                spread = rng.gamma(400.0, 1 / 400.0, shape)
                values = rng.poisson(level * np.exp(0.4 * np.sin(phase)) * spread).astype(np.float64)
                for budget in BUDGETS:
                    wish = Sensitivity(budget)
                    scored = score(values, grid, Measure.COUNT, sensitivity=wish)
                    found = anomalies(values, grid, scored, Measure.COUNT, wish)
                    told[budget] += sum(f.start >= windows // 2 for f in found)
            promised = {budget: budget * count * weeks / 2 for budget in BUDGETS}
            cells = [f"{told[b] / promised[b]:.2f} +- {np.sqrt(told[b]) / promised[b]:.2f}" for b in BUDGETS]
            table.add_row(f"{grain}, {name}", *cells)
    return table


def speed(count: int) -> Table:
    """Series per second of CPU, best of three: twelve weeks of hours replayed, for so many series and for fewer."""
    hours = 12 * 168
    grid = hours_of(hours + 1)
    values = np.random.default_rng(1).poisson(50.0, (count, hours + 1)).astype(np.float64)
    table = Table("Speed, one core", "series/s", "seconds", box=None)
    past = grid.cut(0, hours)
    for size in sorted({max(count // 16, 1), max(count // 4, 1), count}):
        runs = [measured(lambda some=values[:size, :hours]: replay(some, past)) for _ in range(3)]
        took = min(seconds for _, seconds in runs)
        table.add_row(f"twelve weeks of hours replayed, {size:,} series", f"{size / took:,.0f}", f"{took:.2f}")
    state = runs[0][0]
    stored, last = state.to_bytes(), (values[:, hours:], grid.cut(hours, hours + 1))
    newest = min(measured(lambda: advance(state, *last))[1] for _ in range(5))
    table.add_row(f"the newest hour from stored state, {count:,} series", f"{count / newest:,.0f}", f"{newest:.2f}")
    whole = min(measured(lambda: (advance(State.from_bytes(stored), *last)[0].to_bytes(), None))[1] for _ in range(5))
    table.add_row("the same with the state's bytes read and written", f"{count / whole:,.0f}", f"{whole:.2f}")
    table.add_row("state of a series, bytes", f"{len(stored) / count:,.0f}", "")
    return table


def many(count: int) -> Table:
    """Peak memory and CPU of a process that replays many series in blocks, and of one that scores their newest hour.

    The values come block by block, as a service reads them; what remains of a replay is its state.
    """
    table = Table(f"{count:,} series", "Peak MB", "CPU seconds", box=None)
    for name, target in (("replayed in blocks", replay_in_blocks), ("the newest hour from state", newest_of_many)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peak, seconds = pool.submit(target, count).result()
        table.add_row(name, f"{peak:,.0f}", f"{seconds:,.2f}")
    return table


def replay_in_blocks(count: int) -> tuple[float, float]:
    hours, rng, seconds, grid = 12 * 168, np.random.default_rng(1), 0.0, hours_of(12 * 168)
    kept = []
    for at in range(0, count, MANY_BLOCK):
        values = rng.poisson(50.0, (min(MANY_BLOCK, count - at), hours)).astype(np.float64)
        state, took = measured(lambda some=values: replay(some, grid))
        kept.append(state.to_bytes())
        seconds += took
    return peak_mb(), seconds


def newest_of_many(count: int) -> tuple[float, float]:
    grid, rng = hours_of(73), np.random.default_rng(1)
    block = min(MANY_BLOCK, count)
    state, _ = replay(rng.poisson(50.0, (block, 72)).astype(np.float64), grid.cut(0, 72))
    stored = [state.to_bytes() for _ in range(0, count, block)]
    newest, seconds = grid.cut(72, 73), 0.0
    for at, data in zip(range(0, count, block), stored, strict=True):
        values = rng.poisson(50.0, (min(block, count - at), 1)).astype(np.float64)
        known = State.from_bytes(data).take(range(len(values)))
        seconds += measured(lambda s=known, v=values: advance(s, v, newest))[1]
    return peak_mb(), seconds


def hours_of(count: int) -> Grid:
    start = np.arange(count, dtype=np.int64) * HOUR_MS
    return Grid(start, start + HOUR_MS)


def peak_mb() -> float:
    """The peak of this process since it began; `ru_maxrss` would be that of the process that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def replay(values: Any, grid: Grid) -> tuple[Any, Any]:
    return advance(begin([Measure.COUNT] * len(values), HOUR_MS), values, grid)


def measured(work: Callable[[], Any]) -> tuple[Any, float]:
    """The state that work gives, and its seconds of CPU."""
    began = time.process_time()
    state, _ = work()
    return state, time.process_time() - began


if __name__ == "__main__":
    main()
