"""What detection remembers of each series between runs: a small matrix, as bytes and back. Pure."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.layout import ROWS, Family, Tuning, empty, tuning
from cliffwatch.detect.model import Floats, Ints, Measure
from cliffwatch.errors import InvalidInput

MAGIC = b"CWDS"
VERSION = 1
HEAD = struct.Struct("<4sHI")

FAMILIES = {
    Measure.COUNT: Family.COUNT,
    Measure.UNIQUES: Family.COUNT,
    Measure.SUM: Family.SUM,
    Measure.MEAN: Family.LINEAR,
    Measure.RATIO: Family.RATIO,
    Measure.PERCENTILE: Family.LINEAR,
    Measure.EXTREME: Family.LINEAR,
}


@dataclass(frozen=True, slots=True)
class State:
    """The memory of S series that share one grid; about 2 KB a series.

    `rows` is (ROWS, S); `measures` and `parents` (-1 = none) say what each series is; `last_end_ms` is the end of
    the newest window seen, `day` the local day that is still open with its weekday (-1 = none) and holiday.
    """

    rows: Floats
    measures: tuple[Measure, ...]
    parents: Ints
    step_ms: int
    last_end_ms: int | None = None
    day: int | None = None
    weekday: int = -1
    holiday: bool = False

    @property
    def series(self) -> int:
        return len(self.measures)

    @property
    def tuning(self) -> Tuning:
        return tuning(self.step_ms)

    @property
    def families(self) -> Ints:
        return np.array([FAMILIES[m] for m in self.measures], np.int64)

    def to_bytes(self) -> bytes:
        """The state as bytes, in a format with a version."""
        head = {
            "measures": [m.value for m in self.measures],
            "parents": self.parents.tolist(),
            "step_ms": self.step_ms,
            "last_end_ms": self.last_end_ms,
            "day": self.day,
            "weekday": self.weekday,
            "holiday": self.holiday,
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        return HEAD.pack(MAGIC, VERSION, len(text)) + text + np.ascontiguousarray(self.rows, "<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The inverse of `to_bytes`. Raises InvalidInput for bytes of another kind or version."""
        rule, way_out = "is not a detection state of this version.", "Replay the series' history to build a new one."
        if len(data) < HEAD.size or data[:4] != MAGIC or HEAD.unpack_from(data)[1] != VERSION:
            raise InvalidInput("detection state", rule, way_out)
        length = HEAD.unpack_from(data)[2]
        head = json.loads(data[HEAD.size : HEAD.size + length])
        measures = tuple(Measure(m) for m in head["measures"])
        rows = np.frombuffer(data, "<f8", offset=HEAD.size + length)
        if rows.size != ROWS * len(measures):
            raise InvalidInput("detection state", rule, way_out)
        return cls(
            rows=rows.astype(np.float64).reshape(ROWS, len(measures)),
            measures=measures,
            parents=np.array(head["parents"], np.int64),
            step_ms=head["step_ms"],
            last_end_ms=head["last_end_ms"],
            day=head["day"],
            weekday=head["weekday"],
            holiday=head["holiday"],
        )


def begin(measures: Sequence[Measure], step_ms: int, parents: Ints | None = None) -> State:
    """The state of series that have no history yet.

    `step_ms` is the length of their windows, `parents` the index of each series' parent (-1 = none).
    Raises InvalidInput for a parent that is not there or that descends from its own child.
    """
    count = len(measures)
    up = np.full(count, -1, np.int64) if parents is None else np.asarray(parents, np.int64)
    if up.shape != (count,) or np.any(up < -1) or np.any(up >= count):
        raise InvalidInput("parents", "names one series of the same matrix for each series, or -1.")
    at = up.copy()
    for _ in range(count):
        if not np.any(at >= 0):
            break
        at = np.where(at >= 0, up[at], -1)
    else:
        if np.any(at >= 0):
            raise InvalidInput("parents", "form a circle.", "A series cannot descend from itself.")
    return State(empty(count), tuple(measures), up, step_ms)
