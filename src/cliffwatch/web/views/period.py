"""The period of the delivery overview, as its address names it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from urllib.parse import urlencode

from cliffwatch.ingest.delivered import HOURS_KEPT_MS, span_of
from cliffwatch.web import formats

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
PERIODS = (
    ("10m", "10 min", 10 * MINUTE_MS),
    ("1h", "1 hour", HOUR_MS),
    ("24h", "24 hours", 24 * HOUR_MS),
    ("7d", "7 days", 7 * 24 * HOUR_MS),
    ("14d", "14 days", 14 * 24 * HOUR_MS),
    ("30d", "30 days", 30 * 24 * HOUR_MS),
)
DEFAULT = "24h"
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Period:
    """[start_ms, end_ms), both multiples of the span in which it is counted."""

    key: str
    start_ms: int
    end_ms: int
    span_ms: int
    start: str = ""  # as the form shows it
    end: str = ""
    error: str = ""

    @property
    def before(self) -> Period:
        """The period of the same length before this one."""
        return Period(self.key, 2 * self.start_ms - self.end_ms, self.start_ms, self.span_ms)

    @property
    def query(self) -> str:
        """The part of an address that names the period."""
        if self.key == CUSTOM:
            return urlencode({"period": CUSTOM, "from": self.start, "until": self.end})
        return urlencode({"period": self.key})


def period_of(key: str, start: str, end: str, zone: tzinfo, now: int) -> Period:
    """The period that was asked for; the last day, with what was wrong, when it cannot be."""
    if key != CUSTOM:
        found = next(((name, length) for name, _, length in PERIODS if name == key), (DEFAULT, 24 * HOUR_MS))
        return _last(*found, zone, now)
    first, last = _moment(start, zone), _moment(end, zone)
    error = _refusal(first, last, now)
    if first is None or last is None or error:
        usual = _last(DEFAULT, 24 * HOUR_MS, zone, now)
        return Period(CUSTOM, usual.start_ms, usual.end_ms, usual.span_ms, start, end, error)
    span = span_of(first, last, now)
    return Period(CUSTOM, first - first % span, last + -last % span, span, start, end)


def _last(key: str, length: int, zone: tzinfo, now: int) -> Period:
    """The stretch that ends with the current minute or hour."""
    span = span_of(now - length, now, now)
    end_ms = now - now % span + span
    start_ms = end_ms - max(length, span)
    return Period(key, start_ms, end_ms, span, _typed(start_ms, zone), _typed(min(end_ms, now), zone))


def _refusal(first: int | None, last: int | None, now: int) -> str:
    if first is None or last is None:
        return "Choose both a beginning and an end."
    if last <= first:
        return "The end must be after the beginning."
    if first < now - HOURS_KEPT_MS:
        return f"Counts are kept for {HOURS_KEPT_MS // (24 * HOUR_MS)} days; choose a later beginning."
    return ""


def _moment(text: str, zone: tzinfo) -> int | None:
    """Unix milliseconds of what a date and time field sends; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _typed(ms: int, zone: tzinfo) -> str:
    return f"{formats.local(ms, zone):%Y-%m-%dT%H:%M}"
