"""Which values have series: few and steady, joined by one that suddenly matters, whatever the number of values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cliffwatch.store import open_store
from cliffwatch.store.duckdb import DuckDBStore
from cliffwatch.streams import Stream, StreamState
from cliffwatch.streams.aggregate import collect
from cliffwatch.streams.governor import MAX_SERIES, monitored
from cliffwatch.streams.model import OTHER, Definition, Window, make_slice

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_791_763_200_000  # 2026-10-12 00:00 UTC
COUNTRY = "properties.country"


def seen(world: Any, start_ms: int, **countries: int) -> None:
    """So many events per country, spread over an hour."""
    world.absorb(
        [
            world.event(start_ms + i * HOUR // count, country=country)
            for country, count in countries.items()
            for i in range(count)
        ]
    )


def one_run(world: Any, stream: Stream, start_ms: int) -> set[str]:
    """The countries that have a series in the run of one hour."""
    window = Window(start_ms, start_ms + HOUR)
    collected = collect(world.store, stream, [window], monitored(world.store, stream, window.end_ms))
    return {value for _, slice_ in collected.series for _, value in slice_}


def test_a_value_with_less_than_a_thousandth_of_the_events_has_no_series(world: Any) -> None:
    stream = world.create(MONDAY, dimensions=[{"path": COUNTRY, "top": 10}])
    seen(world, MONDAY, DE=4_000, FR=5, VA=3)
    assert monitored(world.store, stream, MONDAY + HOUR)[COUNTRY] == ("DE", "FR", OTHER)


def test_a_new_value_that_matters_joins_in_the_next_run_and_nobody_leaves(world: Any) -> None:
    stream = world.create(MONDAY)
    for hour in range(48):
        seen(world, MONDAY + hour * HOUR, DE=60, FR=40)
    wednesday = MONDAY + 2 * DAY
    assert one_run(world, stream, wednesday - HOUR) == {"DE", "FR"}
    seen(world, wednesday, DE=60, FR=40, XK=80)
    assert one_run(world, stream, wednesday) == {"DE", "FR", OTHER}
    seen(world, wednesday + HOUR, DE=60, FR=40, XK=80)
    assert one_run(world, stream, wednesday + HOUR) == {"DE", "FR", "XK", OTHER}
    assert one_run(world, stream, wednesday + 9 * HOUR) >= {"DE", "FR", "XK"}


def test_many_rare_values_do_not_join(world: Any) -> None:
    stream = world.create(MONDAY)
    for hour in range(30):
        seen(world, MONDAY + hour * HOUR, DE=20, FR=10, **{f"x{hour}-{i}": 1 for i in range(30)})
    for hour in range(26, 30):
        assert one_run(world, stream, MONDAY + hour * HOUR) == {"DE", "FR", OTHER}


def test_on_the_next_day_a_value_is_ranked_by_its_share_of_the_last_day(world: Any) -> None:
    stream = world.create(MONDAY)
    for hour in range(0, 240, 4):
        seen(world, MONDAY + hour * HOUR, DE=30, FR=20)
    seen(world, MONDAY + 10 * DAY, DE=30, FR=20, XK=60)
    assert monitored(world.store, stream, MONDAY + 11 * DAY)[COUNTRY] == ("DE", "XK", OTHER)


def test_a_stream_has_no_more_series_than_it_may(define: Callable[..., Definition], world: Any) -> None:
    measures = [{"aggregation": name, "path": "properties.n"} for name in ("sum", "average", "min", "max", "p50")]
    dimensions = [{"path": f"properties.{name}", "top": 200} for name in "abcdefgh"]
    stream = world.create(MONDAY, measures=measures, dimensions=dimensions)
    world.absorb([world.event(MONDAY + i, **{name: f"{name}{i % 190}" for name in "abcdefgh"}) for i in range(760)])
    window = Window(MONDAY, MONDAY + HOUR)
    collected = collect(world.store, stream, [window], monitored(world.store, stream, window.end_ms))
    assert 0.9 * MAX_SERIES < len(collected.series) <= MAX_SERIES
    assert ("sum(properties.n)", make_slice({"properties.a": OTHER})) in collected.series


@pytest.mark.timeout(600)
def test_ten_million_values_are_governed_in_little_memory(tmp_path: Path, define: Callable[..., Definition]) -> None:
    store = open_store(tmp_path / "events.duckdb", memory_limit="200MB")
    assert isinstance(store, DuckDBStore)
    count, start = 10_000_000, MONDAY
    with store._file.transaction() as writer:  # the same rows through `write` would take minutes
        writer.execute(
            f"""INSERT INTO facts SELECT 7, {start} + i * {DAY} // {count}, i, i % 1000,
                ['Order Completed', CASE WHEN i % 3 = 0 THEN 'DE' WHEN i % 50 = 1 THEN 'FR' ELSE 'visit-' || i END], []
            FROM range({count}) AS r(i)"""
        )
    stream = Stream(1, 1, 1, "Orders", define(), StreamState.ACTIVE, 1, 7, 0, 0)
    chosen = monitored(store, stream, start + DAY)
    assert chosen[COUNTRY] == ("DE", "FR", OTHER)
    hours = [Window(start + hour * HOUR, start + (hour + 1) * HOUR) for hour in range(24)]
    collected = collect(store, stream, hours, chosen)
    values = dict(
        zip((value for _, slice_ in collected.series for _, value in slice_), collected.values[1:], strict=True)
    )
    assert values["DE"].sum() == 3_333_334
    assert values["FR"].sum() + values["DE"].sum() + values[OTHER].sum() == count
    store.close()
