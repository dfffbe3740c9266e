"""History in an archive, made by number: so that tests know each event, and a fill of it takes as long as they want."""

from __future__ import annotations

from typing import Any

import numpy as np

from cliffwatch.store import AggregateQuery, ArchiveBatch, EventStore, Function, PointQuery
from cliffwatch.store.contract import Aggregate, PointBatch

COUNTRIES = ("DE", "FR", "IT", "US")
FAR_MS = 1 << 60
DEFINITION: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 3}],
    "measures": [{"aggregation": "count"}, {"aggregation": "sum", "path": "properties.revenue"}],
    "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "UTC"},
}


def country(number: int) -> str:
    """Of the order with this number."""
    return COUNTRIES[np.searchsorted((7, 12, 15), number % 17, side="right")]


def history(source_id: int, count: int, start_ms: int, end_ms: int) -> ArchiveBatch:
    """`count` orders, spread evenly over [start_ms, end_ms); each was received when it happened."""
    numbers = np.arange(count)
    ts = start_ms + (end_ms - start_ms) * numbers // count
    return ArchiveBatch(
        source_id=np.full(count, source_id, np.int64),
        kind=["track"] * count,
        name=["Order Completed"] * count,
        ts_ms=ts,
        received_at_ms=ts,
        message_hash=(numbers + 1) * 0x1E3779B97F4A7C15 % (1 << 61),
        user_id=[f"u{number % 997}" for number in range(count)],
        anonymous_id=[""] * count,
        body=[
            f'{{"properties":{{"country":"{country(number)}","revenue":{number % 91}.25}}}}' for number in range(count)
        ],
    )


def counted(store: EventStore, facts_id: int) -> float:
    """How many messages there are facts of."""
    table = store.aggregate(AggregateQuery(facts_id, [0, FAR_MS], [Aggregate(Function.COUNT)]))
    return float(table.values[0].sum())


def points(store: EventStore, stream_id: int) -> PointBatch:
    return store.read_points(PointQuery(stream_id, -FAR_MS, FAR_MS))


def assert_same_points(one: PointBatch, other: PointBatch) -> None:
    """Point by point: whose, of when, its value, what was forecast, what was said of it."""
    assert len(one) > 0
    assert [*zip(one.measure, one.slice, one.window_start_ms.tolist(), strict=True)] == [
        *zip(other.measure, other.slice, other.window_start_ms.tolist(), strict=True)
    ]
    for name in ("window_end_ms", "value", "weight", "expected", "lower", "upper", "score", "flagged", "revision"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
