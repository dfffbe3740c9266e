"""Servers die while writers write and askers ask: nothing that was acknowledged is lost or counted twice.

`bench/faults.py` does the same through the door and the runs, with the network cut and a full disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from tests.servers.clickhouse import Cluster
from tests.store.build import COUNT, HOUR, T0, Fact, events, facts

from cliffwatch.errors import Unavailable
from cliffwatch.store import AggregateQuery, ArchiveQuery, Position
from cliffwatch.store.clickhouse import ClickHouseStore

ROWS = 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("load")) as running:
        yield running


@dataclass
class Writer:
    """Writes groups as the absorber does: each again until it is taken."""

    url: str
    stream: int
    acknowledged: int = 0
    refused: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        store = ClickHouseStore.open(self.url)
        while not self.stop.is_set():
            numbers = range(self.acknowledged, self.acknowledged + ROWS)
            rows = [Fact(T0 + n, n, stream=self.stream) for n in numbers]
            archive = events([T0 + n for n in numbers], list(numbers), source=self.stream)
            try:
                store.write(archive, facts(*rows), Position(f"w{self.stream}", numbers.stop))
            except Unavailable:
                self.refused += 1
                time.sleep(0.2)
                continue
            self.acknowledged = numbers.stop
        store.close()


Fault = Callable[[Cluster], None]


def kill_a_replica(cluster: Cluster) -> None:
    victim = cluster.shard(0)[1]
    victim.kill()
    time.sleep(2)
    victim.start()
    victim.wait_answers()


def kill_a_shard(cluster: Cluster) -> None:
    for server in cluster.shard(1):
        server.kill()
    time.sleep(2)
    for server in cluster.shard(1):
        server.start()
    for server in cluster.shard(1):
        server.wait_answers()


def kill_zookeeper(cluster: Cluster) -> None:
    cluster.zookeeper.kill()
    time.sleep(2)
    cluster.zookeeper.start()
    cluster.zookeeper.wait()


@pytest.mark.parametrize(
    ("fault", "stream"),
    [(kill_a_replica, 1), (kill_a_shard, 3), (kill_zookeeper, 5)],
    ids=["a replica is killed", "a shard is killed", "ZooKeeper is killed"],
)
def test_what_two_writers_were_told_is_taken_counts_once_after(cluster: Cluster, fault: Fault, stream: int) -> None:
    ClickHouseStore.open(cluster.url).close()
    writers = [Writer(cluster.url, stream + number) for number in (0, 1)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(1)
    before = [writer.acknowledged for writer in writers]
    fault(cluster)
    deadline = time.monotonic() + 60  # until both write again
    mended = [writer.acknowledged for writer in writers]
    while any(now.acknowledged <= then for now, then in zip(writers, mended, strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for writer in writers:
        writer.stop.set()
    for thread in threads:
        thread.join()
    assert all(writer.acknowledged > then for writer, then in zip(writers, before, strict=True))
    store = ClickHouseStore.open(cluster.url)
    for writer in writers:
        table = store.aggregate(AggregateQuery(writer.stream, [T0, T0 + HOUR], [COUNT]))
        # A group that was refused last, when the writer was told to stop, may have been taken: it is not acknowledged.
        assert writer.acknowledged <= table.values[0][0] <= writer.acknowledged + ROWS
        archived = store.count_archive(ArchiveQuery(writer.stream, T0, T0 + HOUR))
        assert writer.acknowledged <= archived <= writer.acknowledged + ROWS
        assert store.position(f"w{writer.stream}") >= writer.acknowledged
    store.close()
