"""An embedded installation's stores on servers: the same rows there, however often it is cut short and begun again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from tests.databases import Backend
from tests.engage.conftest import opened
from tests.engage.house import HOUR, House
from tests.servers.stores import SERVERS, Servers
from tests.store.build import DAY, T0, Fact, events, facts, points

from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.errors import Conflict, Unavailable
from cliffwatch.ingest import Sources
from cliffwatch.operations.move import copy_events, copy_metadata
from cliffwatch.operations.move.events import make_plan
from cliffwatch.store import ArchiveQuery, DuckDBStore, Person, PointQuery, Position
from cliffwatch.store.chunks import LAYOUTS
from cliffwatch.store.clickhouse import ClickHouseStore

EVER = 1 << 60
PRICES = (0.1, -0.0, 0.0, math.nan, 1e-320, 1.7e308, -3.5)


def quiet(_: float, __: str) -> None:
    """Who needs no progress."""


@pytest.fixture(params=SERVERS)
def target(request: pytest.FixtureRequest, servers: Servers) -> ClickHouseStore:
    return servers.store(request.param)


@pytest.fixture
def on_one(servers: Servers) -> ClickHouseStore:
    return servers.store("clickhouse of 2018")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Two sources and two streams over three days, with texts and numbers of every kind."""
    store = DuckDBStore.open(tmp_path / "events.duckdb", memory_limit="512MB")
    bodies = ['{"a": "ä 😀 \\\\"}', "{}", '{"tab": "\t\'"}'] * 10
    for number in (1, 2):
        times, messages = [T0 + DAY * (n % 3) + n for n in range(30)], [number * 1000 + n for n in range(30)]
        measured = [
            Fact(at, message, actor=-message, stream=number, price=PRICES[message % 7], country="Ö" * (message % 2))
            for at, message in zip(times, messages, strict=True)
        ]
        store.write(
            events(times, messages, source=number, body=bodies),
            facts(*measured),
            Position(f"journal {number}", 10 * number),
        )
    store.write_points(points(1, [T0, T0 + HOUR, T0 + 40 * DAY], [1.0, math.nan, -0.0]), points(2, [T0], [2.5]))
    yield store
    store.close()


def held(store: DuckDBStore | ClickHouseStore) -> list[object]:
    """What a store gives back, as values that can be compared."""
    archives = [store.read_archive(ArchiveQuery(number, -EVER, EVER)) for number in (1, 2)]
    scored = [store.read_points(PointQuery(number, -EVER, EVER)) for number in (1, 2)]
    return [
        *((a.ts_ms.tolist(), list(a.user_id), list(a.body), a.message_hash.tolist()) for a in archives),
        *((p.slice, p.value.tobytes(), p.flagged.tolist(), p.revision.tolist()) for p in scored),
        store.fact_spans([1, 2]),
    ]


def is_same(source: DuckDBStore, target: ClickHouseStore) -> bool:
    return all(
        make_plan(layout, source.chunks, target.chunks, source.chunks.sums(layout)).is_nothing for layout in LAYOUTS
    )


def test_every_engine_holds_the_same_afterwards(source: DuckDBStore, target: ClickHouseStore) -> None:
    copied = copy_events(source, target, quiet)
    assert copied.rows == copied.written == {"archive": 60, "facts": 60, "points": 4}
    assert held(source) == held(target)
    assert (target.position("journal 1"), target.position("journal 2")) == (10, 20)


def test_every_engine_computes_the_same_checksums(source: DuckDBStore, target: ClickHouseStore) -> None:
    copy_events(source, target, quiet)
    for layout in LAYOUTS:
        assert source.chunks.sums(layout) == target.chunks.sums(layout)
        for chunk in source.chunks.sums(layout):
            here, there = source.chunks.printed(layout, chunk), target.chunks.printed(layout, chunk)
            assert sorted(here.row.tolist()) == sorted(there.row.tolist())
            assert sorted(here.key.tolist()) == sorted(there.key.tolist())


def test_a_second_pass_writes_what_came_since_alone(source: DuckDBStore, on_one: ClickHouseStore) -> None:
    copy_events(source, on_one, quiet)
    source.write(events([T0 + 5], [9]), facts(Fact(T0 + 5, 9)), Position("journal 1", 77))
    copied = copy_events(source, on_one, quiet)
    assert copied.written == {"archive": 1, "facts": 1, "points": 0}
    assert is_same(source, on_one)
    assert on_one.position("journal 1") == 77


def test_a_point_that_was_revised_since_is_revised_there(source: DuckDBStore, on_one: ClickHouseStore) -> None:
    copy_events(source, on_one, quiet)
    source.write_points(points(1, [T0 + HOUR], [5.0], revision=1))
    assert copy_events(source, on_one, quiet).written["points"] == 1
    assert held(source) == held(on_one)


@pytest.mark.parametrize(
    "delete",
    [
        lambda store: store.delete_person(Person([1], [1], ["u1003"], [], [-1003])),
        lambda store: store.delete_archive(1, T0 + DAY),
        lambda store: store.delete_points(2),
        lambda store: store.delete_facts(2),
    ],
    ids=["a person", "by age", "points of a stream", "facts of a stream"],
)
def test_what_was_deleted_since_is_deleted_there(
    source: DuckDBStore, on_one: ClickHouseStore, delete: Callable[[DuckDBStore], object]
) -> None:
    copy_events(source, on_one, quiet)
    delete(source)
    copy_events(source, on_one, quiet)
    assert held(source) == held(on_one)


