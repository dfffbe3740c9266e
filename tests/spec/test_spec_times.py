"""Timestamps as real clients write them, and the clock rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.spec.times import corrected_time, format_time, parse_time

MOMENT = 1_795_432_860_137  # 2026-11-23T11:21:00.137Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T11:21:00.137Z",  # JavaScript
        "2026-11-23T11:21:00.137+00:00",  # Python, timestamp
        "2026-11-23T11:21:00.137735+00:00",  # Python, sentAt
        "2026-11-23T04:21:00.137-07:00",
        "2026-11-23T11:21:00.137",  # no zone: UTC
        "2026-11-23T11:21:00.137123456Z",  # Go, nanoseconds
        " 2026-11-23T11:21:00.137Z ",
        MOMENT,
        float(MOMENT),
        str(MOMENT),
        MOMENT / 1000,
    ],
)
def test_every_captured_syntax_names_the_same_moment(text: object) -> None:
    assert parse_time(text) == MOMENT


def test_a_date_alone_is_its_first_moment_in_utc() -> None:
    assert parse_time("2024-01-01") == 1_704_067_200_000


@pytest.mark.parametrize(
    "value", [None, "", "soon", "2026-13-01", True, [], {}, math.nan, math.inf, 1e300, "0001-01-01T00:00:00Z"]
)
def test_what_names_no_moment_is_not_set(value: object) -> None:
    assert parse_time(value) is None


def test_a_client_clock_that_runs_ahead_is_corrected_by_the_time_of_sending() -> None:
    three_hours = 3 * 3_600_000
    received = MOMENT + 200
    stamped = corrected_time(
        received_ms=received, sent_ms=MOMENT + three_hours, original_ms=MOMENT + three_hours - 5_000
    )
    assert stamped == received - 5_000


def test_a_client_clock_that_runs_behind_is_corrected_too() -> None:
    three_hours = 3 * 3_600_000
    stamped = corrected_time(
        received_ms=MOMENT, sent_ms=MOMENT - three_hours, original_ms=MOMENT - three_hours - 60_000
    )
    assert stamped == MOMENT - 60_000


def test_an_old_timestamp_sent_now_stays_old() -> None:
    year = 365 * 86_400_000
    assert corrected_time(received_ms=MOMENT + 80, sent_ms=MOMENT, original_ms=MOMENT - year) == MOMENT - year + 80


def test_without_the_time_of_sending_the_clients_own_time_stands() -> None:
    assert corrected_time(received_ms=MOMENT, sent_ms=None, original_ms=MOMENT - 9) == MOMENT - 9


def test_without_a_timestamp_it_happened_when_it_arrived() -> None:
    assert corrected_time(received_ms=MOMENT, sent_ms=MOMENT - 9, original_ms=None) == MOMENT


def test_a_correction_out_of_the_calendar_falls_back_to_the_arrival() -> None:
    assert corrected_time(received_ms=MOMENT, sent_ms=-62_135_000_000_000, original_ms=253_402_300_000_000) == MOMENT


def test_times_are_written_as_segment_writes_them() -> None:
    assert format_time(MOMENT) == "2026-11-23T11:21:00.137Z"


@given(st.integers(-62_135_000_000_000, 253_402_300_799_999))
def test_what_is_written_reads_back_the_same(ms: int) -> None:
    text = format_time(ms)
    assert len(text) == 24
    assert parse_time(text) == ms
