"""What detection remembers of a stream between runs: the only writer of detector states.

States are kept at several ages, the younger the closer together, so that a change of the past (late events, a mark, a
label) goes on from a state before it and replays little.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.streams import DetectorStateRow
from cliffwatch.detect import State
from cliffwatch.errors import InvalidInput
from cliffwatch.streams.aggregate import SeriesKey
from cliffwatch.streams.model import Stream, parse_slice_key, slice_key

HIGHEST_LEVEL = 11
"""States of ages up to about 2^12 windows are kept."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of `series`, in the order of the state, after the window that ended at `window_end_ms`.

    `told` is the digest of what people had told about the windows before; `learning` maps each series that is still
    being learned to the moment at which it is expected to be judged.
    """

    window_end_ms: int
    series: tuple[SeriesKey, ...]
    told: str
    learning: Mapping[SeriesKey, int]
    state: State


class Memories:
    """Keeps, finds and forgets memories."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recalled: dict[int, DetectorStateRow] = {}

    @contextmanager
    def recalled(self, ends: Mapping[int, int]) -> Iterator[None]:
        """While it lasts, the memories of these streams (id -> end of a window) are asked for all at once."""
        query = select(DetectorStateRow).where(
            DetectorStateRow.stream_id.in_(ends), DetectorStateRow.window_end_ms.in_(set(ends.values()))
        )
        with self._database.read() as session:
            rows = session.scalars(query)
            self._recalled = {row.stream_id: row for row in rows if ends[row.stream_id] == row.window_end_ms}
        try:
            yield
        finally:
            self._recalled = {}

    def newest(self, stream: Stream, until_ms: int, told: Callable[[int], str]) -> Memory | None:
        """The newest memory of windows that end by `until_ms` whose past is still as it was told; None without one."""
        row = self._recalled.get(stream.id)
        holds = row is not None and row.window_end_ms == until_ms and row.revision == stream.revision
        if row is not None and holds and row.told == told(until_ms):  # none could be newer
            return memory_of(row)
        query = (
            select(DetectorStateRow.window_end_ms, DetectorStateRow.told)
            .where(
                DetectorStateRow.stream_id == stream.id,
                DetectorStateRow.revision == stream.revision,
                DetectorStateRow.window_end_ms <= until_ms,
            )
            .order_by(DetectorStateRow.window_end_ms.desc())
        )
        with self._database.read() as session:
            for end_ms, digest in session.execute(query):
                if digest == told(end_ms):
                    return memory_of(session.get_one(DetectorStateRow, (stream.id, end_ms)))
        return None

    def keep(self, session: Session, stream: Stream, memories: Sequence[Memory], *, after_ms: int) -> None:
        """Keep these instead of all that is newer than `after_ms`, and forget what need not be kept any more.

        In the transaction of the run that made them.
        """
        of_stream = DetectorStateRow.stream_id == stream.id
        stored = session.execute(select(DetectorStateRow.window_end_ms, DetectorStateRow.revision).where(of_stream))
        new = {memory.window_end_ms: memory for memory in memories}
        known = {end_ms: end_ms <= after_ms and revision == stream.revision for end_ms, revision in stored}
        valid = {*new, *(end_ms for end_ms, holds in known.items() if holds)}
        kept = set(kept_ends([*valid], stream.definition.schedule.frequency_minutes * 60_000))
        if gone := [end_ms for end_ms in known if end_ms in new or end_ms not in kept]:
            session.execute(delete(DetectorStateRow).where(of_stream, DetectorStateRow.window_end_ms.in_(gone)))
        if rows := [values_of(stream, memory) for end_ms, memory in new.items() if end_ms in kept]:
            session.execute(insert(DetectorStateRow), rows)

    def learning(self, stream: Stream) -> Mapping[SeriesKey, int]:
        """The series that are still being learned, and when each is expected to be judged (if windows have values)."""
        query = (
            select(DetectorStateRow.learning)
            .where(DetectorStateRow.stream_id == stream.id, DetectorStateRow.revision == stream.revision)
            .order_by(DetectorStateRow.window_end_ms.desc())
            .limit(1)
        )
        with self._database.read() as session:
            return learning_of(session.scalar(query) or {})

    def series_count(self, stream: Stream) -> int:
        """How many series the newest memory holds."""
        query = (
            select(DetectorStateRow.series)
            .where(DetectorStateRow.stream_id == stream.id, DetectorStateRow.revision == stream.revision)
            .order_by(DetectorStateRow.window_end_ms.desc())
            .limit(1)
        )
        with self._database.read() as session:
            return len(json.loads(session.scalar(query) or "[]"))


def kept_ends(ends: Sequence[int], step_ms: int) -> list[int]:
    """Which of these windows' ends are kept, seen from the newest: the older, the further apart.

    A window is numbered by its end; one whose number is divisible by 2^k is kept for 2^(k+1) windows. So there is
    always a state at most about twice as old as any change, and the number kept grows with the logarithm of the age.
    """
    if not ends:
        return []
    newest = max(ends) // step_ms
    return [end for end in ends if newest - end // step_ms < 2 ** (_level(end // step_ms) + 1)]


def _level(number: int) -> int:
    """How often the number is divisible by two."""
    return min((number & -number).bit_length() - 1, HIGHEST_LEVEL) if number else HIGHEST_LEVEL


def values_of(stream: Stream, memory: Memory) -> dict[str, Any]:
    """The columns of a memory's row."""
    return {
        "stream_id": stream.id,
        "window_end_ms": memory.window_end_ms,
        "revision": stream.revision,
        "told": memory.told,
        "series": json.dumps([[measure, slice_key(slice_)] for measure, slice_ in memory.series]),
        "learning": {
            json.dumps([measure, slice_key(slice_)]): until for (measure, slice_), until in memory.learning.items()
        },
        "state": memory.state.to_bytes(),
    }


def memory_of(row: DetectorStateRow) -> Memory | None:
    """None when another version of detection wrote it: then history is replayed."""
    try:
        state = State.from_bytes(row.state)
    except InvalidInput:
        return None
    series = tuple((measure, parse_slice_key(slice_)) for measure, slice_ in json.loads(row.series))
    return Memory(row.window_end_ms, series, row.told, learning_of(row.learning), state)


def learning_of(stored: Mapping[str, Any]) -> Mapping[SeriesKey, int]:
    found = {}
    for name, until in stored.items():
        measure, slice_ = json.loads(name)
        found[measure, parse_slice_key(slice_)] = int(until)
    return found
