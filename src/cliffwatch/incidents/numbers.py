"""What an incident amounts to: the one place of the numbers that pages, API, messages and exports show. Pure.

Whoever shows actual, expected, loss or duration takes them from here, as number or in words, so that a message never
says something else than the page it leads to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cliffwatch.incidents.goal_words import GOAL, short
from cliffwatch.incidents.headline import are, change, duration, have, loss, quantity, rate
from cliffwatch.incidents.model import Incident

PERCENT = "%"
"""The unit of a ratio of like to like (orders per checkout): 0.952 is read as 95.2 %."""
SAME = 0.0005
"""A change by less than this fraction reads as 0 %."""
_SHARES = tuple((f"ratio({name}(", f"/{name}(") for name in ("count", "users"))


@dataclass(frozen=True, slots=True)
class Numbers:
    """Figures and how they read.

    `actual` and `expected` speak of the whole story so far: totals where values add up, means over time otherwise.
    `loss` is actual minus expected in the measure's unit where values add up, None otherwise. `duration_ms` runs from
    the first surprising window to the end of the last one that was measured.
    """

    actual: float
    expected: float
    loss: float | None
    relative: float | None
    duration_ms: int
    actual_words: str  # "€690"
    expected_words: str
    actual_rate: str  # "€230 an hour"; "" where a total needs none
    expected_rate: str
    change_words: str  # "31 % below expected"; "" where nothing was expected
    loss_words: str  # "€310 less in total"; "" where values do not add up
    duration_words: str  # "3 hours"
    actual_label: str = "Actual"
    expected_label: str = "Expected"


def numbers(incident: Incident) -> Numbers:
    """What the incident amounts to so far."""
    end_ms = incident.ended_ms if incident.ended_ms is not None else incident.last_window_ms
    duration_ms = max(end_ms - incident.started_ms, 0)
    if incident.kind == GOAL:
        return _of_goal(incident, duration_ms)
    known = math.isfinite(incident.actual)
    relative = incident.relative if known else None
    rated = incident.additive and known
    return Numbers(
        actual=incident.actual,
        expected=incident.expected,
        loss=incident.impact if rated else None,
        relative=relative,
        duration_ms=duration_ms,
        actual_words=reading(incident, incident.actual),
        expected_words=reading(incident, incident.expected),
        actual_rate=rate(incident, incident.actual) if rated else "",
        expected_rate=rate(incident, incident.expected) if rated else "",
        change_words=change(relative) if relative is not None else "",
        loss_words=loss(incident) if rated else "",
        duration_words=duration(duration_ms),
    )


def _of_goal(incident: Incident, duration_ms: int) -> Numbers:
    """Where a period lands, held against the target."""
    side = "less" if incident.impact < 0 else "more"
    return Numbers(
        actual=incident.actual,
        expected=incident.expected,
        loss=incident.impact,
        relative=incident.relative,
        duration_ms=duration_ms,
        actual_words=short(incident.actual, incident.unit),
        expected_words=short(incident.expected, incident.unit),
        actual_rate="",
        expected_rate="",
        change_words=change(incident.relative, "the target") if incident.relative else "",
        loss_words=f"{short(abs(incident.impact), incident.unit)} {side} than the target",
        duration_words=duration(duration_ms),
        actual_label="Lands at" if incident.ended_ms is None else "Landed at",
        expected_label="Target",
    )


def reading(incident: Incident, value: float) -> str:
    """A value of the incident's measure as people read it: "€690", "95.2 %", "no value"."""
    return written(value, shown_unit(incident.measure, incident.unit))


def written(value: float, unit: str | None, digits: int | None = None) -> str:
    """A number with the unit in which it is read (see `shown_unit`)."""
    if unit == PERCENT and math.isfinite(value):
        return f"{value * 100:,.1f}".removesuffix(".0") + " %"
    return quantity(value, unit, digits)


def compared(measure_name: str, actual: float, expected: float, unit: str | None) -> str:
    """A stretch of time against its base line: "Orders are 31 % below expected". NaN means that nothing arrived from
    which to take a value: an average of nothing is not 0. `unit` is that in which the measure is read."""
    if math.isnan(actual):
        usual = "" if math.isnan(expected) else f" where {written(expected, unit, 3)} was expected"
        return f"{measure_name} {have(measure_name)} no value{usual}: nothing arrived to measure"
    if math.isnan(expected):
        return f"{measure_name} came to {written(actual, unit, 3)}, with nothing to compare it with"
    if actual == expected == 0:
        return f"{measure_name} {are(measure_name)} as expected"
    if expected == 0:
        return f"{measure_name} came to {written(actual, unit, 3)} where nothing was expected"
    if actual == 0:
        return f"{measure_name} fell to zero, {written(expected, unit, 3)} expected"
    relative = (actual - expected) / abs(expected)
    size = "as expected in total" if abs(relative) < SAME else change(relative)
    return f"{measure_name} {are(measure_name)} {size}"


def shown_unit(measure_key: str, unit: str | None) -> str | None:
    """The unit in which a measure is read: its own, or percent for a ratio of like to like."""
    if unit or not any(measure_key.startswith(top) and bottom in measure_key for top, bottom in _SHARES):
        return unit
    return PERCENT
