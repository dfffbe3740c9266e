"""From a grid to what the clock and the calendar say of each window: local hour, weekday, holiday. Pure."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from cliffwatch.detect.model import DAY_MS, HOUR_MS, Bools, Floats, Grid, Ints
from cliffwatch.errors import InvalidInput

QUARTER_MS = HOUR_MS // 4
STRETCH_MS = 6 * HOUR_MS  # whose largest values are compared
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


@dataclass(frozen=True, slots=True)
class Calendar:
    """Per window: where it stands in the day and the week of the grid's time zone.

    `hours` holds (slot, share) pairs: the hours of day whose rhythm a window feels. A window of at least 20
    hours feels none; one of at least 2 days has no weekday. `day` numbers local days; `slot` is the hour that a
    window teaches. `month` is 0 on the last day of a month, 1 on the first, else -1 (also for windows below a day:
    their memory sees too few months). `own` names the kinds of own events that a window feels, with the share of it
    that they cover and whether one begins in it. `stretch` numbers stretches of six hours. `sums`: the hours that
    a window lies in add up by their share of it, because the same windows lie otherwise after a clock change.
    """

    hours: tuple[tuple[tuple[int, float], ...], ...]
    slot: Ints
    weekday: Ints
    weekend: Bools
    holiday: Bools
    day: Ints
    duration_h: Floats
    month: Ints
    stretch: Ints
    sums: bool
    own: tuple[tuple[tuple[str, float, bool], ...], ...]
    has_hours: bool
    has_weekdays: bool


def calendar(grid: Grid) -> Calendar:
    """Read the grid's windows in its time zone.

    Raises InvalidInput for a time zone or a country that nobody knows.
    """
    length = grid.end_ms - grid.start_ms
    step = grid.step_ms
    middle = grid.start_ms + length // 2
    local = middle + local_offset_ms(middle, grid.time_zone)
    day = local // DAY_MS
    weekday = (day + EPOCH_WEEKDAY) % 7
    has_hours, has_weekdays = step < 20 * HOUR_MS, step < 2 * DAY_MS
    holiday = _holidays(day, grid.country) if has_weekdays else np.zeros(len(grid), bool)
    slot = (local % DAY_MS) // HOUR_MS
    sums = step == HOUR_MS and changes_by_parts(grid.time_zone)
    return Calendar(
        hours=_hour_shares(local, step, sums=sums) if has_hours else ((),) * len(grid),
        slot=slot,
        weekday=weekday,
        weekend=(weekday >= 5) & has_hours,
        holiday=holiday,
        day=day,
        duration_h=length / HOUR_MS,
        month=_months(day) if has_weekdays and not has_hours and grid.months else np.full(len(grid), -1),
        own=_own_events(grid),
        sums=sums,
        stretch=(grid.end_ms - 1) // STRETCH_MS,
        has_hours=has_hours,
        has_weekdays=has_weekdays,
    )


def local_offset_ms(at_ms: Ints, time_zone: str) -> Ints:
    """The zone's offset from UTC at each instant. Offsets change on quarter hours only, so each is asked once."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f'time zone "{time_zone}"', "is not known.", 'Use a name such as "Europe/Berlin".'
        ) from error
    if time_zone == "UTC" or not len(at_ms):
        return np.zeros(len(at_ms), np.int64)
    quarters, where = np.unique(at_ms // QUARTER_MS, return_inverse=True)
    offsets = np.empty(len(quarters), np.int64)
    for i, quarter in enumerate(quarters.tolist()):
        moment = dt.datetime.fromtimestamp(quarter * QUARTER_MS / 1000, zone)
        offset = moment.utcoffset()
        offsets[i] = int(offset.total_seconds() * 1000) if offset else 0
    return offsets[where]


@functools.cache
def changes_by_parts(time_zone: str) -> bool:
    """Whether the zone's clock changes by less than an hour (Lord Howe's by half of one), in these years."""
    zone = ZoneInfo(time_zone)
    offsets = {dt.datetime(2025, month, 15, tzinfo=zone).utcoffset() or dt.timedelta() for month in (1, 7)}
    return (max(offsets) - min(offsets)) % dt.timedelta(hours=1) != dt.timedelta()


def _hour_shares(local: Ints, step: int, *, sums: bool) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Which hours of day a window feels.

    A frequency that divides the day meets the same hours every day: one slot is enough. Shorter windows lie
    between the middles of two hours; a frequency such as 5 h covers other hours each day, all in equal shares. Where
    clocks change by parts of an hour, a window of an hour lies in two (`sums`).
    """
    if sums:
        start = (local - step // 2) % DAY_MS
        return tuple(
            ((at // HOUR_MS, 1.0),)
            if at % HOUR_MS == 0
            else ((at // HOUR_MS, 1 - at % HOUR_MS / HOUR_MS), ((at // HOUR_MS + 1) % 24, at % HOUR_MS / HOUR_MS))
            for at in start.tolist()
        )
    if step < HOUR_MS:
        position = (local % DAY_MS) / HOUR_MS - 0.5
        left = np.floor(position).astype(np.int64)
        right_share = position - left
        return tuple(
            ((a % 24, 1 - share), ((a + 1) % 24, share))
            for a, share in zip(left.tolist(), right_share.tolist(), strict=True)
        )
    slots = ((local % DAY_MS) // HOUR_MS).tolist()
    if DAY_MS % step == 0 or step % HOUR_MS:
        return tuple(((slot, 1.0),) for slot in slots)
    hours = step // HOUR_MS
    first = (local - step // 2) % DAY_MS // HOUR_MS
    return tuple(tuple(((start + k) % 24, 1 / hours) for k in range(hours)) for start in first.tolist())


def _holidays(day: Ints, country: str | None) -> Bools:
    if country is None or not len(day):
        return np.zeros(len(day), bool)
    import holidays  # a large package, and most grids have no country

    years = range(_date(int(day[0])).year, _date(int(day[-1])).year + 1)
    try:
        known = holidays.country_holidays(country, years=years)
    except NotImplementedError as error:
        raise InvalidInput(f'country "{country}"', "has no known holidays.", 'Use a code such as "DE".') from error
    unique, where = np.unique(day, return_inverse=True)
    return np.array([_date(int(d)) in known for d in unique], bool)[where]


def _months(day: Ints) -> Ints:
    if not len(day):
        return np.zeros(0, np.int64)
    dates = day.astype("datetime64[D]")
    last = (dates + 1).astype("datetime64[M]") != dates.astype("datetime64[M]")
    first = dates.astype("datetime64[M]").astype("datetime64[D]") == dates
    return np.where(last, 0, np.where(first, 1, -1))


def _own_events(grid: Grid) -> tuple[tuple[tuple[str, float, bool], ...], ...]:
    felt: list[dict[str, tuple[float, bool]]] = [{} for _ in range(len(grid))]
    for event in sorted(grid.events, key=lambda e: (e.start_ms, e.kind)):
        first = int(np.searchsorted(grid.end_ms, event.start_ms, side="right"))
        last = int(np.searchsorted(grid.start_ms, event.end_ms, side="left"))
        for t in range(first, last):
            start, end = int(grid.start_ms[t]), int(grid.end_ms[t])
            share = (min(end, event.end_ms) - max(start, event.start_ms)) / (end - start)
            before, began = felt[t].get(event.kind, (0.0, False))
            felt[t][event.kind] = (min(1.0, before + share), began or event.start_ms >= start)
    return tuple(tuple((kind, *what) for kind, what in each.items()) for each in felt)


def _date(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)
