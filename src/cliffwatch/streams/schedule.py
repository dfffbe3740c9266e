"""Window arithmetic: a frequency and an anchor tile time exactly, through clock changes. Pure.

Three rules (see docs/decisions/0006): a frequency that divides the day keeps its wall-clock times, so that a window is
longer or shorter on the day of a clock change; whole days are calendar days; any other frequency counts elapsed
time from the anchor.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

from cliffwatch.streams.model import Schedule, Window

MINUTE_MS = 60_000
DAY_MINUTES = 1440
_EPOCH = dt.date(2001, 1, 1)  # a Monday: whole weeks and days are counted from it
_DAY = dt.timedelta(days=1)


def windows(schedule: Schedule, start_ms: int, end_ms: int) -> list[Window]:
    """The windows that lie wholly in [start_ms, end_ms), in order of time."""
    edges = list(_edges(schedule, start_ms, end_ms))
    return [Window(a, b) for a, b in itertools.pairwise(edges) if a >= start_ms and b <= end_ms]


def window_of(schedule: Schedule, ts_ms: int) -> Window:
    """The window that holds a moment."""
    edges = list(_edges(schedule, ts_ms, ts_ms + 1))
    for a, b in itertools.pairwise(edges):
        if a <= ts_ms < b:
            return Window(a, b)
    raise AssertionError(f"windows do not tile time at {ts_ms} for {schedule}")


def next_runs(schedule: Schedule, now: int, count: int = 3) -> list[int]:
    """When the next windows end, Unix ms: the moments at which runs become possible."""
    runs: list[int] = []
    window = window_of(schedule, now)
    while len(runs) < count:
        runs.append(window.end_ms)
        window = window_of(schedule, window.end_ms)
    return runs


def _edges(schedule: Schedule, start_ms: int, end_ms: int) -> Iterator[int]:
    """Ascending window edges from the last one at or before `start_ms` to the first one at or after `end_ms`."""
    frequency = schedule.frequency_minutes
    if DAY_MINUTES % frequency == 0:
        yield from _trim(_wall_edges(schedule, start_ms, end_ms), start_ms, end_ms)
    elif frequency % DAY_MINUTES == 0:
        yield from _trim(_day_edges(schedule, start_ms, end_ms), start_ms, end_ms)
    else:
        step = frequency * MINUTE_MS
        anchor = _resolve(_EPOCH, _anchor_minute(schedule), schedule.time_zone)
        first = anchor + (start_ms - anchor) // step * step
        yield from range(first, end_ms + step, step)


def _trim(edges: Iterator[int], start_ms: int, end_ms: int) -> Iterator[int]:
    before: int | None = None
    for edge in edges:
        if edge <= start_ms:
            before = edge
            continue
        if before is not None:
            yield before
            before = None
        yield edge
        if edge >= end_ms:
            return


def _wall_edges(schedule: Schedule, start_ms: int, end_ms: int) -> Iterator[int]:
    frequency = schedule.frequency_minutes
    offset = _anchor_minute(schedule) % frequency
    day, last = _local_date(start_ms, schedule.time_zone) - _DAY, _local_date(end_ms, schedule.time_zone) + 2 * _DAY
    previous = -(1 << 62)
    while day <= last:
        for edge in _edges_of_day(day, offset, frequency, schedule.time_zone):
            if edge > previous:  # an hour that the clock skips or repeats gives no second edge
                yield edge
                previous = edge
        day += _DAY


@lru_cache(maxsize=4096)
def _edges_of_day(day: dt.date, offset: int, frequency: int, time_zone: str) -> tuple[int, ...]:
    start = _resolve(day, 0, time_zone)
    if _resolve(day + _DAY, 0, time_zone) - start == DAY_MINUTES * MINUTE_MS:  # no clock change: plain arithmetic
        return tuple(start + minute * MINUTE_MS for minute in range(offset, DAY_MINUTES, frequency))
    if frequency <= 60:  # short windows follow elapsed time: a repeated hour is an hour of its own
        end = _resolve(day + _DAY, 0, time_zone)
        return tuple(range(start + offset * MINUTE_MS, end, frequency * MINUTE_MS))
    return tuple(_resolve(day, minute, time_zone) for minute in range(offset, DAY_MINUTES, frequency))


def _day_edges(schedule: Schedule, start_ms: int, end_ms: int) -> Iterator[int]:
    days = schedule.frequency_minutes // DAY_MINUTES
    minute = _anchor_minute(schedule)
    first = (_local_date(start_ms, schedule.time_zone) - _EPOCH).days // days * days - days
    day = _EPOCH + dt.timedelta(days=first)
    while True:
        edge = _resolve(day, minute, schedule.time_zone)
        yield edge
        if edge >= end_ms:
            return
        day += dt.timedelta(days=days)


@lru_cache(maxsize=65_536)
def _resolve(day: dt.date, minute: int, time_zone: str) -> int:
    """Unix ms of a local wall-clock time: the first of two in an overlap, the end of the gap in a gap."""
    zone = ZoneInfo(time_zone)
    local = dt.datetime.combine(day, dt.time(minute // 60, minute % 60), zone)
    there_and_back = local.astimezone(dt.UTC).astimezone(zone)
    if there_and_back.replace(tzinfo=None) != local.replace(tzinfo=None):  # the clock skips this time
        return _gap_end(local, zone)
    return int(local.timestamp() * 1000)


def _gap_end(local: dt.datetime, zone: ZoneInfo) -> int:
    """The moment at which the clock jumps over `local`: found by halving, to the minute."""
    low = int(local.replace(fold=1).timestamp()) // 60
    high = int(local.replace(fold=0).timestamp()) // 60
    low, high = min(low, high) - 1, max(low, high)
    wanted = local.replace(tzinfo=None)
    while high - low > 1:
        middle = (low + high) // 2
        shown = dt.datetime.fromtimestamp(middle * 60, zone).replace(tzinfo=None)
        low, high = (middle, high) if shown < wanted else (low, middle)
    return high * MINUTE_MS


def _local_date(ts_ms: int, time_zone: str) -> dt.date:
    return dt.datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(time_zone)).date()


def _anchor_minute(schedule: Schedule) -> int:
    hour, minute = schedule.anchor.split(":")
    return int(hour) * 60 + int(minute)
