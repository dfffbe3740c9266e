"""Calendar periods in a time zone: weeks from Monday, months, quarters, or from day to day. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cliffwatch.goals.model import GoalGiven, Repeat, Span

LONGEST_DAYS = 400


def span_of(given: GoalGiven, at_ms: int, zone: ZoneInfo) -> Span:
    """The goal's period that holds a moment; its only one where it is there once."""
    today = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()
    if given.repeat is Repeat.ONCE:
        first, last = date.fromisoformat(given.first), date.fromisoformat(given.last)
        return _span(first, last + timedelta(days=1), f"{_day(first)} to {_day(last)} {last.year}", zone)
    if given.repeat is Repeat.WEEK:
        first = today - timedelta(days=today.weekday())
        return _span(first, first + timedelta(days=7), f"the week of {_day(first)}", zone)
    if given.repeat is Repeat.MONTH:
        first = today.replace(day=1)
        return _span(first, _months_later(first, 1), f"{first:%B %Y}", zone)
    first = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    return _span(first, _months_later(first, 3), f"Q{(first.month + 2) // 3} {first.year}", zone)


def midnights(start_ms: int, end_ms: int, zone: ZoneInfo) -> list[int]:
    """The beginnings of local days from the one that holds `start_ms` to the first at or after `end_ms`."""
    day = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone).date()
    found = [midnight(day, zone)]
    while found[-1] < end_ms:
        day += timedelta(days=1)
        found.append(midnight(day, zone))
    return found


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a local day begins, Unix ms; where the clock skips midnight, the moment of the change."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp() * 1000)


def _span(first: date, after: date, name: str, zone: ZoneInfo) -> Span:
    return Span(midnight(first, zone), midnight(after, zone), name)


def _months_later(first: date, months: int) -> date:
    month = first.month - 1 + months
    return date(first.year + month // 12, month % 12 + 1, 1)


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
