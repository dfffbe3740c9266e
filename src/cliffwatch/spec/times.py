"""Timestamps of the Segment Spec: the syntaxes that real clients send, and the clock rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_THOUSANDTHS = {f"{rest:03d}": rest for rest in range(1000)}
_MILLISECONDS = tuple(f".{rest:03d}Z" for rest in range(1000))
_EARLIEST_MS = -62_135_596_800_000 + 86_400_000
"""Go's and Java's zero time (0001-01-01) means "not set"."""
_LATEST_MS = 253_402_300_799_999
_SECONDS_BELOW = 100_000_000_000
"""An epoch number below this is in seconds: as milliseconds it would lie before March 1973."""


def parse_time(value: object) -> int | None:
    """Unix milliseconds of a timestamp as clients write it; None when it is none.

    ISO 8601 with Z, an offset or no zone (then UTC), a date alone, or Unix time as a number or digits, in
    milliseconds or seconds (segment-spec, 1.9). The zero time 0001-01-01 counts as not set.
    """
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return _from_number(value)


def parse_text(text: str) -> int | None:
    """`parse_time` of a text."""
    if len(text) == 24 and text[19] == "." and text[23] == "Z":  # what JavaScript writes: most of all timestamps
        second, rest = _second_ms(text[:19]), _THOUSANDTHS.get(text[20:23])
        if second is not None and rest is not None:
            return second + rest
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _parse_odd_text(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _plausible((moment - _EPOCH) // _MS)


@lru_cache(maxsize=8192)
def _second_ms(text: str) -> int | None:
    """Milliseconds of `2026-11-23T11:21:00` in UTC; None for any other form, and for times that mean "not set"."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo or text[10] != "T" else _plausible((moment.replace(tzinfo=UTC) - _EPOCH) // _MS)


def _parse_odd_text(text: str) -> int | None:
    stripped = text.strip()
    if stripped.isdecimal() and len(stripped) <= 16:
        return _from_number(int(stripped))
    return parse_time(stripped) if stripped != text else None


def _from_number(number: float) -> int | None:
    if not abs(number) < 1e16:  # also false for NaN
        return None
    return _plausible(round(number * 1000 if abs(number) < _SECONDS_BELOW else number))


def _plausible(ms: int) -> int | None:
    return ms if _EARLIEST_MS < ms <= _LATEST_MS else None


def corrected_time(*, received_ms: int, sent_ms: int | None, original_ms: int | None) -> int:
    """When it happened by the server's clock: receivedAt - (sentAt - originalTimestamp) (segment-spec, 1.9).

    Without sentAt the client's own time stands; without a timestamp it happened when it arrived.
    """
    if original_ms is None:
        return received_ms
    if sent_ms is None:
        return original_ms
    corrected = received_ms - (sent_ms - original_ms)
    return corrected if _EARLIEST_MS < corrected <= _LATEST_MS else received_ms


@lru_cache(maxsize=8192)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def format_time(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, as Segment writes it: `2026-11-23T11:21:00.137Z`."""
    second, rest = divmod(ms, 1000)
    return _second_text(second) + _MILLISECONDS[rest]
