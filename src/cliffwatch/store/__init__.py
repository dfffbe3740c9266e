"""The event store: archive, facts and points.

Takes columns of events, facts and points; gives aggregates, pages of the archive, and points back. Never parses an
event, never knows what a stream means, never decides.
"""

from cliffwatch.store.contract import (
    Aggregate,
    AggregateQuery,
    AggregateTable,
    ArchiveBatch,
    ArchiveQuery,
    EventStore,
    FactBatch,
    Function,
    PointBatch,
    PointQuery,
    Position,
    StoreStats,
)

__all__ = [
    "Aggregate",
    "AggregateQuery",
    "AggregateTable",
    "ArchiveBatch",
    "ArchiveQuery",
    "EventStore",
    "FactBatch",
    "Function",
    "PointBatch",
    "PointQuery",
    "Position",
    "StoreStats",
]
