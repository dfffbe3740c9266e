"""Time: clock changes in both directions, odd frequencies, minutes, days, holidays."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cliffwatch.detect import Grid, Measure, score
from cliffwatch.detect.calendar import calendar
from cliffwatch.errors import InvalidInput

HOUR = 3_600_000
ZONES = ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Beirut"]
CHANGES = {
    "forward": dt.datetime(2025, 2, 3, tzinfo=dt.UTC),
    "back": dt.datetime(2025, 9, 1, tzinfo=dt.UTC),
}  # ten weeks from here hold the change


def grid_from(first: dt.datetime, windows: int, zone: str, step: int = HOUR) -> Grid:
    start = int(first.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    starts = start + np.arange(windows, dtype=np.int64) * step
    return Grid(starts, starts + step, zone)


def local_hour(grid: Grid, later_ms: int = 0) -> np.ndarray:
    zone = ZoneInfo(grid.time_zone)
    return np.array([dt.datetime.fromtimestamp(ms / 1000, zone).hour for ms in (grid.start_ms + later_ms).tolist()])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", CHANGES)
def test_the_rhythm_follows_the_wall_clock_through_a_change(zone: str, change: str) -> None:
    grid = grid_from(CHANGES[change], 24 * 70, zone)
    offsets = {dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).utcoffset() for at in grid.start_ms[[0, -1]]}
    assert len(offsets) == 2  # there is a change
    halves = [
        np.where((hour >= 8) & (hour < 18), 900.0, 150.0) for hour in (local_hour(grid), local_hour(grid, HOUR // 2))
    ]
    mean = (halves[0] + halves[1]) / 2  # a window may begin at half past the hour after Lord Howe's change
    values = np.random.default_rng(1).poisson(mean, (8, len(mean))).astype(float)
    scored = score(values, grid, Measure.COUNT)
    assert scored.flagged.sum() <= 2
    error = np.abs(scored.expected[:, 400:] / mean[400:] - 1)
    assert np.median(error) < 0.03
    assert np.quantile(error, 0.999) < 0.35


def test_a_day_of_25_hours_is_compared_per_hour() -> None:
    zone = ZoneInfo("Europe/Berlin")
    days = [dt.datetime(2025, 8, 4, tzinfo=zone) + dt.timedelta(days=i) for i in range(120)]
    edges = np.array([int(d.timestamp() * 1000) for d in days], np.int64)
    grid = Grid(edges[:-1], edges[1:], "Europe/Berlin")
    hours = (edges[1:] - edges[:-1]) / HOUR
    assert set(hours) == {24.0, 25.0}
    values = np.round(hours * 10_000)[None, :]
    scored = score(values, grid, Measure.COUNT)
    longest = int(np.argmax(hours))
    assert scored.expected[0, longest] / scored.expected[0, longest - 1] == pytest.approx(25 / 24, rel=0.003)
    assert not scored.flagged.any()


def test_five_hour_windows_know_which_hours_they_cover() -> None:
    grid = grid_from(dt.datetime(2025, 3, 3, tzinfo=dt.UTC), 700, "UTC", 5 * HOUR)
    hour = local_hour(grid)
    busy = np.array([sum(8 <= (h + k) % 24 < 18 for k in range(5)) for h in hour])
    mean = 300.0 + 900.0 * busy
    values = np.random.default_rng(2).poisson(mean, (6, 700)).astype(float)
    scored = score(values, grid, Measure.COUNT)
    assert np.median(np.abs(scored.expected[:, 300:] / mean[300:] - 1)) < 0.1
    assert scored.flagged[:, 300:].mean() < 0.002


def test_minutes_follow_the_day() -> None:
    grid = grid_from(dt.datetime(2025, 3, 3, tzinfo=dt.UTC), 6 * 1440, "UTC", 60_000)
    minute = np.arange(6 * 1440) % 1440
    mean = 60 * np.exp(0.8 * np.sin(minute * 2 * np.pi / 1440))
    values = np.random.default_rng(3).poisson(mean, (3, len(mean))).astype(float)
    broken = values.copy()
    broken[:, 8000:8010] = 0
    scored = score(broken, grid, Measure.COUNT)
    assert scored.flagged[:, 8000].all()
    assert scored.flagged[:, 4000:8000].sum() <= 2


def test_days_know_their_weekday() -> None:
    grid = grid_from(dt.datetime(2025, 3, 3, tzinfo=dt.UTC), 200, "UTC", 24 * HOUR)
    mean = np.where(np.arange(200) % 7 >= 5, 400.0, 2000.0)
    values = np.random.default_rng(4).poisson(mean, (6, 200)).astype(float)
    scored = score(values, grid, Measure.COUNT)
    assert np.median(np.abs(scored.expected[:, 60:] / mean[60:] - 1)) < 0.03
    assert not scored.flagged[:, 60:].any()


def test_holidays_are_those_of_the_country() -> None:
    starts = np.array([int(dt.datetime(2025, 10, d, tzinfo=dt.UTC).timestamp() * 1000) for d in (2, 3, 4)])
    german = Grid(starts, starts + 24 * HOUR, "Europe/Berlin", "DE")
    assert calendar(german).holiday.tolist() == [False, True, False]
    assert not calendar(Grid(starts, starts + 24 * HOUR, "Europe/Berlin")).holiday.any()


def test_what_happens_on_holidays_is_learned() -> None:
    first = dt.datetime(2023, 1, 2, tzinfo=dt.UTC)
    grid = grid_from(first, 1000, "Europe/Berlin", 24 * HOUR)
    german = Grid(grid.start_ms, grid.end_ms, "Europe/Berlin", "DE")
    holiday = calendar(german).holiday
    values = np.random.default_rng(5).poisson(np.where(holiday, 400.0, 2000.0), (4, 1000)).astype(float)
    scored = score(values, german, Measure.COUNT)
    late = holiday & (np.arange(1000) > 700)
    assert not scored.flagged[:, late].any()
    assert np.median(scored.expected[:, late]) == pytest.approx(400, rel=0.25)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc"])
def test_an_unknown_time_zone_is_named(zone: str) -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        calendar(Grid(np.array([0]), np.array([HOUR]), zone))


def test_an_unknown_country_is_named() -> None:
    with pytest.raises(InvalidInput, match='country "XX"'):
        calendar(Grid(np.array([0]), np.array([HOUR]), "UTC", "XX"))
