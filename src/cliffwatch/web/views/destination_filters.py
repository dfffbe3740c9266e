"""Filters of a destination as lists, forms and previews show them. Pure.

A form holds one action; a filter with several, which only the API makes, is shown, switched and deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.connections.delivery.filters import Act, Action, Filter, sieve
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import InvalidFilter, compile_filter
from cliffwatch.spec.paths import join_path, split_path
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, said
from cliffwatch.web.views.incidents import Badge

ACTS = (
    (Act.DROP, "Hold the event back", "It is not delivered, and counted as filtered"),
    (Act.SAMPLE, "Deliver a sample", "A share of the events, the same ones on every attempt"),
    (Act.DROP_PROPERTIES, "Take fields away", "Such as properties.email; the rest is delivered"),
    (Act.ALLOW_PROPERTIES, "Keep only some fields", "Of properties, traits or context"),
)
_FIELD = {"title": "title", "if": "when", "actions.percent": "percent", "actions.path": "path"}


@dataclass(frozen=True, slots=True)
class Line:
    id: str
    title: str
    when: str
    does: tuple[str, ...]
    badge: Badge
    enabled: bool


def line(found: Filter) -> Line:
    badge = Badge("On", "good", "check") if found.enabled else Badge("Switched off", "", "circle-pause")
    does = tuple(map(_sentence, found.actions))
    return Line(found.id, found.title, _when(found.when), does, badge, found.enabled)


@dataclass(frozen=True, slots=True)
class FilterForm:
    """What the page of a filter carries, as it was typed."""

    title: str = ""
    when: str = ""
    act: str = Act.DROP
    percent: str = "10"
    path: str = ""
    fields: str = ""

    @classmethod
    def of(cls, found: Filter) -> FilterForm | None:
        """None for a filter that says more than the form can."""
        if len(found.actions) != 1:
            return None
        (action,) = found.actions
        form = cls(found.title, _when(found.when), action.act, path=action.path, fields="\n".join(_paths(action)))
        if action.act is Act.SAMPLE:
            form = cls(form.title, form.when, form.act, f"{action.percent * 100:g}", form.path)
        try:
            return form if action == form.action() else None
        except InvalidInput:
            return None

    @classmethod
    def read(cls, posted: Posted) -> FilterForm:
        return cls(
            posted.text("title"),
            posted.text("when"),
            posted.text("act", Act.DROP),
            posted.text("percent"),
            posted.text("path"),
            posted.raw("fields"),
        )

    @property
    def fql(self) -> str:
        return self.when or "all"

    def action(self) -> Action:
        """Raises InvalidInput naming Segment's field."""
        act = Act(self.act) if self.act in list(Act) else Act.DROP
        if act is Act.DROP:
            return Action(act)
        if act is Act.SAMPLE:
            try:
                share = round(float(self.percent.removesuffix("%").replace(",", ".")) / 100, 6)
            except ValueError:
                share = -1.0
            if not 0 <= share <= 1:
                raise InvalidInput("actions.percent", "must be a number from 0 to 100.")
            return Action(act, percent=share, path=self.path)
        held: dict[str, list[str]] = {}
        for row in filter(None, map(str.strip, self.fields.splitlines())):
            names = split_path(row)
            if act is Act.ALLOW_PROPERTIES and len(names) < 2:
                raise InvalidInput(
                    "actions.fields", f"“{row}” is a whole field.", "Say what of it, as properties.plan."
                )
            held.setdefault(join_path(names[:1]) if len(names) > 1 else "", []).append(join_path(names[1:] or names))
        return Action(act, fields={place: tuple(names) for place, names in held.items()})


def errors(error: InvalidInput) -> Mapping[str, str]:
    """What is wrong, by field of the form."""
    cause = error.__cause__ if isinstance(error.__cause__, InvalidInput) else error
    if cause.subject.startswith("path"):
        return {_FIELD.get(error.subject, "fields"): said(cause)}
    way_out = "" if isinstance(cause, InvalidFilter) else cause.way_out  # that shows a place, which is none in a line
    return {_FIELD.get(error.subject, "fields"): f"{cause.rule[:1].upper()}{cause.rule[1:]} {way_out}".strip()}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a filter does to events that came: in words, and to the newest one that it is true for."""

    sentence: str
    before: str = ""
    after: str = ""


def preview(trial: Filter, events: Sequence[Mapping[str, Any]]) -> Preview:
    """`events` newest first."""
    if not events:
        return Preview("No event of this source is in memory. Send one, and what the filter does to it is shown here.")
    matches, sift = compile_filter(trial.when), sieve([trial])
    hit = [event for event in events if matches(event)]
    of = formats.plural(len(events), "newest event") if len(events) > 1 else "newest event"
    if not hit:
        return Preview(f"True for none of the {of}.")
    held = sum(bool(sift(event).reason) for event in hit)
    passed = sift(hit[0])
    told = f"; {formats.number(held)} of them would be held back" if held else ""
    after = "Held back." if passed.reason else _shown(passed.event)
    return Preview(f"True for {formats.number(len(hit))} of the {of}{told}.", _shown(hit[0]), after)


def _shown(event: Mapping[str, Any]) -> str:
    return json.dumps(event, indent=2, ensure_ascii=False, default=str)


def _when(fql: str) -> str:
    return "" if fql.strip().lower() == "all" else fql


def _paths(action: Action) -> list[str]:
    return [f"{place}.{name}" if place else name for place, names in action.fields.items() for name in names]


def _sentence(action: Action) -> str:
    if action.act is Act.DROP:
        return "Held back"
    if action.act is Act.SAMPLE:
        of = f", drawn by {action.path}" if action.path else ""
        return f"{action.percent * 100:g} % delivered{of}"
    listed = ", ".join(_paths(action)) or "nothing"
    return f"Without {listed}" if action.act is Act.DROP_PROPERTIES else f"Only {listed}"
