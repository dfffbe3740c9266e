"""Who is on call, and until when a channel is quiet: arithmetic of wall clocks. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from cliffwatch.notify.routing.model import QuietHours, Rotation


def on_call(rotation: Rotation, at_ms: int) -> int:
    """The id of the person who is on call: the newest override that holds, else whose turn it is."""
    for override in reversed(rotation.overrides):
        if override.start_ms <= at_ms < override.end_ms:
            return override.person_id
    local = _local(at_ms, ZoneInfo(rotation.time_zone))
    days = (local.date() - rotation.first_day).days - (local.time() < rotation.handover)
    return rotation.people[days // rotation.shift_days % len(rotation.people)]


def next_handover_ms(rotation: Rotation, at_ms: int) -> int:
    """When the regular turn ends that is under way at `at_ms`."""
    zone = ZoneInfo(rotation.time_zone)
    local = _local(at_ms, zone)
    days = (local.date() - rotation.first_day).days - (local.time() < rotation.handover)
    turns = days // rotation.shift_days + 1
    day = rotation.first_day + dt.timedelta(days=turns * rotation.shift_days)
    return int(dt.datetime.combine(day, rotation.handover, zone).timestamp() * 1000)


def quiet_until(hours: QuietHours | None, time_zone: str, at_ms: int) -> int | None:
    """When the quiet hours end that hold at `at_ms`; None when none hold."""
    if hours is None:
        return None
    zone = ZoneInfo(time_zone)
    local = _local(at_ms, zone)
    for day in (local.date() - dt.timedelta(days=1), local.date()):
        if day.weekday() not in hours.days:
            continue
        last = day + dt.timedelta(days=hours.end <= hours.start)
        start = dt.datetime.combine(day, hours.start, zone).timestamp() * 1000
        end = dt.datetime.combine(last, hours.end, zone).timestamp() * 1000
        if start <= at_ms < end:
            return int(end)
    return None


def _local(at_ms: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, zone)
