"""Audiences over a real ClickHouse cluster: what one process fills in, every other answers from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.databases import Backend
from tests.engage.archive import archive, evaluator, layout_of, numbers
from tests.engage.conftest import opened
from tests.engage.naive import Happened, Naive
from tests.engage.strategies import HOUR, NOW, audiences, histories
from tests.engage.test_engage_labels import Views
from tests.engage.test_engage_measured import USERS, identify_stream, measured, named
from tests.servers.stores import Servers

from cliffwatch.engage.language import parse_audience
from cliffwatch.engage.language.model import Condition
from cliffwatch.store.clickhouse import ClickHouseStore
from cliffwatch.store.clickhouse.tables import TRAIL_EVENTS, TRAIL_IDS
from cliffwatch.store.contract import Person
from cliffwatch.store.trails import Filled

ORDERED = parse_audience("event('Order Completed').count() >= 1")
_workspaces = itertools.count(1)


@pytest.fixture(scope="module")
def store(servers: Servers) -> ClickHouseStore:
    """One store for all tests; each has a workspace and sources of its own."""
    return servers.store("clickhouse cluster")


@pytest.fixture(scope="module")
def other(store: ClickHouseStore, servers: Servers) -> Iterator[ClickHouseStore]:
    """The same store as another process has it."""
    opened = ClickHouseStore.open(servers.cluster.url)
    yield opened
    opened.close()


def room() -> tuple[int, int, tuple[int, int]]:
    workspace = next(_workspaces)
    return workspace, workspace * 10, (workspace * 10 + 1, workspace * 10 + 2)


def orders(*who: tuple[str, str], first: int = 0) -> list[Happened]:
    """An order of each (user id, anonymous id), one a minute."""
    return [
        Happened(n, "track", "Order Completed", NOW + n * 60_000, NOW + n * 60_000, user, anonymous)
        for n, (user, anonymous) in enumerate(who, first)
    ]


def fill(store: ClickHouseStore, workspace: int, sources: tuple[int, int], number: int = 1) -> Filled:
    return store.trails.fill(
        list(layout_of(ORDERED, workspace, sources).values()), 0, NOW + 1000 * HOUR, number, identify=True, again=True
    )


def members(store: ClickHouseStore, workspace: int, sources: tuple[int, int], shift: int) -> list[int]:
    layout = layout_of(ORDERED, workspace, sources)
    return np.flatnonzero(evaluator(store, layout, workspace, NOW + 999 * HOUR, shift).members(ORDERED)).tolist()


def held(store: ClickHouseStore, table: str, workspace: int) -> int:
    found = store._link.read(f"SELECT count() FROM cliffwatch.{table} WHERE workspace_id = {workspace}")
    return int(found[0][0])


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(
    history=histories(),
    definition=audiences,
    cuts=st.lists(st.integers(0, 6 * 24), min_size=1, max_size=2, unique=True),
)
def test_what_one_process_filled_in_parts_another_finds_as_counting_person_by_person_does(
    store: ClickHouseStore, other: ClickHouseStore, history: list[Happened], definition: Condition, cuts: list[int]
) -> None:
    workspace, shift, sources = room()
    layout, mark = layout_of(definition, workspace, sources), 0
    for number, now in enumerate(sorted({NOW - 6 * 24 * HOUR + cut * HOUR for cut in cuts} | {NOW}), 1):
        archive(store, [event for event in history if mark <= event.arrived < now], shift)
        filler = (store, other)[number % 2]  # as when a process dies and another takes its work
        filler.trails.fill(list(layout.values()), mark, now, number, identify=True, again=True)
        mark = now
    naive = Naive([event for event in history if event.arrived < NOW], NOW)
    for asked in (store, other):
        mask = evaluator(asked, layout, workspace, NOW, shift).members(definition)
        found = {person: bool(mask[number]) for person, number in numbers(asked, workspace, naive.world).items()}
        assert found == {person: naive.holds(definition, person) for person in naive.world.everybody()}


def test_a_process_that_starts_later_knows_the_same_people(store: ClickHouseStore, servers: Servers) -> None:
    workspace, shift, sources = room()
    archive(store, orders(("", "a1"), ("u2", ""), ("u1", "a1")), shift)
    fill(store, workspace, sources)
    later = ClickHouseStore.open(servers.cluster.url)
    here = store.trails.find(workspace, "user_id", ["u1", "nobody"])
    assert later.trails.find(workspace, "anonymous_id", ["a1"]) == {"a1": here["u1"]}
    assert members(later, workspace, sources, shift) == members(store, workspace, sources, shift) == [0, 1]
    later.close()


def test_an_event_is_added_once_however_often_its_stretch_is_filled(
    store: ClickHouseStore, other: ClickHouseStore
) -> None:
    workspace, shift, sources = room()
    archive(store, orders(("u1", ""), ("u2", "")), shift)
    archive(store, orders(("u1", "")), shift)  # the same message again
    assert fill(store, workspace, sources).rows == 2
    assert (fill(other, workspace, sources, 2).rows, held(store, TRAIL_EVENTS.name, workspace)) == (0, 2)


def test_a_person_who_is_forgotten_is_gone_from_every_process_and_from_the_servers(
    store: ClickHouseStore, other: ClickHouseStore
) -> None:
    workspace, shift, sources = room()
    archive(store, orders(("", "a1"), ("u1", ""), ("u2", "")), shift)
    fill(store, workspace, sources)
    archive(store, orders(("u1", "a1"), first=3), shift)  # two people become one
    fill(store, workspace, sources, 2)
    kept = other.trails.find(workspace, "user_id", ["u2"])["u2"]
    store.delete_person(Person(list(sources), [], ["u1"], ["a1"], []))
    for asked in (store, other):
        assert asked.trails.find(workspace, "user_id", ["u1"]) == {}
        assert members(asked, workspace, sources, shift) == [kept]
    assert (held(store, TRAIL_EVENTS.name, workspace), held(store, TRAIL_IDS.name, workspace)) == (1, 1)
    fill(other, workspace, sources, 3)
    assert len(store.trails.touched(workspace, [], 2)) == 1  # the next pass is told


def test_what_the_archive_lets_go_of_trails_let_go_of_too(store: ClickHouseStore, other: ClickHouseStore) -> None:
    workspace, shift, sources = room()
    archive(store, orders(("u1", ""), ("u2", "")), shift)
    fill(store, workspace, sources)
    store.delete_archive(sources[0], NOW + 30_000)
    assert members(other, workspace, sources, shift) == [other.trails.find(workspace, "user_id", ["u2"])["u2"]]
    assert held(store, TRAIL_EVENTS.name, workspace) == 1


def test_a_trail_that_is_dropped_is_empty_everywhere(store: ClickHouseStore, other: ClickHouseStore) -> None:
    workspace, shift, sources = room()
    archive(store, orders(("u1", "")), shift)
    fill(store, workspace, sources)
    store.trails.drop(next(iter(layout_of(ORDERED, workspace, sources).values())).id)
    assert members(other, workspace, sources, shift) == []
    assert held(store, TRAIL_EVENTS.name, workspace) == 0


def test_a_persons_events_come_newest_first_and_each_once(store: ClickHouseStore) -> None:
    _, shift, sources = room()
    history = orders(("u1", ""), ("u1", "a1"), ("", "a1"), ("u2", "a1"), ("u1", ""))
    archive(store, history, shift)
    archive(store, history[:2], shift)
    found = store.trails.events(sources, ["u1"], ["a1"], (), (), 1, 2)
    assert found.message_hash.tolist() == [2, 1]


def test_arrivals_are_counted_by_the_hour(store: ClickHouseStore) -> None:
    _, shift, sources = room()
    archive(store, orders(*[("u1", "")] * 70), shift)
    hour = NOW // HOUR * HOUR
    found = store.trails.arrivals(sources, NOW)
    assert [start for start, _, _ in found] == [hour, hour + HOUR]
    assert (sum(count for _, count, _ in found), found[-1][2]) == (70, NOW + 69 * 60_000)


def test_events_on_a_cluster_are_labelled_and_counted_by_the_people_behind_them(
    tmp_path: Path, sqlite: Backend, servers: Servers
) -> None:
    url = servers.cluster.url_of("labels")
    with opened(tmp_path, sqlite, store=url) as house:
        house.ordered("ann")
        house.audience("Buyers", "event('Order Completed').count() >= 1")
        house.step()
        views = Views(house, "Viewed")
        views.split_by("computed.buyers")
        views.by("ann", "ann", "nobody yet")
        assert views.live() == {"true": 2, "false": 1}
        stream = identify_stream(house, "Segment", "vip")
        house.take(named(anonymousId="x"), named(userId="ann", anonymousId="x"), named(userId="ann"), source="Segment")
        assert measured(house, stream, USERS) == {"true": 1}
