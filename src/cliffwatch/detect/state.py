"""What detection remembers of each series between runs: a small matrix, as bytes and back. Pure."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cliffwatch.detect.layout import EVENTS, OWN, ROWS, Family, Row, Tuning, empty, tuning
from cliffwatch.detect.model import Bools, Floats, Ints, Measure
from cliffwatch.errors import InvalidInput

MAGIC = b"CWDS"
VERSION = 6
HEAD = struct.Struct("<4sHII")

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
    """The memory of S series that share one grid; about 2 KB a series, a quarter of it or less as bytes.

    `rows` is (ROWS, S); `measures` and `parents` (-1 = none) say what each series is; `last_end_ms` is the end of
    the newest window seen, `day` the local day that is still open with its weekday (-1 = none) and holiday; `kinds` are
    the kinds of own events seen so far, in the order of their places in the memory.
    """

    rows: Floats
    measures: tuple[Measure, ...]
    parents: Ints
    step_ms: int
    last_end_ms: int | None = None
    day: int | None = None
    weekday: int = -1
    holiday: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def series(self) -> int:
        return len(self.measures)

    @property
    def tuning(self) -> Tuning:
        return tuning(self.step_ms)

    @property
    def families(self) -> Ints:
        return np.array([FAMILIES[m] for m in self.measures], np.int64)

    @property
    def learned(self) -> Bools:
        """Which series have passed their learning (series)."""
        return np.asarray(self.rows[Row.N] >= self.tuning.learn_points)

    @property
    def points_to_learn(self) -> Ints:
        """How many more points each series needs before it is judged (series)."""
        left: Floats = np.maximum(self.tuning.learn_points - self.rows[Row.N], 0.0)
        return left.astype(np.int64)

    def take(self, who: Sequence[int]) -> State:
        """The memory of the series `who`, in that order. A series whose parent is not among them has none."""
        at = np.asarray(who, np.int64)
        place = np.full(self.series + 1, -1, np.int64)  # the last one is for those without a parent
        place[at] = np.arange(len(at))
        measures = tuple(self.measures[i] for i in at.tolist())
        return replace(self, rows=self.rows[:, at], measures=measures, parents=place[self.parents[at]])

    def joined(self, other: State) -> State:
        """This memory with the series of another after its own; both have seen the same windows last."""
        if (self.step_ms, self.last_end_ms, self.day) != (other.step_ms, other.last_end_ms, other.day):
            raise InvalidInput("detection state", "has not seen the same windows as the other one.", "Replay both.")
        kinds = tuple(dict.fromkeys((*self.kinds, *other.kinds)))
        return replace(
            self,
            kinds=kinds,
            rows=np.concatenate([self.rows, other._rows_by(kinds)], axis=1),
            measures=self.measures + other.measures,
            parents=np.concatenate([self.parents, np.where(other.parents >= 0, other.parents + self.series, -1)]),
        )

    def related(self, parents: Ints) -> State:
        """This memory with other parents (-1 = none): who takes from whom from now on."""
        return replace(self, parents=checked(parents, self.series))

    def _rows_by(self, kinds: tuple[str, ...]) -> Floats:
        """The rows with what own events do in the places that `kinds` gives them."""
        if self.kinds == kinds[: len(self.kinds)]:
            return self.rows
        rows, fresh = self.rows.copy(), self.rows[[Row.EVENT + EVENTS - 1, Row.P_EVENT + EVENTS - 1]]
        for place, kind in enumerate(kinds[: EVENTS - OWN]):
            known = kind in self.kinds[: EVENTS - OWN]
            for i, row in enumerate((Row.EVENT + OWN, Row.P_EVENT + OWN)):
                rows[row + place] = self.rows[row + self.kinds.index(kind)] if known else fresh[i]
        return rows

    def at_level(self, series: int, ratio: float, difference: float) -> State:
        """The memory as if one series' level were another: `ratio` times for counts and sums, else by `difference`.

        The rhythm stays; evidence that has gathered for another level is forgotten.
        """
        log = FAMILIES[self.measures[series]].log
        gap = float(np.log(ratio)) if log else difference
        rows = self.rows.copy()
        rows[Row.SLOW, series] += gap
        for row in (Row.RUN, Row.GAP, Row.DAY_SUM, Row.DAY_DRIFT, Row.DAY_WEIGHT, Row.SHORT, Row.LONG, Row.STREAK):
            rows[row, series] = 0.0
        return replace(self, rows=rows)

    def to_bytes(self) -> bytes:
        """The state as bytes, in a format with a version: some hundred a series, fewer for one at rest.

        Counts are reckoned in single precision, so nothing of theirs is lost in it.
        """
        head = {
            "measures": [m.value for m in self.measures],
            "parents": self.parents.tolist(),
            "step_ms": self.step_ms,
            "last_end_ms": self.last_end_ms,
            "day": self.day,
            "weekday": self.weekday,
            "holiday": self.holiday,
            "kinds": self.kinds,
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        counts = self.families == Family.COUNT
        exact, single = (_packed(self.rows[:, who], kind) for who, kind in ((~counts, "<f8"), (counts, "<f4")))
        return HEAD.pack(MAGIC, VERSION, len(text), len(single)) + text + single + exact

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The inverse of `to_bytes`. Raises InvalidInput for bytes of another kind or version."""
        rule, way_out = "is not a detection state of this version.", "Replay the series' history to build a new one."
        if len(data) < HEAD.size or data[:4] != MAGIC or HEAD.unpack_from(data)[1] != VERSION:
            raise InvalidInput("detection state", rule, way_out)
        _, _, length, single = HEAD.unpack_from(data)
        begin = HEAD.size + length
        try:
            head = json.loads(data[HEAD.size : begin])
            measures = tuple(Measure(m) for m in head["measures"])
            counts = np.array([FAMILIES[m] is Family.COUNT for m in measures], bool)
            rows = np.empty((ROWS, len(measures)))
            rows[:, counts] = _unpacked(data[begin : begin + single], "<f4")
            rows[:, ~counts] = _unpacked(data[begin + single :], "<f8")
        except (ValueError, zlib.error) as error:
            raise InvalidInput("detection state", rule, way_out) from error
        return cls(
            rows=rows,
            measures=measures,
            parents=np.array(head["parents"], np.int64),
            step_ms=head["step_ms"],
            last_end_ms=head["last_end_ms"],
            day=head["day"],
            weekday=head["weekday"],
            holiday=head["holiday"],
            kinds=tuple(head["kinds"]),
        )


