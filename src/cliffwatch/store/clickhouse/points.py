"""Points as ClickHouse's columns, and back. Of rows with one key the one that was written last counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cliffwatch.store import arrow
from cliffwatch.store.clickhouse.link import Columns
from cliffwatch.store.contract import Ints, PointBatch

_NUMBERS = ("value", "weight", "expected", "lower", "upper", "score", "p_value")


def points_columns(batches: Sequence[PointBatch], version: int) -> tuple[Columns, Ints]:
    """All points as columns, of several with one key the last; and their streams (N).

    Raises InvalidInput when columns differ in length or type.
    """
    for batch in batches:
        arrow.point_table(batch)
    last: dict[tuple[int, str, str, int], tuple[PointBatch, int]] = {}
    for batch in batches:
        keys = zip(batch.measure, batch.slice, batch.window_start_ms.tolist(), strict=True)
        for row, (measure, slice_, start) in enumerate(keys):
            last[batch.stream_id, measure, slice_, start] = batch, row
    rows = list(last.values())
    columns: dict[str, Sequence[Any]] = {
        "stream_id": [stream for stream, _, _, _ in last],
        "measure": [measure for _, measure, _, _ in last],
        "slice": [slice_ for _, _, slice_, _ in last],
        "window_start": [start for _, _, _, start in last],
        "window_end": [int(batch.window_end_ms[row]) for batch, row in rows],
    }
    for name in _NUMBERS:
        columns[name] = [float(getattr(batch, name)[row]) for batch, row in rows]
    columns["flagged"] = [int(batch.flagged[row]) for batch, row in rows]
    columns["revision"] = [int(batch.revision[row]) for batch, row in rows]
    columns["version"] = [version] * len(rows)
    return columns, np.array(columns["stream_id"], dtype=np.int64)


def points_of(columns: Columns) -> dict[int, PointBatch]:
    """Stream -> its points in the order of (measure, slice, window), from rows in any order and several versions."""
    count = len(columns["stream_id"])
    if not count:
        return {}
    version = np.array(columns["version"], dtype=np.uint64)
    newest: dict[tuple[Any, ...], int] = {}
    keys = zip(columns["stream_id"], columns["measure"], columns["slice"], columns["window_start"], strict=True)
    for row, key in enumerate(keys):
        held = newest.setdefault(key, row)
        if held != row and version[row] >= version[held]:
            newest[key] = row
    kept = list(newest.values())
    whole = len(kept) == count
    kinds = dict.fromkeys(_NUMBERS, pa.float64()) | dict.fromkeys(("measure", "slice"), pa.string())
    table = {}
    for name, column in columns.items():
        values = list(column) if whole else [column[at] for at in kept]
        if name == "flagged":
            table[name] = pa.array([value != 0 for value in values], pa.bool_())
        elif name != "version":
            table[name] = pa.array(values, kinds.get(name, pa.int64()))
    return arrow.point_batches(pa.table(table))