def test_one_that_is_cut_short_goes_on_where_it_was(
    source: DuckDBStore, on_one: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cliffwatch.operations.move.events._ROWS_OF_WRITE", 10)

    def until_half(share: float, what: str) -> None:
        if what == "Writing facts" and share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_events(source, on_one, until_half)
    written = copy_events(source, on_one, quiet).written
    assert written["archive"] == 0
    assert 0 < written["facts"] < 60
    assert is_same(source, on_one)


def test_rows_that_servers_hold_twice_count_once(source: DuckDBStore, on_one: ClickHouseStore) -> None:
    copy_events(source, on_one, quiet)
    again = source.read_archive(ArchiveQuery(1, -EVER, EVER))
    on_one.write(again, None)
    assert copy_events(source, on_one, quiet).written["archive"] == 0


def test_copies_of_a_message_that_count_here_count_there(source: DuckDBStore, on_one: ClickHouseStore) -> None:
    for later in range(3):
        source.write(events([T0 + later * HOUR], [77], received_at_ms=[T0 + later]), None)
    copy_events(source, on_one, quiet)
    assert (held(source)[0], is_same(source, on_one)) == (held(on_one)[0], True)


def test_a_database_with_events_of_another_installation_is_left_alone(
    source: DuckDBStore, on_one: ClickHouseStore
) -> None:
    on_one.write(events([T0], [1], source=5), None)
    with pytest.raises(Conflict, match="holds events of another installation"):
        copy_events(source, on_one, quiet)
    assert on_one.count_archive(ArchiveQuery(1, -EVER, EVER)) == 0


def test_rows_that_do_not_arrive_as_they_were_are_noticed(
    source: DuckDBStore, on_one: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = on_one.write_points

    def lossy(*batches: object) -> None:
        write(*[batch.where(np.arange(len(batch)) > 0) for batch in batches])  # type: ignore[attr-defined]

    monkeypatch.setattr(on_one, "write_points", lossy)
    with pytest.raises(Unavailable, match="event store points: is not what was written"):
        copy_events(source, on_one, quiet)


@pytest.fixture
def house(tmp_path: Path, sqlite: Backend) -> Iterator[House]:
    """People who became one, people who were forgotten before and after a pass, an audience that was told."""
    (tmp_path / "data").mkdir()
    with opened(tmp_path / "data", sqlite) as made:
        for number in range(20):
            made.ordered(f"u{number}", total=number)
        made.take(
            {"type": "identify", "userId": "u1", "anonymousId": "a1"},
            {"type": "alias", "userId": "u2", "previousId": "u3"},
        )
        audience = made.audience("Buyers", 'event("Order Completed").count() >= 1')
        made.to_source(audience)
        made.step()
        source = made.source().id
        made.services.store.delete_person(Person([source], [], ["u5"], [], []))
        made.step(2 * HOUR)
        made.services.store.delete_person(Person([source], [], ["u6"], [], []))
        yield made


def test_people_of_audiences_are_the_same_there(house: House, on_one: ClickHouseStore) -> None:
    store = house.services.store
    assert isinstance(store, DuckDBStore)
    on_one.trails.take_over(store.file, lambda _: None)
    here, there = store.trails, on_one.trails
    everybody = here.everybody(1)
    assert len(everybody) >= 15
    assert everybody.tolist() == there.everybody(1).tolist()
    assert here.identifiers(1, everybody) == there.identifiers(1, everybody)
    assert [here.touched(1, [1], number).tolist() for number in range(4)] == [
        there.touched(1, [1], number).tolist() for number in range(4)
    ]
    assert here.population(1) == there.population(1)
    gone = np.arange(here.population(1))
    assert here.kept(1, gone) == there.kept(1, gone)


def test_people_of_audiences_are_taken_over_again_after_they_changed(house: House, on_one: ClickHouseStore) -> None:
    store = house.services.store
    assert isinstance(store, DuckDBStore)
    on_one.trails.take_over(store.file, lambda _: None)
    house.ordered("newcomer")
    house.step(2 * HOUR)
    on_one.trails.take_over(store.file, lambda _: None)
    assert store.trails.find(1, "user_id", "newcomer") == on_one.trails.find(1, "user_id", "newcomer") is not None


def test_metadata_are_the_same_in_the_other_database(house: House, databases: Backend, tmp_path: Path) -> None:
    target = empty(databases, tmp_path, house)
    rows = copy_metadata(house.services.database, target, quiet)
    assert rows["computations"] == 1
    with target.read() as session:
        assert session.scalars(select(WorkspaceRow.name)).one() == house.services.accounts.workspace(1).name
    target.close()


def test_new_rows_get_new_ids_after_metadata_moved(house: House, databases: Backend, tmp_path: Path) -> None:
    target = empty(databases, tmp_path, house)
    copy_metadata(house.services.database, target, quiet)
    known = {source.id for source in Sources(house.services.database).list(1)}
    assert Sources(target).create(1, "Another", 0).id not in known
    target.close()


def test_a_database_that_is_in_use_is_not_overwritten(house: House, databases: Backend, tmp_path: Path) -> None:
    target = empty(databases, tmp_path, house)
    copy_metadata(house.services.database, target, quiet)
    with pytest.raises(Conflict, match="holds an installation already"):
        copy_metadata(house.services.database, target, quiet)
    target.close()


def test_metadata_that_are_cut_short_leave_nothing_behind(house: House, databases: Backend, tmp_path: Path) -> None:
    target = empty(databases, tmp_path, house)

    def stop(_: float, what: str) -> None:
        if what == "Reading the copy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_metadata(house.services.database, target, stop)
    with target.read() as session:
        assert session.scalars(select(WorkspaceRow.name)).all() == []
    target.close()


def empty(databases: Backend, folder: Path, house: House) -> Database:
    """A database with the newest schema and nothing in it, whose secrets have the same key."""
    from tests.databases import nothing

    return Database(databases.copy(nothing, folder), keys=house.services.database.keys)
