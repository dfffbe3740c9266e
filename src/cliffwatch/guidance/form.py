"""A stream's sensitivity as plain data (forms, API, database) and back, with the first bad field named. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cliffwatch.detect import Directions
from cliffwatch.errors import InvalidInput
from cliffwatch.guidance.model import Filters, Sensitivity

MOST_ALERTS = 500.0
MOST_EFFECT = 100.0
MOST_WINDOWS = 100
FIELDS = ("minimum_effect", "minimum_impact", "directions", "minimum_windows")


def dump_sensitivity(sensitivity: Sensitivity) -> dict[str, Any]:
    """Plain data; inverse of `parse_sensitivity`."""
    return {
        "alerts_per_week": sensitivity.alerts_per_week,
        **dump_filters(sensitivity.filters),
        "measures": {key: dump_filters(filters) for key, filters in sorted(sensitivity.measures.items())},
    }


def dump_filters(filters: Filters) -> dict[str, Any]:
    return {
        "minimum_effect": filters.minimum_effect,
        "minimum_impact": filters.minimum_impact,
        "directions": filters.directions.value,
        "minimum_windows": filters.minimum_windows,
    }


def parse_sensitivity(data: Mapping[str, Any], measures: Mapping[str, str]) -> Sensitivity:
    """A sensitivity from plain data; `measures` are the stream's (key -> name). Raises InvalidInput."""
    unknown = sorted(set(data) - {"alerts_per_week", "measures", *FIELDS})
    if unknown:
        raise InvalidInput(unknown[0], "is not a part of a sensitivity.", f"Use: alerts_per_week, {', '.join(FIELDS)}.")
    per_measure = data.get("measures") or {}
    strangers = sorted(set(per_measure) - set(measures))
    if strangers:
        raise InvalidInput(f"measure {strangers[0]!r}", "is not one of this stream.", f"Use: {', '.join(measures)}.")
    alerts = data.get("alerts_per_week")
    return Sensitivity(
        None if alerts is None else _number(alerts, "alerts_per_week", MOST_ALERTS, above=True),
        _filters(data, "this stream"),
        {key: _filters(values, measures[key]) for key, values in per_measure.items()},
    )


def _filters(data: Mapping[str, Any], what: str) -> Filters:
    directions = data.get("directions", Directions.BOTH.value)
    if directions not in list(Directions):
        raise InvalidInput("directions", f"of {what} are both, up or down.")
    windows = data.get("minimum_windows", 1)
    if isinstance(windows, bool) or not isinstance(windows, int) or not 1 <= windows <= MOST_WINDOWS:
        raise InvalidInput("minimum_windows", f"of {what} is a whole number from 1 to {MOST_WINDOWS}.")
    return Filters(
        _number(data.get("minimum_effect", 0.0), "minimum_effect", MOST_EFFECT),
        _number(data.get("minimum_impact", 0.0), "minimum_impact", math.inf),
        Directions(directions),
        windows,
    )


def _number(value: Any, field: str, most: float, *, above: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(field, "is a number.")
    if not 0 <= value <= most or (above and value == 0):
        rule = f"is above 0 and at most {most:g}." if above else "is not negative."
        raise InvalidInput(field, rule if value <= 0 else f"is at most {most:g}.")
    return float(value)
