"""Reads the points that pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cliffwatch.store import EventStore, PointQuery
from cliffwatch.streams.model import TOTAL, Slice, Stream, slice_key
from cliffwatch.web.views import series
from cliffwatch.web.views.series import Columns, SeriesKey

WEEK_MS = 7 * 86_400_000


def read(
    store: EventStore, stream_id: int, start_ms: int, end_ms: int, measure: str, slices: Sequence[Slice] | None = None
) -> Mapping[SeriesKey, Columns]:
    """The series of one measure in [start, end); all slices when none are named."""
    keys = None if slices is None else [slice_key(slice_) for slice_ in slices]
    return series.split(store.read_points(PointQuery(stream_id, start_ms, end_ms, measure, keys)))


def last_week(store: EventStore, streams: Sequence[Stream], now: int) -> Mapping[int, Columns]:
    """Stream id -> the total of its first measure over the last 7 days; one question, however many streams."""
    found = store.read_points_of([stream.id for stream in streams], now - WEEK_MS, now, [slice_key(TOTAL)])
    return {
        stream.id: series.total_of(series.split(found[stream.id]), stream.definition.measures[0].key)
        for stream in streams
    }
