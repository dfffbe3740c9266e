"""What changed, in one plain sentence with readable numbers, in the workspace's time zone. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

from cliffwatch.incidents.model import Incident
from cliffwatch.streams.model import OTHER, Slice

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

SYMBOLS = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "KRW": "₩",
    "BRL": "R$",
    "AUD": "A$",
    "CAD": "C$",
}
_SPELLED = frozenset(["AED", "BGN", "CHF", "CNY", "CZK", "DKK", "HKD", "HUF", "IDR", "ILS", "MXN", "NOK", "NZD"])
_SPELLED |= frozenset(["PLN", "RON", "SAR", "SEK", "SGD", "THB", "TRY", "ZAR"])
_PER = {MINUTE_MS: "a minute", HOUR_MS: "an hour", DAY_MS: "a day", 7 * DAY_MS: "a week"}


def is_money(unit: str | None) -> bool:
    return unit is not None and (unit.upper() in SYMBOLS or unit.upper() in _SPELLED)


def number(value: float, digits: int | None = None) -> str:
    """`1284.3` as "1,284"; small numbers keep what tells them apart. `digits`: round to that many significant ones."""
    if math.isnan(value):
        return "no value"
    size = abs(value)
    if digits is not None and size >= 10**digits:
        return f"{round(value, digits - 1 - math.floor(math.log10(size))):,.0f}"
    if size == round(size) or size >= 100:
        return f"{value:,.0f}"
    decimals = 1 if size >= 10 else 2 if size >= 1 else 2 - math.floor(math.log10(size))
    text = f"{value:.{min(decimals, 8)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float, unit: str | None, digits: int | None = None) -> str:
    """A number with its unit: "$12,400", "CHF 950", "42 ms", "1,284"."""
    if math.isnan(value):
        return number(value, digits)
    if is_money(unit):
        value = value or 0.0  # "€0", not "-€0"
        if 0 < abs(value) < 100 and value != round(value):
            return with_unit(f"{value:.2f}", unit)
    return with_unit(number(value, digits), unit)


def with_unit(text: str, unit: str | None) -> str:
    """A written number with its unit: money knows where its sign stands ("-€12.4k")."""
    if not unit:
        return text
    if not is_money(unit):
        return f"{text} {unit}"
    sign, size = ("-", text[1:]) if text.startswith("-") else ("", text)
    symbol = SYMBOLS.get(unit.upper())
    return f"{sign}{symbol}{size}" if symbol else f"{sign}{unit.upper()} {size}"


def percent(share: float) -> str:
    """A share without false precision: "31 %", "4.2 %", "0.4 %"; unsigned."""
    size = abs(share) * 100
    if size >= 9.95:
        return f"{size:,.0f} %"
    decimals = 1 if size >= 0.1 else 2
    return f"{size:.{decimals}f}".removesuffix(".0") + " %"


def change(relative: float, other: str = "") -> str:
    """How far from expected, as people say it: "31 % below expected", "4.5 times what is expected"; or from something
    else: "31 % below the target"."""
    if relative >= 2:
        times = relative + 1
        return f"{times:,.{0 if times >= 10 else 1}f} times {other or 'what is expected'}"
    usual = other or "expected"
    if -1 < relative <= -0.995:
        return f"more than 99 % below {usual}"
    return f"{percent(relative)} {'above' if relative > 0 else 'below'} {usual}"


def when(ms: int, zone: tzinfo, now: int) -> str:
    """A moment as a person near it would say it: "14:00", "Sat 21 Nov, 14:00", "21 Nov 2025, 14:00"."""
    then, today = _local(ms, zone), _local(now, zone)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    if abs(now - ms) < 180 * DAY_MS:
        return f"{then:%a} {then.day} {then:%b, %H:%M}"
    return f"{then.day} {then:%b %Y, %H:%M}"


def duration(ms: int) -> str:
    """A length of time: "3 hours", "2 days 4 hours", "45 minutes"."""
    minutes = round(ms / MINUTE_MS)
    if minutes < 60:
        return count(max(minutes, 1), "minute")
    hours, minutes = divmod(minutes, 60)
    if hours < 6 and minutes:
        return f"{count(hours, 'hour')} {count(minutes, 'minute')}"
    days, hours = divmod(hours + (minutes >= 30), 24)
    if not days:
        return count(hours, "hour")
    return count(days, "day") + (f" {count(hours, 'hour')}" if hours and days < 7 else "")


def slice_phrase(slice_: Slice) -> str:
    """`(("properties.app_version", "5.3"), ...)` as "app version 5.3, country DE"; "" for the total."""
    return ", ".join(f"{path.rsplit('.', 1)[-1].replace('_', ' ')} {_value(value)}" for path, value in slice_)


def name_of(measure_name: str, slice_: Slice) -> str:
    """A series in words: "Revenue (country DE)"."""
    return f"{measure_name} ({slice_phrase(slice_)})" if slice_ else measure_name


def headline(incident: Incident, zone: tzinfo, now: int) -> str:
    """What changed and since when, while it goes on.

    "Revenue is 31 % below expected since 14:00"; "Orders stopped: 0 instead of about 42 an hour since 14:00";
    "Failed checkouts appeared: about 12 an hour since 14:00, where none are usual".
    """
    name, since = name_of(incident.measure_name, incident.slice), f"since {when(incident.started_ms, zone, now)}"
    if incident.provisional:
        since += ", so far"
    if _nothing_to_measure(incident):
        why = _silence_words(incident) or "; nothing arrived to measure"
        return f"{name} {have(incident.measure_name)} had no value {since}{why.replace(';', ':', 1)}"
    usual = rate(incident, incident.expected)
    if incident.actual == 0 and incident.expected > 0:
        verb = "went silent" if incident.kind == "silence" else "stopped"
        return f"{name} {verb}: 0 instead of about {usual} {since}{_silence_words(incident)}"
    if _hardly_any(incident):
        return f"{name} appeared: about {rate(incident, incident.actual)} {since}, where none are usual"
    return f"{name} {are(incident.measure_name)} {_size(incident)} {since}"


def _silence_words(incident: Incident) -> str:
    """Whether nothing arrived or nobody did it, where that is known."""
    return {
        "source": "; nothing at all arrives from its source",
        "event": "; other events of its source still arrive",
    }.get(incident.silence, "")


def recovered(incident: Incident, zone: tzinfo, now: int) -> str:
    """How it ended: size, duration, and the total in the measure's unit.

    "Revenue is back in its usual range after 4 hours: it was 31 % below expected from 14:00 to 18:00, €12,400 less"
    """
    end = incident.ended_ms or incident.last_window_ms
    span = f"from {when(incident.started_ms, zone, now)} to {_until(incident.started_ms, end, zone, now)}"
    name = name_of(incident.measure_name, incident.slice)
    if incident.kind == "level_shift":
        opening = f"{name} {'have' if _plural(incident.measure_name) else 'has'} settled at a new level"
    else:
        back = "are back in their" if _plural(incident.measure_name) else "is back in its"
        opening = f"{name} {back} usual range"
    sentence = f"{opening} after {duration(end - incident.started_ms)}"
    if _nothing_to_measure(incident):
        return f"{sentence}: nothing arrived to measure {span}"
    it = ("they", "were") if _plural(incident.measure_name) else ("it", "was")
    if incident.actual == 0 and incident.expected > 0:
        size = f"0 instead of about {rate(incident, incident.expected)} {span}"
    elif _hardly_any(incident):
        size = f"about {rate(incident, incident.actual)} {span}, where none are usual"
    else:
        size = f"{it[0]} {it[1]} {_size(incident)} {span}"
    total = loss(incident)
    return f"{sentence}: {size}" + (f", {total}" if total else "")


def retracted(incident: Incident, zone: tzinfo, now: int) -> str:
    """Said when late events took the whole story back."""
    name = name_of(incident.measure_name, incident.slice)
    was = "were" if _plural(incident.measure_name) else "was"
    then = when(incident.started_ms, zone, now)
    if incident.provisional:
        return f"{name} {was} in the usual range after all when its window closed: {then}"
    return f"{name} {was} in the usual range after all: late events arrived for {then}"


def loss(incident: Incident) -> str:
    """The total so far in the measure's unit: "€12,400 less in total"; "" where values of windows do not add up."""
    if not incident.additive or incident.impact == 0:
        return ""
    side = "less" if incident.impact < 0 else "more"
    return f"{quantity(abs(incident.impact), incident.unit)} {side} in total"


