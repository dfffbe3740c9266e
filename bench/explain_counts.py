"""Root cause of counts as the product takes them: events of now against those of six past periods.

    python bench/explain_counts.py --seed 2 --cases 30

Each leaf draws its events from its own level, heavy-tailed over leaves, and now strays from it by `off` besides. One to
three slices moved; the expectation is what `expected_leaves` makes of the past. Prints, by shape, F1, precision and
recall of the slices named exactly, how many were named where nothing moved, and the milliseconds of CPU of a case.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.explain import Leaves, expected_leaves, explain
from cliffwatch.explain.model import Codes, Floats

PERIODS = 6
DEEPEST = 3
TRIES = 200
LONE, MOST = 0.9, 0.5
"""A slice of which one part, or that of a wider one, makes up more than LONE has no depth of its own."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Values per dimension, mean events a leaf, how far leaves stray, causes at most, and the least they weigh."""

    sizes: tuple[int, ...]
    events: float
    off: float
    causes: int = 2
    least: float = 0.02
    observed: int = 0  # leaves that are there, of a cube that is sparse; 0 = all


SHAPES = {
    "4 x 3": Shape((4, 3), 200, 0.05, 1, 0.05),
    "5 x 4 x 3": Shape((5, 4, 3), 300, 0.08),
    "8 x 6 x 5 x 4": Shape((8, 6, 5, 4), 50, 0.10, 3, 0.01),
    "8 x 6 x 5 x 4, few events": Shape((8, 6, 5, 4), 3, 0.05),
    "10 x 8 x 6 x 5 x 4, hardly any": Shape((10, 8, 6, 5, 4), 0.3, 0.05, 2, 0.03),
    "4 x 5 x 6 x 5 x 4 x 6": Shape((4, 5, 6, 5, 4, 6), 20, 0.15, 3, 0.01),
    "30 x 20 x 40 x 50, sparse": Shape((30, 20, 40, 50), 20, 0.10, 2, 0.01, 8_000),
    "5,000 x 4 x 3 x 5, sparse": Shape((5_000, 4, 3, 5), 20, 0.10, 2, 0.01, 40_000),
    "20 values": Shape((20,), 400, 0.15),
    "300 values": Shape((300,), 100, 0.20, 2, 0.01),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--cases", type=int, default=30)
    given = parser.parse_args()
    table = Table("Shape", "Strays", "F1", "Precision", "Recall", "Named of nothing", "CPU ms/case", box=None)
    for name, shape in SHAPES.items():
        rng = np.random.default_rng(given.seed)
        began = time.process_time()
        right, named, wanted = np.sum([answered(rng, shape) for _ in range(given.cases)], axis=0)
        seconds = time.process_time() - began
        falsely = sum(answered(rng, replace(shape, causes=0))[1] for _ in range(given.cases))
        f1, precision, recall = 2 * right / max(named + wanted, 1), right / max(named, 1), right / max(wanted, 1)
        figures = [f"{one:.3f}" for one in (f1, precision, recall)]
        table.add_row(name, f"{shape.off:.0%}", *figures, str(falsely), f"{1000 * seconds / given.cases:.1f}")
    Console().print(table)


def answered(rng: np.random.Generator, shape: Shape) -> tuple[int, int, int]:
    """How many causes of a case were named rightly, how many were named, and how many there are."""
    codes = observed(rng, shape)
    level = shape.events * rng.weibull(rng.uniform(0.5, 1.0), len(codes))
    factor, truth = moved(rng, shape, codes, level)
    now = rng.poisson(level * factor * np.clip(rng.normal(1, shape.off, len(codes)), 0.1, 2)).astype(float)
    past = rng.poisson(level[:, None], (len(codes), PERIODS)).astype(float)
    names = tuple(f"d{axis}" for axis in range(len(shape.sizes)))
    values = tuple(tuple(str(value) for value in range(size)) for size in shape.sizes)
    leaves = Leaves(names, codes, values, now, expected_leaves(codes, past, event=1.0))
    found = [cause.slice for cause in explain(leaves, event_size=1 + 1 / PERIODS).causes]
    return sum(one in truth for one in found), len(found), len(truth)


def observed(rng: np.random.Generator, shape: Shape) -> Codes:
    """Every leaf of the cube, or those that are there, common values more often."""
    if not shape.observed:
        return np.stack(np.unravel_index(np.arange(np.prod(shape.sizes)), shape.sizes), axis=1).astype(np.int32)
    columns = []
    for size in shape.sizes:
        weight = np.arange(1, size + 1) ** -0.7
        columns.append(rng.choice(size, shape.observed, p=weight / weight.sum()))
    codes: Codes = np.unique(np.stack(columns, axis=1), axis=0).astype(np.int32)
    return codes


def moved(rng: np.random.Generator, shape: Shape, codes: Codes, level: Floats) -> tuple[Floats, list[dict[str, str]]]:
    """The factor (L,) of each leaf, and the slices that moved, each of a depth of its own and none in another."""
    factor, truth = np.ones(len(codes)), list[dict[str, str]]()
    wanted = int(rng.integers(1, shape.causes + 1)) if shape.causes else 0
    for _ in range(TRIES):
        if len(truth) == wanted:
            break
        depth = int(rng.integers(1, min(DEEPEST, codes.shape[1]) + 1))
        dims = sorted(rng.choice(codes.shape[1], depth, replace=False).tolist())
        one = codes[rng.integers(len(codes))]
        rows = np.all(codes[:, dims] == one[dims], axis=1)
        weight = float(level[rows].sum())
        if (factor[rows] != 1).any() or not shape.least <= weight / level.sum() <= MOST:
            continue
        if not own_depth(codes, level, dims, one, rows):
            continue
        strength = rng.uniform(0.3, 1.0)
        factor[rows] = 1 + strength / (1.05 - strength) if rng.random() < 0.5 else 1 - strength
        truth.append({f"d{d}": str(one[d]) for d in dims})
    return factor, truth


def own_depth(codes: Codes, level: Floats, dims: list[int], one: Codes, rows: np.ndarray) -> bool:
    """Whether a slice is neither nearly one of its parts, nor nearly all of a wider one."""
    weight = float(level[rows].sum())
    free = [d for d in range(codes.shape[1]) if d not in dims]
    parts = [float(np.bincount(codes[rows, d], level[rows]).max()) for d in free]
    rest = [[d for d in dims if d != gone] for gone in dims]
    wider = [float(level[np.all(codes[:, few] == one[few], axis=1)].sum()) for few in rest]
    return max(parts, default=0.0) <= LONE * weight and weight <= LONE * min(wider)


if __name__ == "__main__":
    main()
