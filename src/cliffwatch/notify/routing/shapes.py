"""Routing as JSON values: checked on the way in, written out on the way to a row, a form or an answer. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.routing.model import EVERY_DAY, Override, QuietHours, Step

MAX_STEPS = 10
MAX_REPEATS = 9
MAX_WAIT_MINUTES = 7 * 24 * 60
MAX_PEOPLE = 50


def parse_steps(steps: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a policy. Raises InvalidInput naming the step."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidInput("policy steps", f"must be 1 to {MAX_STEPS}.", "A policy without a step tells nobody.")
    return tuple(_step(number, given) for number, given in enumerate(steps, start=1))


def _step(number: int, given: Mapping[str, Any]) -> Step:
    unknown = sorted(set(given) - {"after_minutes", "channels", "rotations", "urgent"})
    if unknown:
        raise InvalidInput(f"step {number} field {unknown[0]!r}", "is not known.", "See the list of fields.")
    wait = given.get("after_minutes", 0)
    if isinstance(wait, bool) or not isinstance(wait, int) or not 0 <= wait <= MAX_WAIT_MINUTES:
        raise InvalidInput(f"step {number} after_minutes", f"must be 0 to {MAX_WAIT_MINUTES} minutes.")
    if number > 1 and wait == 0:
        raise InvalidInput(
            f"step {number} after_minutes", "must be 1 minute or more.", "Or add whom it tells to the step before."
        )
    step = Step(
        wait, _ids(given, "channels", number), _ids(given, "rotations", number), bool(given.get("urgent", False))
    )
    if not step.channels and not step.rotations:
        raise InvalidInput(f"step {number}", "tells nobody.", "Choose a channel or a rotation.")
    return step


def _ids(given: Mapping[str, Any], field: str, number: int) -> tuple[int, ...]:
    value = given.get(field, ())
    if not isinstance(value, list | tuple) or any(isinstance(v, bool) or not isinstance(v, int) for v in value):
        raise InvalidInput(f"step {number} {field}", "must be a list of ids.")
    return tuple(dict.fromkeys(value))


def dump_steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [
        {
            "after_minutes": step.after_minutes,
            "channels": list(step.channels),
            "rotations": list(step.rotations),
            "urgent": step.urgent,
        }
        for step in steps
    ]


def parse_repeats(value: int) -> int:
    if isinstance(value, bool) or not 0 <= value <= MAX_REPEATS:
        raise InvalidInput("policy repeats", f"must be 0 to {MAX_REPEATS}.")
    return value


def parse_quiet(given: Mapping[str, Any] | None) -> QuietHours | None:
    """Quiet hours of JSON values or of a row; None where there are none. Raises InvalidInput naming the field."""
    if not given:
        return None
    days = given.get("days", EVERY_DAY)
    if not isinstance(days, list | tuple) or not days or any(day not in EVERY_DAY for day in days):
        raise InvalidInput("quiet hours days", "must be numbers from 0 (Monday) to 6.", "Leave them out for every day.")
    start, end = parse_time("quiet hours start", given.get("start")), parse_time("quiet hours end", given.get("end"))
    if start == end:
        raise InvalidInput("quiet hours", "must not begin and end at the same time.", "Switch the channel off instead.")
    return QuietHours(tuple(sorted(set(days))), start, end)


def dump_quiet(hours: QuietHours | None) -> dict[str, Any] | None:
    if hours is None:
        return None
    return {"days": list(hours.days), "start": f"{hours.start:%H:%M}", "end": f"{hours.end:%H:%M}"}


def parse_time(field: str, value: object) -> dt.time:
    """`22:00`. Raises InvalidInput."""
    try:
        return dt.datetime.strptime(str(value), "%H:%M").time()  # noqa: DTZ007 - a time by the wall clock
    except ValueError as error:
        raise InvalidInput(field, "must be a time such as 22:00.") from error


def parse_day(field: str, value: object) -> dt.date:
    """`2026-11-30`. Raises InvalidInput."""
    try:
        day = dt.date.fromisoformat(str(value))
    except ValueError as error:
        raise InvalidInput(field, "must be a day such as 2026-11-30.") from error
    if not 1971 <= day.year < 2100:  # turns are counted from it, and the next handover is shown
        raise InvalidInput(field, "must lie between 1971 and 2100.", "Look at the year.")
    return day


def parse_zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput("rotation time zone", f"{value!r} is not known.", "For example: Europe/Berlin") from error


def parse_people(people: Sequence[int]) -> tuple[int, ...]:
    if not 1 <= len(people) <= MAX_PEOPLE or len(set(people)) != len(people):
        raise InvalidInput("rotation people", f"must be 1 to {MAX_PEOPLE} different people.", "Choose who takes turns.")
    return tuple(people)


def parse_shift(days: int) -> int:
    if isinstance(days, bool) or not 1 <= days <= 28:
        raise InvalidInput("rotation shift_days", "must be 1 to 28 days.")
    return days


def dump_override(override: Override) -> dict[str, int]:
    return {"person_id": override.person_id, "start_ms": override.start_ms, "end_ms": override.end_ms}
