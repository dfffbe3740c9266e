"""Wall clocks of routing: whose turn it is, and until when a channel is quiet."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.notify.routing.clock import next_handover_ms, on_call, quiet_until
from cliffwatch.notify.routing.model import EVERY_DAY, Override, QuietHours, Rotation

BERLIN = "Europe/Berlin"


def ms(text: str, zone: str = BERLIN) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def rotation(*overrides: Override, people: tuple[int, ...] = (1, 2, 3), days: int = 7) -> Rotation:
    """From Monday 2 November 2026, handing over at 9."""
    return Rotation(1, 1, "Primary", BERLIN, people, dt.date(2026, 11, 2), dt.time(9), days, overrides)


@pytest.mark.parametrize(
    ("at", "person"),
    [
        ("2026-11-02T09:00", 1),
        ("2026-11-09T08:59", 1),
        ("2026-11-09T09:00", 2),
        ("2026-11-16T09:00", 3),
        ("2026-11-23T09:00", 1),
        ("2026-11-02T08:59", 3),  # before the first turn the circle is the same
    ],
)
def test_turns_change_at_the_handover_by_the_local_clock(at: str, person: int) -> None:
    assert on_call(rotation(), ms(at)) == person


def test_a_turn_keeps_its_local_hour_through_a_clock_change() -> None:
    summer = Rotation(1, 1, "Primary", BERLIN, (1, 2), dt.date(2026, 10, 19), dt.time(9), 7)
    assert next_handover_ms(summer, ms("2026-10-20T12:00")) == ms("2026-10-26T09:00")  # the 25th has 25 hours


def test_who_stands_in_is_on_call_for_as_long_and_the_newest_counts() -> None:
    first = Override(7, ms("2026-11-03T00:00"), ms("2026-11-04T00:00"))
    newer = Override(8, ms("2026-11-03T12:00"), ms("2026-11-03T18:00"))
    covered = rotation(first, newer)
    assert [on_call(covered, ms(f"2026-11-03T{hour}:00")) for hour in ("11", "12", "18")] == [7, 8, 7]
    assert on_call(covered, ms("2026-11-04T00:00")) == 1


@given(st.integers(0, 4_000), st.integers(1, 28), st.integers(1, 6))
def test_somebody_is_always_on_call_and_the_next_handover_is_ahead(hours: int, days: int, people: int) -> None:
    turns = rotation(people=tuple(range(people)), days=days)
    at = ms("2026-11-02T09:00") + hours * 3_600_000
    following = next_handover_ms(turns, at)
    assert on_call(turns, at) in range(people)
    assert at < following <= at + days * 86_400_000 + 3_600_000
    assert on_call(turns, following - 1) == on_call(turns, at)


NIGHTS = QuietHours(EVERY_DAY, dt.time(22), dt.time(7))


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-02T21:59", None),
        ("2026-11-02T22:00", "2026-11-03T07:00"),
        ("2026-11-03T06:59", "2026-11-03T07:00"),
        ("2026-11-03T07:00", None),
    ],
)
def test_quiet_hours_reach_over_midnight(at: str, until: str | None) -> None:
    assert quiet_until(NIGHTS, BERLIN, ms(at)) == (ms(until) if until else None)


def test_quiet_hours_begin_only_on_their_days() -> None:
    weekend = QuietHours((5, 6), dt.time(0), dt.time(23, 59))
    assert quiet_until(weekend, BERLIN, ms("2026-11-07T12:00")) == ms("2026-11-07T23:59")
    assert quiet_until(weekend, BERLIN, ms("2026-11-09T12:00")) is None


def test_a_night_of_quiet_hours_that_began_on_friday_lasts_into_saturday() -> None:
    friday = QuietHours((4,), dt.time(22), dt.time(7))
    assert quiet_until(friday, BERLIN, ms("2026-11-07T03:00")) == ms("2026-11-07T07:00")


def test_without_quiet_hours_nothing_waits() -> None:
    assert quiet_until(None, BERLIN, ms("2026-11-02T23:00")) is None
