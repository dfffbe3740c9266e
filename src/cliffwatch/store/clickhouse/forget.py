"""Forgetting: whole partitions are dropped, other rows are deleted by a mutation that every replica carries out."""

from __future__ import annotations

import time

import structlog

from cliffwatch.errors import Unavailable
from cliffwatch.store.chunks import EPOCH_MS
from cliffwatch.store.clickhouse.link import Link
from cliffwatch.store.clickhouse.tables import ARCHIVE, WEEK_MS, Table

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 120.0
"""How long a deletion may take before the caller is told that it is still under way."""


class Forgetting:
    """Deletes rows on all shards. What was asked for is done even if the caller does not wait for its end."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def rows(self, table: Table, where: str) -> int:
        """Delete the rows that a condition holds for; returns how many. Raises Unavailable when it takes too long."""
        local = self._link.local(table)
        gone = 0
        for shard in range(self._link.shards):
            count = self._count(shard, local, where)
            if count:
                self._link.change(shard, f"ALTER TABLE {local} DELETE WHERE {where}")
            gone += count
        if gone:
            self._wait(table)
        return gone

    def older(self, source_id: int, before_ms: int) -> int:
        """Delete a source's whole events from before a moment; returns how many. Weeks that are wholly before it are
        dropped without being read."""
        local = self._link.local(ARCHIVE)
        mine = f"source_id = {source_id} AND ts < {before_ms}"
        week = f"toUInt32(intDiv(ts + {EPOCH_MS}, {WEEK_MS}))"
        last_whole = (before_ms + EPOCH_MS) // WEEK_MS
        gone = 0
        for shard in range(self._link.shards):
            sql = f"SELECT {week} AS week, count() FROM {local} WHERE {mine} AND {week} < {last_whole} GROUP BY week"  # noqa: S608
            weeks: dict[int, int] = {}
            for columns in self._link.on_replicas(shard, sql):
                for number, count in zip(*columns, strict=True) if columns else ():
                    weeks[int(number)] = max(weeks.get(int(number), 0), int(count))
            for number, count in sorted(weeks.items()):
                self._link.change(shard, f"ALTER TABLE {local} DROP PARTITION ({source_id}, {number})")
                gone += count
        return gone + self.rows(ARCHIVE, mine)

    def make_sure(self) -> None:
        """Raise Unavailable while a server still holds files with rows that were deleted.

        A mutation writes parts anew; ClickHouse keeps the old ones for some minutes (`old_parts_lifetime`) against a
        power failure, then removes their files.
        """
        database = f"database = '{self._link.database}'"
        parts = f"SELECT table, partition, data_version, active FROM system.parts WHERE {database}"  # noqa: S608
        deletions = f"""SELECT table, max(arrayReduce('max', block_numbers.number)) FROM system.mutations
            WHERE {database} AND length(block_numbers.number) > 0 GROUP BY table"""  # noqa: S608
        for shard in range(self._link.shards):
            asked = zip(self._link.on_replicas(shard, deletions), self._link.on_replicas(shard, parts), strict=True)
            for deleted, held in asked:
                newest = {table: int(number) for table, number in zip(*deleted, strict=True)}
                for table, _, version, active in zip(*held, strict=True):
                    if not active and int(version) < newest.get(table, 0):
                        raise Unavailable(
                            "event store",
                            "has old files of deleted rows, which ClickHouse removes some minutes later.",
                            "It is asked again by itself.",
                        )

    def _count(self, shard: int, local: str, where: str) -> int:
        answers = self._link.on_replicas(shard, f"SELECT count() FROM {local} WHERE {where}")  # noqa: S608
        if not answers:
            raise Unavailable("event store", f"has no replica of shard {shard + 1} that answers.", "Start one of them.")
        return max(int(columns[0][0]) for columns in answers)

    def _wait(self, table: Table) -> None:
        """Until every replica that is up has deleted the rows; one that comes back later deletes them then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        sql = f"""SELECT count() FROM system.mutations
            WHERE database = '{self._link.database}' AND table = '{table.local}' AND is_done = 0"""  # noqa: S608
        for shard in range(self._link.shards):
            pause = 0.02
            while any(columns and columns[0][0] for columns in self._link.on_replicas(shard, sql)):
                if time.monotonic() > deadline:
                    raise Unavailable("event store", "is still deleting.", "It goes on by itself; ask again later.")
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