def _packed(rows: Floats, kind: str) -> bytes:
    """Numbers as bytes that compress well: the first bytes of all of them, then all second ones, and so on."""
    numbers = np.ascontiguousarray(rows, kind)
    planes = numbers.reshape(-1).view(np.uint8).reshape(-1, numbers.itemsize).T
    return zlib.compress(planes.tobytes(), 1)


def _unpacked(data: bytes, kind: str) -> Floats:
    """The inverse of `_packed`. Raises ValueError or zlib.error for other bytes."""
    planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(np.dtype(kind).itemsize, -1)
    result: Floats = np.ascontiguousarray(planes.T).reshape(-1).view(kind).reshape(ROWS, -1)
    return result


def begin(measures: Sequence[Measure], step_ms: int, parents: Ints | None = None) -> State:
    """The state of series that have no history yet.

    `step_ms` is the length of their windows, `parents` the index of each series' parent (-1 = none).
    Raises InvalidInput for a parent that is not there or that descends from its own child.
    """
    count = len(measures)
    up = np.full(count, -1, np.int64) if parents is None else checked(parents, count)
    return State(empty(count), tuple(measures), up, step_ms)


def checked(parents: Ints, count: int) -> Ints:
    """The parents of `count` series. Raises InvalidInput for one that is not there or descends from its own child."""
    up = np.asarray(parents, np.int64)
    if up.shape != (count,) or np.any(up < -1) or np.any(up >= count):
        raise InvalidInput("parents", "names one series of the same matrix for each series, or -1.")
    at = up
    for _ in range(count):
        if not np.any(at >= 0):
            return up
        at = np.where(at >= 0, up[at], -1)
    if np.any(at >= 0):
        raise InvalidInput("parents", "form a circle.", "A series cannot descend from itself.")
    return up
