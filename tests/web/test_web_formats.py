"""Times and numbers as people read them."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import pytest

from cliffwatch.web import formats

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_795_530_600_000  # Tue 24 Nov 2026, 15:30 in Berlin
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (NOW - HOUR, "14:30"),
        (NOW - DAY, "Yesterday, 15:30"),
        (NOW - 3 * DAY, "Sat 21 Nov, 15:30"),
        (NOW - 400 * DAY, "20 Oct 2025, 16:30"),
    ],
)
def test_a_moment_is_as_long_as_it_is_far(ms: int, text: str) -> None:
    assert formats.moment(ms, BERLIN, NOW).text == text


@pytest.mark.parametrize(
    ("hour", "part"),
    [(2, "evening"), (4, "morning"), (11, "morning"), (12, "afternoon"), (17, "afternoon"), (18, "evening")],
)
def test_people_are_greeted_by_the_hour(hour: int, part: str) -> None:
    assert formats.part_of_day(hour) == part


def test_a_moment_carries_the_whole_time_and_its_zone() -> None:
    moment = formats.moment(NOW, BERLIN, NOW)
    assert moment.iso == "2026-11-24T15:30:00+01:00"
    assert moment.title == "Tuesday 24 November 2026, 15:30:00 CET"


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (0, "just now"),
        (3 * MINUTE, "3 min ago"),
        (5 * HOUR, "5 h ago"),
        (3 * DAY, "3 days ago"),
        (-4 * MINUTE, "in 4 min"),
    ],
)
def test_a_relative_time_says_one_unit(distance: int, text: str) -> None:
    assert formats.ago(NOW - distance, NOW) == text


@pytest.mark.parametrize(("hour", "text"), [(0, "12:05 AM"), (9, "9:05 AM"), (12, "12:05 PM"), (23, "11:05 PM")])
def test_a_run_is_told_on_the_twelve_hour_clock(hour: int, text: str) -> None:
    midnight = NOW - (15 * HOUR + 30 * MINUTE)
    assert formats.clock(midnight + hour * HOUR + 5 * MINUTE, BERLIN) == text


def test_a_window_over_midnight_names_both_days() -> None:
    start = NOW - NOW % DAY - 2 * HOUR
    assert formats.span(start, start + 3 * HOUR, BERLIN) == "Mon 23 Nov, 23:00 – Tue 24 Nov, 02:00"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1284.0, None, "1,284"),
        (12_840.0, None, "12.8k"),
        (1_240_000.0, "EUR", "€1.2M"),
        (125_000.0, "CHF", "CHF 125k"),
        (52_000.0, "ms", "52k ms"),
        (0.9523, "%", "95.2 %"),
        (math.nan, "EUR", "–"),
    ],
)
def test_a_figure_is_short_and_carries_its_unit(value: float, unit: str | None, text: str) -> None:
    assert formats.compact(value, unit) == text


@pytest.mark.parametrize(
    ("key", "unit", "shown"),
    [
        ("ratio(count()@Order Completed/count())", None, "%"),
        ("ratio(users()/users())", None, "%"),
        ("ratio(sum(properties.revenue)/count())", None, None),
        ("ratio(count()/users())", None, None),
        ("ratio(count()/count())", "per mille", "per mille"),
        ("count()", None, None),
    ],
)
def test_only_a_ratio_of_like_to_like_is_read_as_percent(key: str, unit: str | None, shown: str | None) -> None:
    assert formats.shown_unit(key, unit) == shown


@pytest.mark.parametrize(
    ("name", "letters"), [("Robin Weber", "RW"), ("kim", "KI"), ("Ana Maria Silva", "AS"), ("", "?")]
)
def test_an_avatar_has_two_letters_at_most(name: str, letters: str) -> None:
    assert formats.initials(name) == letters
