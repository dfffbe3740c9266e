"""Root cause: quality, time and memory on cases with known answers, beside two base lines in the same run.

    python bench/explain.py --corpus cause_corpus.py --seed 301 --cases 30 --real FOLDER

The corpus is a Python file with `make_case`, `PRESETS` and `score`; the real cases lie in a folder in the layout of
`explain_real.py`. Prints, per preset and for the real cases, F1, precision, recall and the milliseconds of CPU that a
case takes, for Cliffwatch, for Adtributor and for a drill-down into one dimension at a time. Real cases are told as
incidents are: causes of less than a twentieth of the change are left out. Then time and peak memory by size.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.explain import Leaves
from corpus import load
from explain_methods import Answer, adtributor, drill_down, ours, ours_as_told
from explain_real import read_cases

Method = Callable[[Leaves], Answer]

BASE_LINES: Sequence[tuple[str, Method]] = (("Adtributor", adtributor), ("one dimension", drill_down))
SIZES: Sequence[tuple[tuple[int, ...], float]] = (
    ((10, 12, 10, 8, 5), 1.0),
    ((10, 5, 250, 20, 8, 12), 200_000 / 24e6),
    ((10, 5, 25, 20, 8, 12), 1.0),
)
"""Dimension sizes, and the fraction of the cube that is there: 48,000, 200,000 (sparse) and 2,400,000 leaves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="the corpus' Python file")
    parser.add_argument("--real", type=Path, help="the folder of the real cases")
    parser.add_argument("--seed", type=int, default=301)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--presets", default="small,deep,ratio,wide")
    arguments = parser.parse_args()
    corpus = load(arguments.corpus)
    table = Table("Cases", "Leaves", "Method", "F1", "Precision", "Recall", "CPU ms/case", box=None)
    for preset in filter(None, arguments.presets.split(",")):
        rng = np.random.default_rng(arguments.seed)
        leaves, truth = [], {}
        for number in range(arguments.cases):
            columns, rows, answer = corpus.make_case(rng, **corpus.PRESETS[preset], ratio=preset == "ratio")
            leaves.append(leaves_of(columns, rows))
            truth[str(number)] = answer
        add_rows(table, preset, leaves, truth, [("Cliffwatch", ours), *BASE_LINES], corpus)
    if arguments.real:
        leaves, truth = read_cases(arguments.real)
        for name, part in (
            ("real", slice(None)),
            ("real, 1st half", slice(0, None, 2)),
            ("2nd half", slice(1, None, 2)),
        ):
            chosen = range(len(leaves))[part]
            some = {str(i): truth[str(number)] for i, number in enumerate(chosen)}
            methods = [("Cliffwatch", ours_as_told), *BASE_LINES]
            add_rows(table, name, leaves[part], some, methods, corpus)
    Console().print(table)
    Console().print(sizes())


def add_rows(
    table: Table,
    name: str,
    leaves: Sequence[Leaves],
    truth: dict[str, Answer],
    methods: Sequence[tuple[str, Method]],
    corpus: ModuleType,
) -> None:
    for label, method in methods:
        began = time.process_time()
        answers = {str(i): method(case) for i, case in enumerate(leaves)}
        seconds = time.process_time() - began
        got = corpus.score(truth, answers)
        size = f"{np.mean([len(each.actual) for each in leaves]):,.0f}"
        figures = [f"{got[key]:.3f}" for key in ("f1", "precision", "recall")]
        table.add_row(name, size, label, *figures, f"{1000 * seconds / len(leaves):.1f}")


def leaves_of(columns: list[str], rows: list[list[Any]]) -> Leaves:
    table = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    measures = [name for name in columns if name.startswith(("actual", "expected"))]
    dimensions = {name: values for name, values in table.items() if name not in measures}
    numbers = {name: np.array(table[name], dtype=np.float64) for name in measures}
    if "actual" in numbers:
        return Leaves.from_columns(dimensions, numbers["actual"], numbers["expected"])
    return Leaves.from_columns(
        dimensions,
        numbers["actual_numerator"],
        numbers["expected_numerator"],
        numbers["actual_denominator"],
        numbers["expected_denominator"],
    )


def sizes() -> Table:
    """Time and memory by size: the median of five runs, and the peak beyond the leaves themselves."""
    table = Table("Leaves", "CPU ms", "Adtributor CPU ms", "Peak memory", "times the leaves", box=None)
    for dimensions, density in SIZES:
        leaves = large(dimensions, density)
        own = leaves.codes.nbytes + leaves.actual.nbytes + leaves.expected.nbytes
        tracemalloc.start()
        ours(leaves)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        times = [median_ms(method, leaves) for method in (ours, adtributor)]
        row = [f"{len(leaves.actual):,}", *(f"{ms:,.0f}" for ms in times), f"{peak / 1e6:,.0f} MB", f"{peak / own:.1f}"]
        table.add_row(*row)
    return table


def large(sizes: tuple[int, ...], density: float) -> Leaves:
    """Heavy-tailed leaves with a forecast that is 15 % off, of which two slices moved."""
    rng = np.random.default_rng(7)
    cells = int(np.prod(sizes))
    chosen = np.arange(cells) if density == 1 else np.flatnonzero(rng.random(cells) < density)
    codes = np.stack(np.unravel_index(chosen, sizes), axis=1).astype(np.int32)
    volume = 100 * rng.weibull(0.8, len(codes))
    factor = np.where((codes[:, 0] == 1) & (codes[:, 1] == 2), 0.4, np.where(codes[:, 2] == 3, 1.5, 1.0))
    expected = np.where(factor == 1, volume * np.clip(rng.normal(1, 0.15, len(codes)), 0, 2), volume)
    names = tuple("abcdef"[: len(sizes)])
    values = tuple(tuple(f"{name}{code}" for code in range(size)) for name, size in zip(names, sizes, strict=True))
    return Leaves(names, codes, values, volume * factor, expected)


def median_ms(method: Method, leaves: Leaves) -> float:
    taken = []
    for _ in range(5):
        began = time.process_time()
        method(leaves)
        taken.append(time.process_time() - began)
    return 1000 * float(np.median(taken))


if __name__ == "__main__":
    main()
