"""Puts the problems of a definition beside the wizard's fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cliffwatch.web.views.wizard import Draft

_ITEM = re.compile(r"^(events|dimensions|measures)\.(\d+)(?:\.(.*))?$")

CONFIGURE = "configure"
SCHEDULE = "schedule"


def placed(fields: Mapping[str, str], draft: Draft) -> dict[str, str]:
    """Field of the form -> what is wrong with it.

    `fields` maps paths of a definition (`dimensions.0.path`) to the rule that they break. Rows left empty do not
    count in a definition, so the index there is not the row's.
    """
    found: dict[str, str] = {}
    for path, rule in fields.items():
        found.setdefault(_field(path, rule, draft), _sentence(rule))
    return found


def step_of(errors: Mapping[str, str]) -> str:
    """The first page that has something to correct."""
    late = {"frequency", "every", "anchor", "name", "form"}
    return SCHEDULE if errors and set(errors) <= late else CONFIGURE


def _field(path: str, rule: str, draft: Draft) -> str:
    if match := _ITEM.match(path):
        group, index, rest = match[1], int(match[2]), match[3] or ""
        if group == "events":
            return f"event-{_row(draft.events, index)}"
        if group == "dimensions":
            return f"dimension-{_row(draft.dimensions, index)}"
        return _measure_field(index, rest, rule)
    if path.startswith("schedule"):
        if path.endswith("anchor"):
            return "anchor"
        return "every" if draft.frequency == "custom" else "frequency"
    return {"spec_type": "type", "filter": "filter", "events": "events", "": _whole(rule)}.get(path, path or "form")


def _measure_field(index: int, rest: str, rule: str) -> str:
    if rest.startswith("numerator"):
        return f"m_top-{index}"
    if rest.startswith("denominator"):
        return f"m_bottom-{index}"
    return f"m_path-{index}" if rest == "path" or "path" in rule else f"measure-{index}"


def _whole(rule: str) -> str:
    """Where a rule about the whole definition is best read."""
    for word, field in (("event", "events"), ("dimension", "dimensions"), ("measure", "measures")):
        if f"the {word} " in rule:
            return field
    return "events" if "event" in rule else "form"


def _row(values: Sequence[str], index: int) -> int:
    """The row of the `index`-th value that is not empty."""
    rows = [row for row, value in enumerate(values) if value]
    return rows[index] if index < len(rows) else index


def _sentence(rule: str) -> str:
    if rule.startswith("path "):  # "path 'a..b': is names joined by dots. ..." reads badly beside the field itself
        return "A path is names joined by dots, such as properties.plan."
    text = rule.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