def rate(incident: Incident, value: float) -> str:
    """A value of the story per unit of time where values add up ("42 an hour"), else the value itself."""
    if not incident.additive:
        return quantity(value, incident.unit, digits=3)
    span = max(incident.last_window_ms - incident.started_ms, 1)
    per_ms = incident.subject.window_ms if incident.subject.window_ms in _PER else HOUR_MS
    each = value * per_ms / span
    if is_money(incident.unit) or each >= 10:
        each = round(each)
    elif each:
        each = round(each, 1 - math.floor(math.log10(each)))
    return f"{quantity(each, incident.unit, digits=3)} {_PER[per_ms]}"


def _hardly_any(incident: Incident) -> bool:
    """Whether nothing worth naming was expected: a percentage of it would be absurd."""
    if incident.actual == 0:
        return False
    return incident.expected == 0 or incident.actual / incident.expected >= 1000


def _size(incident: Incident) -> str:
    relative = incident.relative
    return "unusual" if relative is None else change(relative)


def _nothing_to_measure(incident: Incident) -> bool:
    """An average of nothing is not 0: there is no value."""
    return incident.kind == "silence" and not incident.additive


def _until(start_ms: int, end_ms: int, zone: tzinfo, now: int) -> str:
    same_day = _local(start_ms, zone).date() == _local(end_ms, zone).date()
    return f"{_local(end_ms, zone):%H:%M}" if same_day else when(end_ms, zone, now)


def _local(ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def count(amount: int, word: str) -> str:
    return f"{amount} {word}" + ("" if amount == 1 else "s")


def _value(value: str) -> str:
    return "other" if value == OTHER else value or "(not set)"


def _plural(measure_name: str) -> bool:
    """Whether a measure's name reads as a plural: "Orders", "Events (Signed Up)", but not "Sum of orders"."""
    head = measure_name
    for stop in (" of ", " per ", " (", " in "):
        head = head.split(stop, 1)[0]
    return head.endswith("s") and not head.endswith(("ss", "us", "is"))


def are(measure_name: str) -> str:
    return "are" if _plural(measure_name) else "is"


def have(measure_name: str) -> str:
    return "have" if _plural(measure_name) else "has"
