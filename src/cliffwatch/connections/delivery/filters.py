"""Filters of a destination: what becomes of an event that an expression is true for (segment-spec, 4.3). Pure.

Filters act one after the other, each on what those before it left: DROP holds the event back, SAMPLE lets a share of
the events through, DROP_PROPERTIES takes fields away, and ALLOW_PROPERTIES keeps the fields that it names alone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import Any

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import compile_filter
from cliffwatch.spec.paths import as_dimension, compile_path, split_path

MOST_FILTERS = 10
MOST_FIELDS = 200
TITLE_LENGTH = 64
KEPT = frozenset(("type", "messageId"))
"""An event without its type is none, and without its id a repeat could not be told from a second one."""

Event = Mapping[str, Any]
Names = tuple[str, ...]


class Act(enum.StrEnum):
    """What a filter does, by Segment's words."""

    DROP = "DROP"
    SAMPLE = "SAMPLE"
    ALLOW_PROPERTIES = "ALLOW_PROPERTIES"
    DROP_PROPERTIES = "DROP_PROPERTIES"


@dataclass(frozen=True, slots=True)
class Action:
    """One act. `percent` (0 to 1) is the share that a sample lets through, drawn by the value at `path`, or by the
    message id for ""; `fields` are, by the object that holds them ("" is the event itself), names or paths in it."""

    act: Act
    percent: float = 1.0
    path: str = ""
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as it is kept. `when` is FQL; "all" is every event."""

    id: str
    title: str
    description: str
    when: str
    actions: Sequence[Action]
    enabled: bool
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Passed:
    """What a filter leaves: the event, the same object when nothing was taken from it; or why none is left."""

    event: Event
    reason: str = ""


Sieve = Callable[[Event], Passed]


def checked(found: Filter) -> Filter:
    """The filter as it can be kept. Raises InvalidInput naming Segment's field."""
    title = " ".join(found.title.split())
    if not title or len(title) > TITLE_LENGTH:
        raise InvalidInput("title", f"must have 1 to {TITLE_LENGTH} characters.")
    if len(found.description) > 1_000:
        raise InvalidInput("description", "has at most 1,000 characters.")
    if not found.when.strip():
        raise InvalidInput("if", "is needed.", "Write all for every event.")
    try:
        compile_filter(found.when)
    except InvalidInput as error:
        raise InvalidInput("if", f"is not one: {error}") from error
    if not found.actions:
        raise InvalidInput("actions", "must hold one at least.", f"There are: {', '.join(Act)}.")
    for action in found.actions:
        _check(action)
    return replace(found, title=title)


def sieve(filters: Sequence[Filter]) -> Sieve:
    """What the enabled ones of these filters do to an event. One that cannot be read lets nothing through."""
    try:
        steps = [
            (compile_filter(one.when), [_step(action) for action in one.actions]) for one in filters if one.enabled
        ]
    except InvalidInput:
        return lambda event: Passed(event, "invalid_filter")  # an event that it might have stopped is not sent

    def pass_through(event: Event) -> Passed:
        passed = Passed(event)
        for matches, acts in steps:
            if matches(passed.event):
                for act in acts:
                    passed = act(passed.event)
                    if passed.reason:
                        return passed
        return passed

    return pass_through


def to_document(found: Filter) -> dict[str, Any]:
    """As JSON keeps it; inverse of `of_document`."""
    return {
        "id": found.id,
        "title": found.title,
        "description": found.description,
        "if": found.when,
        "actions": [action_document(action) for action in found.actions],
        "enabled": found.enabled,
        "createdMs": found.created_ms,
        "updatedMs": found.updated_ms,
    }


def of_document(kept: Mapping[str, Any]) -> Filter:
    return Filter(
        kept["id"],
        kept["title"],
        kept["description"],
        kept["if"],
        tuple(action_of(action) for action in kept["actions"]),
        kept["enabled"],
        kept["createdMs"],
        kept["updatedMs"],
    )


def action_document(action: Action) -> dict[str, Any]:
    """An action in Segment's shape, without what its act does not use."""
    document: dict[str, Any] = {"type": action.act.value}
    if action.act is Act.SAMPLE:
        document |= {"percent": action.percent} | ({"path": action.path} if action.path else {})
    elif action.act is not Act.DROP:
        document["fields"] = {place: list(names) for place, names in action.fields.items()}
    return document


