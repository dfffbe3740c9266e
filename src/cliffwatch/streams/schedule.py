"""Window arithmetic: where a stream's windows begin and end, in any time zone, through every clock change. Pure.

Three rules (docs/decisions/0006), all of which tile time exactly:

- A frequency that divides the day begins its windows whenever the wall clock reads the anchor plus a multiple of it.
  A time that the clock skips begins at the change itself; of a time that comes twice the first one counts, unless
  the repeated stretch holds whole windows (hourly windows stay an hour long).
- Whole days begin at the anchor's wall-clock time of every n-th calendar day, counted from a Monday.
- Any other frequency counts elapsed time from the anchor on the anchor's date.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cliffwatch.errors import InvalidInput
from cliffwatch.streams.model import Schedule, Window

Ints = NDArray[np.int64]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
DAY_MINUTES = 1_440

_REFERENCE_DAY = date(2001, 1, 1)
"""A Monday: windows of 7 days begin on Mondays, and an anchor without a date is on this day."""
_LONGEST_SHIFT_MS = 26 * 3_600_000
"""No clock change is longer: islands have crossed the date line, which is a day."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def edges(schedule: Schedule, start_ms: int, end_ms: int) -> Ints:
    """The times in [start_ms, end_ms) at which a window begins, ascending, Unix milliseconds."""
    if end_ms <= start_ms:
        return np.empty(0, dtype=np.int64)
    if counts_elapsed_time(schedule):
        return _progression(_origin_ms(schedule), schedule.frequency_minutes * MINUTE_MS, start_ms, end_ms)
    found = np.unique(np.concatenate(_wall_clock_edges(schedule, start_ms - DAY_MS, end_ms + DAY_MS)))
    return found[(found >= start_ms) & (found < end_ms)]


def windows(schedule: Schedule, start_ms: int, end_ms: int) -> list[Window]:
    """The windows that lie wholly in [start_ms, end_ms), in order."""
    return [Window(a, b) for a, b in pairwise(edges(schedule, start_ms, end_ms + 1).tolist())]


def window_of(schedule: Schedule, ts_ms: int) -> Window:
    """The window that holds a moment."""
    for reach in (schedule.frequency_minutes * MINUTE_MS, _longest_ms(schedule)):
        begins = edges(schedule, ts_ms - reach, ts_ms + reach + 1).tolist()
        after = bisect_right(begins, ts_ms)
        if 0 < after < len(begins):
            return Window(begins[after - 1], begins[after])
    raise AssertionError(f"no window of {schedule} holds {ts_ms}")


def next_runs(schedule: Schedule, now: int, count: int = 3) -> list[int]:
    """When the next windows end, Unix ms: the moments at which runs become possible."""
    until = now + 1 + count * schedule.frequency_minutes * MINUTE_MS + _LONGEST_SHIFT_MS
    found: list[int] = edges(schedule, now + 1, until)[:count].tolist()
    return found


