"""Series are what a person would count by hand, for the total, each monitored value, and the rest."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cliffwatch.spec import Event
from cliffwatch.spec.paths import as_number
from cliffwatch.streams.aggregate import Collected, collect
from cliffwatch.streams.governor import monitored
from cliffwatch.streams.model import OTHER, TOTAL, Slice, Stream, Window, make_slice
from cliffwatch.streams.schedule import windows

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_791_763_200_000  # 2026-10-12 00:00 UTC

COUNTRY, PLATFORM = "properties.country", "properties.platform"
REVENUE = "properties.revenue"
MEASURES = [
    {"aggregation": "count"},
    {"aggregation": "count", "event": "Checkout Failed"},
    {"aggregation": "users"},
    *({"aggregation": name, "path": REVENUE} for name in ("sum", "average", "min", "max", "p50", "p90")),
    {
        "aggregation": "ratio",
        "numerator": {"aggregation": "count", "event": "Checkout Failed"},
        "denominator": {"aggregation": "count"},
    },
    {
        "aggregation": "ratio",
        "numerator": {"aggregation": "sum", "path": REVENUE},
        "denominator": {"aggregation": "users"},
    },
]
EVENTS = ["Order Completed", "Checkout Failed"]


def hours(first: int, last: int) -> list[Window]:
    return [Window(a, b) for a, b in pairwise(range(MONDAY + first * HOUR, MONDAY + last * HOUR + 1, HOUR))]


def row(collected: Collected, measure: str, slice_: Slice) -> tuple[list[float], list[float]]:
    index = collected.series.index((measure, slice_))
    return collected.values[index].tolist(), collected.weights[index].tolist()


def props(event: Event) -> dict[str, Any]:
    properties = event.fields["properties"]
    assert isinstance(properties, dict)
    return properties


def by_hand(events: list[Event], measure: str, window: Window, keep: Callable[[Event], bool]) -> float:
    inside = [event for event in events if window.start_ms <= event.ts_ms < window.end_ms and keep(event)]
    failed = [event for event in inside if event.name == "Checkout Failed"]
    numbers = [as_number(props(event).get("revenue")) for event in inside]
    numbers = [number for number in numbers if not math.isnan(number)]
    users = {event.user_id for event in inside}
    match measure.removesuffix(f"({REVENUE})"):
        case "count()":
            return len(inside)
        case "count()@Checkout Failed":
            return len(failed)
        case "users()":
            return len(users)
        case "sum":
            return math.fsum(numbers)
        case "ratio(count()@Checkout Failed/count())":
            return len(failed) / len(inside) if inside else math.nan
        case ratio if ratio.startswith("ratio(sum"):
            return math.fsum(numbers) / len(users) if users else math.nan
        case _ if not numbers:
            return math.nan
        case "average":
            return math.fsum(numbers) / len(numbers)
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case quantile:
            return float(np.quantile(numbers, int(quantile[1:]) / 100))


@pytest.fixture
def shop(world: Any) -> tuple[Any, Stream, list[Event]]:
    """Two days of orders with gaps, repeats and missing values, under a stream with every kind of measure."""
    stream = world.create(
        MONDAY,
        events=EVENTS,
        dimensions=[{"path": COUNTRY, "top": 2}, {"path": PLATFORM, "top": 5}],
        measures=MEASURES,
    )
    chance = random.Random(4)
    events = []
    for _ in range(600):
        ts = MONDAY + chance.randrange(48 * HOUR)
        if 30 <= (ts - MONDAY) // HOUR < 33:
            continue  # three hours without any event
        events.append(
            world.event(
                ts,
                chance.choice(EVENTS),
                user=f"u{chance.randrange(40)}",
                country=chance.choices(["DE", "FR", "IT", "", "PT"], [9, 6, 2, 2, 1])[0],
                platform=chance.choice(["ios", "web"]),
                revenue=chance.choice([round(chance.uniform(1, 99), 2), None, "12.50"]),
            )
        )
    world.absorb(events[:400])
    world.absorb(events[300:])  # a hundred messages arrive twice
    return world, stream, events


def test_every_series_equals_a_count_by_hand(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, events = shop
    grid = hours(0, 48)
    chosen = monitored(world.store, stream, MONDAY + 2 * DAY)
    collected = collect(world.store, stream, grid, chosen)
    assert len(collected.series) == len(set(collected.series))
    for index, (measure, slice_) in enumerate(collected.series):
        fixed = dict(slice_)

        def keep(event: Event, fixed: dict[str, str] = fixed) -> bool:
            properties = props(event)
            return all(
                properties[path.rsplit(".", 1)[1]] == value
                if value != OTHER
                else properties[path.rsplit(".", 1)[1]] not in chosen[path]
                for path, value in fixed.items()
            )

        expected = [by_hand(events, measure, window, keep) for window in grid]
        np.testing.assert_allclose(collected.values[index], expected, rtol=1e-9, err_msg=f"{measure} {slice_}")


def test_the_most_frequent_values_are_monitored(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, events = shop
    chosen = monitored(world.store, stream, MONDAY + 2 * DAY)
    counts = Counter(props(event)["country"] for event in events)
    assert chosen[COUNTRY] == (*[value for value, _ in counts.most_common(2)], OTHER)
    assert set(chosen[PLATFORM]) == {"ios", "web"}


def test_only_measures_that_add_up_have_a_rest(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, _ = shop
    collected = collect(world.store, stream, hours(0, 48), monitored(world.store, stream, MONDAY + 2 * DAY))
    rest = {measure for measure, slice_ in collected.series if slice_ == make_slice({COUNTRY: OTHER})}
    assert rest == {
        "count()", "count()@Checkout Failed", f"sum({REVENUE})", f"average({REVENUE})",
        "ratio(count()@Checkout Failed/count())",
    }  # fmt: skip


def test_a_window_without_facts_is_zero_or_missing(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, _ = shop
    collected = collect(world.store, stream, hours(30, 33), monitored(world.store, stream, MONDAY + 2 * DAY))
    for index, (measure, slice_) in enumerate(collected.series):
        zero = measure.split("(")[0] in ("count", "users", "sum")
        assert np.all(collected.values[index] == 0) if zero else np.all(np.isnan(collected.values[index])), (
            measure,
            slice_,
        )


def test_weights_are_the_events_under_a_value(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, events = shop
    grid = hours(0, 48)
    collected = collect(world.store, stream, grid, {})
    with_number = [e for e in events if props(e)["revenue"] is not None]
    for measure in (f"average({REVENUE})", f"p90({REVENUE})", f"max({REVENUE})"):
        assert row(collected, measure, TOTAL)[1] == [
            by_hand(with_number, "count()", window, lambda _: True) for window in grid
        ]
    assert row(collected, "ratio(count()@Checkout Failed/count())", TOTAL)[1] == row(collected, "count()", TOTAL)[0]
    assert np.all(np.isnan(row(collected, "count()", TOTAL)[1]))


def test_the_series_of_one_window_are_those_of_all(shop: tuple[Any, Stream, list[Event]]) -> None:
    world, stream, _ = shop
    chosen = monitored(world.store, stream, MONDAY + 2 * DAY)
    whole = collect(world.store, stream, hours(0, 48), chosen)
    for hour in (5, 31, 47):
        one = collect(world.store, stream, hours(hour, hour + 1), chosen)
        assert one.series == whole.series
        np.testing.assert_allclose(one.values[:, 0], whole.values[:, hour], rtol=1e-9)


def test_monitored_values_stay_the_same_all_day(world: Any) -> None:
    stream = world.create(MONDAY)
    world.absorb(
        [world.event(MONDAY + i * HOUR, country=country) for i, country in enumerate(["DE", "DE", "FR", "IT"])]
    )
    world.absorb([world.event(MONDAY + 2 * DAY + i * 1000, country="IT") for i in range(50)])
    for hour in (0, 12, 23):
        assert monitored(world.store, stream, MONDAY + 2 * DAY + hour * HOUR)[COUNTRY] == ("DE", "FR", OTHER)
    assert monitored(world.store, stream, MONDAY + 3 * DAY)[COUNTRY] == ("IT", "DE", OTHER)


def test_a_young_stream_monitors_what_it_has_seen(world: Any) -> None:
    stream = world.create(MONDAY)
    world.absorb([world.event(MONDAY + HOUR, country="DE")])
    assert monitored(world.store, stream, MONDAY + 2 * HOUR)[COUNTRY] == ("DE",)


def test_a_real_value_that_looks_like_the_rest_is_part_of_the_rest(world: Any) -> None:
    stream = world.create(MONDAY)
    world.absorb([world.event(MONDAY + i, country=OTHER if i % 3 else "DE") for i in range(9)])
    chosen = monitored(world.store, stream, MONDAY + HOUR)
    collected = collect(world.store, stream, hours(0, 1), chosen)
    assert row(collected, "count()", make_slice({COUNTRY: "DE"}))[0] == [3]
    assert row(collected, "count()", make_slice({COUNTRY: OTHER}))[0] == [6]


def test_nothing_is_left_of_a_total_that_its_parts_make_up(world: Any) -> None:
    measures = [{"aggregation": "sum", "path": REVENUE}]
    stream = world.create(MONDAY, measures=measures, dimensions=[{"path": COUNTRY, "top": 50}])
    chance = random.Random(1)
    world.absorb(
        [
            world.event(
                MONDAY + i, country=chance.choice("abcdefgh"), revenue=chance.uniform(0, 1) * 10 ** chance.randrange(6)
            )
            for i in range(2_000)
        ]
    )
    chosen = {COUNTRY: (*"abcdefgh", OTHER)}
    collected = collect(world.store, stream, hours(0, 1), chosen)
    assert row(collected, f"sum({REVENUE})", make_slice({COUNTRY: OTHER}))[0] == [0.0]


def test_windows_of_unequal_length_are_filled_exactly(world: Any) -> None:
    schedule = {"frequency_minutes": 180, "anchor": "00:00", "time_zone": "Europe/Berlin"}
    stream = world.create(MONDAY, schedule=schedule)
    start = 1_792_879_200_000  # 2026-10-25 00:00 in Berlin, the day that has 25 hours
    world.absorb([world.event(start + i * HOUR, country="DE") for i in range(25)])
    grid = windows(stream.definition.schedule, start, start + 25 * HOUR)
    collected = collect(world.store, stream, grid, {})
    assert row(collected, "count()", TOTAL)[0] == [4, 3, 3, 3, 3, 3, 3, 3]
