"""What a query means, person by person and event by event, written to be read and not to be quick: the oracle of the
set-wise evaluation. It shares the syntax tree with the product, and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cliffwatch.engage.language.model import (
    And,
    Compare,
    Condition,
    Duration,
    Events,
    Not,
    Or,
    Property,
    Reduce,
    Reducer,
    Trait,
)

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Happened:
    """One event of a history. `order` is its message hash."""

    order: int
    type: str
    name: str
    ts: int
    arrived: int
    user_id: str = ""
    anonymous_id: str = ""
    properties: Any = None
    traits: Any = None
    previous_id: str = ""
    external: tuple[tuple[str, str], ...] = ()
    source: int = 1

    @property
    def body(self) -> str:
        fields: dict[str, Any] = {"type": self.type}
        if self.properties is not None:
            fields["properties"] = self.properties
        if self.traits is not None:
            fields["traits"] = self.traits
        if self.previous_id:
            fields["previousId"] = self.previous_id
        if self.external:
            ids = [{"type": kind, "id": id_, "collection": "users", "encoding": "none"} for kind, id_ in self.external]
            fields["context"] = {"externalIds": ids}
        return json.dumps(fields)


class Person:
    """Somebody, by identity of the object; `ids` are (kind, id)."""

    def __init__(self) -> None:
        self.ids: set[tuple[str, str]] = set()

    @property
    def has_user(self) -> bool:
        return any(kind == "user_id" for kind, _ in self.ids)


class World:
    """Who is who, told in order of arrival."""

    def __init__(self, history: Sequence[Happened]) -> None:
        self.people: dict[tuple[str, str], Person] = {}
        said: list[tuple[Any, ...]] = []
        for event in history:
            said.append((event.arrived, 0, event.user_id, event.anonymous_id, ()))
            if event.external:
                said.append((event.arrived, 1, event.user_id, event.anonymous_id, event.external))
            if event.previous_id and event.user_id:
                said.append((event.arrived, 2, event.user_id, "", (("anonymous_id", event.previous_id),)))
        for _, rank, user, anonymous, others in sorted(said):
            self._hear(rank, user, anonymous, others)

    def of(self, event: Happened) -> Person | None:
        return self.people.get(("user_id", event.user_id)) or self.people.get(("anonymous_id", event.anonymous_id))

    def everybody(self) -> set[Person]:
        return set(self.people.values())

    def _give(self, key: tuple[str, str], person: Person) -> None:
        person.ids.add(key)
        self.people[key] = person

    def _join(self, gone: Person, kept: Person) -> None:
        for key in list(gone.ids):
            self._give(key, kept)

    def _person(self, key: tuple[str, str]) -> Person:
        if key not in self.people:
            self._give(key, Person())
        return self.people[key]

    def _hear(self, rank: int, user: str, anonymous: str, others: tuple[tuple[str, str], ...]) -> None:
        if rank == 2:
            person, previous = self._person(("user_id", user)), others[0][1]
            found = [self.people.get((kind, previous)) for kind in ("user_id", "anonymous_id")]
            if not any(found):
                self._give(("anonymous_id", previous), person)
            for other in found:
                if other is not None and other is not self.people["user_id", user]:
                    self._join(other, self.people["user_id", user])
            return
        if rank == 1:
            for key in others:
                person = self._person(("user_id", user) if user else ("anonymous_id", anonymous))
                owner = self.people.get(key)
                if owner is None:
                    self._give(key, person)
                elif owner is not person and not owner.has_user:
                    self._join(owner, person)
                elif owner is not person and not person.has_user:
                    self._join(person, owner)
            return
        if user and anonymous:
            owner = self.people.get(("anonymous_id", anonymous))
            if owner is None:
                self._give(("anonymous_id", anonymous), self._person(("user_id", user)))
            elif ("user_id", user) not in self.people and not owner.has_user:
                self._give(("user_id", user), owner)
            else:
                person = self._person(("user_id", user))
                if owner is not person and not owner.has_user:
                    self._join(owner, person)
        elif user or anonymous:
            self._person(("user_id", user) if user else ("anonymous_id", anonymous))


class Naive:
    """Answers for one person at a time."""

    def __init__(self, history: Sequence[Happened], now: int) -> None:
        self.now = now
        self.world = World(history)
        self.events: dict[Person, list[Happened]] = {}
        for event in sorted(history, key=lambda one: (one.ts, one.order)):
            person = self.world.of(event)
            if person is not None:
                self.events.setdefault(person, []).append(event)

    def holds(self, condition: Condition, person: Person) -> bool:
        return self._condition(condition, person, None, None)

    def value(self, reduce: Reduce, person: Person) -> float | str | list[str] | None:
        return self._reduce(reduce, person, None)

    def _condition(self, condition: Condition, person: Person, event: Happened | None, parent: Happened | None) -> bool:
        match condition:
            case And(items):
                return all(self._condition(item, person, event, parent) for item in items)
            case Or(items):
                return any(self._condition(item, person, event, parent) for item in items)
            case Not(item):
                return not self._condition(item, person, event, parent)
            case Compare():
                return self._compare(condition, person, event, parent)

    def _compare(self, compare: Compare, person: Person, event: Happened | None, parent: Happened | None) -> bool:
        value = self._value(compare.value, person, event, parent)
        operator = compare.operator
        if operator in ("exists", "absent"):
            return (value is not None) == (operator == "exists")
        arguments = [
            self._value(one, person, event, parent) if isinstance(one, (Trait, Property)) else one
            for one in compare.arguments
        ]
        if operator == "omits":
            return not (value is not None and any(_text(one) in _text(value) for one in arguments))
        if value is None:
            return False
        literal = not isinstance(compare.arguments[0], (Trait, Property)) if arguments else True
        if operator == "=":
            return _same(value, arguments[0], literal)
        if operator == "!=":
            return not _same(value, arguments[0], literal)
        if operator in ("one_of", "none_of"):
            return any(_same(value, one, True) for one in arguments) == (operator == "one_of")
        if operator in (">", ">=", "<", "<="):
            a, b = _number(value), _number(arguments[0]) if not isinstance(arguments[0], bool) else None
            if a is None or b is None:
                return False
            return {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[operator]
        text = _text(value)
        if operator == "contains":
            return any(_text(one) in text for one in arguments)
        if operator == "starts_with":
            return any(text.startswith(_text(one)) for one in arguments)
        if operator == "ends_with":
            return any(text.endswith(_text(one)) for one in arguments)
        return self._dated(operator, text, arguments[0])

    def _dated(self, operator: str, text: str, argument: Any) -> bool:
        if not _TIME.fullmatch(text):
            return False
        moment = datetime.fromisoformat(text).timestamp() * 1000
        if operator == "before_date":
            return moment < datetime.fromisoformat(argument).timestamp() * 1000
        if operator == "after_date":
            return moment > datetime.fromisoformat(argument).timestamp() * 1000
        assert isinstance(argument, Duration)
        ahead = moment - self.now
        return {
            "within_last": -argument.ms <= ahead <= 0,
            "within_next": 0 <= ahead <= argument.ms,
            "before_last": ahead <= -argument.ms,
            "after_next": ahead >= argument.ms,
        }[operator]

    def _value(self, value: Any, person: Person, event: Happened | None, parent: Happened | None) -> Any:
        if isinstance(value, Trait):
            found = None
            for one in self.events.get(person, ()):
                if one.type == "identify":
                    found = _lookup(one.traits, value.key.split(".")) or found
            return found
        if isinstance(value, Property):
            of = parent if value.parent else event
            assert of is not None
            return _property(of, value.path)
        return self._reduce(value, person, event)

    def _reduce(self, reduce: Reduce, person: Person, around: Happened | None) -> Any:
        found = [one for one in self.events.get(person, ()) if self._takes(reduce.events, one, person, around)]
        if reduce.events.session is not None:
            found = self._session(found, reduce.events.session.ms)
        if reduce.reducer is Reducer.COUNT:
            return len(found)
        assert reduce.of is not None
        path = reduce.of.path
        values = [value for one in found if (value := _property(one, path)) is not None]
        numbers = [number for value in values if (number := _number(value)) is not None]
        return _REDUCED[reduce.reducer](reduce, values, numbers)

    def _takes(self, events: Events, event: Happened, person: Person, around: Happened | None) -> bool:
        wanted = {"Page Viewed": ("page", None), "Screen Viewed": ("screen", None)}.get(
            events.name, ("track", events.name)
        )
        if event.type != wanted[0] or (wanted[1] is not None and event.name != wanted[1]):
            return False
        if str(event.source) in events.excluded_sources:
            return False
        if around is not None and event.ts <= around.ts:
            return False
        if events.window is not None:
            start, end = events.window.start.ms, events.window.end.ms if events.window.end else None
            if around is not None:
                if not (end or 0) <= event.ts - around.ts <= start:
                    return False
            elif event.ts < self.now - start or (end is not None and event.ts >= self.now - end):
                return False
        return events.where is None or self._condition(events.where, person, event, around)

    def _session(self, events: list[Happened], pause: int) -> list[Happened]:
        kept: list[Happened] = []
        newer = self.now
        for event in reversed(events):
            if newer - event.ts > pause:
                break
            kept.insert(0, event)
            newer = event.ts
        return kept


def _mode(reduce: Reduce, values: list[str], _: list[float]) -> str | None:
    counts = [(-count, value) for value, count in Counter(values).items() if count >= reduce.least]
    return min(counts)[1] if counts else None


_REDUCED: Mapping[Reducer, Callable[[Reduce, list[str], list[float]], Any]] = {
    Reducer.SUM: lambda _, __, numbers: math.fsum(numbers) if numbers else None,
    Reducer.AVG: lambda _, __, numbers: math.fsum(numbers) / len(numbers) if numbers else None,
    Reducer.MIN: lambda r, values, numbers: min(values if r.as_text else numbers, default=None),
    Reducer.MAX: lambda r, values, numbers: max(values if r.as_text else numbers, default=None),
    Reducer.MODE: _mode,
    Reducer.FIRST: lambda _, values, __: values[0] if values else None,
    Reducer.LAST: lambda _, values, __: values[-1] if values else None,
    Reducer.UNIQUE: lambda _, values, __: sorted(set(values)) or None,
    Reducer.UNIQUE_COUNT: lambda _, values, __: len(set(values)),
}


def _property(event: Happened, path: str) -> str | None:
    if event.type == "page" and path == "page_name":
        return event.name or None
    return _lookup(event.properties, path.split("."))


def _lookup(value: Any, names: Sequence[str]) -> str | None:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return None
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)[:200]
    return _text(value)[:200] or None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value).removesuffix(".0")


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if value is None or not _NUMBER.fullmatch(value):
        return None
    return float(value) if math.isfinite(float(value)) else None


def _same(value: Any, wanted: Any, literal: bool) -> bool:
    """A literal text is compared as text, a literal number as a number; two values either way."""
    if wanted is None:
        return False
    if literal and isinstance(wanted, (str, bool)):
        return _text(value) == _text(wanted)
    a, b = _number(value), _number(wanted)
    if a is not None and b is not None and a == b:
        return True
    return not literal and isinstance(value, str) and value == wanted
