"""Windows tile time: every zone, through every clock change."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffwatch.errors import InvalidInput
from cliffwatch.streams.model import Schedule, Window
from cliffwatch.streams.schedule import (
    anchored,
    comparable,
    counts_elapsed_time,
    edges,
    next_runs,
    window_of,
    windows,
    zone,
)

HOUR = 3_600_000
DAY = 24 * HOUR
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})


def ms(text: str) -> int:
    """Milliseconds of an ISO time with its offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def local(ts_ms: int, time_zone: str) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(time_zone)).strftime("%m-%d %H:%M")


def locals_between(schedule: Schedule, start: str, end: str) -> list[str]:
    return [local(edge, schedule.time_zone) for edge in edges(schedule, ms(start), ms(end)).tolist()]


frequencies = st.one_of(
    st.sampled_from([1, 5, 7, 15, 30, 45, 60, 90, 180, 300, 720, 1440, 2880, 10_080, 44_640]),
    st.integers(7, 44_640),
)
schedules = st.builds(
    Schedule,
    frequency_minutes=frequencies,
    anchor=st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59)),
    time_zone=st.sampled_from(ZONES),
)
moments = st.integers(ms("1969-12-01T00:00Z"), ms("2037-12-31T00:00Z"))


@given(schedules, moments)
@settings(max_examples=250, deadline=None)
def test_windows_tile_time_in_every_zone(schedule: Schedule, start: int) -> None:
    end = start + 3 * schedule.frequency_minutes * 60_000 + min(60 * schedule.frequency_minutes * 60_000, 120 * DAY)
    found = windows(schedule, start, end)
    longest = schedule.frequency_minutes * 60_000 + 26 * HOUR
    assert all(a.end_ms == b.start_ms for a, b in pairwise(found))
    assert all(0 < w.end_ms - w.start_ms <= longest for w in found)
    assert found[0].start_ms - start < longest
    assert end - found[-1].end_ms < longest


@given(schedules, moments, st.integers(0, 40 * DAY), st.integers(0, 40 * DAY))
@settings(max_examples=120, deadline=None)
def test_stretches_join_to_the_same_windows(schedule: Schedule, start: int, first: int, second: int) -> None:
    if schedule.frequency_minutes < 15:
        first, second = first % DAY, second % DAY
    middle = window_of(schedule, start + first).end_ms
    end = middle + second
    assert windows(schedule, start, middle) + windows(schedule, middle, end) == windows(schedule, start, end)


@given(schedules, moments)
@settings(max_examples=120, deadline=None)
def test_every_moment_is_in_exactly_its_window(schedule: Schedule, ts_ms: int) -> None:
    window = window_of(schedule, ts_ms)
    assert window.start_ms <= ts_ms < window.end_ms
    assert window_of(schedule, window.start_ms) == window
    assert window_of(schedule, window.end_ms - 1) == window
    assert window_of(schedule, window.end_ms).start_ms == window.end_ms


@given(schedules, moments)
@settings(max_examples=120, deadline=None)
def test_next_runs_are_the_next_window_ends(schedule: Schedule, now: int) -> None:
    first, second, third = next_runs(schedule, now)
    assert first == window_of(schedule, now).end_ms
    assert second == window_of(schedule, first).end_ms
    assert third == window_of(schedule, second).end_ms


@given(st.sampled_from([60, 120, 180, 360, 720, 1440]), st.integers(0, 23), st.sampled_from(ZONES), moments)
@settings(max_examples=40, deadline=None)
def test_every_reading_of_the_grid_that_the_clock_shows_begins_a_window(
    frequency: int, hour: int, time_zone: str, start: int
) -> None:
    schedule = Schedule(frequency, f"{hour:02d}:00", time_zone)
    begins = set(edges(schedule, start, start + 3 * DAY).tolist())
    minute = start - start % 60_000
    for ts_ms in range(minute + 60_000, start + 3 * DAY, 60_000):
        moment = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(time_zone))
        on_grid = (moment.hour * 60 + moment.minute - hour * 60) % frequency == 0 and not moment.second
        if on_grid and not moment.fold:
            assert ts_ms in begins


def test_three_hours_keep_their_wall_clock_through_spring() -> None:
    schedule = Schedule(180, "09:00", "Europe/Berlin")
    assert locals_between(schedule, "2026-03-28T23:00+01:00", "2026-03-29T13:00+02:00") == [
        "03-29 00:00", "03-29 03:00", "03-29 06:00", "03-29 09:00", "03-29 12:00",
    ]  # fmt: skip
    assert window_of(schedule, ms("2026-03-29T01:00+01:00")).hours == 2


def test_three_hours_keep_their_wall_clock_through_autumn() -> None:
    schedule = Schedule(180, "09:00", "Europe/Berlin")
    assert window_of(schedule, ms("2026-10-25T02:30+01:00")) == Window(
        ms("2026-10-25T00:00+02:00"), ms("2026-10-25T03:00+01:00")
    )
    assert window_of(schedule, ms("2026-10-25T02:30+01:00")).hours == 4


