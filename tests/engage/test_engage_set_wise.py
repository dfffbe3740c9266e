"""Set-wise evaluation against the naive interpreter, on random definitions and histories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.engage.archive import archive, evaluator, layout_of, numbers
from tests.engage.naive import Happened, Naive
from tests.engage.strategies import HOUR, NOW, audiences, computed_traits, histories

from cliffwatch.engage.evaluate import changed
from cliffwatch.engage.language import parse_audience, show
from cliffwatch.engage.language.model import Condition, Reduce
from cliffwatch.engage.plan import is_incremental
from cliffwatch.store import EventStore, open_store

_workspaces = itertools.count(1)


def _cases(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, suppress_health_check=slow)


@pytest.fixture(scope="module")
def store() -> Iterator[EventStore]:
    """One store for all examples; each has a workspace and sources of its own."""
    opened = open_store(None, memory_limit="512MB")
    yield opened
    opened.close()


def _room() -> tuple[int, int, tuple[int, int]]:
    workspace = next(_workspaces)
    return workspace, workspace * 10, (workspace * 10 + 1, workspace * 10 + 2)


@_cases(90)
@given(history=histories(), definition=audiences)
def test_an_audience_has_exactly_the_members_that_counting_person_by_person_finds(
    store: EventStore, history: list[Happened], definition: Condition
) -> None:
    workspace, shift, sources = _room()
    archive(store, history, shift)
    layout = layout_of(definition, workspace, sources)
    store.trails.fill(list(layout.values()), 0, NOW * 2, 1, identify=True)
    naive = Naive(history, NOW)
    mask = evaluator(store, layout, workspace, NOW, shift).members(definition)
    note(show(definition))
    note("\n".join(map(repr, history)))
    found = {person: bool(mask[number]) for person, number in numbers(store, workspace, naive.world).items()}
    assert found == {person: naive.holds(definition, person) for person in naive.world.everybody()}


@_cases(70)
@given(history=histories(), definition=computed_traits)
def test_a_computed_trait_has_exactly_the_values_that_counting_person_by_person_finds(
    store: EventStore, history: list[Happened], definition: Reduce
) -> None:
    workspace, shift, sources = _room()
    archive(store, history, shift)
    layout = layout_of(definition, workspace, sources)
    store.trails.fill(list(layout.values()), 0, NOW * 2, 1, identify=True)
    naive = Naive(history, NOW)
    table = evaluator(store, layout, workspace, NOW, shift).values(definition)
    values = dict(zip(table.person.tolist(), table.value, strict=True))
    for person, number in numbers(store, workspace, naive.world).items():
        expected, got = naive.value(definition, person), values.get(number)
        if expected in (None, 0) and got in (None, 0):
            continue  # a count of nothing is nothing
        assert got == (pytest.approx(expected) if isinstance(expected, float) else expected)


@_cases(40)
@given(
    history=histories(), definition=audiences, cuts=st.lists(st.integers(0, 160), max_size=5), late=st.integers(0, 90)
)
def test_incremental_passes_give_at_each_step_what_a_full_evaluation_gives(
    store: EventStore, history: list[Happened], definition: Condition, cuts: list[int], late: int
) -> None:
    workspace, shift, sources = _room()
    layout = layout_of(definition, workspace, sources)
    trails, start = list(layout.values()), NOW - 6 * 24 * HOUR - 1
    moments = sorted({start + cut * HOUR for cut in cuts} | {NOW, NOW + late * HOUR})
    members: set[int] = set()
    before, mark = start, 0
    for number, now in enumerate(moments, 1):
        archive(store, [event for event in history if mark <= event.arrived < now], shift)
        store.trails.fill(trails, mark, now, number, identify=True)
        here = evaluator(store, layout, workspace, now, shift)
        among = None
        if is_incremental(definition) and mark:
            among = changed(store.trails, layout, definition, number - 1, before, now)
        mask = here.members(definition, among)
        looked_at = range(len(mask)) if among is None else among.tolist()
        entered = {person for person in looked_at if mask[person]} - members
        left = {person for person in looked_at if not mask[person]} & members
        members = (members | entered) - left
        naive = Naive([event for event in history if event.arrived < now], now)
        of = numbers(store, workspace, naive.world)
        assert members == {of[person] for person in naive.world.everybody() if naive.holds(definition, person)}
        before, mark = now, now


def test_an_event_that_is_there_already_is_not_added_again(store: EventStore) -> None:
    workspace, shift, sources = _room()
    history = [Happened(order, "track", "Order Completed", NOW - order, NOW - order, "u1") for order in range(5)]
    archive(store, history, shift)

    definition = parse_audience("event('Order Completed').count() >= 1")
    layout = layout_of(definition, workspace, sources)
    first = store.trails.fill(list(layout.values()), 0, NOW + 1, 1, identify=True)
    second = store.trails.fill(list(layout.values()), 0, NOW + 1, 2, identify=True, again=True)
    assert (first.rows, second.rows) == (5, 0)
    assert not len(store.trails.touched(workspace, [trail.id for trail in layout.values()], 1))


def test_an_alias_that_comes_again_joins_who_came_in_between(store: EventStore) -> None:
    workspace, shift, sources = _room()
    times = iter(range(NOW - 9, NOW))

    def alias(order: int) -> Happened:
        return Happened(order, "alias", "", at := next(times), at, "ann", previous_id="annie")

    def came(order: int, **ids: str) -> Happened:
        return Happened(order, "track", "Order Completed", at := next(times), at, **ids)

    archive(store, [alias(1), came(2, user_id="annie"), came(3, anonymous_id="annie"), alias(4)], shift)
    definition = parse_audience("event('Order Completed').count() >= 1")
    store.trails.fill(list(layout_of(definition, workspace, sources).values()), 0, NOW + 1, 1, identify=True)
    ids = [("user_id", "ann"), ("user_id", "annie"), ("anonymous_id", "annie")]
    assert len({store.trails.find(workspace, kind, [id_])[id_] for kind, id_ in ids}) == 1


def test_only_the_people_asked_for_are_looked_at(store: EventStore) -> None:
    workspace, shift, sources = _room()
    archive(store, [Happened(n, "track", "Order Completed", NOW, NOW, f"u{n}") for n in range(5)], shift)
    definition = parse_audience("event('Order Completed').count() >= 1")
    layout = layout_of(definition, workspace, sources)
    store.trails.fill(list(layout.values()), 0, NOW + 1, 1, identify=True)
    mask = evaluator(store, layout, workspace, NOW, shift).members(definition, np.array([0, 3]))
    assert np.flatnonzero(mask).tolist() == [0, 3]


def test_a_date_with_an_offset_is_compared_as_the_moment_that_it_is(store: EventStore) -> None:
    workspace, shift, sources = _room()
    told = {"born": "2026-09-21T10:00:00+02:00"}
    archive(store, [Happened(1, "identify", "", NOW, NOW, "u1", traits=told)], shift)
    definition = parse_audience("trait('born').after_date('2026-09-21T08:00:00Z')")
    layout = layout_of(definition, workspace, sources)
    store.trails.fill(list(layout.values()), 0, NOW + 1, 1, identify=True)
    assert not evaluator(store, layout, workspace, NOW, shift).members(definition).any()
