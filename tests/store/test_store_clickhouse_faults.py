"""A real cluster of two shards with two replicas each, and what becomes of it: nothing acknowledged is lost or counted
twice. `bench/scale.py` does the same under load."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.servers.clickhouse import Cluster
from tests.store.build import COUNT, HOUR, T0, Fact, events, facts

from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.store import AggregateQuery, ArchiveQuery, Position, open_store
from cliffwatch.store.chunks import EPOCH_MS
from cliffwatch.store.clickhouse import Address, ClickHouseStore
from cliffwatch.store.clickhouse.schema import migrate
from cliffwatch.store.clickhouse.tables import WEEK_MS
from cliffwatch.store.contract import Person
from cliffwatch.store.trails import Filled, Trail


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def store(cluster: Cluster) -> Iterator[ClickHouseStore]:
    opened = ClickHouseStore.open(cluster.url)
    yield opened
    opened.close()


def counted(store: ClickHouseStore, stream: int) -> int:
    table = store.aggregate(AggregateQuery(stream, [T0, T0 + HOUR], [COUNT]))
    return int(table.values[0].sum())


def group(stream: int, first: int = 0, count: int = 20) -> dict[str, object]:
    numbers = range(first, first + count)
    return {
        "archive": events([T0 + n for n in numbers], list(numbers), source=stream),
        "facts": facts(*[Fact(T0 + n, n, stream=stream) for n in numbers]),
        "position": Position(f"journal{stream}", first + count),
    }


def test_each_message_lies_on_one_shard_and_both_of_its_replicas(cluster: Cluster, store: ClickHouseStore) -> None:
    store.write(**group(1, count=200))  # type: ignore[arg-type]
    sql = "SELECT groupArray(message_hash) FROM cliffwatch.facts_local WHERE stream_id = 1"
    held = [[set(server.query(sql)[0][0]) for server in cluster.shard(number)] for number in (0, 1)]  # type: ignore[call-overload]
    assert all(one == other for one, other in held)
    assert (held[0][0] | held[1][0], held[0][0] & held[1][0]) == (set(range(200)), set())
    assert min(len(shard[0]) for shard in held) > 60


def test_a_group_that_is_repeated_after_a_crash_counts_once_however_it_is_cut(store: ClickHouseStore) -> None:
    store.write(**{**group(2), "position": None})  # type: ignore[arg-type]  # died before the position was written
    assert store.position("journal2") == 0
    store.write(**group(2, count=35))  # type: ignore[arg-type]
    assert (counted(store, 2), store.count_archive(ArchiveQuery(2, T0, T0 + HOUR))) == (35, 35)
    assert store.position("journal2") == 35


def test_a_column_that_a_newer_version_brings_is_added_by_two_processes_at_once_beside_traffic(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    written: list[int] = []
    over = threading.Event()

    def traffic() -> None:
        while not over.is_set() or not written:
            store.write(**group(8, 20 * len(written)))  # type: ignore[arg-type]
            written.append(20)

    with contextlib.closing(ClickHouseStore.open(cluster.url)) as newer, ThreadPoolExecutor(3) as at_once:
        for shard in (0, 1):
            cluster.shard(shard)[0].query("ALTER TABLE cliffwatch.points_local DROP COLUMN p_value")
        writing = at_once.submit(traffic)
        try:
            for _ in range(2):
                for made in [at_once.submit(migrate, one._link) for one in (store, newer)]:
                    made.result()
        finally:
            over.set()
        writing.result()
    columns = "SELECT count() FROM system.columns WHERE table = 'points_local' AND name = 'p_value'"
    assert [server.query(columns) for server in cluster.servers] == [[(1,)]] * 4
    assert counted(store, 8) == sum(written)


def test_questions_see_what_a_replica_has_not_fetched_yet(cluster: Cluster) -> None:
    behind = [cluster.shard(number)[1] for number in (0, 1)]
    with contextlib.closing(ClickHouseStore.open(f"{cluster.url}&quorum=none")) as store:
        for server in behind:
            server.query("SYSTEM STOP FETCHES")
        try:
            store.write(**group(12, count=200))  # type: ignore[arg-type]
            assert [counted(store, 12) for _ in range(12)] == [200] * 12
        finally:
            for server in behind:
                server.query("SYSTEM START FETCHES")


def test_whole_weeks_before_the_retention_are_dropped_without_being_read(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    monday = (T0 + EPOCH_MS) // WEEK_MS * WEEK_MS - EPOCH_MS
    mutations = "SELECT count() FROM system.mutations WHERE table = 'archive_local'"
    before = [server.query(mutations) for server in cluster.servers]
    ts = [monday - WEEK_MS + n for n in range(50)] + [monday + n for n in range(50)]
    store.write(events(ts, list(range(100)), source=11), None)
    assert store.delete_archive(11, monday) == 50
    assert [server.query(mutations) for server in cluster.servers] == before
    held = "SELECT count(), min(ts) FROM cliffwatch.archive WHERE source_id = 11"
    assert [server.query(held) for server in cluster.servers] == [[(50, monday)]] * 4


def test_a_replica_that_is_killed_holds_nothing_up_and_catches_up(cluster: Cluster, store: ClickHouseStore) -> None:
    store.write(**group(3))  # type: ignore[arg-type]
    victim = cluster.shard(0)[0]
    victim.kill()
    store.write(**group(3, 20))  # type: ignore[arg-type]
    assert counted(store, 3) == 40
    victim.start()
    victim.wait_answers()
    written_when_back(lambda: store.write(**group(3, 40)))  # type: ignore[arg-type]
    assert counted(store, 3) == 60


def test_with_quorum_all_a_missing_replica_is_told_and_the_group_is_taken_when_it_is_back(cluster: Cluster) -> None:
    strict = open_store(cluster.url + "&quorum=all")
    victim = cluster.shard(1)[1]
    victim.kill()
    with pytest.raises(Unavailable, match="does not take part"):
        strict.write(**group(4))  # type: ignore[arg-type]
    victim.start()
    victim.wait_answers()
    written_when_back(lambda: strict.write(**group(4)))  # type: ignore[arg-type]
    assert isinstance(strict, ClickHouseStore)
    assert counted(strict, 4) == 20
    strict.close()


def written_when_back(write: Callable[[], object]) -> None:
    """As the absorber does: again until it is taken."""
    deadline = time.monotonic() + 90
    while True:
        try:
            write()
            return
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_a_shard_that_is_away_refuses_a_group_before_any_of_it_is_written(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    for server in cluster.shard(1):
        server.kill()
    with pytest.raises(Unavailable, match="did not take the request"):
        store.write(**group(5))  # type: ignore[arg-type]
    assert cluster.shard(0)[0].query("SELECT count() FROM cliffwatch.facts_local WHERE stream_id = 5") == [(0,)]
    for server in cluster.shard(1):
        server.start()
    for server in cluster.shard(1):
        server.wait_answers()
    written_when_back(lambda: store.write(**group(5)))  # type: ignore[arg-type]
    assert counted(store, 5) == 20


def test_without_zookeeper_what_is_there_is_read_and_a_write_is_refused_until_it_is_back(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    store.write(**group(6))  # type: ignore[arg-type]
    cluster.zookeeper.kill()
    with pytest.raises(Unavailable):
        store.write(**group(6, 20))  # type: ignore[arg-type]
    assert counted(store, 6) in (20, 40)  # it is unknown whether a refused write was taken
    cluster.zookeeper.start()
    cluster.zookeeper.wait()
    written_when_back(lambda: store.write(**group(6, 20)))  # type: ignore[arg-type]
    assert counted(store, 6) == 40


def test_a_fill_of_trails_that_zookeeper_did_not_let_through_is_as_if_it_had_not_been(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    trail = Trail(1, 9, (9,), "track", "Order Completed", ())
    store.write(**group(9))  # type: ignore[arg-type]

    def fill() -> Filled:
        return store.trails.fill([trail], T0, T0 + HOUR, 1, identify=True, again=True)

    cluster.zookeeper.kill()
    with pytest.raises(Unavailable):
        fill()
    cluster.zookeeper.start()
    cluster.zookeeper.wait()
    written_when_back(fill)
    assert store.trails.between(1, T0, T0 + HOUR).tolist() == store.trails.everybody(9).tolist()
    assert store.trails.population(9) == 20


def test_what_was_deleted_is_gone_from_the_servers_files(cluster: Cluster, store: ClickHouseStore) -> None:
    secret = "Wilhelmina-Featherstonehaugh-4711"
    batch = events([T0, T0 + 1], [1, 2], source=10)
    store.write(replace(batch, user_id=[secret, "somebody"], anonymous_id=["", ""]), None)
    assert files_with(cluster, secret)
    store.delete_person(Person([10], [], [secret], [], []))
    written_when_back(store.overwrite_deleted)
    assert not files_with(cluster, secret)
    assert store.count_archive(ArchiveQuery(10, T0, T0 + HOUR)) == 1


def files_with(cluster: Cluster, words: str) -> list[Path]:
    """The tables' files in which these words can be read; a part may go while one looks."""
    found = []
    for server in cluster.servers:
        for path in (server.data / "data").rglob("*.bin"):
            with contextlib.suppress(FileNotFoundError):
                if words.encode() in path.read_bytes():
                    found.append(path)
    return found


WRONG = [
    ("http://host/db", "begins with http"),
    ("clickhouse://host/db?shards=2", "has no option shards"),
    ("clickhouse://host/db?quorum=2", "asks for quorum 2"),
    ("clickhouse:///db", "no host"),
    ("clickhouse://host/a-b", "use letters, digits"),
    ("clickhouse://host:port/db", "cannot be read"),
]


@pytest.mark.parametrize(("url", "words"), WRONG)
def test_a_url_that_cannot_be_right_is_refused_with_what_one_looks_like(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Address.parse(url)


def test_a_url_names_hosts_ports_and_login() -> None:
    address = Address.parse("clickhouses://me:p%40ss@one,two:9001,[::1]:9002/shop?cluster=main&quorum=all")
    assert address.hosts == (("one", 9440), ("two", 9001), ("::1", 9002))
    assert (address.user, address.password, address.database) == ("me", "p@ss", "shop")
    assert (address.cluster, address.quorum, address.secure) == ("main", "all", True)


def test_a_server_that_is_not_there_is_named_as_the_cause(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Check the ClickHouse servers"):
        open_store("clickhouse://127.0.0.1:9/cliffwatch")
