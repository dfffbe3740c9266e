"""Event stores on servers that tests share: each is started when it is first asked for, and emptied in between."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tests.servers.chdb_link import ChdbLink
from tests.servers.clickhouse import Cluster, Single

from cliffwatch.store.clickhouse import ClickHouseStore

SERVERS = ["clickhouse of 2018", "clickhouse cluster", "clickhouse of today"]


class Servers:
    """Stores on servers, one of each engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, ClickHouseStore] = {}
        self._running = contextlib.ExitStack()
        self._cluster: Cluster | None = None

    def store(self, engine: str) -> ClickHouseStore:
        """The store of this engine, empty."""
        if engine not in self._open:
            self._open[engine] = self._start(engine)
        else:
            empty(self._open[engine])
        return self._open[engine]

    @property
    def cluster(self) -> Cluster:
        """The cluster of "clickhouse cluster"."""
        if self._cluster is None:
            self._cluster = self._running.enter_context(Cluster(self._folder / "cluster"))
        return self._cluster

    def _start(self, engine: str) -> ClickHouseStore:
        if engine == "clickhouse of today":
            store = ClickHouseStore(ChdbLink(self._folder))
        elif engine == "clickhouse cluster":
            store = ClickHouseStore.open(self.cluster.url)
        else:
            store = ClickHouseStore.open(self._running.enter_context(Single(self._folder / "one")).url)
        self._running.callback(store.close)
        return store

    def close(self) -> None:
        self._running.close()


def empty(store: ClickHouseStore) -> None:
    """Take all rows away; the tables stay."""
    link = store._link
    store.trails.close()
    full = f"SELECT DISTINCT table FROM system.parts WHERE active AND rows > 0 AND database = '{link.database}'"
    for shard in range(link.shards):
        for table in {table for columns in link.on_replicas(shard, full) for table in (columns[0] if columns else ())}:
            link.change(shard, f"TRUNCATE TABLE {link.database}.{table}")
    while any(columns for shard in range(link.shards) for columns in link.on_replicas(shard, full)):
        time.sleep(0.01)
