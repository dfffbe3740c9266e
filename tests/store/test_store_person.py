"""Deleting a person, over every engine of conftest.ENGINES."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.store.build import COUNT, DAY, HOUR, T0, Fact, events, facts

from cliffwatch.store import AggregateQuery, ArchiveBatch, ArchiveQuery, EventStore
from cliffwatch.store.contract import Person


def people(*rows: tuple[str, str], source: int = 1) -> ArchiveBatch:
    """One event of each (user id, anonymous id), in order."""
    batch = events([T0 + row for row in range(len(rows))], [100 * source + row for row in range(len(rows))])
    return replace(
        batch,
        source_id=np.full(len(rows), source, dtype=np.int64),
        user_id=[user for user, _ in rows],
        anonymous_id=[anonymous for _, anonymous in rows],
    )


def left(store: EventStore, source: int = 1) -> list[tuple[str, str]]:
    page = store.read_archive(ArchiveQuery(source, T0, T0 + DAY))
    return list(zip(page.user_id, page.anonymous_id, strict=True))


def test_whole_events_of_a_person_go_and_those_of_others_stay(store: EventStore) -> None:
    store.write(people(("ann", "a1"), ("", "a1"), ("bob", "a1"), ("", "b1"), ("ann", "")), None)
    store.write(people(("ann", "a1"), source=2), None)
    assert store.delete_person(Person([1], [], ["ann"], ["a1"], [])) == (3, 0)
    assert left(store) == [("bob", "a1"), ("", "b1")]
    assert left(store, 2) == [("ann", "a1")]


def test_facts_of_a_person_go_from_the_named_streams_alone(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1, actor=7), Fact(T0, 2, actor=8), Fact(T0, 3, actor=7, stream=2)))
    assert store.delete_person(Person([], [1], [], [], [7])) == (0, 1)
    counts = [store.aggregate(AggregateQuery(stream, [T0, T0 + HOUR], [COUNT])).values[0] for stream in (1, 2)]
    assert [column.tolist() for column in counts] == [[1], [1]]


def test_the_anonymous_ids_of_a_user_are_known_from_their_events(store: EventStore) -> None:
    store.write(people(("ann", "a2"), ("ann", "a1"), ("ann", "a2"), ("ann", ""), ("bob", "b1"), ("", "a3")), None)
    assert store.anonymous_ids([1], ["ann"]) == ["a1", "a2"]
    assert store.anonymous_ids([2], ["ann"]) == []


def test_deleting_nobody_deletes_nothing(store: EventStore) -> None:
    store.write(people(("ann", "a1"), ("", "")), facts(Fact(T0, 1, actor=0)))
    assert store.delete_person(Person([1], [1], [], [], [])) == (0, 0)
    assert len(left(store)) == 2