def action_of(given: Any) -> Action:
    """An action from Segment's shape. Raises InvalidInput naming the part that is wrong."""
    if not isinstance(given, Mapping) or given.get("type") not in list(Act):
        raise InvalidInput("actions.type", f"must be one of {', '.join(Act)}.")
    act = Act(given["type"])
    if act is Act.DROP:
        return Action(act)
    if act is Act.SAMPLE:
        percent, path = given.get("percent"), given.get("path") or ""
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            raise InvalidInput("actions.percent", "must be a number from 0 to 1.", "0.1 lets a tenth through.")
        return Action(act, percent=float(percent), path=str(path))
    fields = given.get("fields")
    if not isinstance(fields, Mapping) or not all(isinstance(names, list) for names in fields.values()):
        raise InvalidInput("actions.fields", 'must be an object of lists, such as {"properties": ["email"]}.')
    return Action(act, fields={str(place): tuple(map(str, names)) for place, names in fields.items()})


def _check(action: Action) -> None:
    if not 0 <= action.percent <= 1:
        raise InvalidInput("actions.percent", "must be a number from 0 to 1.", "0.1 lets a tenth through.")
    if action.path:
        _path("actions.path", action.path)
    if action.act in (Act.ALLOW_PROPERTIES, Act.DROP_PROPERTIES):
        names = [name for names in action.fields.values() for name in names]
        if not names and (action.act is Act.DROP_PROPERTIES or not action.fields):
            raise InvalidInput("actions.fields", "must name one at least.", "For example properties.email.")
        if len(names) > MOST_FIELDS:
            raise InvalidInput("actions.fields", f"may be {MOST_FIELDS} at most.")
        for path in [*filter(None, action.fields), *names]:
            _path("actions.fields", path)


def _path(subject: str, path: str) -> None:
    try:
        split_path(path)
    except InvalidInput as error:
        raise InvalidInput(subject, f"is not one: {error}") from error


def _step(action: Action) -> Sieve:
    if action.act is Act.DROP:
        return lambda event: Passed(event, "destination_filter")
    if action.act is Act.SAMPLE:
        return _sample(action)
    fields = [(split_path(place) if place else (), names) for place, names in action.fields.items()]
    if action.act is Act.DROP_PROPERTIES:
        gone = [(*place, *split_path(name)) for place, names in fields for name in names]
        return lambda event: Passed(_without(event, gone))
    allowed = [(place, [split_path(name) for name in names]) for place, names in fields]
    return lambda event: Passed(_only(event, allowed))


def _sample(action: Action) -> Sieve:
    """The same event is let through on every attempt, and with a path, all events of one value or none of them."""
    look = compile_path(action.path or "messageId")
    bar = int(action.percent * 2.0**64)

    def pass_through(event: Event) -> Passed:
        drawn = blake2b(as_dimension(look(event)).encode(), digest_size=8).digest()
        return Passed(event, "" if int.from_bytes(drawn, "big") < bar else "sampled_out")

    return pass_through


def _without(event: Event, gone: Sequence[Names]) -> Event:
    """The event without these fields; a list on the way hits every element."""
    for names in gone:
        if names[0] not in KEPT:
            event = _cut(event, names)
    return event


def _cut(value: Any, names: Names) -> Any:
    if isinstance(value, list):
        cut = [_cut(element, names) for element in value]
        return cut if any(new is not old for new, old in zip(cut, value, strict=True)) else value
    if not isinstance(value, Mapping) or names[0] not in value:
        return value
    if len(names) == 1:
        return {name: inner for name, inner in value.items() if name != names[0]}
    inner = _cut(value[names[0]], names[1:])
    return value if inner is value[names[0]] else {**value, names[0]: inner}


def _only(event: Event, allowed: Sequence[tuple[Names, Sequence[Names]]]) -> Event:
    """The event whose objects at these places have only these fields; other objects stay whole."""
    for place, paths in allowed:
        keep = [*paths, *((name,) for name in KEPT)] if not place else paths
        event = _at(event, place, partial(_pick, paths=keep))
    return event


def _at(value: Any, place: Names, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_at(element, place, change) for element in value]
    if not place:
        return change(value)
    if not isinstance(value, Mapping) or place[0] not in value:
        return value
    return {**value, place[0]: _at(value[place[0]], place[1:], change)}


def _pick(value: Any, paths: Sequence[Names]) -> Any:
    """Of an object only what these paths lead to; what is no object has nothing to choose from, and stays."""
    if isinstance(value, list):
        return [_pick(element, paths) for element in value]
    if not isinstance(value, Mapping):
        return value
    inner: dict[str, list[Names]] = {}
    for names in paths:
        if names[0] in value:
            inner.setdefault(names[0], []).append(names[1:])
    return {name: value[name] if () in rest else _pick(value[name], rest) for name, rest in inner.items()}
