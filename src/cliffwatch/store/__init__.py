"""The event store: archive, facts and points.

Takes columns of events, facts and points; gives aggregates, pages of the archive, and points back. Never parses an
event, never knows what a stream means, never decides.
"""

from pathlib import Path

from cliffwatch.errors import InvalidInput
from cliffwatch.store.contract import (
    Aggregate,
    AggregateQuery,
    AggregateTable,
    ArchiveBatch,
    ArchiveQuery,
    Coded,
    EventStore,
    FactBatch,
    Function,
    Person,
    PointBatch,
    PointQuery,
    Position,
    SliceQuery,
    SliceTable,
    StoreStats,
    TopQuery,
    TopValues,
)
from cliffwatch.store.duckdb import DuckDBStore


def open_store(path: Path | str | None, *, memory_limit: str = "1GB", threads: int = 2) -> EventStore:
    """The embedded store in this file, or the servers of a clickhouse:// URL; None keeps everything in memory.

    Raises InvalidInput when the file cannot be used (its folder, another process, damage), Unavailable when the disk
    is full or no server answers; the message says what to do.
    """
    if isinstance(path, str) and "://" in path:
        return _on_servers(path, memory_limit, threads)
    return DuckDBStore.open(None if path is None else Path(path), memory_limit=memory_limit, threads=threads)


def _on_servers(url: str, memory_limit: str, threads: int) -> EventStore:
    try:
        from cliffwatch.store.clickhouse import ClickHouseStore
    except ImportError as error:
        raise InvalidInput(
            "store URL",
            f"needs a package that is not installed ({error.name}).",
            "Install Cliffwatch with it: pip install 'cliffwatch[clickhouse]'.",
        ) from error
    return ClickHouseStore.open(url, memory_limit=memory_limit, threads=threads)


__all__ = [
    "Aggregate",
    "AggregateQuery",
    "AggregateTable",
    "ArchiveBatch",
    "ArchiveQuery",
    "Coded",
    "DuckDBStore",
    "EventStore",
    "FactBatch",
    "Function",
    "Person",
    "PointBatch",
    "PointQuery",
    "Position",
    "SliceQuery",
    "SliceTable",
    "StoreStats",
    "TopQuery",
    "TopValues",
    "open_store",
]
