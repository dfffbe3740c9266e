"""Messages as the live debugger shows them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.ingest import RecentEvent
from cliffwatch.spec.model import Kind, SpecType
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment

SHOWN = 100
TYPES = tuple((spec_type.value, spec_type.value.capitalize()) for spec_type in SpecType)
OUTCOMES = (("accepted", "Accepted"), ("filtered", "Filtered"), ("rejected", "Rejected"))
_MOST_FIELDS = 300


def outcome_of(verdict: Verdict) -> str:
    """accepted, filtered or rejected."""
    if verdict.taken:
        return "accepted"
    return "filtered" if verdict.filtered else "rejected"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages a person wants to see; "" is any."""

    type: str = ""
    outcome: str = ""
    search: str = ""

    def takes(self, event: RecentEvent) -> bool:
        if self.type and _type_of(event) != self.type:
            return False
        if self.outcome and outcome_of(event.verdict) != self.outcome:
            return False
        if not self.search:
            return True
        text = self.search.casefold()
        plain = (event.name, event.user, event.message_id, event.verdict.value)
        return any(text in part.casefold() for part in plain) or text in raw(event).casefold()


@dataclass(frozen=True, slots=True)
class Line:
    sequence: int
    at: Moment
    type: str
    name: str
    user: str
    outcome: str
    verdict: str
    sentence: str


def line(event: RecentEvent, zone: tzinfo, now: int) -> Line:
    then = formats.local(event.received_at_ms, zone)
    whole = formats.moment(event.received_at_ms, zone, now)
    return Line(
        event.sequence,
        Moment(whole.iso, f"{then:%H:%M:%S}", whole.title),
        _type_of(event) or "–",
        event.name or "–",
        event.user,
        outcome_of(event.verdict),
        event.verdict.value,
        event.verdict.sentence,
    )


@dataclass(frozen=True, slots=True)
class Detail:
    """One message: its fields one a line (path, value, type), and as JSON."""

    name: str
    outcome: str
    sentence: str
    fields: tuple[tuple[str, str, str], ...]
    more: int  # fields beyond those shown
    json: str


def detail(event: RecentEvent) -> Detail:
    every = list(_flat("", event.fields)) if isinstance(event.fields, Mapping) else []
    return Detail(
        event.name or _type_of(event),
        outcome_of(event.verdict),
        event.verdict.sentence,
        tuple(every[:_MOST_FIELDS]),
        max(len(every) - _MOST_FIELDS, 0),
        raw(event),
    )


def raw(event: RecentEvent) -> str:
    """The message as JSON."""
    fields = dict(event.fields) if isinstance(event.fields, Mapping) else event.fields
    return json.dumps(fields, ensure_ascii=False, indent=2, default=str)


def _type_of(event: RecentEvent) -> str:
    words = {Kind.PAGEVIEW.value: SpecType.PAGE.value, Kind.SCREENVIEW.value: SpecType.SCREEN.value}
    return words.get(event.kind, event.kind)


def _flat(prefix: str, value: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for key, inner in value.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(inner, Mapping) and inner:
            yield from _flat(path, inner)
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, default=str)
            yield path, text if len(text) <= 400 else text[:399] + "…", _kind_of(inner)


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    names = {str: "text", bool: "boolean", int: "number", float: "number", list: "list"}
    return next((name for type_, name in names.items() if isinstance(value, type_)), "object")
