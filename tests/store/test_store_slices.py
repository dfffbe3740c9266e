"""What every engine promises of questions over many streams or values at once: slices, spans, the most frequent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.store.build import COUNT, DAY, HOUR, MINUTE, T0, Fact, facts, points

from cliffwatch.errors import InvalidInput
from cliffwatch.store import (
    Aggregate,
    AggregateQuery,
    EventStore,
    Function,
    PointQuery,
    SliceQuery,
    TopQuery,
)


def slices(store: EventStore, query: SliceQuery) -> list[tuple[int, int, int, list[float]]]:
    table = store.aggregate_slices(query)
    keys = zip(table.stream_id.tolist(), table.window.tolist(), table.chosen.tolist(), strict=True)
    return [(*key, [column[row] for column in table.values]) for row, key in enumerate(keys)]


def test_slices_of_many_streams_are_those_of_each_alone(store: EventStore) -> None:
    chance = np.random.default_rng(3)
    rows = [
        Fact(
            T0 + int(chance.integers(0, 4 * HOUR)),
            number,
            actor=int(chance.integers(0, 9)),
            country=str(chance.choice(["DE", "FR", "IT", ""])),
            plan=str(chance.choice(["free", "pro"])),
            price=float(chance.choice([1.25, 3.5, float("nan")])),
            stream=int(chance.integers(1, 4)),
            event=str(chance.choice(["Order Completed", "Checkout Failed"])),
        )
        for number in range(600)
    ]
    store.write(None, facts(*rows))
    edges = [T0 + hour * HOUR for hour in range(5)]
    asked = [
        COUNT,
        Aggregate(Function.USERS),
        Aggregate(Function.SUM, 0),
        Aggregate(Function.QUANTILE, 0, 0.5),
        Aggregate(Function.COUNT, event="Checkout Failed"),
    ]
    chosen = [(1, 1, "DE"), (2, 1, "DE"), (2, 2, "pro"), (3, 1, ""), (3, 0, "Checkout Failed")]
    found = slices(store, SliceQuery([1, 2], edges, asked, chosen))
    assert found == sorted(found, key=lambda row: row[:3])
    by_key = {row[:3]: row[3] for row in found}
    expected: dict[tuple[int, int, int], list[float]] = {}
    for stream in (1, 2):
        for place, (_, dimension, value_) in [(-1, (stream, 0, "")), *enumerate(chosen)]:
            if place >= 0 and chosen[place][0] != stream:
                continue
            where = [] if place < 0 else [(dimension, value_)]
            table = store.aggregate(AggregateQuery(stream, edges, asked, where=where))
            for row, window in enumerate(table.window.tolist()):
                expected[stream, window, place] = [float(column[row]) for column in table.values]
    assert by_key.keys() == expected.keys()
    for key, numbers in expected.items():
        np.testing.assert_allclose(by_key[key], numbers, err_msg=str(key))


def test_slices_over_unequal_windows_keep_their_windows_numbers(store: EventStore) -> None:
    edges = [T0, T0 + 3 * HOUR, T0 + 6 * HOUR, T0 + 8 * HOUR, T0 + 11 * HOUR]
    store.write(None, facts(*[Fact(T0 + minute * MINUTE, minute) for minute in range(11 * 60)]))
    found = slices(store, SliceQuery([1], edges, [COUNT], [(1, 1, "DE")]))
    assert [(window, chosen, counts) for _, window, chosen, counts in found] == [
        (window, chosen, [minutes]) for window, minutes in enumerate([180, 180, 120, 180]) for chosen in (-1, 0)
    ]


def test_the_most_frequent_values_come_first_and_equal_ones_by_value(store: EventStore) -> None:
    countries = ["DE"] * 5 + ["US"] * 3 + ["FR"] * 3 + ["IT"]
    store.write(None, facts(*[Fact(T0 + i, i, country=country) for i, country in enumerate(countries)]))
    found = store.top_values(TopQuery(1, 1, T0, T0 + HOUR, 3, 0.01))
    assert (found.values, found.counts, found.facts, found.complete) == (["DE", "FR", "US"], [5, 3, 3], 12, False)
    assert store.top_values(TopQuery(1, 1, T0, T0 + HOUR, 4, 0.01)).complete


def test_a_value_below_the_least_share_is_not_among_the_most_frequent(store: EventStore) -> None:
    countries = ["DE"] * 90 + ["FR"] * 10
    store.write(None, facts(*[Fact(T0 + i, i, country=country) for i, country in enumerate(countries)]))
    assert store.top_values(TopQuery(1, 1, T0, T0 + HOUR, 9, 0.1)).values == ["DE", "FR"]
    assert store.top_values(TopQuery(1, 1, T0, T0 + HOUR, 9, 0.11)).values == ["DE"]


def test_the_most_frequent_values_are_those_of_the_time_that_is_asked_for(store: EventStore) -> None:
    store.write(None, facts(Fact(T0 - 1, 1, country="US"), Fact(T0, 2), Fact(T0 + HOUR, 3, country="FR")))
    assert store.top_values(TopQuery(1, 1, T0, T0 + HOUR, 9, 0.1)).values == ["DE"]
    assert store.top_values(TopQuery(7, 1, T0, T0 + HOUR, 9, 0.1)).facts == 0


def test_many_streams_are_answered_as_each_is_alone(store: EventStore) -> None:
    countries = ["DE"] * 5 + ["US"] * 3 + ["FR"] * 3 + ["IT"]
    for stream in (1, 2, 3):
        mine = [country for i, country in enumerate(countries) if i % 3 != stream]
        store.write(None, facts(*[Fact(T0 + i, i, stream=stream, country=country) for i, country in enumerate(mine)]))
    asked = [TopQuery(stream, 1, T0, T0 + HOUR, 2, share) for share in (0.01, 0.3) for stream in (3, 1, 9, 2)]
    assert store.top_values_of(asked) == [store.top_values(query) for query in asked]
    assert [found.facts for found in store.top_values_of(asked[:4])] == [12, 8, 0, 8]
    mixed = [TopQuery(stream, at, T0, T0 + HOUR, most, 0.01) for stream in (1, 2) for at in (0, 1) for most in (1, 3)]
    assert store.top_values_of(mixed) == [store.top_values(query) for query in mixed]
    assert [len(found.values) for found in store.top_values_of(mixed)] == [1, 1, 1, 3, 1, 1, 1, 3]


def test_spans_are_given_for_the_streams_that_have_facts(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1), Fact(T0 + 5, 2), Fact(T0 + 9, 3, stream=2), Fact(T0, 4, stream=3)))
    assert store.fact_spans([1, 2, 9]) == {1: (T0, T0 + 5), 2: (T0 + 9, T0 + 9)}


def test_points_of_many_streams_are_written_together_and_replace_their_own_only(store: EventStore) -> None:
    store.write_points(points(1, [T0, T0 + HOUR], [1, 2]), points(2, [T0], [3]))
    store.write_points(points(2, [T0], [4]), points(3, [T0], [5]), points(2, [T0], [6]))
    found = {stream: store.read_points(PointQuery(stream, T0, T0 + DAY)).value.tolist() for stream in (1, 2, 3)}
    assert found == {1: [1, 2], 2: [6], 3: [5]}


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.aggregate_slices(SliceQuery([1], [T0], [COUNT])),
        lambda store: store.aggregate_slices(SliceQuery([1], [T0, T0 + 1], [COUNT], [(1, 1, "a"), (1, 1, "a")])),
        lambda store: store.top_values(TopQuery(1, -1, T0, T0 + 1, 1, 0.1)),
        lambda store: store.top_values(TopQuery(1, 1, T0, T0 + 1, 0, 0.1)),
        lambda store: store.top_values(TopQuery(1, 1, T0, T0 + 1, 1, 1e-9)),
    ],
)
def test_questions_without_a_meaning_are_refused(store: EventStore, ask: Callable[[EventStore], object]) -> None:
    with pytest.raises(InvalidInput):
        ask(store)
