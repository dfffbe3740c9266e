"""The event store on ClickHouse, behind the contract that the embedded one fulfils.

There are any number of writers, so repeats are told apart when a question is asked (`sql.later_copies`). A write goes
to the shards of its rows, then its journal position: whoever dies in between repeats the group, and every message still
counts once. What a question gives is of one moment as far as each server is; a row that is written while servers
answer may be seen by one and not by another.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store import arrow, plan
from cliffwatch.store.clickhouse import pages, sql
from cliffwatch.store.clickhouse.address import Address
from cliffwatch.store.clickhouse.chunks import ClickHouseChunks
from cliffwatch.store.clickhouse.forget import Forgetting
from cliffwatch.store.clickhouse.link import Columns, Link, NativeLink
from cliffwatch.store.clickhouse.points import points_columns, points_of
from cliffwatch.store.clickhouse.schema import migrate
from cliffwatch.store.clickhouse.tables import ARCHIVE, FACTS, POINTS, POSITIONS, Table, text
from cliffwatch.store.clickhouse.trails import ClickHouseTrails
from cliffwatch.store.contract import (
    AggregateQuery,
    AggregateTable,
    ArchiveBatch,
    ArchiveQuery,
    Coded,
    EventStore,
    FactBatch,
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

Incoming = Mapping[str, Sequence[Any] | Ints]
"""Columns as the contract's batches hold them."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MOST_CHOSEN = 4_000
"""Slices of one question; their names are part of it."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one table for one shard. `make` gives them with fresh row ids."""

    shard: int
    table: Table
    make: Callable[[], Columns]


