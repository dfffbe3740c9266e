"""Times and numbers as people read them, always in the workspace's time zone. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cliffwatch.incidents.headline import duration, number, percent, with_unit
from cliffwatch.incidents.numbers import PERCENT, shown_unit
from cliffwatch.incidents.numbers import written as quantity

__all__ = [
    "PERCENT",
    "Moment",
    "ago",
    "clock",
    "compact",
    "duration",
    "initials",
    "local",
    "moment",
    "number",
    "part_of_day",
    "percent",
    "plural",
    "quantity",
    "shown_unit",
    "signed_percent",
    "span",
    "zone_of",
]

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for a `<time>` element: what machines read, what people read, and the whole of it on demand."""

    iso: str
    text: str
    title: str


def zone_of(name: str) -> ZoneInfo:
    """The zone of a workspace; `accounts` has made sure that it exists."""
    return ZoneInfo(name)


def local(ms: int, zone: tzinfo) -> datetime:
    """The moment by the clock of `zone`; the first or last day of the calendar for what lies beyond it."""
    return datetime.fromtimestamp(min(max(ms, _FIRST_MS), _LAST_MS) / 1000, UTC).astimezone(zone)


_FIRST_MS, _LAST_MS = -62_135_510_400_000, 253_402_214_400_000  # a day within the years 1 and 9999, UTC


def moment(ms: int, zone: tzinfo, now: int, *, relative: bool = False) -> Moment:
    """`14:02` today, `Sat 21 Nov, 14:02` near by, `21 Nov 2025, 14:02` far off; or `3 min ago` with `relative`."""
    then = local(ms, zone)
    title = f"{then:%A} {then.day} {then:%B %Y, %H:%M:%S} {then.tzname()}"
    text = ago(ms, now) if relative else _short(then, local(now, zone))
    return Moment(then.isoformat(timespec="seconds"), text, title)


def _short(then: datetime, today: datetime) -> str:
    if then.date() == today.date():
        return f"{then:%H:%M}"
    if then.date() == (today - timedelta(days=1)).date():
        return f"Yesterday, {then:%H:%M}"
    if abs(then - today) < timedelta(days=300):
        return f"{then:%a} {then.day} {then:%b, %H:%M}"
    return f"{then.day} {then:%b %Y, %H:%M}"


def span(start_ms: int, end_ms: int, zone: tzinfo) -> str:
    """A window: `Sat 21 Nov, 14:00 – 15:00`, over midnight with both days."""
    start, end = local(start_ms, zone), local(end_ms, zone)
    first = f"{start:%a} {start.day} {start:%b, %H:%M}"
    return f"{first} – {end:%H:%M}" if start.date() == end.date() else f"{first} – {end:%a} {end.day} {end:%b, %H:%M}"


def ago(ms: int, now: int) -> str:
    """`just now`, `3 min ago`, `5 h ago`, `12 days ago`; for the future `in 3 min`."""
    distance = abs(now - ms)
    if distance < 45_000:
        return "just now" if ms <= now else "in a moment"
    if distance < HOUR_MS:
        text = f"{max(1, round(distance / MINUTE_MS))} min"
    elif distance < 36 * HOUR_MS:
        text = f"{round(distance / HOUR_MS)} h"
    else:
        text = plural(round(distance / DAY_MS), "day")
    return f"{text} ago" if ms <= now else f"in {text}"


def clock(ms: int, zone: tzinfo) -> str:
    """The time of a run as the wizard shows it: `12:59 PM`."""
    then = local(ms, zone)
    return f"{(then.hour % 12) or 12}:{then:%M %p}"


def part_of_day(hour: int) -> str:
    """What people greet each other with at a full hour; the small hours belong to the evening before."""
    return "morning" if 4 <= hour < 12 else "afternoon" if 12 <= hour < 18 else "evening"


def compact(value: float, unit: str | None = None) -> str:
    """A figure for a tile: `1,284`, `12.8k`, `€1.24M`; "–" where there is none."""
    if math.isnan(value):
        return "–"
    if unit == PERCENT:
        return quantity(value, unit)
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scaled = value / (1e3 if letter == "k" else size)
            digits = 0 if abs(scaled) >= 100 else 1
            text = f"{scaled:,.{digits}f}".removesuffix(".0") + letter
            return with_unit(text, unit)
    return quantity(value, unit)


def signed_percent(share: float) -> str:
    """`+12 %`, `−31 %`; "–" where there is none."""
    if math.isnan(share) or math.isinf(share):
        return "–"
    if abs(share) < 0.0005:
        return "0 %"
    sign = "+" if share > 0 else "−" if share < 0 else ""
    return sign + percent(share)


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 day`, `3 days`, `0 days`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser(user_agent: str) -> str:
    """`Firefox on Linux`, as far as the header tells; the header's beginning when it tells neither."""
    name = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return " on ".join(filter(None, (name, system))) or user_agent[:60] or "Unknown"


def initials(name: str) -> str:
    """Up to two letters for an avatar."""
    words = [word for word in name.split() if word[:1].isalnum()]
    letters = [words[0][0], words[-1][0]] if len(words) > 1 else [name.strip()[:2]]
    return "".join(letters).upper() or "?"
