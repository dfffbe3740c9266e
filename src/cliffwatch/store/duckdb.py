"""The embedded event store: DuckDB, one file, one process.

There is one writer at a time, so a repeated message is turned away when it comes: `archive` and `facts` hold each
message once, and reads need not look for repeats. What was written since the file was opened is known to a filter in
memory (`seen`); only what it may know, and what is older, is looked for in the tables. Rows come in columns (Arrow),
facts of a write lie in order of stream and time, and a write is durable when it returns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cliffwatch.errors import Unavailable
from cliffwatch.store import arrow, duckdb_slices, duckdb_trails, plan
from cliffwatch.store.contract import (
    DUPLICATE_SLACK_MS,
    Aggregate,
    AggregateQuery,
    AggregateTable,
    ArchiveBatch,
    ArchiveQuery,
    EventStore,
    FactBatch,
    Function,
    Ints,
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
from cliffwatch.store.duckdb_chunks import DuckDBChunks
from cliffwatch.store.duckdb_erase import erase_rows, overwrite_free
from cliffwatch.store.duckdb_file import DuckDBFile, registered, run, table_of
from cliffwatch.store.duckdb_pages import archive_filter, cuts, page_keys
from cliffwatch.store.duckdb_snapshot import snapshot
from cliffwatch.store.seen import Seen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS archive (
    source_id BIGINT, kind VARCHAR, name VARCHAR, ts BIGINT, received_at BIGINT, message_hash BIGINT,
    user_id VARCHAR, anonymous_id VARCHAR, body VARCHAR USING COMPRESSION zstd);
CREATE TABLE IF NOT EXISTS facts (
    stream_id BIGINT, ts BIGINT, message_hash BIGINT, actor_hash BIGINT, dims VARCHAR[], nums DOUBLE[]);
CREATE TABLE IF NOT EXISTS points (
    stream_id BIGINT, measure VARCHAR, slice VARCHAR, window_start BIGINT, window_end BIGINT,
    value DOUBLE, weight DOUBLE, expected DOUBLE, lower DOUBLE, upper DOUBLE, score DOUBLE, p_value DOUBLE,
    flagged BOOLEAN, revision BIGINT);
CREATE TABLE IF NOT EXISTS positions (journal VARCHAR PRIMARY KEY, offset_ BIGINT);
"""
_REACH_MS = DUPLICATE_SLACK_MS
_NO_HASHES = np.empty(0, dtype=np.int64)
_OWNER = {"archive": "source_id", "facts": "stream_id"}
"""Tables that hold each message once, and whose it is."""
_AGGREGATES = {
    Function.SUM: "fsum",  # compensated summation: a plain sum of ten million differs in its tenth digit each time
    Function.AVERAGE: "favg",
    Function.MIN: "min",
    Function.MAX: "max",
}