class ClickHouseStore(EventStore):
    """An event store on ClickHouse servers."""

    def __init__(self, link: Link, *, memory_limit: str = "1GB", threads: int = 2) -> None:
        """Makes the tables that are missing. The limits are those of what this process holds of trails."""
        self._link = link
        migrate(link)
        self._forgetting = Forgetting(link)
        self.trails: ClickHouseTrails = ClickHouseTrails(
            link, self._forgetting, memory_limit=memory_limit, threads=threads
        )
        self._threads = ThreadPoolExecutor(max(2 * link.shards, 2), thread_name_prefix="clickhouse")

    @classmethod
    def open(cls, url: str, *, memory_limit: str = "1GB", threads: int = 2) -> ClickHouseStore:
        """Connect, and make the tables that are missing. Raises InvalidInput for the URL, Unavailable for servers."""
        return cls(NativeLink(Address.parse(url)), memory_limit=memory_limit, threads=threads)

    def write(
        self, archive: ArchiveBatch | None, facts: FactBatch | None, position: Position | None = None
    ) -> Ints | None:
        blocks: list[_Block] = []
        if archive is not None and len(archive):
            arrow.archive_table(archive)  # refuses what is not of the contract's types, before anything is sent
            first = plan.first_of_each(archive.source_id, archive.message_hash, archive.ts_ms, archive.received_at_ms)
            blocks += self._blocks(ARCHIVE, _archive_columns(archive), archive.message_hash, first)
        if facts is not None and len(facts):
            arrow.fact_table(facts)
            first = plan.first_of_each(facts.stream_id, facts.message_hash, facts.ts_ms)
            blocks += self._blocks(FACTS, _fact_columns(facts), facts.message_hash, first)
        last = [] if position is None else [self._position_block(position)]
        # A shard that is away is found before another one is written to: a group that is tried again and again would
        # fill the others with its copies.
        self._link.reach(sorted({block.shard for block in (*blocks, *last)}))
        self._send(blocks)
        self._send(last)
        return None  # copies are told apart when somebody asks

    def position(self, journal: str) -> int:
        where = f"journal = {text(journal)}"
        rows = self._link.read(f"SELECT max(offset) FROM {self._link.whole(POSITIONS)} WHERE {where}")  # noqa: S608
        return max(int(rows[0][0]), 0) if rows else 0

    def knows(self, journal: str) -> bool:
        """Whether anything was written down of a journal, be it that nothing of it is absorbed."""
        where = f"journal = {text(journal)}"
        return bool(self._link.read(f"SELECT 1 FROM {self._link.whole(POSITIONS)} WHERE {where} LIMIT 1"))  # noqa: S608

    def read_archive(self, query: ArchiveQuery) -> ArchiveBatch:
        return pages.read(self._link, self._link.whole(ARCHIVE), query)

    def count_archive(self, query: ArchiveQuery) -> int:
        copies = sql.later_copies(
            self._link.local(ARCHIVE), "source_id", f"source_id = {query.source_id}", query.start_ms, query.end_ms
        )
        where = f"{sql.archive_filter(query, paging=False)} AND row_id NOT IN ({copies})"
        rows = self._link.read(f"SELECT count() FROM {self._link.whole(ARCHIVE)} WHERE {where}")  # noqa: S608
        return int(rows[0][0]) if rows else 0

    def archive_cuts(self, query: ArchiveQuery, parts: int) -> list[int]:
        shares = ", ".join(map(str, plan.shares(parts)))
        if not shares:
            return []
        where = sql.archive_filter(query, paging=False)  # copies are few: they move a cut by a little
        found = self._link.read(
            f"SELECT count(), quantiles({shares})(received_at) FROM {self._link.whole(ARCHIVE)} WHERE {where}"  # noqa: S608
        )
        return sorted({int(cut) for cut in found[1][0]}) if found and found[0][0] else []

    def aggregate(self, query: AggregateQuery) -> AggregateTable:
        plan.check(query)
        return plan.join([self._aggregate(query, stretch) for stretch in plan.stretches(query.edges_ms)], query)

    def aggregate_slices(self, query: SliceQuery) -> SliceTable:
        plan.check_slices(query)
        starts = range(0, max(len(query.chosen), 1), _MOST_CHOSEN)
        stretches = plan.few_stretches(query.edges_ms)
        return plan.join_slices([self._slices(query, stretch, start) for stretch in stretches for start in starts])

    def top_values(self, query: TopQuery) -> TopValues:
        return self.top_values_of([query])[0]

    def top_values_of(self, queries: Sequence[TopQuery]) -> list[TopValues]:
        for query in queries:
            plan.check_top(query)
        alike: dict[TopQuery, list[TopQuery]] = {}
        for query in queries:
            alike.setdefault(replace(query, stream_id=0), []).append(query)
        found: dict[TopQuery, TopValues] = {}
        for like, same in alike.items():
            answers = self._top_values(like, [query.stream_id for query in same])
            found |= {query: answers[query.stream_id] for query in same}
        return [found[query] for query in queries]

    def fact_spans(self, stream_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        where = sql.one_of("stream_id", list(stream_ids))
        found = self._link.read(
            f"SELECT stream_id, min(ts), max(ts) FROM {self._link.whole(FACTS)} WHERE {where} GROUP BY stream_id"  # noqa: S608
        )
        return {int(stream): (int(first), int(last)) for stream, first, last in zip(*found, strict=True)}

    def fact_span(self, stream_id: int) -> tuple[int, int] | None:
        return self.fact_spans([stream_id]).get(stream_id)

    def write_points(self, *batches: PointBatch) -> None:
        batches = tuple(batch for batch in batches if len(batch))
        if not batches:
            return
        columns, streams = points_columns(batches, version=time.time_ns())
        shard = self._shard_of(streams)
        blocks = [
            _Block(int(number), POINTS, lambda number=number: _take(columns, np.flatnonzero(shard == number)))  # type: ignore[misc]
            for number in np.unique(shard)
        ]
        self._link.reach([block.shard for block in blocks])
        self._send(blocks)

    def read_points(self, query: PointQuery) -> PointBatch:
        where = [f"stream_id = {query.stream_id}", f"window_start >= {query.start_ms}"]
        where.append(f"window_start < {query.end_ms}")
        if query.measure is not None:
            where.append(f"measure = {text(query.measure)}")
        if query.slices is not None:
            where.append(sql.one_of("slice", list(query.slices)))
        return self._points(" AND ".join(where)).get(query.stream_id) or arrow.no_points(query.stream_id)

    def read_points_of(
        self, stream_ids: Sequence[int], start_ms: int, end_ms: int, slices: Sequence[str] | None = None
    ) -> dict[int, PointBatch]:
        where = sql.one_of("stream_id", list(stream_ids))
        where += f" AND window_start >= {start_ms} AND window_start < {end_ms}"
        if slices is not None:
            where += f" AND {sql.one_of('slice', list(slices))}"
        found = self._points(where)
        return {stream_id: found.get(stream_id) or arrow.no_points(stream_id) for stream_id in stream_ids}

    def delete_facts(self, stream_id: int) -> None:
        self._forgetting.rows(FACTS, f"stream_id = {stream_id}")

    def delete_points(self, stream_id: int) -> None:
        self._forgetting.rows(POINTS, f"stream_id = {stream_id}")

    def delete_archive(self, source_id: int, before_ms: int) -> int:
        gone = self._forgetting.older(source_id, before_ms)
        self.trails.forget_before(source_id, before_ms)
        return gone

    def anonymous_ids(self, source_ids: Sequence[int], user_ids: Sequence[str]) -> list[str]:
        found = self._link.read(
            f"""SELECT DISTINCT anonymous_id FROM {self._link.whole(ARCHIVE)}
            WHERE {sql.one_of("source_id", list(source_ids))}
            AND {sql.one_of("user_id", list(user_ids))} AND anonymous_id != '' ORDER BY anonymous_id"""  # noqa: S608
        )
        return list(found[0]) if found else []

    def delete_person(self, person: Person) -> tuple[int, int]:
        # Each is durable when it returns, one after the other; whoever dies between them asks again.
        users, anonymous = (
            sql.one_of(column, list(ids))
            for column, ids in (("user_id", person.user_ids), ("anonymous_id", person.anonymous_ids))
        )
        theirs = f"{sql.one_of('source_id', list(person.source_ids))} AND ({users} OR (user_id = '' AND {anonymous}))"
        actors = sql.one_of("actor_hash", list(person.actor_hashes))
        measured = f"{sql.one_of('stream_id', list(person.stream_ids))} AND {actors}"
        gone = self._forgetting.rows(ARCHIVE, theirs), self._forgetting.rows(FACTS, measured)
        self.trails.forget_people(person.source_ids, person.user_ids, person.anonymous_ids)
        return gone

    def overwrite_deleted(self) -> None:
        self.trails.sweep()
        self._forgetting.make_sure()

    def stats(self) -> StoreStats:
        parts = "system.parts" if not self._link.cluster else f"cluster('{self._link.cluster}', system, parts)"
        found = self._link.read(
            f"""SELECT table, sum(rows), sum(bytes_on_disk), count() FROM {parts}
            WHERE active AND database = '{self._link.database}' GROUP BY table"""  # noqa: S608
        )
        held = {table: (int(rows), int(size), int(parts)) for table, rows, size, parts in zip(*found, strict=True)}
        archive, facts, points = (held.get(table.local, (0, 0, 0))[0] for table in (ARCHIVE, FACTS, POINTS))
        extra = {
            "parts": float(sum(parts for _, _, parts in held.values())),
            "shards": float(self._link.shards),
        }
        return StoreStats(archive, facts, points, sum(size for _, size, _ in held.values()), extra)

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self.trails.close()
        self._link.close()

    @property
    def chunks(self) -> ClickHouseChunks:
        """Its rows with checksums."""
        return ClickHouseChunks(self._link, self._forgetting)

    def _facts_of(self, stream_ids: Sequence[int], start_ms: int, end_ms: int) -> str:
        """Facts of streams in [start_ms, end_ms), each message once."""
        where = sql.one_of("stream_id", list(stream_ids))
        copies = sql.later_copies(self._link.local(FACTS), "stream_id", where, start_ms, end_ms)
        return f"{where} AND ts >= {start_ms} AND ts < {end_ms} AND row_id NOT IN ({copies})"

    def _aggregate(self, query: AggregateQuery, stretch: plan.Stretch) -> AggregateTable:
        groups = [f"g{place}" for place in range(len(query.group_by))]
        named = [f"dims[{index + 1}] AS g{place}" for place, index in enumerate(query.group_by)]
        where = "".join(f" AND dims[{index + 1}] = {text(value)}" for index, value in query.where)
        inner, outer = sql.measures(query.aggregates)
        keys = ", ".join(["w", *groups])
        found = self._link.read(
            f"""SELECT {", ".join(["w", *groups, *outer])} FROM (
                SELECT {", ".join([f"{sql.window(query.edges_ms, stretch)} AS w", *named, *inner])}
                FROM {self._link.whole(FACTS)}
                WHERE {self._facts_of([query.stream_id], stretch.start_ms, stretch.end_ms)}{where}
                GROUP BY {keys})
            ORDER BY {keys}"""  # noqa: S608 - our own names and numbers, texts are quoted
        )
        columns = found or [()] * (1 + len(groups) + len(outer))
        return AggregateTable(
            window=_ints(columns[0]) + stretch.first_window,
            groups=[Coded.of(list(column)) for column in columns[1 : 1 + len(groups)]],
            values=[plan.steady(_floats(column)) for column in columns[1 + len(groups) :]],
        )

    def _top_values(self, like: TopQuery, stream_ids: Sequence[int]) -> dict[int, TopValues]:
        """The answers for streams of which the same is asked."""
        where = self._facts_of(stream_ids, like.start_ms, like.end_ms)
        counted = self._link.read(
            f"SELECT stream_id, count() FROM {self._link.whole(FACTS)} WHERE {where} GROUP BY stream_id"  # noqa: S608
        )
        facts = {int(stream): int(count) for stream, count in zip(*counted, strict=True)}
        values: dict[int, list[str]] = {stream: [] for stream in stream_ids}
        counts: dict[int, list[int]] = {stream: [] for stream in stream_ids}
        if facts:
            least = {stream: max(1, int(np.ceil(like.minimum_share * count))) for stream, count in facts.items()}
            limit = f"transform(stream_id, {list(least)}, {list(least.values())}, toInt64(1))"
            found = self._link.read(
                f"""SELECT stream_id, value, n FROM (
                    SELECT stream_id, dims[{like.dimension + 1}] AS value, count() AS n FROM {self._link.whole(FACTS)}
                    WHERE {where} GROUP BY stream_id, value)
                WHERE toInt64(n) >= {limit} ORDER BY stream_id, n DESC, value LIMIT {like.limit} BY stream_id"""  # noqa: S608
            )
            for stream, value, count in zip(*found, strict=True):
                values[int(stream)].append(value)
                counts[int(stream)].append(int(count))
        return {stream: TopValues(values[stream], counts[stream], facts.get(stream, 0)) for stream in stream_ids}

    def _slices(self, query: SliceQuery, stretch: plan.Stretch, start: int) -> SliceTable:
        """Slices `chosen[start:]` as far as one question goes; the totals with the first ones only."""
        inner, outer = sql.measures(query.aggregates)
        chosen = query.chosen[start : start + _MOST_CHOSEN]
        found = self._link.read(
            f"""SELECT {", ".join(["stream_id", "w", "c", *outer])} FROM (
                SELECT {", ".join(["stream_id", f"{sql.window(query.edges_ms, stretch)} AS w", "c", *inner])}
                FROM {self._link.whole(FACTS)} ARRAY JOIN {sql.slices(chosen)} AS c
                WHERE {self._facts_of(query.stream_ids, stretch.start_ms, stretch.end_ms)}
                GROUP BY stream_id, w, c)
            ORDER BY stream_id, w, c"""  # noqa: S608
        )
        columns = found or [()] * (3 + len(outer))
        stream, window, place = _ints(columns[0]), _ints(columns[1]) + stretch.first_window, _ints(columns[2])
        values = [plan.steady(_floats(column)) for column in columns[3:]]
        kept = (place >= 0) | (start == 0)
        place = np.where(place >= 0, place + start, place)
        return SliceTable(stream[kept], window[kept], place[kept], [value[kept] for value in values])

    def _points(self, where: str) -> dict[int, PointBatch]:
        names = list(POINTS.columns)
        found = self._link.read(f"SELECT {', '.join(names)} FROM {self._link.whole(POINTS)} WHERE {where}")  # noqa: S608
        return points_of(dict(zip(names, found or [()] * len(names), strict=True)))

    def _blocks(self, table: Table, columns: Incoming, message_hash: Ints, first: NDArray[np.intp]) -> list[_Block]:
        """The rows `first` of these columns, cut up by shard."""
        shard = self._shard_of(message_hash[first])
        blocks = []
        for number in np.unique(shard).tolist():
            mine = _take(columns, first[shard == number])
            count = int((shard == number).sum())
            blocks.append(_Block(number, table, lambda mine=mine, count=count: {**mine, "row_id": _row_ids(count)}))  # type: ignore[misc]
        return blocks

    def _position_block(self, position: Position) -> _Block:
        shard = crc32(position.journal.encode()) % self._link.shards
        columns: dict[str, Sequence[Any]] = {"journal": [position.journal], "offset": [position.offset]}
        return _Block(shard, POSITIONS, lambda: {**columns, "version": [time.time_ns()]})

    def _shard_of(self, key: Ints) -> NDArray[np.int64]:
        mixed = (np.ascontiguousarray(key).view(np.uint64) * _MIX) >> np.uint64(33)
        return (mixed % np.uint64(self._link.shards)).astype(np.int64)

    def _send(self, blocks: Sequence[_Block]) -> None:
        """Write blocks, those of different shards at the same time; the first failure is raised when all are done."""
        if len(blocks) == 1:
            self._link.insert(blocks[0].shard, blocks[0].table, blocks[0].make)
            return
        sent = [self._threads.submit(self._link.insert, one.shard, one.table, one.make) for one in blocks]
        failures = [failure for one in sent if (failure := one.exception()) is not None]
        if failures:
            raise failures[0]


def _archive_columns(batch: ArchiveBatch) -> Incoming:
    return {
        "source_id": batch.source_id,
        "kind": [*batch.kind],
        "name": [*batch.name],
        "ts": batch.ts_ms,
        "received_at": batch.received_at_ms,
        "message_hash": batch.message_hash,
        "user_id": [*batch.user_id],
        "anonymous_id": [*batch.anonymous_id],
        "body": [*batch.body],
    }


def _fact_columns(batch: FactBatch) -> Incoming:
    return {
        "stream_id": batch.stream_id,
        "ts": batch.ts_ms,
        "message_hash": batch.message_hash,
        "actor_hash": batch.actor_hash,
        "dims": batch.dims,
        "nums": batch.nums,
    }


def _take(columns: Mapping[str, Sequence[Any] | Ints], rows: NDArray[np.intp]) -> dict[str, Sequence[Any]]:
    """Some rows of columns, as lists."""
    places = rows.tolist()
    whole = all(len(column) == len(places) for column in columns.values())
    taken: dict[str, Sequence[Any]] = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            taken[name] = column[rows].tolist()
        else:
            taken[name] = list(column) if whole else [column[at] for at in places]
    return taken


def _row_ids(count: int) -> list[int]:
    """Ids that no other row has, by chance of 64 bits."""
    start = secrets.randbits(64)
    return [(start + step) & 0xFFFFFFFFFFFFFFFF for step in range(count)]


def _ints(column: Sequence[Any]) -> Ints:
    return np.array(column, dtype=np.int64)


def _floats(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(column, dtype=np.float64)
