"""Settings tried on a CSV file whose column `label` says which rows were an anomaly.

The command `cliffwatch backtest` is `run`. A label is 1 (or true, yes, anomaly), 0 (or false, no, normal), or empty
where nobody has said anything; without the column only the number of alerts is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cliffwatch.detect.backtest import Alert, Said, Tally, tally
from cliffwatch.detect.model import WEEK_MS, Measure, Sensitivity
from cliffwatch.detect.table import Judged, judge
from cliffwatch.errors import InvalidInput

YES = {"1", "true", "yes", "anomaly"}
NO = {"0", "false", "no", "normal"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one setting would have sent."""

    sensitivity: Sensitivity
    tally: Tally


def run(
    input: Path,  # noqa: A002 - the name of the command's argument
    sensitivities: Sequence[Sensitivity],
    *,
    label: str = "label",
    complete: bool = False,
    measure: Measure | None = None,
    time_zone: str = "UTC",
    country: str | None = None,
) -> list[Outcome]:
    """The outcome of each setting over the file. `complete`: a row without a label was no anomaly.

    Raises InvalidInput for a file or a label that it cannot read.
    """
    outcomes = []
    for wish in sensitivities:
        judged = judge(input, sensitivity=wish, measure=measure, time_zone=time_zone, country=country)
        said = labels(judged, label)
        step_ms = int(np.median(judged.step_ms))
        alerts = [alert(judged, one, wish) for one in range(len(judged.highlights))]
        weeks = float((~judged.result.learning * judged.step_ms[judged.codes]).sum()) / WEEK_MS / len(judged.names)
        outcomes.append(Outcome(wish, tally(alerts, said, weeks=weeks, step_ms=step_ms, complete=complete)))
    return outcomes


def alert(judged: Judged, at: int, wish: Sensitivity) -> Alert:
    """A highlight as what people would have been told."""
    one = judged.highlights[at]
    step_ms = int(judged.step_ms[judged.codes[one.first]])
    start, end = int(judged.times[one.first]), int(judged.times[one.last]) + step_ms
    return Alert(start, end, start + wish.minimum_windows * step_ms, (one.series,))


def labels(judged: Judged, column: str) -> list[Said]:
    """Consecutive rows of a series with the same label, as one stretch."""
    if column not in judged.table.column_names:
        return []
    said = []
    texts = [text.strip().lower() for text in judged.table[column].to_pylist()]
    for row, text in enumerate(texts):
        if text and text not in YES | NO:
            rule = f'"{text}" is no label.'
            raise InvalidInput(
                f"row {row + 2}, column {column}", rule, "Write 1 for an anomaly, 0 for none, or nothing."
            )
    for code, name in enumerate(judged.names):
        rows = np.flatnonzero(judged.codes == code)
        rows = rows[np.argsort(judged.times[rows], kind="stable")]
        step_ms = int(judged.step_ms[code])
        for key, group in itertools.groupby(rows.tolist(), key=lambda row: texts[row]):
            stretch = list(group)
            if key:
                start, end = int(judged.times[stretch[0]]), int(judged.times[stretch[-1]]) + step_ms
                said.append(Said(start, end, key in YES, name))
    return said
