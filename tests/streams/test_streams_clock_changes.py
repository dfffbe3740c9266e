"""Windows at every clock change of every IANA zone, forwards and back, with anchors that are skipped or come twice."""

from __future__ import annotations

import itertools
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cliffwatch.streams.model import Schedule
from cliffwatch.streams.schedule import edges, window_of, windows

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
FREQUENCIES = (7, 30, 60, 90, 180, 300, 720, 1440, 2880, 10_080, 44_640)
FROM, UNTIL = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2025, 2027))


def offset(zone: str, at_s: int) -> int:
    found = datetime.fromtimestamp(at_s, ZoneInfo(zone)).utcoffset()
    assert found is not None
    return int(found.total_seconds())


@cache
def changes(zone: str) -> tuple[tuple[int, int], ...]:
    """(moment in ms, by how many ms the clock jumps), looked up here by halving: not the code under test."""
    found = []
    for day in range(FROM, UNTIL, 86_400):
        early, late = day, day + 86_400
        if offset(zone, early) == offset(zone, late):
            continue
        while late - early > 1:
            middle = (early + late) // 2
            early, late = (middle, late) if offset(zone, middle) == offset(zone, early) else (early, middle)
        found.append((late * 1000, (offset(zone, late) - offset(zone, late - 1)) * 1000))
    return tuple(found)


def every_change() -> Iterator[tuple[str, int, int]]:
    for zone in ZONES:
        for at, jump in changes(zone):
            yield zone, at, jump


def reading(zone: str, ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone))


def at_the_change(zone: str, at: int, jump: int) -> str:
    """The wall-clock time in the middle of what is skipped, or of what comes twice."""
    before = reading(zone, at - 1)  # a minute's last moment, so the change reads one later
    middle = (before.hour * 60 + before.minute + 1 + (jump // MINUTE) // 2) % 1440
    return f"{middle // 60:02d}:{middle % 60:02d}"


def test_there_are_changes_in_both_directions_to_look_at() -> None:
    jumps = [jump for _, _, jump in every_change()]
    assert sum(jump > 0 for jump in jumps) > 200
    assert sum(jump < 0 for jump in jumps) > 200
    assert {abs(jump) // MINUTE for jump in jumps} >= {30, 60}


def test_windows_tile_time_through_every_change_of_every_zone() -> None:
    turn = itertools.cycle(("00:00", "here", "09:59"))
    for zone, at, jump in every_change():
        for frequency, anchor in zip(FREQUENCIES, turn, strict=False):
            schedule = Schedule(frequency, at_the_change(zone, at, jump) if anchor == "here" else anchor, zone)
            step = frequency * MINUTE
            found = windows(schedule, at - 2 * step - 3 * DAY, at + 2 * step + 3 * DAY)
            assert all(a.end_ms == b.start_ms for a, b in pairwise(found)), (zone, schedule)
            assert found[0].start_ms < at < found[-1].end_ms, (zone, schedule)
            assert all(0 < w.end_ms - w.start_ms <= step + abs(jump) for w in found), (zone, schedule)
            around = window_of(schedule, at)
            assert around in found, (zone, schedule)


def test_an_anchor_that_is_skipped_falls_on_the_change_in_every_zone() -> None:
    for zone, at, jump in every_change():
        if 0 < jump < DAY:
            schedule = Schedule(1440, at_the_change(zone, at, jump), zone)
            assert at in edges(schedule, at - DAY, at + DAY).tolist(), (zone, schedule)


def test_an_anchor_that_comes_twice_counts_once_and_the_first_time_in_every_zone() -> None:
    for zone, at, jump in every_change():
        if jump < 0:
            anchor = at_the_change(zone, at, jump)
            found = edges(Schedule(1440, anchor, zone), at - 12 * HOUR, at + 12 * HOUR).tolist()
            there = [edge for edge in found if f"{reading(zone, edge):%H:%M}" == anchor]
            assert len(there) == 1, (zone, anchor)
            assert reading(zone, there[0]).fold == 0, (zone, anchor)


def test_every_custom_frequency_tiles_through_the_changes_of_one_year() -> None:
    """7 minutes to 31 days, each whole number of minutes up to a day and each length in hours beyond."""
    zone, spring, autumn = "Europe/Berlin", changes("Europe/Berlin")[0][0], changes("Europe/Berlin")[1][0]
    for frequency in itertools.chain(range(7, 1441), range(1500, 44_641, 60)):
        for at in (spring, autumn):
            schedule = Schedule(frequency, "02:30", zone)
            step = frequency * MINUTE
            found = edges(schedule, at - step - DAY, at + step + DAY).tolist()
            assert found[0] < at < found[-1], schedule
            assert all(0 < b - a <= step + HOUR for a, b in pairwise(found)), schedule
