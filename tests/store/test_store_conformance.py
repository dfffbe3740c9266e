"""What every engine promises (see cliffwatch.store.contract), over every engine of conftest.ENGINES."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from tests.store.build import COUNT, DAY, HOUR, MINUTE, T0, Fact, events, facts, points

from cliffwatch.errors import InvalidInput
from cliffwatch.store import (
    Aggregate,
    AggregateQuery,
    ArchiveQuery,
    EventStore,
    FactBatch,
    Function,
    PointQuery,
    Position,
)
from cliffwatch.store.contract import DUPLICATE_SLACK_MS
from cliffwatch.store.lists import Texts

ALWAYS = (-(1 << 60), 1 << 60)


def counts(store: EventStore, edges: list[int], stream: int = 1) -> list[tuple[int, float]]:
    table = store.aggregate(AggregateQuery(stream, edges, [COUNT]))
    return list(zip(table.window.tolist(), table.values[0].tolist(), strict=True))


def value(store: EventStore, aggregate: Aggregate) -> float:
    return float(store.aggregate(AggregateQuery(1, [T0, T0 + HOUR], [aggregate])).values[0][0])


def messages(store: EventStore, query: ArchiveQuery) -> list[int]:
    return list(store.read_archive(query).message_hash.tolist())


# --- facts: each message once


def test_a_duplicate_message_counts_once(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1), Fact(T0, 1), Fact(T0, 2)))
    store.write(None, facts(Fact(T0 + 5, 2), Fact(T0, 3)))
    assert counts(store, [T0, T0 + HOUR]) == [(0, 3)]


def test_a_duplicate_across_an_edge_counts_in_the_window_of_its_earliest_time(store: EventStore) -> None:
    store.write(None, facts(Fact(T0 + HOUR + 10, 1)))
    store.write(None, facts(Fact(T0 + HOUR - 10, 1)))
    assert counts(store, [T0, T0 + HOUR, T0 + 2 * HOUR]) == [(0, 1)]
    assert counts(store, [T0 + HOUR, T0 + 2 * HOUR]) == []


def test_the_earliest_of_a_message_wins_with_all_that_it_says(store: EventStore) -> None:
    store.write(None, facts(Fact(T0 + 100, 1, country="FR", price=3), Fact(T0 + 50, 1, country="GB", price=2)))
    store.write(None, facts(Fact(T0, 1, country="DE", price=7)))
    store.write(None, facts(Fact(T0 + 70, 1, country="US", price=9)))
    table = store.aggregate(AggregateQuery(1, [T0, T0 + HOUR], [COUNT, Aggregate(Function.SUM, 0)], [1]))
    assert (table.groups[0], table.values[0].tolist(), table.values[1].tolist()) == (["DE"], [1], [7])


def test_a_later_copy_in_another_country_does_not_count_there(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1, country="DE")))
    store.write(None, facts(Fact(T0 + 1, 1, country="FR")))
    assert len(store.aggregate(AggregateQuery(1, [T0, T0 + HOUR], [COUNT], where=[(1, "FR")])).window) == 0


def test_a_copy_within_the_slack_is_found_among_late_and_new_messages(store: EventStore) -> None:
    old = [Fact(T0 - day * DAY, day) for day in range(20)]
    store.write(None, facts(*old))
    store.write(None, facts(*[Fact(fact.ts + DUPLICATE_SLACK_MS, fact.message) for fact in old], Fact(T0, 99)))
    assert sum(count for _, count in counts(store, [T0 - 30 * DAY, T0 + DAY])) == 21


def test_one_message_counts_in_every_stream_that_selects_it(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1, stream=1), Fact(T0, 1, stream=2)))
    store.write(None, facts(Fact(T0, 1, stream=2), Fact(T0, 1, stream=3)))
    assert [counts(store, [T0, T0 + HOUR], stream) for stream in (1, 2, 3)] == [[(0, 1)]] * 3


def test_the_same_batch_again_changes_nothing(store: EventStore) -> None:
    batch = facts(*[Fact(T0 + i, i, price=i) for i in range(500)])
    archive = events(batch.ts_ms.tolist(), batch.message_hash.tolist())
    for _ in range(3):
        store.write(archive, batch, Position("door", 7))
    assert counts(store, [T0, T0 + HOUR]) == [(0, 500)]
    assert store.count_archive(ArchiveQuery(1, *ALWAYS)) == 500
    assert store.position("door") == 7


# --- aggregates


def test_windows_are_half_open(store: EventStore) -> None:
    store.write(None, facts(*[Fact(ts, ts) for ts in (T0 - 1, T0, T0 + HOUR - 1, T0 + HOUR, T0 + 2 * HOUR)]))
    assert counts(store, [T0, T0 + HOUR, T0 + 2 * HOUR]) == [(0, 2), (1, 1)]


def test_windows_of_unequal_length_tile_time(store: EventStore) -> None:
    edges = [T0, T0 + 3 * HOUR, T0 + 6 * HOUR, T0 + 8 * HOUR, T0 + 11 * HOUR, T0 + 15 * HOUR]
    store.write(None, facts(*[Fact(T0 + minute * MINUTE, minute) for minute in range(15 * 60)]))
    assert counts(store, edges) == [(0, 180), (1, 180), (2, 120), (3, 180), (4, 240)]


def test_times_before_1970_fall_into_their_windows(store: EventStore) -> None:
    store.write(None, facts(Fact(-1, 1), Fact(-HOUR, 2), Fact(-HOUR - 1, 3)))
    assert counts(store, [-2 * HOUR, -HOUR, 0]) == [(0, 1), (1, 2)]


def test_rows_are_in_order_of_window_and_groups(store: EventStore) -> None:
    rows = [
        Fact(T0 + hour * HOUR, hour * 10 + i, country=country, plan=plan)
        for hour in (2, 0, 1)
        for i, (country, plan) in enumerate([("US", "pro"), ("", "pro"), ("Österreich", "free"), ("DE", "pro")])
    ]
    store.write(None, facts(*rows))
    table = store.aggregate(AggregateQuery(1, [T0 + hour * HOUR for hour in range(4)], [COUNT], [1, 2]))
    expected = sorted((((row.ts - T0) // HOUR), row.country, row.plan) for row in rows)
    assert list(zip(table.window.tolist(), *table.groups, strict=True)) == expected


def test_every_function_has_its_value(store: EventStore) -> None:
    prices = [4.0, 1.0, 2.5, float("nan")]
    store.write(None, facts(*[Fact(T0, i, actor=i % 2, price=price) for i, price in enumerate(prices)]))
    assert value(store, COUNT) == 4
    assert value(store, Aggregate(Function.COUNT, 0)) == 3
    assert value(store, Aggregate(Function.USERS)) == 2
    assert value(store, Aggregate(Function.SUM, 0)) == 7.5
    assert value(store, Aggregate(Function.AVERAGE, 0)) == 2.5
    assert value(store, Aggregate(Function.MIN, 0)) == 1
    assert value(store, Aggregate(Function.MAX, 0)) == 4
    assert value(store, Aggregate(Function.QUANTILE, 0, 0.5)) == 2.5
    assert value(store, Aggregate(Function.QUANTILE, 0, 0.75)) == 3.25
    assert value(store, Aggregate(Function.ABOVE, 0, threshold=2.5)) == 1
    assert value(store, Aggregate(Function.ABOVE, 0, threshold=4)) == 0


def test_an_empty_set_is_zero_for_what_adds_up_and_missing_otherwise(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1)))
    for aggregate in (COUNT, Aggregate(Function.USERS), Aggregate(Function.SUM, 1)):
        assert value(store, Aggregate(aggregate.function, aggregate.number, event="Nothing")) == 0
    for function in (Function.AVERAGE, Function.MIN, Function.MAX):
        assert np.isnan(value(store, Aggregate(function, 1)))
    assert np.isnan(value(store, Aggregate(Function.QUANTILE, 1, 0.9)))


def test_an_aggregate_may_look_at_one_event_only(store: EventStore) -> None:
    rows = [Fact(T0, i, actor=i, event="Cart Viewed" if i % 3 else "Order Completed") for i in range(9)]
    store.write(None, facts(*rows))
    asked = [Aggregate(Function.COUNT, event="Cart Viewed"), COUNT, Aggregate(Function.USERS, event="Order Completed")]
    table = store.aggregate(AggregateQuery(1, [T0, T0 + HOUR], asked))
    assert [float(column[0]) for column in table.values] == [6, 9, 3]


def test_an_apostrophe_in_a_value_is_just_an_apostrophe(store: EventStore) -> None:
    name = 'Bob\'s "quoted" \\ ? 100 %'
    store.write(None, facts(Fact(T0, 1, event=name, country=name), Fact(T0, 2)))
    table = store.aggregate(
        AggregateQuery(1, [T0, T0 + HOUR], [Aggregate(Function.COUNT, event=name)], [1], [(1, name), (0, name)])
    )
    assert (table.groups, table.values[0].tolist()) == ([[name]], [1])


def test_a_sum_is_the_same_each_time_it_is_asked_for(store: EventStore) -> None:
    random = np.random.default_rng(7)
    count = 300_000
    cents = random.integers(0, 1_000_000, count)
    store.write(
        None,
        FactBatch(
            stream_id=np.ones(count, dtype=np.int64),
            ts_ms=T0 + np.arange(count),
            message_hash=np.arange(count),
            actor_hash=np.arange(count),
            dims=[["Order Completed"]] * count,
            nums=(cents / 100)[:, None].tolist(),
        ),
    )
    query = AggregateQuery(1, [T0, T0 + HOUR], [Aggregate(Function.SUM, 0), Aggregate(Function.AVERAGE, 0)])
    answers = {tuple(float(column[0]) for column in store.aggregate(query).values) for _ in range(10)}
    assert len(answers) == 1
    assert answers.pop()[0] == int(cents.sum()) / 100


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        (AggregateQuery(1, [T0], [COUNT]), "two ascending edges"),
        (AggregateQuery(1, [T0, T0], [COUNT]), "two ascending edges"),
        (AggregateQuery(1, [T0, T0 + 1], []), "one aggregate"),
        (AggregateQuery(1, [T0, T0 + 1], [Aggregate(Function.SUM)]), "index of a number"),
        (AggregateQuery(1, [T0, T0 + 1], [Aggregate(Function.QUANTILE, 0, 1.0)]), "between 0 and 1"),
        (AggregateQuery(1, [T0, T0 + 1], [COUNT], [-1]), "from 0 on"),
        (AggregateQuery(1, [T0, T0 + 1], [Aggregate(Function.SUM, -1)]), "from 0 on"),
        (AggregateQuery(1, [T0, T0 + 1], [Aggregate(Function.ABOVE, 0)]), "finite threshold"),
    ],
)
def test_a_query_without_meaning_is_refused(store: EventStore, query: AggregateQuery, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        store.aggregate(query)


def test_the_span_of_facts_is_their_first_and_last_time(store: EventStore) -> None:
    store.write(None, facts(Fact(T0 + 5, 1), Fact(T0, 2), Fact(T0 - DAY, 3, stream=2)))
    assert store.fact_span(1) == (T0, T0 + 5)
    assert store.fact_span(9) is None


def test_deleted_facts_are_gone_and_others_stay(store: EventStore) -> None:
    store.write(None, facts(Fact(T0, 1, stream=1), Fact(T0, 1, stream=2)))
    store.delete_facts(1)
    assert (counts(store, [T0, T0 + HOUR], 1), counts(store, [T0, T0 + HOUR], 2)) == ([], [(0, 1)])


# --- writing


def test_the_position_of_a_journal_nobody_wrote_is_0(store: EventStore) -> None:
    store.write(None, None, Position("a", 12))
    assert (store.position("a"), store.position("b")) == (12, 0)


def test_a_batch_with_columns_of_unequal_length_is_refused_whole(store: EventStore) -> None:
    whole = facts(Fact(T0, 1), Fact(T0, 2))
    broken = FactBatch(
        whole.stream_id, whole.ts_ms, whole.message_hash, whole.actor_hash, dims=[["E"]], nums=whole.nums
    )
    with pytest.raises(InvalidInput, match="one length"):
        store.write(events([T0], [1]), broken, Position("door", 5))
    assert (store.count_archive(ArchiveQuery(1, *ALWAYS)), store.position("door")) == (0, 0)


def test_text_that_is_no_unicode_is_refused_whole(store: EventStore) -> None:
    with pytest.raises(InvalidInput):
        store.write(events([T0], [1], name="\ud800"), facts(Fact(T0, 1)))
    assert counts(store, [T0, T0 + HOUR]) == []


def test_many_threads_write_and_read_at_once(store: EventStore) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(8):
                rows = [Fact(T0 + i, thread * 1000 + i * 10 + j) for j in range(10)]
                store.write(None, facts(*rows, Fact(T0, 999_999)), Position(f"t{thread}", i + 1))
                store.write_points(points(thread % 2, [T0 + i * HOUR], [float(i)]))
                assert counts(store, [T0, T0 + HOUR])[0][1] >= 11
                store.read_points(PointQuery(thread % 2, T0, T0 + DAY))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert counts(store, [T0, T0 + HOUR]) == [(0, 4 * 8 * 10 + 1)]
    assert [store.position(f"t{thread}") for thread in range(4)] == [8] * 4
    assert [len(store.read_points(PointQuery(stream, T0, T0 + DAY))) for stream in (0, 1)] == [8, 8]


# --- archive


def test_the_archive_is_read_page_by_page_in_order_of_arrival(store: EventStore) -> None:
    random = np.random.default_rng(3)
    received = T0 + random.integers(0, 40, 300)  # many share a millisecond
    hashes = random.permutation(300) - 150
    store.write(events((received - 5).tolist(), hashes.tolist(), received_at_ms=received.tolist()), None)
    seen: list[tuple[int, int]] = []
    after = None
    while True:
        page = store.read_archive(ArchiveQuery(1, *ALWAYS, after=after, limit=37))
        seen += zip(page.received_at_ms.tolist(), page.message_hash.tolist(), strict=True)
        if len(page) < 37:
            break
        after = seen[-1]
    assert seen == sorted(zip(received.tolist(), hashes.tolist(), strict=True))


def test_pages_are_found_across_long_silences(store: EventStore) -> None:
    received = [T0 + hour**3 * DAY for hour in range(20)] + [T0 + i for i in range(1, 30)]
    store.write(events(received, list(range(len(received)))), None)
    store.write(events([T0 - 400 * DAY], [1], source=2), None)
    sizes, seen, after = [], [], None
    while not sizes or sizes[-1] == 4:
        page = store.read_archive(ArchiveQuery(1, *ALWAYS, after=after, limit=4))
        sizes.append(len(page))
        seen += page.received_at_ms.tolist()
        after = seen[-1], int(page.message_hash[-1])
    assert seen == sorted(received)
    assert sizes == [4] * 12 + [1]


def test_parts_of_the_archive_hold_each_message_once_and_have_about_one_size(store: EventStore) -> None:
    random = np.random.default_rng(4)
    received = np.sort(T0 + random.integers(0, 100, 400) ** 3)  # most of it early
    store.write(events((received - 5).tolist(), list(range(400)), received_at_ms=received.tolist()), None)
    store.write(events([T0], [1], source=2), None)
    cuts = store.archive_cuts(ArchiveQuery(1, *ALWAYS), 4)
    assert cuts == sorted(set(cuts))
    edges = [None, *cuts, None]
    parts: list[list[int]] = []
    for low, high in pairwise(edges):
        after = None if low is None else (low - 1, (1 << 63) - 1)
        part = replace(ArchiveQuery(1, *ALWAYS, after=after, before_ms=high), limit=7)
        parts.append([])
        while len(page := store.read_archive(part)):
            parts[-1] += page.message_hash.tolist()
            part = replace(part, after=(int(page.received_at_ms[-1]), int(page.message_hash[-1])))
    assert sorted(message for part in parts for message in part) == list(range(400))
    assert [50 < len(part) < 150 for part in parts] == [True] * 4
    assert store.count_archive(ArchiveQuery(1, *ALWAYS, before_ms=cuts[1])) == len(parts[0]) + len(parts[1])


def test_what_arrived_at_once_is_not_cut(store: EventStore) -> None:
    assert store.archive_cuts(ArchiveQuery(1, *ALWAYS), 4) == []
    store.write(events([T0] * 9, list(range(9))), None)
    assert len(store.archive_cuts(ArchiveQuery(1, *ALWAYS), 4)) == 1
    assert store.archive_cuts(ArchiveQuery(1, *ALWAYS), 1) == []


def test_a_page_brings_back_whole_events(store: EventStore) -> None:
    written = events([T0, T0 + 1], [5, 6], kind=["track", "identify"], name=["Ü", ""], body=['{"a": "\\u0000"}', "{}"])
    store.write(written, None)
    read = store.read_archive(ArchiveQuery(1, *ALWAYS))
    assert (read.kind, read.name, read.body, read.user_id, read.anonymous_id) == (
        *(written.kind, written.name, written.body, written.user_id, written.anonymous_id),
    )
    for column in ("source_id", "ts_ms", "received_at_ms", "message_hash"):
        assert getattr(read, column).tolist() == getattr(written, column).tolist()


def test_texts_in_columns_are_archived_as_lists_are(store: EventStore) -> None:
    batch = events([T0, T0 + 1, T0 + 2, T0 + 1], [1, 2, 3, 2])
    texts = ("kind", "name", "user_id", "anonymous_id", "body")
    parts = {
        name: Texts([pa.array([*getattr(batch, name)[at]]) for at in (slice(3), slice(3, None))]) for name in texts
    }
    store.write(replace(batch, **parts), None)
    page = store.read_archive(ArchiveQuery(1, 0, T0 + HOUR))
    assert [getattr(page, name) for name in texts] == [[*getattr(batch, name)[:3]] for name in texts]


def test_an_archived_message_is_read_and_counted_once(store: EventStore) -> None:
    store.write(events([T0 + 9, T0 + 3], [1, 1], received_at_ms=[T0 + 10, T0 + 20]), None)
    store.write(events([T0 + 5, T0], [1, 2], received_at_ms=[T0 + 30, T0 + 31]), None)
    store.write(events([T0 - 1], [2], received_at_ms=[T0 + 60_000]), None)
    page = store.read_archive(ArchiveQuery(1, *ALWAYS))
    assert list(zip(page.message_hash.tolist(), page.ts_ms.tolist(), strict=True)) == [(1, T0 + 3), (2, T0 - 1)]
    assert store.count_archive(ArchiveQuery(1, *ALWAYS)) == 2


def test_copies_are_left_out_whatever_page_they_are_on(store: EventStore) -> None:
    ts, hashes = [T0 + i // 3 for i in range(30)], list(range(30))  # three share a millisecond
    store.write(events(ts, hashes, received_at_ms=ts), None)
    store.write(events([T0 + 40] * 20, hashes[:20], received_at_ms=[T0 + 5 + i // 3 for i in range(20)]), None)
    seen: list[int] = []
    query = ArchiveQuery(1, *ALWAYS, limit=4)
    while len(page := store.read_archive(query)):
        seen += page.message_hash.tolist()
        assert page.ts_ms.tolist() == [ts[message] for message in page.message_hash.tolist()]
        query = replace(query, after=(int(page.received_at_ms[-1]), int(page.message_hash[-1])))
    assert seen == hashes


def test_the_archive_is_chosen_by_source_time_kind_and_name(store: EventStore) -> None:
    store.write(events([T0, T0 + 1, T0 + 2], [1, 2, 3], kind=["track", "track", "page"], name=["A", "B", "A"]), None)
    store.write(events([T0], [4], source=2), None)
    for query, expected in [
        (ArchiveQuery(1, *ALWAYS), [1, 2, 3]),
        (ArchiveQuery(2, *ALWAYS), [4]),
        (ArchiveQuery(1, T0 + 1, T0 + 2), [2]),
        (ArchiveQuery(1, *ALWAYS, kinds=["track"]), [1, 2]),
        (ArchiveQuery(1, *ALWAYS, kinds=["track", "page"], names=["A"]), [1, 3]),
        (ArchiveQuery(1, *ALWAYS, names=["C"]), []),
    ]:
        assert messages(store, query) == expected
        assert store.count_archive(query) == len(expected)


def test_a_sample_of_the_archive_is_always_the_same_messages(store: EventStore) -> None:
    store.write(events([T0 + i for i in range(12)], [i - 6 for i in range(12)]), None)
    query = ArchiveQuery(1, *ALWAYS, one_in=3)
    assert messages(store, query) == [-6, -3, 0, 3]
    assert store.count_archive(query) == 4
    first = store.read_archive(ArchiveQuery(1, *ALWAYS, one_in=3, limit=2))
    after = (int(first.received_at_ms[-1]), int(first.message_hash[-1]))
    assert messages(store, ArchiveQuery(1, *ALWAYS, one_in=3, after=after)) == [0, 3]


def test_events_older_than_the_retention_are_forgotten(store: EventStore) -> None:
    store.write(events([T0 - 1, T0, T0 + 1], [1, 2, 3]), None)
    store.write(events([T0 - 1], [4], source=2), None)
    assert store.delete_archive(1, T0) == 1
    assert (messages(store, ArchiveQuery(1, *ALWAYS)), messages(store, ArchiveQuery(2, *ALWAYS))) == ([2, 3], [4])
    assert store.delete_archive(1, T0) == 0


# --- points


def test_points_come_back_as_they_were_written(store: EventStore) -> None:
    written = points(1, [T0, T0 + HOUR, T0 + 2 * HOUR], [1.5, np.nan, 3.0], slice_='{"a":"b"}', revision=4)
    store.write_points(written)
    read = store.read_points(PointQuery(1, T0, T0 + DAY))
    assert (read.stream_id, list(read.measure), list(read.slice)) == (1, ["count()"] * 3, ['{"a":"b"}'] * 3)
    for column in ("value", "weight", "expected", "lower", "upper", "score", "p_value"):
        np.testing.assert_array_equal(getattr(read, column), getattr(written, column))
    for column in ("window_start_ms", "window_end_ms", "flagged", "revision"):
        assert getattr(read, column).tolist() == getattr(written, column).tolist()


def test_a_point_with_the_same_key_is_replaced_and_its_neighbours_stay(store: EventStore) -> None:
    starts = [T0, T0 + HOUR, T0 + 2 * HOUR]
    store.write_points(points(1, starts, [1, 2, 3]))
    store.write_points(points(1, starts, [7, 8, 9], slice_="x"))
    store.write_points(points(2, starts, [4, 5, 6]))
    store.write_points(points(1, starts[1:2], [20], revision=1))
    read = store.read_points(PointQuery(1, T0, T0 + DAY))
    assert (read.value.tolist(), read.revision.tolist()) == ([1, 20, 3, 7, 8, 9], [0, 1, 0, 0, 0, 0])
    assert store.read_points(PointQuery(2, T0, T0 + DAY)).value.tolist() == [4, 5, 6]


def test_of_two_points_with_one_key_in_a_batch_the_last_stays(store: EventStore) -> None:
    store.write_points(points(1, [T0, T0, T0 + HOUR], [1, 2, 3]))
    assert store.read_points(PointQuery(1, T0, T0 + DAY)).value.tolist() == [2, 3]


def test_points_are_ordered_by_measure_slice_and_window(store: EventStore) -> None:
    keys = [("b", "", 1), ("a", "z", 0), ("a", "", 2), ("a", "z", 3), ("b", "", 0), ("a", "", 1)]
    store.write_points(
        points(
            1,
            [T0 + h * HOUR for *_, h in keys],
            range(6),
            measure=[m for m, *_ in keys],
            slice_=[s for _, s, _ in keys],
        )
    )
    read = store.read_points(PointQuery(1, T0, T0 + DAY))
    hours = ((read.window_start_ms - T0) // HOUR).tolist()
    assert list(zip(read.measure, read.slice, hours, strict=True)) == sorted(keys)


def test_points_are_chosen_by_window_start_measure_and_slices(store: EventStore) -> None:
    starts = [T0, T0 + HOUR]
    for measure in ("a", "b"):
        for slice_ in ("", "x", "y"):
            store.write_points(points(1, starts, [1, 2], measure=measure, slice_=slice_))
    assert len(store.read_points(PointQuery(1, T0, T0 + HOUR))) == 6
    assert len(store.read_points(PointQuery(1, T0, T0 + DAY, measure="a"))) == 6
    assert len(store.read_points(PointQuery(1, T0, T0 + DAY, "a", ["x", ""]))) == 4
    assert len(store.read_points(PointQuery(1, T0, T0 + DAY, slices=[]))) == 0
    assert len(store.read_points(PointQuery(7, T0, T0 + DAY))) == 0


def test_points_of_many_streams_are_read_at_once_as_those_of_each(store: EventStore) -> None:
    for stream in (1, 2, 3):
        for measure in ("b", "a"):
            for slice_ in ("z", "", "é"):
                starts = [T0 + 2 * HOUR, T0, T0 + HOUR]
                store.write_points(points(stream, starts, [stream, 2, 3], measure=measure, slice_=slice_))
    together = store.read_points_of([3, 1, 9], T0, T0 + 2 * HOUR)
    assert list(together) == [3, 1, 9]
    for stream, found in together.items():
        alone = store.read_points(PointQuery(stream, T0, T0 + 2 * HOUR))
        assert (found.stream_id, found.measure, found.slice) == (stream, alone.measure, alone.slice)
        assert found.window_start_ms.tolist() == alone.window_start_ms.tolist()
        assert found.value.tolist() == alone.value.tolist()
    assert [len(found) for found in together.values()] == [12, 12, 0]
    some = store.read_points_of([3, 9], T0, T0 + 2 * HOUR, ["", "é"])
    assert [sorted(set(found.slice)) for found in some.values()] == [["", "é"], []]
    assert len(some[3]) == 8


def test_deleted_points_are_gone_and_others_stay(store: EventStore) -> None:
    store.write_points(points(1, [T0], [1]))
    store.write_points(points(2, [T0], [2]))
    store.delete_points(1)
    assert [len(store.read_points(PointQuery(stream, T0, T0 + DAY))) for stream in (1, 2)] == [0, 1]


def test_stats_count_rows(store: EventStore) -> None:
    store.write(events([T0, T0], [1, 2]), facts(Fact(T0, 1)))
    store.write_points(points(1, [T0, T0 + HOUR, T0 + 2 * HOUR], [1, 2, 3]))
    stats = store.stats()
    assert (stats.archive_rows, stats.fact_rows, stats.point_rows) == (2, 1, 3)