class DuckDBStore(EventStore):
    """An event store in one DuckDB file, or in memory."""

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file
        self.chunks = DuckDBChunks(file)
        self._turned_away = 0
        self.trails = duckdb_trails.DuckDBTrails(file)
        with file.reader() as reader:
            self._seen = Seen(_next_rows(reader))

    @classmethod
    def open(cls, path: Path | None, *, memory_limit: str = "1GB", threads: int = 2) -> DuckDBStore:
        """Open or create the file; None keeps everything in memory.

        Raises InvalidInput when the file cannot be used, and Unavailable when the disk is full.
        """
        return cls(DuckDBFile(path, _SCHEMA + duckdb_trails.SCHEMA, memory_limit=memory_limit, threads=threads))

    def write(self, archive: ArchiveBatch | None, facts: FactBatch | None, position: Position | None = None) -> Ints:
        # Sorting and building tables needs no lock: another thread may be writing meanwhile.
        events = _events_once(archive) if archive is not None and len(archive) else None
        measured = _facts_once(facts) if facts is not None and len(facts) else None
        if events is None and measured is None and position is None:
            return _NO_HASHES
        repeated = [_NO_HASHES]
        with self._file.transaction() as writer:
            if self._seen.is_full:
                self._seen.turn(_next_rows(writer))
            incoming = [rows for rows in (events, measured) if rows is not None]
            perhaps = self._seen.perhaps_and_note([arrow.ints(rows["message_hash"]) for rows in incoming])
            for rows, known in zip(incoming, perhaps, strict=True):
                target = "archive" if rows is events else "facts"
                repeated.append(_insert_once(writer, target, rows, known, self._seen))
            if position is not None:
                run(writer, "INSERT OR REPLACE INTO positions VALUES (?, ?)", [position.journal, position.offset])
        repeats = np.concatenate(repeated)
        self._turned_away += len(repeats)
        return repeats

    def position(self, journal: str) -> int:
        with self._file.reader() as reader:
            rows = run(reader, "SELECT offset_ FROM positions WHERE journal = ?", [journal])
        return int(rows[0][0]) if rows else 0

    def read_archive(self, query: ArchiveQuery) -> ArchiveBatch:
        # Bodies are wide: the page's rows are chosen by narrow columns first, then read by their range of received_at,
        # which lies in order on disk.
        where, values = archive_filter(query)
        with self._file.reader() as reader:
            reader.begin()
            chosen = page_keys(reader, query)
            received, hashes = arrow.ints(chosen["received_at"]), arrow.ints(chosen["message_hash"])
            low, high = (int(received[0]), int(received[-1])) if len(received) else (0, -1)
            last = int(hashes[-1]) if len(hashes) else 0
            page = table_of(
                reader,
                f"""SELECT * FROM archive WHERE {where}
                    AND received_at BETWEEN ? AND ? AND (received_at < ? OR message_hash <= ?)
                ORDER BY received_at, message_hash""",  # noqa: S608 - the filter is ours, values are bound
                [*values, low, high, high, last],
            )
            reader.commit()
        return arrow.archive_batch(page)

    def count_archive(self, query: ArchiveQuery) -> int:
        where, values = archive_filter(query, paging=False)
        with self._file.reader() as reader:
            return int(run(reader, f"SELECT count(*) FROM archive WHERE {where}", values)[0][0])  # noqa: S608

    def archive_cuts(self, query: ArchiveQuery, parts: int) -> list[int]:
        with self._file.reader() as reader:
            return cuts(reader, query, plan.shares(parts))

    def aggregate(self, query: AggregateQuery) -> AggregateTable:
        plan.check(query)
        with self._file.reader() as reader:
            reader.begin()  # all stretches are of one moment
            tables = [_aggregate(reader, query, stretch) for stretch in plan.stretches(query.edges_ms)]
            reader.commit()
        return plan.join(tables, query)

    def aggregate_slices(self, query: SliceQuery) -> SliceTable:
        plan.check_slices(query)
        columns = [_column(aggregate) for aggregate in query.aggregates]
        with self._file.reader() as reader:
            reader.begin()  # all stretches are of one moment
            tables = [
                duckdb_slices.aggregate_slices(reader, query, stretch, columns)
                for stretch in plan.few_stretches(query.edges_ms)
            ]
            reader.commit()
        return plan.join_slices(tables)

    def top_values(self, query: TopQuery) -> TopValues:
        return self.top_values_of([query])[0]

    def top_values_of(self, queries: Sequence[TopQuery]) -> list[TopValues]:
        for query in queries:
            plan.check_top(query)
        with self._file.reader() as reader:
            reader.begin()
            found = duckdb_slices.top_values_of(reader, queries)
            reader.commit()
        return found

    def fact_spans(self, stream_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        with self._file.reader() as reader:
            return duckdb_slices.fact_spans(reader, stream_ids)

    def fact_span(self, stream_id: int) -> tuple[int, int] | None:
        with self._file.reader() as reader:
            first, last = run(reader, "SELECT min(ts), max(ts) FROM facts WHERE stream_id = ?", [stream_id])[0]
        return None if first is None else (int(first), int(last))

    def write_points(self, *batches: PointBatch) -> None:
        batches = tuple(batch for batch in batches if len(batch))
        if not batches:
            return
        table = _points_once(batches)
        streams = [batch.stream_id for batch in batches]
        first = min(int(batch.window_start_ms.min()) for batch in batches)
        last = max(int(batch.window_start_ms.max()) for batch in batches)
        old = "points.stream_id IN (SELECT unnest(?::BIGINT[])) AND points.window_start BETWEEN ? AND ?"
        stretch = [streams, first, last]
        with self._file.transaction() as writer, registered(writer, table) as new:
            if run(writer, f"SELECT 1 FROM points WHERE {old} LIMIT 1", stretch):  # noqa: S608 - half the cost of DELETE
                run(
                    writer,
                    f"""DELETE FROM points USING {new} AS new
                    WHERE {old} AND points.stream_id = new.stream_id AND points.measure = new.measure
                        AND points.slice = new.slice AND points.window_start = new.window_start""",  # noqa: S608
                    stretch,
                )
            run(writer, f"INSERT INTO points SELECT * FROM {new}")  # noqa: S608

    def read_points(self, query: PointQuery) -> PointBatch:
        where = ["stream_id = ?", "window_start >= ?", "window_start < ?"]
        values: list[Any] = [query.stream_id, query.start_ms, query.end_ms]
        if query.measure is not None:
            where.append("measure = ?")
            values.append(query.measure)
        if query.slices is not None:
            where.append("list_contains(?, slice)")
            values.append(list(query.slices))
        sql = f"SELECT * FROM points WHERE {' AND '.join(where)}"  # noqa: S608
        with self._file.reader() as reader:
            table = table_of(reader, sql, values)
        return arrow.point_batches(table).get(query.stream_id) or arrow.no_points(query.stream_id)

    def read_points_of(
        self, stream_ids: Sequence[int], start_ms: int, end_ms: int, slices: Sequence[str] | None = None
    ) -> dict[int, PointBatch]:
        sql = """SELECT * FROM points WHERE stream_id IN (SELECT unnest(?::BIGINT[]))
            AND stream_id BETWEEN ? AND ? AND window_start >= ? AND window_start < ?"""
        values = [list(stream_ids), min(stream_ids, default=0), max(stream_ids, default=0), start_ms, end_ms]
        if slices is not None:
            sql += " AND list_contains(?, slice)"
            values.append(list(slices))
        with self._file.reader() as reader:
            table = table_of(reader, sql, values)
        found = arrow.point_batches(table)
        return {stream_id: found.get(stream_id) or arrow.no_points(stream_id) for stream_id in stream_ids}

    def delete_facts(self, stream_id: int) -> None:
        self._delete("DELETE FROM facts WHERE stream_id = ?", [stream_id])

    def delete_points(self, stream_id: int) -> None:
        self._delete("DELETE FROM points WHERE stream_id = ?", [stream_id])

    def delete_archive(self, source_id: int, before_ms: int) -> int:
        with self._file.transaction() as writer:
            deleted = int(
                run(writer, "DELETE FROM archive WHERE source_id = ? AND ts < ?", [source_id, before_ms])[0][0]
            )
            duckdb_trails.forget(writer, [source_id], before_ms)
        self._tidy(deleted)
        return deleted

    def anonymous_ids(self, source_ids: Sequence[int], user_ids: Sequence[str]) -> list[str]:
        with self._file.reader() as reader:
            rows = run(
                reader,
                """SELECT DISTINCT anonymous_id FROM archive
                WHERE list_contains(?, source_id) AND list_contains(?, user_id) AND anonymous_id <> ''
                ORDER BY anonymous_id""",
                [list(source_ids), list(user_ids)],
            )
        return [identifier for (identifier,) in rows]

    def delete_person(self, person: Person) -> tuple[int, int]:
        events = erase_rows(
            self._file,
            "archive",
            """list_contains(?::BIGINT[], source_id) AND (list_contains(?::VARCHAR[], user_id)
                OR (user_id = '' AND list_contains(?::VARCHAR[], anonymous_id)))""",
            [list(person.source_ids), list(person.user_ids), list(person.anonymous_ids)],
            self._seen.note,
        )
        facts = erase_rows(
            self._file,
            "facts",
            "list_contains(?::BIGINT[], stream_id) AND list_contains(?::BIGINT[], actor_hash)",
            [list(person.stream_ids), list(person.actor_hashes)],
            self._seen.note,
        )
        duckdb_trails.forget_people(self._file, person.source_ids, person.user_ids, person.anonymous_ids)
        return events, facts

    def overwrite_deleted(self) -> None:
        overwrite_free(self._file, time.sleep)

    def stats(self) -> StoreStats:
        with self._file.reader() as reader:
            archive, facts, points = run(
                reader,
                "SELECT (SELECT count(*) FROM archive), (SELECT count(*) FROM facts), (SELECT count(*) FROM points)",
            )[0]
            free = run(reader, "SELECT sum(block_size * free_blocks) FROM pragma_database_size()")[0][0]
        extra = {"free_bytes": float(free), "turned_away": float(self._turned_away)}
        return StoreStats(archive, facts, points, self._file.disk_bytes(), extra)

    @property
    def file(self) -> DuckDBFile:
        """What it lies in."""
        return self._file

    def snapshot(self, path: Path, progress: Callable[[float], None]) -> dict[str, int]:
        """Write a copy of everything, as of now, to a new file; returns table -> rows. `progress` hears the share that
        is done. Raises Unavailable."""
        return snapshot(self._file, path, progress)

    def close(self) -> None:
        self._file.close()

    def _delete(self, sql: str, values: Sequence[Any]) -> int:
        with self._file.transaction() as writer:
            deleted = int(run(writer, sql, values)[0][0])
        self._tidy(deleted)
        return deleted

    def _tidy(self, deleted: int) -> None:
        if deleted:
            with contextlib.suppress(Unavailable):  # the rows are gone; their space comes back with the next checkpoint
                self._file.checkpoint()


def _events_once(batch: ArchiveBatch) -> pa.Table:
    """The batch's messages, each once (the earliest), in the order in which they were received."""
    table = arrow.archive_table(batch)
    first = plan.first_of_each(batch.source_id, batch.message_hash, batch.ts_ms, batch.received_at_ms)
    return table if len(first) == len(batch) else table.take(pa.array(first))


def _facts_once(batch: FactBatch) -> pa.Table:
    """The batch's facts, each once (the earliest), in order of stream and time: a query skips what it does not want."""
    table = arrow.fact_table(batch)
    first = plan.first_of_each(batch.stream_id, batch.message_hash, batch.ts_ms)
    order = first[np.lexsort((batch.ts_ms[first], batch.stream_id[first]))]
    return table if np.array_equal(order, np.arange(len(batch))) else table.take(pa.array(order))


def _points_once(batches: Sequence[PointBatch]) -> pa.Table:
    """The points of all batches; of several with one key the last, as if they had been written one after the other."""
    tables = [_once_each(batch) for batch in batches]
    if len({batch.stream_id for batch in batches}) == len(batches):
        return pa.concat_tables(tables)
    last: dict[tuple[int, str, str, int], tuple[int, int]] = {}
    for place, (batch, table) in enumerate(zip(batches, tables, strict=True)):
        measures, slices = table["measure"].to_pylist(), table["slice"].to_pylist()
        for row, key in enumerate(zip(measures, slices, arrow.ints(table["window_start"]).tolist(), strict=True)):
            last[batch.stream_id, *key] = place, row
    kept: list[list[int]] = [[] for _ in batches]
    for place, row in last.values():
        kept[place].append(row)
    return pa.concat_tables([t.take(pa.array(rows, pa.int64())) for t, rows in zip(tables, kept, strict=True)])


def _once_each(batch: PointBatch) -> pa.Table:
    table = arrow.point_table(batch)
    keys = zip(batch.measure, batch.slice, batch.window_start_ms.tolist(), strict=True)
    last = {key: row for row, key in enumerate(keys)}
    return table if len(last) == len(batch) else table.take(pa.array(list(last.values())))


def _next_rows(reader: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The row id that the next row of each table gets."""
    return {
        table: int(run(reader, f"SELECT coalesce(max(rowid) + 1, 0) FROM {table}")[0][0])  # noqa: S608 - our own names
        for table in _OWNER
    }


def _insert_once(
    writer: duckdb.DuckDBPyConnection, target: str, table: pa.Table, perhaps: NDArray[np.bool_], seen: Seen
) -> Ints:
    """Insert those rows whose message the table does not hold yet; of two, the earlier stays. Returns the message hash
    of each row that went, be it an incoming or a stored one.

    `perhaps` are the rows whose message may have been written lately: they alone are looked for among new rows.
    """
    ts, began = arrow.ints(table["ts"]), seen.began[target]
    met = [_met(writer, target, table, np.flatnonzero(perhaps), f"held.rowid >= {began}")]
    if began:
        met.append(_met(writer, target, table, np.arange(len(ts)), f"held.rowid < {began}"))
    row, held_ts, held = (np.concatenate([part[place] for part in met]) for place in range(3))
    repeated = _NO_HASHES
    if len(row):
        left_out, removed = plan.repeats(ts, row, held_ts)
        if removed.any():
            gone = held[removed].tolist()
            run(writer, f"DELETE FROM {target} WHERE rowid IN (SELECT unnest(?::BIGINT[]))", [gone])  # noqa: S608
        hashes = arrow.ints(table["message_hash"])
        repeated = np.concatenate((hashes[left_out], hashes[row[removed]]))
        table = table.filter(pa.array(~left_out))
    if len(table):
        with registered(writer, table) as incoming:
            run(writer, f"INSERT INTO {target} SELECT * FROM {incoming}")  # noqa: S608
    return repeated


def _met(
    writer: duckdb.DuckDBPyConnection, target: str, table: pa.Table, rows: NDArray[np.intp], where: str
) -> tuple[Ints, Ints, Ints]:
    """Stored rows with the message of one of the incoming `rows`: the incoming row, the stored one's time and id."""
    if not len(rows):
        none = np.empty(0, dtype=np.int64)
        return none, none, none
    owner = _OWNER[target]
    keys = table.select([owner, "message_hash"]).take(pa.array(rows)) if len(rows) < len(table) else table
    keys = pa.table({"row": rows, "owner": keys[owner], "message_hash": keys["message_hash"]})
    ranges = plan.time_ranges(arrow.ints(table["ts"])[rows], _REACH_MS)
    near = " OR ".join(f"held.ts BETWEEN {low} AND {high}" for low, high in ranges)
    with registered(writer, keys) as incoming:
        met = table_of(
            writer,
            f"""SELECT incoming.row AS row, held.ts AS ts, held.rowid AS held
            FROM {target} AS held JOIN {incoming} AS incoming
                ON held.{owner} = incoming.owner AND held.message_hash = incoming.message_hash
            WHERE {where} AND ({near})""",  # noqa: S608 - our own names and numbers
        )
    return arrow.ints(met["row"]), arrow.ints(met["ts"]), arrow.ints(met["held"])


def _aggregate(reader: duckdb.DuckDBPyConnection, query: AggregateQuery, stretch: plan.Stretch) -> AggregateTable:
    keys = ["w", *(f"g{i}" for i in range(len(query.group_by)))]
    groups = "".join(f", dims[{index + 1}] AS g{i}" for i, index in enumerate(query.group_by))
    where = "".join(f" AND dims[{index + 1}] = ?" for index, _ in query.where)
    sql = f"""
        SELECT {", ".join(keys)}, {", ".join(f"{_column(a)} AS v{i}" for i, a in enumerate(query.aggregates))}
        FROM (SELECT (ts - {stretch.start_ms}) // {stretch.length_ms} AS w{groups}, actor_hash, dims, nums
            FROM facts WHERE stream_id = ? AND ts >= ? AND ts < ?{where})
        GROUP BY {", ".join(keys)} ORDER BY {", ".join(keys)}"""  # noqa: S608 - only our own numbers are inlined
    values = [
        *(aggregate.event for aggregate in query.aggregates if aggregate.event is not None),
        *(query.stream_id, stretch.start_ms, stretch.end_ms),
        *(value for _, value in query.where),
    ]
    table = table_of(reader, sql, values)
    return AggregateTable(
        window=arrow.ints(table["w"]) + stretch.first_window,
        groups=[arrow.coded(table[f"g{i}"]) for i in range(len(query.group_by))],
        values=[plan.steady(arrow.floats(table[f"v{i}"])) for i in range(len(query.aggregates))],
    )


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
        case Function.QUANTILE:
            return f"quantile_cont({number}, {aggregate.quantile}){filtered}"
        case Function.ABOVE:
            above = f"{number} > {float(aggregate.threshold or 0.0)!r}"
            return f"count(*) FILTER (WHERE {' AND '.join([*conditions, above])})"
        case function:
            column = f"{_AGGREGATES[function]}({number}){filtered}"
            return f"coalesce({column}, 0)" if function is Function.SUM else column
