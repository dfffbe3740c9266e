"""Root cause: quality and time on cases with known answers, beside a drill-down into one dimension at a time.

    python bench/explain.py --corpus cause_corpus.py --seed 301 --cases 30

The corpus is a Python file with `make_case`, `PRESETS` and `score`. Prints, per preset, F1, precision, recall and the
milliseconds that a case takes, for Cliffwatch and for the base line in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.explain import Leaves, explain
from corpus import load

Answer = list[dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="the corpus' Python file")
    parser.add_argument("--seed", type=int, default=301)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--presets", default="small,deep,ratio,wide")
    arguments = parser.parse_args()
    corpus = load(arguments.corpus)
    table = Table("Preset", "Leaves", "Method", "F1", "Precision", "Recall", "ms/case", box=None)
    for preset in arguments.presets.split(","):
        rng = np.random.default_rng(arguments.seed)
        cases = [
            corpus.make_case(rng, **corpus.PRESETS[preset], ratio=preset == "ratio") for _ in range(arguments.cases)
        ]
        leaves = [leaves_of(columns, rows) for columns, rows, _ in cases]
        truth = {str(i): answer for i, (_, _, answer) in enumerate(cases)}
        for name, method in (("Cliffwatch", named), ("one dimension", drill_down)):
            answers, seconds = timed(method, leaves)
            got = corpus.score(truth, answers)
            size = f"{np.mean([len(each.actual) for each in leaves]):,.0f}"
            figures = [f"{got[key]:.3f}" for key in ("f1", "precision", "recall")]
            table.add_row(preset, size, name, *figures, f"{1000 * seconds / len(leaves):.0f}")
    Console().print(table)


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


def timed(method: Callable[[Leaves], Answer], cases: list[Leaves]) -> tuple[dict[str, Answer], float]:
    began = time.perf_counter()
    answers = {str(i): method(case) for i, case in enumerate(cases)}
    return answers, time.perf_counter() - began


def named(leaves: Leaves) -> Answer:
    return [cause.slice for cause in explain(leaves).causes]


def drill_down(leaves: Leaves) -> Answer:
    """What products with a drill-down do: the values of one dimension that changed most beyond the whole."""
    best: tuple[float, Answer] = (0.0, [])
    for axis, dimension in enumerate(leaves.dimensions):
        size = len(leaves.values[axis])
        actual = np.bincount(leaves.codes[:, axis], leaves.actual, size)
        expected = np.bincount(leaves.codes[:, axis], leaves.expected, size)
        change = (actual - expected) / np.maximum(expected, 1e-9)
        far = np.abs(change - np.median(change))
        limit = 3 * 1.4826 * np.median(far) + 0.05
        found = [{dimension: leaves.values[axis][code]} for code in np.flatnonzero(far > limit)]
        if found and far.max() > best[0]:
            best = (float(far.max()), found)
    return best[1]


if __name__ == "__main__":
    main()
