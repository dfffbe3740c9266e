"""Sentences that people read: numbers, units, times, and the cases where a percentage would be absurd."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cliffwatch.incidents import Incident, IncidentState, Subject
from cliffwatch.incidents.headline import (
    change,
    duration,
    headline,
    number,
    percent,
    quantity,
    recovered,
    retracted,
    slice_phrase,
    when,
)

HOUR, DAY = 3_600_000, 86_400_000
NOON = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
BERLIN = ZoneInfo("Europe/Berlin")


def incident(**changes: Any) -> Incident:
    subject = {
        "measure_name": changes.pop("name", "Revenue"),
        "unit": changes.pop("unit", "USD"),
        "additive": changes.pop("additive", True),
        "stream_name": "Shop",
        "window_ms": changes.pop("window_ms", HOUR),
    }
    values: dict[str, Any] = {
        "id": 1,
        "workspace_id": 1,
        "number": 1,
        "stream_id": 1,
        "measure": "m",
        "slice": (),
        "subjects": {(1, "m"): Subject(**subject)},
        "state": IncidentState.OPEN,
        "kind": "dip",
        "direction": -1,
        "headline": "",
        "cause": "",
        "explanation": {},
        "actual": 690.0,
        "expected": 1000.0,
        "score": -6.0,
        "started_ms": NOON,
        "ended_ms": None,
        "last_window_ms": NOON + 2 * HOUR,
        "opened_ms": NOON,
    }
    return Incident(**{**values, **changes})


def say(**changes: Any) -> str:
    return headline(incident(**changes), BERLIN, NOON + 3 * HOUR)


def over(**changes: Any) -> str:
    ended = {"ended_ms": NOON + 4 * HOUR, "last_window_ms": NOON + 4 * HOUR}
    return recovered(incident(**{**ended, **changes}), BERLIN, NOON + 5 * HOUR)


def test_a_dip_in_the_workspaces_time() -> None:
    assert say() == "Revenue is 31 % below expected since 13:00"


def test_a_slice_is_named_by_the_last_part_of_its_path() -> None:
    slice_ = (("context.app.app_version", "5.3.0"), ("properties.country", "DE"))
    assert say(slice=slice_) == "Revenue (app version 5.3.0, country DE) is 31 % below expected since 13:00"


def test_a_value_that_is_not_set_and_the_rest_are_named() -> None:
    assert slice_phrase((("properties.plan", ""), ("traits.country", "(other)"))) == "plan (not set), country other"


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("Orders", "are"),
        ("Unique users", "are"),
        ("Events (Signed Up)", "are"),
        ("Orders per session", "are"),
        ("Sum of orders", "is"),
        ("Average status", "is"),
        ("Success", "is"),
    ],
)
def test_plural_names_get_a_plural_verb(name: str, verb: str) -> None:
    assert say(name=name).startswith(f"{name} {verb} 31 % below")


def test_what_stopped_is_told_by_its_rate_and_not_by_a_percentage() -> None:
    text = say(name="Orders", unit=None, actual=0.0, expected=84.0)
    assert text == "Orders stopped: 0 instead of about 42 an hour since 13:00"


def test_a_silent_source_is_told_apart_from_a_dip() -> None:
    text = say(name="Orders", unit=None, kind="silence", actual=0.0, expected=84.0)
    assert text == "Orders went silent: 0 instead of about 42 an hour since 13:00"


def test_money_that_stopped_keeps_its_unit() -> None:
    assert say(actual=0.0, expected=24_812.0) == "Revenue stopped: 0 instead of about $12,400 an hour since 13:00"


def test_what_was_never_there_appears() -> None:
    text = say(name="Failed checkouts", unit=None, actual=24.0, expected=0.0, direction=1, kind="spike")
    assert text == "Failed checkouts appeared: about 12 an hour since 13:00, where none are usual"


def test_a_rate_is_told_by_the_length_of_the_streams_windows() -> None:
    days = {"window_ms": DAY, "last_window_ms": NOON + 2 * DAY}
    assert "0 instead of about 42 a day" in say(name="Orders", unit=None, actual=0.0, expected=84.0, **days)
    five = {"window_ms": 5 * HOUR, "last_window_ms": NOON + 5 * HOUR}
    assert "0 instead of about 20 an hour" in say(name="Orders", unit=None, actual=0.0, expected=100.0, **five)


def test_an_average_that_is_zero_is_told_without_a_rate() -> None:
    text = say(name="Average order value", additive=False, actual=0.0, expected=61.5)
    assert text == "Average order value stopped: 0 instead of about $61.50 since 13:00"


def test_an_average_of_nothing_has_no_value() -> None:
    text = say(name="Average order value", additive=False, kind="silence", actual=0.0, expected=61.5)
    assert text == "Average order value has had no value since 13:00: nothing arrived to measure"


def test_nothing_expected_and_nothing_there_does_not_break() -> None:
    assert say(actual=0.0, expected=0.0) == "Revenue is unusual since 13:00"


@pytest.mark.parametrize(
    ("relative", "words"),
    [
        (-0.312, "31 % below expected"),
        (-0.0421, "4.2 % below expected"),
        (-0.0996, "10 % below expected"),
        (-0.999, "more than 99 % below expected"),
        (0.5, "50 % above expected"),
        (1.4, "140 % above expected"),
        (2.52, "3.5 times what is expected"),
        (24.0, "25 times what is expected"),
        (-1.3, "130 % below expected"),
    ],
)
def test_changes_are_told_as_people_say_them(relative: float, words: str) -> None:
    assert change(relative) == words


@pytest.mark.parametrize(
    ("share", "text"), [(0.31, "31 %"), (0.03, "3 %"), (0.0042, "0.4 %"), (0.0004, "0.04 %"), (12.0, "1,200 %")]
)
def test_percentages_have_no_false_precision(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12_400.4, "USD", "$12,400"),
        (-310.0, "EUR", "-€310"),
        (61.5, "EUR", "€61.50"),
        (950.0, "CHF", "CHF 950"),
        (42.0, "ms", "42 ms"),
        (1284.3, None, "1,284"),
        (0.8532, None, "0.853"),
        (3.14159, None, "3.14"),
        (41.27, "ms", "41.3 ms"),
        (0.000123, None, "0.000123"),
        (0.0, "USD", "$0"),
    ],
)
def test_quantities_are_readable(value: float, unit: str | None, text: str) -> None:
    assert quantity(value, unit) == text


def test_prose_rounds_to_three_digits() -> None:
    assert number(1_284_312.0, digits=3) == "1,280,000"
    assert quantity(12_449.0, "USD", digits=3) == "$12,400"


@pytest.mark.parametrize(
    ("ago_ms", "text"),
    [(3 * HOUR, "13:00"), (20 * HOUR, "Sat 28 Nov, 20:00"), (300 * DAY, "2 Feb 2026, 16:00")],
)
def test_moments_are_told_from_the_readers_day(ago_ms: int, text: str) -> None:
    now = NOON + 3 * HOUR
    assert when(now - ago_ms, BERLIN, now) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (60_000, "1 minute"),
        (45 * 60_000, "45 minutes"),
        (HOUR, "1 hour"),
        (90 * 60_000, "1 hour 30 minutes"),
        (23 * HOUR, "23 hours"),
        (28 * HOUR, "1 day 4 hours"),
        (9 * DAY + HOUR, "9 days"),
        (0, "1 minute"),
    ],
)
def test_lengths_of_time_are_told_roughly(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_the_recovery_names_size_duration_and_total() -> None:
    assert over(expected=40_000.0, actual=27_600.0) == (
        "Revenue is back in its usual range after 4 hours: it was 31 % below expected from 13:00 to 17:00, "
        "$12,400 less in total"
    )


def test_values_that_do_not_add_up_have_no_total() -> None:
    assert over(additive=False, name="Orders per session", unit=None, actual=0.69, expected=1.0) == (
        "Orders per session are back in their usual range after 4 hours: "
        "they were 31 % below expected from 13:00 to 17:00"
    )


def test_the_recovery_of_what_had_stopped() -> None:
    assert over(name="Orders", unit=None, actual=0.0, expected=168.0) == (
        "Orders are back in their usual range after 4 hours: 0 instead of about 42 an hour from 13:00 to 17:00, "
        "168 less in total"
    )


def test_a_level_shift_does_not_come_back_it_settles() -> None:
    assert over(kind="level_shift").startswith("Revenue has settled at a new level after 4 hours: it was 31 % below")


def test_what_was_taken_back_says_why() -> None:
    text = retracted(incident(), BERLIN, NOON + HOUR)
    assert text == "Revenue was in the usual range after all: late events arrived for 13:00"
