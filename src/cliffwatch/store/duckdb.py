"""The embedded event store: DuckDB, one file, one process.

Rows come in columns (Arrow); a commit is durable when `write` returns (DuckDB syncs its write-ahead log). There is one
writer at a time; readers have cursors of their own and run beside it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.store import plan
from cliffwatch.store.contract import (
    DUPLICATE_SLACK_MS,
    Aggregate,
    AggregateQuery,
    AggregateTable,
    ArchiveBatch,
    ArchiveQuery,
    FactBatch,
    Function,
    PointBatch,
    PointQuery,
    Position,
    StoreStats,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS archive (
    source_id BIGINT, kind VARCHAR, name VARCHAR, ts BIGINT, received_at BIGINT, message_hash BIGINT,
    user_id VARCHAR, anonymous_id VARCHAR, body VARCHAR);
CREATE TABLE IF NOT EXISTS facts (
    stream_id BIGINT, ts BIGINT, message_hash BIGINT, actor_hash BIGINT, dims VARCHAR[], nums DOUBLE[]);
CREATE TABLE IF NOT EXISTS points (
    stream_id BIGINT, measure VARCHAR, slice VARCHAR, window_start BIGINT, window_end BIGINT,
    value DOUBLE, weight DOUBLE, expected DOUBLE, lower DOUBLE, upper DOUBLE, score DOUBLE, p_value DOUBLE,
    flagged BOOLEAN, revision BIGINT);
CREATE TABLE IF NOT EXISTS positions (journal VARCHAR PRIMARY KEY, offset_ BIGINT);
"""

_STRINGS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.float64())


