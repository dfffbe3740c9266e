"""Runs that are due in the same minute, asked for and written together.

Asking the event store costs some milliseconds, whatever it is asked, and what a run asks is known beforehand. So the
runs of one window that measure the same are answered by one question, and the points of all go in with one durable
write. Each run sees what it would see alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cliffwatch.pipeline.judging import TAIL
from cliffwatch.store import EventStore, PointBatch, PointQuery, SliceQuery, SliceTable
from cliffwatch.streams import Stream, Window
from cliffwatch.streams.aggregate import question
from cliffwatch.streams.governor import monitored_of


class Together:
    """An event store like the one beneath, except within `gathered`: there it answers from what it has asked already,
    and keeps points until the end. One thread gathers; for others it is the store beneath."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._gatherer = 0
        self._tables: dict[SliceQuery, SliceTable] = {}
        self._spans: dict[int, tuple[int, int]] = {}
        self._points: list[PointBatch] = []
        self._tails: dict[int, Tail] = {}

    @property
    def as_store(self) -> EventStore:
        """The same, in the words of the contract: what is not here is beneath."""
        return cast("EventStore", self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    @contextmanager
    def gathered(self, due: Sequence[tuple[Stream, Window]]) -> Iterator[None]:
        """While it lasts, the runs of these windows are judged; on leaving, their points are durable."""
        self._spans = self._store.fact_spans([stream.facts_id for stream, _ in due])
        begun = [(stream, window) for stream, window in due if stream.facts_id in self._spans]
        self._ask(begun)
        self._read(begun)
        self._gatherer = threading.get_ident()
        try:
            yield
            self._store.write_points(*self._points)
        finally:
            self._gatherer = 0
            self._tables, self._spans, self._points, self._tails = {}, {}, [], {}

    @property
    def _gathering(self) -> bool:
        return self._gatherer == threading.get_ident()

    def aggregate_slices(self, query: SliceQuery) -> SliceTable:
        known = self._tables.get(query) if self._gathering else None
        return self._store.aggregate_slices(query) if known is None else known

    def fact_span(self, stream_id: int) -> tuple[int, int] | None:
        known = self._spans.get(stream_id) if self._gathering else None
        return self._store.fact_span(stream_id) if known is None else known

    def read_points(self, query: PointQuery) -> PointBatch:
        tail = self._tails.get(query.stream_id) if self._gathering else None
        known = tail.answer(query) if tail is not None else None
        return self._store.read_points(query) if known is None else known

    def write_points(self, *batches: PointBatch) -> None:
        if self._gathering:
            self._points += batches
        else:
            self._store.write_points(*batches)

    def _read(self, due: Sequence[tuple[Stream, Window]]) -> None:
        """The points before the windows, which tell what goes on."""
        alike: dict[tuple[int, int], list[int]] = {}
        for stream, window in due:
            since_ms = window.start_ms - (TAIL + 1) * stream.definition.schedule.frequency_minutes * 60_000
            alike.setdefault((since_ms, window.end_ms), []).append(stream.id)
        for (start_ms, end_ms), stream_ids in alike.items():
            for stream_id, points in self._store.read_points_of(stream_ids, start_ms, end_ms).items():
                self._tails[stream_id] = Tail(start_ms, end_ms, points)

    def _ask(self, due: Sequence[tuple[Stream, Window]]) -> None:
        alike: dict[tuple[object, ...], list[SliceQuery]] = {}
        values = monitored_of(self.as_store, [(stream, window.end_ms) for stream, window in due])
        for (stream, window), of_stream in zip(due, values, strict=True):
            query = question(stream, [window], of_stream)
            alike.setdefault((query.edges_ms, query.aggregates), []).append(query)
        for queries in alike.values():
            self._tables |= asked_together(self._store, queries)


@dataclass(frozen=True, slots=True)
class Tail:
    """All points of one stream in [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    points: PointBatch

    def answer(self, query: PointQuery) -> PointBatch | None:
        """What the store would answer; None when these points do not hold all of it."""
        if query.measure is not None or query.slices is not None:
            return None
        if query.start_ms < self.start_ms or query.end_ms > self.end_ms:
            return None
        starts = self.points.window_start_ms
        wanted = (starts >= query.start_ms) & (starts < query.end_ms)
        return self.points if wanted.all() else self.points.where(wanted)


def asked_together(store: EventStore, queries: Sequence[SliceQuery]) -> dict[SliceQuery, SliceTable]:
    """The answers to questions about one stream each, which want the same columns of the same windows."""
    first = queries[0]
    merged = SliceQuery(
        [query.stream_ids[0] for query in queries],
        first.edges_ms,
        first.aggregates,
        [slice_ for query in queries for slice_ in query.chosen],
    )
    table = store.aggregate_slices(merged)
    answers = {}
    before = 0
    for query in queries:
        low, high = np.searchsorted(table.stream_id, [query.stream_ids[0], query.stream_ids[0] + 1]).tolist()
        chosen = table.chosen[low:high]
        answers[query] = SliceTable(
            table.stream_id[low:high],
            table.window[low:high],
            np.where(chosen >= 0, chosen - before, -1),
            [column[low:high] for column in table.values],
        )
        before += len(query.chosen)
    return answers
