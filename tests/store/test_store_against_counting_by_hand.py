"""Aggregates of random facts, with repeats, over random windows, beside a plain Python loop that counts them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.build import MINUTE, T0, Fact, facts

from cliffwatch.store import Aggregate, AggregateQuery, EventStore, Function
from cliffwatch.store.contract import DUPLICATE_SLACK_MS

EVENTS = ("Order Completed", "Cart Viewed", "")
COUNTRIES = ("DE", "Österreich", "")
SPAN = 600 * MINUTE
streams = itertools.count(1)

numbers = st.one_of(st.just(math.nan), st.integers(-100_000, 100_000).map(lambda cents: cents / 100))


@st.composite
def messages(draw: st.DrawFn) -> list[list[Fact]]:
    """Batches of facts: some messages came several times, within a batch or in another, each time re-stamped."""
    batches: list[list[Fact]] = [[], [], []]
    for number in range(draw(st.integers(0, 25))):
        near_edge = st.sampled_from([T0 + MINUTE * 60 * hour for hour in range(11)])
        first = draw(st.one_of(st.integers(T0, T0 + SPAN), near_edge))
        fact = Fact(
            ts=first,
            message=number,
            actor=draw(st.integers(-3, 3)),
            event=draw(st.sampled_from(EVENTS)),
            country=draw(st.sampled_from(COUNTRIES)),
            plan=draw(st.sampled_from(["free", "pro"])),
            price=draw(numbers),
            tax=draw(numbers),
        )
        delays = draw(st.lists(st.integers(0, DUPLICATE_SLACK_MS), max_size=3))
        for delay in [0, *delays]:
            copy = Fact(fact.ts + delay, *(getattr(fact, name) for name in Fact.__slots__[1:]))
            batches[draw(st.integers(0, 2))].append(copy)
    return batches


aggregates = st.one_of(
    st.builds(
        Aggregate, st.just(Function.COUNT), st.sampled_from([None, 0, 1]), event=st.sampled_from([None, *EVENTS])
    ),
    st.builds(Aggregate, st.just(Function.USERS), event=st.sampled_from([None, *EVENTS])),
    st.builds(
        Aggregate,
        st.sampled_from([Function.SUM, Function.AVERAGE, Function.MIN, Function.MAX, Function.QUANTILE]),
        st.integers(0, 1),
        st.sampled_from([0.25, 0.5, 0.9, 0.99]),
        st.sampled_from([None, *EVENTS]),
    ),
)
queries = st.builds(
    AggregateQuery,
    st.just(0),
    st.one_of(
        st.lists(st.integers(T0 - MINUTE, T0 + SPAN), min_size=2, max_size=12, unique=True).map(sorted),
        st.sampled_from([30, 60, 180]).map(lambda m: list(range(T0, T0 + SPAN + 1, m * MINUTE))),
    ),
    st.lists(aggregates, min_size=1, max_size=4),
    st.lists(st.integers(0, 2), max_size=2, unique=True),
    st.lists(st.tuples(st.just(1), st.sampled_from(COUNTRIES)), max_size=1),
)


def by_hand(rows: Sequence[Fact], query: AggregateQuery) -> dict[tuple[object, ...], list[float]]:
    """(window, groups...) -> values, one fact at a time."""
    first: dict[int, Fact] = {}
    for row in rows:
        if row.message not in first or row.ts < first[row.message].ts:
            first[row.message] = row
    cells: dict[tuple[object, ...], list[Fact]] = {}
    for row in first.values():
        dims = (row.event, row.country, row.plan)
        if all(dims[index] == wanted for index, wanted in query.where):
            for window, (start, end) in enumerate(itertools.pairwise(query.edges_ms)):
                if start <= row.ts < end:
                    cells.setdefault((window, *(dims[index] for index in query.group_by)), []).append(row)
    return {key: [_value(aggregate, cells[key]) for aggregate in query.aggregates] for key in cells}


def _value(aggregate: Aggregate, rows: Sequence[Fact]) -> float:
    chosen = [row for row in rows if aggregate.event is None or row.event == aggregate.event]
    if aggregate.number is not None:
        values = [v for row in chosen if not math.isnan(v := (row.price, row.tax)[aggregate.number])]
    match aggregate.function:
        case Function.COUNT:
            return len(chosen) if aggregate.number is None else len(values)
        case Function.USERS:
            return len({row.actor for row in chosen})
        case Function.SUM:
            return math.fsum(values)
    if not values:
        return math.nan
    match aggregate.function:
        case Function.AVERAGE:
            return math.fsum(values) / len(values)
        case Function.MIN:
            return min(values)
        case Function.MAX:
            return max(values)
        case _:
            assert aggregate.quantile is not None
            return float(np.quantile(values, aggregate.quantile))


QUIETLY = [HealthCheck.function_scoped_fixture]


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=QUIETLY)
@given(batches=messages(), query=queries)
def test_an_engine_counts_as_one_would_by_hand(
    lasting_store: EventStore, batches: list[list[Fact]], query: AggregateQuery
) -> None:
    compare(lasting_store, batches, query)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=QUIETLY)
@given(batches=messages(), query=queries)
def test_servers_count_as_one_would_by_hand(
    lasting_server: EventStore, batches: list[list[Fact]], query: AggregateQuery
) -> None:
    compare(lasting_server, batches, query)


def compare(store: EventStore, batches: list[list[Fact]], query: AggregateQuery) -> None:
    stream = next(streams)
    for batch in batches:
        if batch:
            written = facts(*batch)
            written.stream_id[:] = stream
            store.write(None, written)
    table = store.aggregate(AggregateQuery(stream, query.edges_ms, query.aggregates, query.group_by, query.where))
    keys = list(zip(table.window.tolist(), *table.groups, strict=True))
    expected = by_hand([row for batch in batches for row in batch], query)
    assert keys == sorted(expected)
    for column, numbers_ in enumerate(table.values):
        wanted = [expected[key][column] for key in keys]
        np.testing.assert_allclose(numbers_, wanted, rtol=1e-9, atol=1e-9)