class DuckDBStore:
    """An `EventStore` in one DuckDB file, or in memory."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._writing = threading.Lock()
        self._writer = connection.cursor()

    @classmethod
    def open(cls, path: Path | None, *, memory_limit: str = "1GB", threads: int = 2) -> DuckDBStore:
        """Open or create the file; None keeps everything in memory. Raises InvalidInput when it cannot be opened."""
        config: dict[str, Any] = {"memory_limit": memory_limit, "threads": threads, "checkpoint_threshold": "64MB"}
        try:
            connection = duckdb.connect(str(path) if path else ":memory:", config=config)
            connection.execute(_SCHEMA)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise InvalidInput(
                    f"event store {path}",
                    "is in use by another process.",
                    "Stop the other Cliffwatch, or choose another data folder: --data-dir.",
                ) from error
            raise InvalidInput(f"event store {path}", f"cannot be opened ({error}).", "Check the folder.") from error
        except duckdb.Error as error:
            raise InvalidInput(
                f"event store {path}", f"is not usable ({error}).", "Restore the file from a backup, or move it away."
            ) from error
        return cls(connection, path)

    def write(self, archive: ArchiveBatch | None, facts: FactBatch | None, position: Position | None = None) -> None:
        with self._transaction() as writer:
            if archive is not None and len(archive):
                _insert(writer, "archive", _archive_table(archive))
            if facts is not None and len(facts):
                _insert(writer, "facts", _fact_table(facts))
            if position is not None:
                writer.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", [position.journal, position.offset])

    def position(self, journal: str) -> int:
        row = self._read("SELECT offset_ FROM positions WHERE journal = ?", [journal]).fetchone()
        return int(row[0]) if row else 0

    def read_archive(self, query: ArchiveQuery) -> ArchiveBatch:
        # Bodies are wide: the page's rows are chosen by narrow columns first, then read by their range of received_at,
        # which lies in order on disk.
        where, values = _archive_filter(query)
        chosen = self._table(
            f"""SELECT received_at, message_hash FROM archive WHERE {where}
            GROUP BY received_at, message_hash ORDER BY received_at, message_hash LIMIT ?""",  # noqa: S608
            [*values, query.limit],
        )
        received, hashes = _ints(chosen["received_at"]), _ints(chosen["message_hash"])
        low, high = (int(received[0]), int(received[-1])) if len(received) else (0, -1)
        last = int(hashes[-1]) if len(hashes) else 0
        columns = self._table(
            f"""SELECT source_id, any_value(kind) AS kind, any_value(name) AS name, min(ts) AS ts, received_at,
                message_hash, any_value(user_id) AS user_id, any_value(anonymous_id) AS anonymous_id,
                any_value(body) AS body
            FROM archive WHERE {where} AND received_at BETWEEN ? AND ? AND (received_at < ? OR message_hash <= ?)
            GROUP BY source_id, received_at, message_hash
            ORDER BY received_at, message_hash""",  # noqa: S608 - the filter is ours, values are bound
            [*values, low, high, high, last],
        )
        return ArchiveBatch(
            source_id=_ints(columns["source_id"]),
            kind=columns["kind"].to_pylist(),
            name=columns["name"].to_pylist(),
            ts_ms=_ints(columns["ts"]),
            received_at_ms=_ints(columns["received_at"]),
            message_hash=_ints(columns["message_hash"]),
            user_id=columns["user_id"].to_pylist(),
            anonymous_id=columns["anonymous_id"].to_pylist(),
            body=columns["body"].to_pylist(),
        )

    def count_archive(self, query: ArchiveQuery) -> int:
        where, values = _archive_filter(query, paging=False)
        sql = f"SELECT count(DISTINCT message_hash) FROM archive WHERE {where}"  # noqa: S608
        row = self._read(sql, values).fetchone()
        return int(row[0]) if row else 0

    def aggregate(self, query: AggregateQuery) -> AggregateTable:
        plan.check(query)
        return plan.join([self._aggregate(query, stretch) for stretch in plan.stretches(query.edges_ms)], query)

    def _aggregate(self, query: AggregateQuery, stretch: plan.Stretch) -> AggregateTable:
        groups = [f"dims[{index + 1}]" for index in query.group_by]
        keys = ["w", *(f"g{i}" for i in range(len(groups)))]
        conditions = [f"dims[{index + 1}] = ?" for index, _ in query.where]
        values = [
            query.stream_id,
            stretch.start_ms - DUPLICATE_SLACK_MS,
            stretch.end_ms + DUPLICATE_SLACK_MS,
            *(value for _, value in query.where),
            *(aggregate.event for aggregate in query.aggregates if aggregate.event is not None),
        ]
        inner = [
            f"(ts - {stretch.start_ms}) // {stretch.length_ms} AS w",
            *(f"{group} AS g{i}" for i, group in enumerate(groups)),
        ]
        sql = f"""
            WITH once AS (
                SELECT min(ts) AS ts, arg_min(actor_hash, ts) AS actor_hash, arg_min(dims, ts) AS dims,
                    arg_min(nums, ts) AS nums
                FROM facts WHERE stream_id = ? AND ts >= ? AND ts < ? {"".join(f" AND {c}" for c in conditions)}
                GROUP BY message_hash)
            SELECT {", ".join(keys)}, {", ".join(f"{_column(a)} AS v{i}" for i, a in enumerate(query.aggregates))}
            FROM (SELECT {", ".join(inner)}, actor_hash, dims, nums FROM once
                WHERE ts >= {stretch.start_ms} AND ts < {stretch.end_ms})
            GROUP BY {", ".join(keys)} ORDER BY {", ".join(keys)}"""  # noqa: S608 - only our own numbers are inlined
        table = self._table(sql, values)
        return AggregateTable(
            window=_ints(table["w"]) + stretch.first_window,
            groups=[table[f"g{i}"].to_pylist() for i in range(len(groups))],
            values=[_floats(table[f"v{i}"]) for i in range(len(query.aggregates))],
        )

    def fact_span(self, stream_id: int) -> tuple[int, int] | None:
        row = self._read("SELECT min(ts), max(ts) FROM facts WHERE stream_id = ?", [stream_id]).fetchone()
        return (int(row[0]), int(row[1])) if row and row[0] is not None else None

    def write_points(self, points: PointBatch) -> None:
        if not len(points):
            return
        with self._transaction() as writer, _registered(writer, _point_table(points)) as name:
            writer.execute(
                f"""DELETE FROM points USING {name} AS new
                    WHERE points.stream_id = ? AND points.window_start BETWEEN ? AND ?
                        AND points.measure = new.measure AND points.slice = new.slice
                        AND points.window_start = new.window_start""",  # noqa: S608
                [points.stream_id, int(points.window_start_ms.min()), int(points.window_start_ms.max())],
            )
            writer.execute(f"INSERT INTO points SELECT * FROM {name}")  # noqa: S608

    def read_points(self, query: PointQuery) -> PointBatch:
        where, values = (
            ["stream_id = ?", "window_start >= ?", "window_start < ?"],
            [
                query.stream_id,
                query.start_ms,
                query.end_ms,
            ],
        )
        bound: list[Any] = list(values)
        if query.measure is not None:
            where.append("measure = ?")
            bound.append(query.measure)
        if query.slices is not None:
            where.append("list_contains(?, slice)")
            bound.append(list(query.slices))
        table = self._table(
            f"SELECT * FROM points WHERE {' AND '.join(where)} ORDER BY measure, slice, window_start",  # noqa: S608
            bound,
        )
        return PointBatch(
            stream_id=query.stream_id,
            measure=table["measure"].to_pylist(),
            slice=table["slice"].to_pylist(),
            window_start_ms=_ints(table["window_start"]),
            window_end_ms=_ints(table["window_end"]),
            value=_floats(table["value"]),
            weight=_floats(table["weight"]),
            expected=_floats(table["expected"]),
            lower=_floats(table["lower"]),
            upper=_floats(table["upper"]),
            score=_floats(table["score"]),
            p_value=_floats(table["p_value"]),
            flagged=table["flagged"].to_numpy(zero_copy_only=False).astype(np.bool_),
            revision=_ints(table["revision"]),
        )

    def delete_facts(self, stream_id: int) -> None:
        self._delete("DELETE FROM facts WHERE stream_id = ?", [stream_id])

    def delete_points(self, stream_id: int) -> None:
        self._delete("DELETE FROM points WHERE stream_id = ?", [stream_id])

    def delete_archive(self, source_id: int, before_ms: int) -> int:
        return self._delete("DELETE FROM archive WHERE source_id = ? AND ts < ?", [source_id, before_ms])

    def stats(self) -> StoreStats:
        counts = self._read(
            "SELECT (SELECT count(*) FROM archive), (SELECT count(*) FROM facts), (SELECT count(*) FROM points)", []
        ).fetchone()
        assert counts is not None
        archive, facts, points = counts
        files = [self._path, self._path.with_name(self._path.name + ".wal")] if self._path else []
        return StoreStats(archive, facts, points, sum(file.stat().st_size for file in files if file.exists()))

    def close(self) -> None:
        with self._writing:
            self._writer.close()
            self._connection.close()

    def _read(self, sql: str, values: Sequence[Any]) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.cursor().execute(sql, list(values))
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.ConnectionException) as error:
            raise unavailable(error) from error

    def _table(self, sql: str, values: Sequence[Any]) -> Any:
        """The result as an Arrow table."""
        try:
            return self._connection.cursor().sql(sql, params=list(values)).to_arrow_table()
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.ConnectionException) as error:
            raise unavailable(error) from error

    def _delete(self, sql: str, values: Sequence[Any]) -> int:
        with self._transaction() as writer:
            row = writer.execute(sql, list(values)).fetchone()
        return int(row[0]) if row else 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing:
            try:
                self._writer.begin()
                yield self._writer
                self._writer.commit()
            except duckdb.Error as error:
                with contextlib.suppress(duckdb.Error):
                    self._writer.rollback()
                raise unavailable(error) from error
            except BaseException:
                self._writer.rollback()
                raise


def unavailable(error: duckdb.Error) -> Unavailable:
    """What DuckDB could not do, as an error that callers answer with "try again later"."""
    return Unavailable("event store", f"did not take the request ({error}).", "Check the disk's free space.")


def _column(aggregate: Aggregate) -> str:
    number = f"nums[{aggregate.number + 1}]" if aggregate.number is not None else ""
    conditions = []
    if number:
        conditions.append(f"NOT isnan({number})")
    if aggregate.event is not None:
        conditions.append("dims[1] = ?")
    filtered = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    match aggregate.function:
        case Function.COUNT:
            return f"count(*){filtered}"
        case Function.USERS:
            return f"count(DISTINCT actor_hash){filtered}"
        case Function.SUM:
            return f"coalesce(sum({number}){filtered}, 0)"
        case Function.QUANTILE:
            return f"quantile_cont({number}, {aggregate.quantile}){filtered}"
        case function:
            name = {Function.AVERAGE: "avg", Function.MIN: "min", Function.MAX: "max"}[function]
            return f"{name}({number}){filtered}"


def _archive_filter(query: ArchiveQuery, *, paging: bool = True) -> tuple[str, list[Any]]:
    where, values = ["source_id = ?", "ts >= ?", "ts < ?"], [query.source_id, query.start_ms, query.end_ms]
    bound: list[Any] = list(values)
    for column, wanted in (("kind", query.kinds), ("name", query.names)):
        if wanted:
            where.append(f"list_contains(?, {column})")
            bound.append(list(wanted))
    if paging and query.after is not None:
        where.append("(received_at > ? OR (received_at = ? AND message_hash > ?))")
        bound += [query.after[0], query.after[0], query.after[1]]
    return " AND ".join(where), bound


@contextlib.contextmanager
def _registered(writer: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[str]:
    writer.register("incoming", table)
    try:
        yield "incoming"
    finally:
        writer.unregister("incoming")


def _insert(writer: duckdb.DuckDBPyConnection, target: str, table: pa.Table) -> None:
    with _registered(writer, table) as name:
        writer.execute(f"INSERT INTO {target} SELECT * FROM {name}")  # noqa: S608 - our own table names


def _archive_table(batch: ArchiveBatch) -> pa.Table:
    return pa.table(
        {
            "source_id": batch.source_id,
            "kind": pa.array(batch.kind, pa.string()),
            "name": pa.array(batch.name, pa.string()),
            "ts": batch.ts_ms,
            "received_at": batch.received_at_ms,
            "message_hash": batch.message_hash,
            "user_id": pa.array(batch.user_id, pa.string()),
            "anonymous_id": pa.array(batch.anonymous_id, pa.string()),
            "body": pa.array(batch.body, pa.string()),
        }
    )


def _fact_table(batch: FactBatch) -> pa.Table:
    return pa.table(
        {
            "stream_id": batch.stream_id,
            "ts": batch.ts_ms,
            "message_hash": batch.message_hash,
            "actor_hash": batch.actor_hash,
            "dims": pa.array(batch.dims, _STRINGS),
            "nums": pa.array(batch.nums, _NUMBERS),
        }
    )


def _point_table(batch: PointBatch) -> pa.Table:
    def numbers(values: np.ndarray[Any, np.dtype[np.float64]]) -> pa.Array:
        return pa.array(values, pa.float64(), from_pandas=True)  # NaN becomes NULL

    return pa.table(
        {
            "stream_id": np.full(len(batch), batch.stream_id, dtype=np.int64),
            "measure": pa.array(batch.measure, pa.string()),
            "slice": pa.array(batch.slice, pa.string()),
            "window_start": batch.window_start_ms,
            "window_end": batch.window_end_ms,
            "value": numbers(batch.value),
            "weight": numbers(batch.weight),
            "expected": numbers(batch.expected),
            "lower": numbers(batch.lower),
            "upper": numbers(batch.upper),
            "score": numbers(batch.score),
            "p_value": numbers(batch.p_value),
            "flagged": batch.flagged,
            "revision": batch.revision,
        }
    )


def _ints(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


def _floats(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
