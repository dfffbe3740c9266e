"""A period that a person asks about: what they chose, what is wrong with it, and how the answer reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from cliffwatch.pipeline.periods import Base
from cliffwatch.streams.model import Schedule, Window
from cliffwatch.streams.schedule import window_of
from cliffwatch.web import formats
from cliffwatch.web.views.incidents import Fact
from cliffwatch.web.views.links import field_time, read_time
from cliffwatch.web.views.why import relative_words

MOST_DAYS = 100
BASES = tuple((base.value, base.words[0].upper() + base.words[1:]) for base in Base)


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it stands in the address: its fields ("" for what is no time), their meaning, and what is wrong."""

    start: str
    end: str
    base: Base
    base_start: str
    base_end: str
    period: Window | None
    chosen: Window | None
    errors: Mapping[str, str] = field(default_factory=dict)


def asked(query: Mapping[str, str], schedule: Schedule, zone: tzinfo, now: int) -> Asked:
    """Read an address. Without a period it is the newest day of complete windows, or the newest window if longer."""
    until = window_of(schedule, now).start_ms
    length = max(formats.DAY_MS, schedule.frequency_minutes * 60_000)
    start, end = query.get("start") or field_time(until - length, zone), query.get("end") or field_time(until, zone)
    errors: dict[str, str] = {}
    period = _period(start, end, zone, errors, ("start", "end"))
    if period is not None and period.start_ms >= now:
        errors["start"] = "This lies in the future. Choose a time that has been."
        period = None
    given = query.get("base", "")
    base = Base(given) if given in [one.value for one in Base] else Base.WEEKS
    base_start, base_end, chosen = query.get("base_start", ""), query.get("base_end", ""), None
    if base is Base.PERIOD:
        if period is not None and not base_start and not base_end:
            span = period.end_ms - period.start_ms
            base_start, base_end = field_time(period.start_ms - span, zone), start
        chosen = _period(base_start, base_end, zone, errors, ("base_start", "base_end"))
        if period and chosen and chosen.start_ms < period.end_ms and period.start_ms < chosen.end_ms:
            errors["base_start"] = "This overlaps the period that is explained. Choose one beside it."
    fields = [text if read_time(text, zone) is not None else "" for text in (start, end, base_start, base_end)]
    return Asked(fields[0], fields[1], base, fields[2], fields[3], period, chosen, errors)


def _period(start: str, end: str, zone: tzinfo, errors: dict[str, str], names: tuple[str, str]) -> Window | None:
    first, last = read_time(start, zone), read_time(end, zone)
    for name, moment in zip(names, (first, last), strict=True):
        if moment is None:
            errors[name] = "This is not a time. Choose a day and an hour."
    if first is None or last is None:
        return None
    if last <= first:
        errors[names[1]] = "This must come after the start."
        return None
    if last - first > MOST_DAYS * formats.DAY_MS:
        errors[names[1]] = f"This is more than {MOST_DAYS} days after the start. Choose a shorter period."
        return None
    return Window(first, last)


def facts(document: Mapping[str, Any], unit: str | None, zone: tzinfo) -> tuple[Fact, ...]:
    """The figures under the headline: what was, what was expected, and against what."""
    actual, expected = float(document["actual"]), float(document["expected"])
    periods = document["base"]["periods"]
    found = [Fact("Actual", formats.quantity(actual, unit, 4)), Fact("Expected", formats.quantity(expected, unit, 4))]
    if periods:
        found.append(Fact("Change", relative_words(actual, expected) if actual != expected else "none"))
    if len(periods) == 1:
        found.append(
            Fact("Compared with", "1 period", formats.span(periods[0]["start_ms"], periods[0]["end_ms"], zone))
        )
    elif periods:
        newest = formats.span(periods[0]["start_ms"], periods[0]["end_ms"], zone)
        found.append(Fact("Compared with", f"{len(periods)} periods", f"the newest {newest}"))
    return tuple(found)