def test_an_anchor_that_the_clock_skips_begins_at_the_change() -> None:
    schedule = Schedule(180, "02:30", "Europe/Berlin")
    assert locals_between(schedule, "2026-03-28T23:00+01:00", "2026-03-29T09:00+02:00") == [
        "03-28 23:30", "03-29 03:00", "03-29 05:30", "03-29 08:30",
    ]  # fmt: skip


def test_an_anchor_that_comes_twice_counts_the_first_time() -> None:
    schedule = Schedule(180, "02:30", "Europe/Berlin")
    window = window_of(schedule, ms("2026-10-25T02:30+01:00"))
    assert window == Window(ms("2026-10-25T02:30+02:00"), ms("2026-10-25T05:30+01:00"))


def test_hourly_windows_stay_an_hour_long_through_both_changes() -> None:
    schedule = Schedule(60, "00:00", "Europe/Berlin")
    for day in ("2026-03-29", "2026-10-25"):
        found = windows(schedule, ms(f"{day}T00:00+00:00") - 6 * HOUR, ms(f"{day}T00:00+00:00") + 6 * HOUR)
        assert {window.hours for window in found} == {1.0}


def test_hourly_windows_absorb_a_half_hour_change() -> None:
    schedule = Schedule(60, "00:00", "Australia/Lord_Howe")
    found = windows(schedule, ms("2026-04-04T10:00Z"), ms("2026-04-04T20:00Z"))
    assert sorted({window.hours for window in found}) == [1.0, 1.5]


def test_days_are_calendar_days() -> None:
    schedule = Schedule(1440, "06:00", "America/New_York")
    assert [w.hours for w in windows(schedule, ms("2026-03-06T12:00Z"), ms("2026-03-10T12:00Z"))] == [23, 24, 24]


def test_a_day_that_the_date_line_swallowed_is_no_window() -> None:
    schedule = Schedule(1440, "12:00", "Pacific/Apia")
    found = edges(schedule, ms("2011-12-29T00:00-10:00"), ms("2012-01-01T00:00+14:00")).tolist()
    assert [local(edge, "Pacific/Apia") for edge in found] == ["12-29 12:00", "12-31 00:00", "12-31 12:00"]


def test_seven_days_begin_on_a_monday() -> None:
    schedule = Schedule(7 * 1440, "09:00", "Europe/Berlin")
    start = datetime.fromtimestamp(
        window_of(schedule, ms("2026-11-25T00:00Z")).start_ms / 1000, ZoneInfo("Europe/Berlin")
    )
    assert (start.strftime("%A %H:%M")) == "Monday 09:00"


def test_five_hours_count_elapsed_time_from_the_anchor() -> None:
    schedule = anchored(Schedule(300, "09:00", "Europe/Berlin"), ms("2026-10-24T08:00+02:00"))
    assert schedule.anchor_date == "2026-10-24"
    assert locals_between(schedule, "2026-10-24T08:00+02:00", "2026-10-25T09:00+01:00") == [
        "10-24 09:00", "10-24 14:00", "10-24 19:00", "10-25 00:00", "10-25 04:00",
    ]  # fmt: skip
    found = windows(schedule, ms("2026-10-24T08:00+02:00"), ms("2026-10-26T00:00+01:00"))
    assert {window.hours for window in found} == {5.0}


def test_only_a_schedule_that_counts_elapsed_time_needs_a_date() -> None:
    assert anchored(Schedule(60), 0) == Schedule(60)
    assert [f for f in (1, 7, 60, 300, 1440, 2880) if counts_elapsed_time(Schedule(f))] == [7, 300]


def test_next_runs_are_readable_wall_clock_times() -> None:
    schedule = Schedule(180, "09:59", "Europe/Berlin")
    runs = next_runs(schedule, ms("2026-11-23T11:00+01:00"))
    assert [local(run, "Europe/Berlin") for run in runs] == ["11-23 12:59", "11-23 15:59", "11-23 18:59"]


def test_comparable_windows_have_the_same_weekday_and_wall_clock() -> None:
    schedule = Schedule(180, "09:00", "Europe/Berlin")
    window = window_of(schedule, ms("2026-11-02T10:00+01:00"))
    past = comparable(schedule, window, 3)
    assert [local(w.start_ms, "Europe/Berlin") for w in past] == ["10-26 09:00", "10-19 09:00", "10-12 09:00"]
    assert {w.hours for w in past} == {3.0}


def test_comparable_stretches_longer_than_a_week_do_not_overlap() -> None:
    schedule = Schedule(10 * 1440)
    window = window_of(schedule, ms("2026-11-02T10:00Z"))
    past = comparable(schedule, window, 3)
    assert all(w.end_ms <= window.start_ms for w in past)
    assert len(past) == 3


def test_ten_thousand_windows_are_one_stretch_of_arithmetic() -> None:
    schedule = Schedule(5, "00:00", "Europe/Berlin")
    start = ms("2026-10-01T00:00Z")
    found = edges(schedule, start, start + 10_000 * 300_000)
    assert len(found) == 10_000


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(InvalidInput, match="Mars/Olympus"):
        zone("Mars/Olympus")


def test_far_past_and_utc_agree() -> None:
    assert window_of(Schedule(60), 0) == Window(0, HOUR)
    assert datetime.fromtimestamp(window_of(Schedule(1440), DAY + 5).start_ms / 1000, UTC).day == 2
