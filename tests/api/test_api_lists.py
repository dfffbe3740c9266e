"""Pages of lists, limits per token, and times, as pure functions and over the API."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.conftest import World

from cliffwatch.api.paging import ascending, decode, encode, newest_first
from cliffwatch.api.shapes import from_iso, iso
from cliffwatch.errors import InvalidInput
from cliffwatch.limits import MAX_ASKERS, Bucket, Limiter, Rate, take

NOW = 1_795_953_600_000


@given(st.lists(st.integers(1, 10**6), unique=True, max_size=60), st.integers(1, 12))
def test_pages_give_each_item_once_and_in_order(items: list[int], limit: int) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        page, cursor = ascending(items, lambda item: item, cursor, limit)
        seen += page
        if cursor is None:
            break
    assert seen == sorted(items)


@given(st.lists(st.integers(1, 10**6), unique=True, max_size=60), st.integers(1, 12))
def test_pages_of_newest_first_give_each_item_once_and_in_order(items: list[int], limit: int) -> None:
    ordered = sorted(items, reverse=True)
    seen: list[int] = []
    cursor = None
    while True:
        page, cursor = newest_first(lambda reach: ordered[:reach], lambda item: (item,), 1, cursor, limit)
        seen += page
        if cursor is None:
            break
    assert seen == ordered


def test_what_is_added_meanwhile_shifts_no_page() -> None:
    ordered = [5, 4, 3, 2, 1]
    first, cursor = newest_first(lambda reach: ordered[:reach], lambda item: (item,), 1, None, 2)
    ordered.insert(0, 6)
    second, _ = newest_first(lambda reach: ordered[:reach], lambda item: (item,), 1, cursor, 2)
    assert (first, second) == ([5, 4], [3, 2])


@given(st.lists(st.integers(-(2**63), 2**63), min_size=1, max_size=3))
def test_a_cursor_keeps_its_key(key: list[int]) -> None:
    assert decode(encode(tuple(key)), len(key)) == tuple(key)


@given(st.text(max_size=200))
def test_any_other_text_is_refused_as_a_cursor_and_breaks_nothing(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert len(decode(text, 2)) == 2


@pytest.mark.parametrize("cursor", ["x", encode((1, 2, 3)), encode((True,)), "W10"])  # type: ignore[arg-type]
def test_a_list_refuses_a_cursor_that_it_did_not_give(shared: World, cursor: str) -> None:
    assert shared.ask("GET", "/streams", params={"cursor": cursor}).status_code == 422


def test_incidents_come_in_pages(shared: World) -> None:
    token = shared.other.tokens["read"]
    numbers, cursor = [], None
    for _ in range(3):
        page = shared.ask(
            "GET", "/incidents", token, params={"limit": 1} | ({"cursor": cursor} if cursor else {})
        ).json()
        numbers += [incident["number"] for incident in page["data"]]
        cursor = page["next_cursor"]
    assert numbers == [3, 2, 1]
    assert cursor is None


def test_sources_come_in_pages(world: World) -> None:
    for name in ("Third",):
        world.ask("POST", "/sources", json={"name": name})
    first = world.ask("GET", "/sources", params={"limit": 2}).json()
    rest = world.ask("GET", "/sources", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [source["name"] for source in first["data"] + rest["data"]] == ["Shop", "Segment", "Third"]
    assert rest["next_cursor"] is None


def test_a_bucket_holds_a_burst_and_fills_at_its_rate() -> None:
    rate = Rate(per_second=2, burst=3)
    bucket, waits = Bucket(3, NOW), []
    for at in (0, 0, 0, 0, 499, 500, 10_000):
        bucket, wait = take(bucket, rate, NOW + at)
        waits.append(wait)
    assert waits == [0, 0, 0, 500, 1, 0, 0]
    assert bucket.left == 2


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket, wait = take(Bucket(0, NOW), Rate(per_second=1, burst=3), NOW - 60_000)
    assert wait == 1_000
    assert bucket.left == 0


def test_the_memory_of_limits_is_bounded() -> None:
    limiter = Limiter(Rate())
    for number in range(MAX_ASKERS + 100):
        limiter.wait_ms(f"asker {number}", NOW)
    assert len(limiter._buckets) == MAX_ASKERS


@given(st.integers(0, 253_370_764_800_000 - 1))
def test_a_time_is_the_same_after_writing_and_reading_it(ms: int) -> None:
    assert from_iso(iso(ms)) == ms


@pytest.mark.parametrize("text", ["2026-11-29T13:00:00+01:00", "2026-11-29T13:00:00 01:00", "2026-11-29T12:00:00.000Z"])
def test_any_offset_is_understood_also_with_a_plus_that_was_not_encoded(text: str) -> None:
    assert iso(from_iso(text)) == "2026-11-29T12:00:00.000Z"