def comparable(schedule: Schedule, stretch: Window, weeks: int) -> list[Window]:
    """The same stretch of the week in each of the past weeks, newest first: same weekdays, same wall-clock times.

    `stretch` may span several windows; what is given begins and ends on windows' edges. A stretch longer than a week is
    compared with those before it, without overlap.
    """
    step = timedelta(weeks=-(-(stretch.end_ms - stretch.start_ms) // WEEK_MS))
    past = []
    for back in range(1, weeks + 1):
        start = window_of(schedule, _moved(stretch.start_ms, -back * step, schedule.time_zone)).start_ms
        end = window_of(schedule, _moved(stretch.end_ms, -back * step, schedule.time_zone) - 1).end_ms
        if start < end <= stretch.start_ms:
            past.append(Window(start, end))
    return past


def counts_elapsed_time(schedule: Schedule) -> bool:
    """Whether windows count elapsed time, because the frequency fits neither the day nor the calendar."""
    return bool(DAY_MINUTES % schedule.frequency_minutes and schedule.frequency_minutes % DAY_MINUTES)


def anchored(schedule: Schedule, now: int, like: Schedule | None = None) -> Schedule:
    """The schedule with its anchor on a date, where the date matters and none is given: on that of `like`, the schedule
    that it comes from, when nothing else differs, so that the windows stay where they are; else on today's."""
    if schedule.anchor_date or not counts_elapsed_time(schedule):
        return schedule
    if like is not None and replace(schedule, anchor_date=like.anchor_date) == like:
        return like
    today = (_EPOCH + now * _MS).astimezone(zone(schedule.time_zone)).date()
    return replace(schedule, anchor_date=today.isoformat())


@lru_cache(maxsize=1024)
def zone(time_zone: str) -> ZoneInfo:
    """The rules of an IANA time zone. Raises InvalidInput for a name that is none."""
    try:
        return ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            f"time zone “{time_zone}”", "is not known.", "Use a name such as Europe/Berlin or UTC."
        ) from error


def _wall_clock_edges(schedule: Schedule, start_ms: int, end_ms: int) -> list[Ints]:
    """Edges of a frequency that divides the day or counts whole days, stretch by stretch of constant UTC offset."""
    step_ms = schedule.frequency_minutes * MINUTE_MS
    phase_ms = _anchor_minutes(schedule.anchor) * MINUTE_MS + (_REFERENCE_DAY - _EPOCH.date()).days * DAY_MS
    parts: list[Ints] = []
    local_before: int | None = None  # what the wall clock read when the stretch before this one ended
    for begin_ms, until_ms, offset_ms in _stretches(schedule.time_zone, start_ms, end_ms):
        local = begin_ms + offset_ms
        if local_before is not None and local > local_before:
            if len(_progression(phase_ms, step_ms, local_before, local)):  # the clock skipped an edge
                parts.append(np.array([begin_ms], dtype=np.int64))
        elif local_before is not None and (local_before - local) % step_ms:
            local = local_before  # these times have been already
        parts.append(_progression(phase_ms, step_ms, local, until_ms + offset_ms) - offset_ms)
        local_before = until_ms + offset_ms
    return parts


def _progression(phase_ms: int, step_ms: int, start_ms: int, end_ms: int) -> Ints:
    """All numbers phase + k * step in [start, end)."""
    return np.arange(start_ms + (phase_ms - start_ms) % step_ms, end_ms, step_ms, dtype=np.int64)


def _longest_ms(schedule: Schedule) -> int:
    return schedule.frequency_minutes * MINUTE_MS + _LONGEST_SHIFT_MS


def _anchor_minutes(anchor: str) -> int:
    hour, minute = anchor.split(":")
    return int(hour) * 60 + int(minute)


@lru_cache(maxsize=4096)
def _origin_ms(schedule: Schedule) -> int:
    day = date.fromisoformat(schedule.anchor_date) if schedule.anchor_date else _REFERENCE_DAY
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's reading
    return _to_utc_ms(midnight + timedelta(minutes=_anchor_minutes(schedule.anchor)), schedule.time_zone)


def _moved(ts_ms: int, by: timedelta, time_zone: str) -> int:
    """The moment at which the wall clock reads so much more than at `ts_ms`."""
    local = (_EPOCH + ts_ms * _MS).astimezone(zone(time_zone)).replace(tzinfo=None)
    return _to_utc_ms(local + by, time_zone)


def _to_utc_ms(local: datetime, time_zone: str) -> int:
    """The first moment at which the wall clock reads `local`; the clock change itself when it skips that time."""
    ts_ms = (local.replace(tzinfo=zone(time_zone), fold=0) - _EPOCH) // _MS
    reading_ms = (local.replace(tzinfo=UTC) - _EPOCH) // _MS
    for at_ms, before_ms, after_ms in _changes(time_zone, ts_ms - 2 * DAY_MS, ts_ms + 2 * DAY_MS):
        if at_ms + before_ms <= reading_ms < at_ms + after_ms:
            return at_ms
    return ts_ms


def _stretches(time_zone: str, start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """(begin, until, UTC offset), all ms: the stretches of constant offset that cover [start_ms, end_ms)."""
    changes = _changes(time_zone, start_ms, end_ms)
    inside = changes[bisect_left(changes, (start_ms + 1,)) : bisect_left(changes, (end_ms,))]
    bounds = [start_ms, *(at_ms for at_ms, _, _ in inside), end_ms]
    offsets = [_offset_ms(time_zone, start_ms), *(after_ms for _, _, after_ms in inside)]
    return [(a, b, offset) for (a, b), offset in zip(pairwise(bounds), offsets, strict=True)]


def _changes(time_zone: str, start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """(when, offset before, offset after), all ms: the clock changes of at least [start_ms, end_ms)."""
    first, last = ((_EPOCH + ms * _MS).year for ms in (start_ms, end_ms))
    return [change for year in range(first, last + 1) for change in _changes_of_year(time_zone, year)]


@lru_cache(maxsize=8192)
def _changes_of_year(time_zone: str, year: int) -> tuple[tuple[int, int, int], ...]:
    """The clock changes of a UTC year.

    `zoneinfo` does not tell its transitions, so the offset is looked up four times a day and each change found by
    halving: 2 ms, once per zone and year.
    """
    begin, until = ((datetime(y, 1, 1, tzinfo=UTC) - _EPOCH) // _MS for y in (year, year + 1))
    step = DAY_MS // 4
    changes = []
    before = _offset_ms(time_zone, begin - step)
    for late in range(begin, until, step):
        after = _offset_ms(time_zone, late)
        if after != before:
            changes.append((_first_with(time_zone, after, late - step, late), before, after))
        before = after
    return tuple(changes)


def _first_with(time_zone: str, offset_ms: int, early_ms: int, late_ms: int) -> int:
    """The first second in (early_ms, late_ms] with this offset."""
    early, late = early_ms // 1000, late_ms // 1000
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if _offset_ms(time_zone, middle * 1000) == offset_ms else (middle, late)
    return late * 1000


def _offset_ms(time_zone: str, ts_ms: int) -> int:
    offset = (_EPOCH + ts_ms * _MS).astimezone(zone(time_zone)).utcoffset()
    return 0 if offset is None else offset // _MS
