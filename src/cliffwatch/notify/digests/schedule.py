"""When digests are due, and what they speak of: arithmetic of wall clocks. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from cliffwatch.notify.digests.model import DigestKind, DigestSettings, Period


def newest_period(kind: DigestKind, settings: DigestSettings, time_zone: str, at_ms: int) -> Period:
    """The newest period that is over at `at_ms`. It ends at the chosen hour, whatever the clocks do on that day."""
    zone = ZoneInfo(time_zone)
    day = dt.datetime.fromtimestamp(at_ms / 1000, zone).date()
    if kind is DigestKind.WEEKLY:
        day -= dt.timedelta(days=(day.weekday() - settings.weekday) % 7)
    if _at(day, settings.hour, zone) > at_ms:
        day -= dt.timedelta(days=kind.days)
    return Period(kind, _at(day - dt.timedelta(days=kind.days), settings.hour, zone), _at(day, settings.hour, zone))


def next_ms(kind: DigestKind, settings: DigestSettings, time_zone: str, at_ms: int) -> int:
    """When the next one leaves."""
    zone = ZoneInfo(time_zone)
    end = newest_period(kind, settings, time_zone, at_ms).end_ms
    day = dt.datetime.fromtimestamp(end / 1000, zone).date()
    return _at(day + dt.timedelta(days=kind.days), settings.hour, zone)


def running_period(kind: DigestKind, time_zone: str, at_ms: int) -> Period:
    """The last day or week until now: what a preview and “send now” speak of."""
    zone = ZoneInfo(time_zone)
    then = dt.datetime.fromtimestamp(at_ms / 1000, zone) - dt.timedelta(days=kind.days)
    return Period(kind, int(then.timestamp() * 1000), at_ms)


def _at(day: dt.date, hour: int, zone: ZoneInfo) -> int:
    return int(dt.datetime.combine(day, dt.time(hour), zone).timestamp() * 1000)
