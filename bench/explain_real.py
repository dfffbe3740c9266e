"""Real root-cause cases in the published layout of RobustSpot's data: `anomaly.yaml` and one CSV per case.

A CSV has a row per minute and leaf: `min` (Unix seconds), dimensions, `value` and `cnt` (a rate's numerator and
denominator). `anomaly.yaml` names each case's minute and its cause, one slice or a list of them. The expectation of a
leaf comes from the ten minutes before.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from cliffwatch.explain import Leaves, expected_ratio_leaves
from explain_methods import Answer

MINUTES = 10


def read_cases(folder: Path) -> tuple[list[Leaves], dict[str, Answer]]:
    """The leaves of each case and its answer by number."""
    listing = folder / "anomaly.yaml"
    if not listing.exists():
        sys.exit(f"{listing}: is not there. Name the folder of the real cases with --real.")
    leaves, truth = [], {}
    for entry in listing.read_text(encoding="utf-8").split("- data:")[1:]:
        moment = re.search(r"timestamp:\s*(\d+)", entry)
        cause = re.search(r"cause:\s*(.*)", entry, re.DOTALL)
        assert moment is not None
        assert cause is not None
        named = ast.literal_eval(cause[1].strip())
        truth[str(len(leaves))] = [
            {name: str(value) for name, value in one.items()} for one in (named if isinstance(named, list) else [named])
        ]
        leaves.append(read_leaves(folder / f"{entry.split()[0]}.csv", int(moment[1])))
    return leaves, truth


def read_leaves(path: Path, moment: int) -> Leaves:
    """The leaves of one minute against those before it."""
    names = path.open(encoding="utf-8").readline().strip().split(",")
    dimensions = [name for name in names if name not in ("min", "value", "cnt")]
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(dimensions, pa.string()))
    table = pyarrow.csv.read_csv(path, convert_options=options)
    minute = np.asarray(table["min"])
    minutes = np.unique(minute[minute <= moment])[-MINUTES - 1 :]
    table = table.filter(pa.array(np.isin(minute, minutes)))
    column = np.searchsorted(minutes, np.asarray(table["min"]))
    zeros = np.zeros(len(table))
    coded = Leaves.from_columns({name: table[name].to_pylist() for name in dimensions}, zeros, zeros)
    codes, row = np.unique(coded.codes, axis=0, return_inverse=True)
    values, weights = (np.zeros((len(codes), len(minutes))) for _ in range(2))
    np.add.at(values, (row.ravel(), column), np.asarray(table["value"], np.float64))
    np.add.at(weights, (row.ravel(), column), np.asarray(table["cnt"], np.float64))
    expected, expected_weight = expected_ratio_leaves(codes, values[:, :-1], weights[:, :-1])
    return Leaves(
        coded.dimensions, codes, coded.values, values[:, -1], expected, weights[:, -1].copy(), expected_weight
    )
