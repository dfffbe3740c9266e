"""Property paths such as `properties.plan`, `context.page.path` or `userId`: looked up in an event's fields. Pure.

A path is names joined by dots; a backslash takes the next character literally (`properties.total\\ billed`, FQL's
rule). Where SDKs put the same thing in two places, both are looked into: `name` at the top level, then in
`properties` (analytics.js copies a page's name there, other SDKs do not); `traits.…` at the top level, then in
`context` (where a track or page carries them); `groupId` likewise.

An array on the way hits every element: `properties.products.price` is the list of all prices, which counts as their
sum where a number is wanted and as its distinct values where text is. A number as a name picks one element.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.model import JsonValue

Fields = Mapping[str, JsonValue]
Lookup = Callable[[Fields], JsonValue]

MAX_VALUE_LENGTH = 200
"""Longer texts are no values of a dimension; what is kept of them tells them apart well enough."""

_FAR = 1e300
"""Sums of numbers beyond it would leave the reach of a float."""
_TEXT_OR_NOTHING = {str, type(None)}
_ALSO_IN_CONTEXT = ("traits", "groupId")
_OBJECTS = ("properties", "context")
"""The fields of an event that are objects or not there, by the rules of the Spec."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SPECIAL = re.compile(r"([^A-Za-z0-9_-])", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def split_path(path: str) -> tuple[str, ...]:
    """The names of a path. Raises InvalidInput for an empty path or name, or a backslash at the end."""
    names, current, escaped = [], "", False
    for character in path:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        elif character == ".":
            names.append(current)
            current = ""
        else:
            current += character
    names.append(current)
    if escaped or not all(names):
        raise InvalidInput(
            f"path “{path}”", "is names joined by dots.", "For example properties.plan; write a dot in a name as \\."
        )
    return tuple(names)


def join_path(names: Sequence[str]) -> str:
    """The path of these names; inverse of `split_path`."""
    return ".".join(name if _PLAIN_NAME.fullmatch(name) else _SPECIAL.sub(r"\\\1", name) for name in names)


def compile_path(path: str) -> Lookup:
    """A function that finds the path's value in an event's fields; None when it is not there."""
    names = split_path(path)
    first, rest = names[0], names[1:]
    if names == ("name",):
        return _either(_top("name"), _two("properties", "name"))
    if first in _ALSO_IN_CONTEXT:
        return _either(_through(names), _through(("context", *names)))
    if not rest:
        return _top(first)
    return _two(first, rest[0]) if len(rest) == 1 else _through(names)


class Reader:
    """Reads many paths of an event at once; `paths` are in the order of the values that `read` gives."""

    def __init__(self, paths: Sequence[str]) -> None:
        distinct = {path: split_path(path) for path in paths}
        plain = {path: names for path, names in distinct.items() if len(names) == 2 and names[0] in _OBJECTS}
        deep = [path for path in distinct if path not in plain]
        self._groups = [(root, [n[1] for n in plain.values() if n[0] == root]) for root in _OBJECTS]
        self._groups = [(root, keys) for root, keys in self._groups if keys]
        self._looks = [compile_path(path) for path in deep]
        self.paths: Sequence[str] = [*(p for root in _OBJECTS for p, n in plain.items() if n[0] == root), *deep]

    def read(self, fields: Fields) -> list[JsonValue]:
        values: list[JsonValue] = []
        for root, keys in self._groups:
            inner = fields.get(root)
            values += map(inner.get, keys) if isinstance(inner, dict) else [None] * len(keys)
        if self._looks:
            values += [look(fields) for look in self._looks]
        return values


def roots(path: str) -> frozenset[str]:
    """The top-level fields of an event that the path may be found in."""
    names = split_path(path)
    if names == ("name",):
        return frozenset(("name", "properties"))
    return frozenset((names[0], "context")) if names[0] in _ALSO_IN_CONTEXT else frozenset(names[:1])


def _top(name: str) -> Lookup:
    def find(fields: Fields) -> JsonValue:
        return fields.get(name)

    return find


def _two(first: str, second: str) -> Lookup:
    """The usual depth, without a loop."""

    def find(fields: Fields) -> JsonValue:
        inner = fields.get(first)
        return inner.get(second) if inner.__class__ is dict else _descend(inner, (second,))

    return find


def _through(names: tuple[str, ...]) -> Lookup:
    def find(fields: Fields) -> JsonValue:
        return _descend(fields, names)

    return find


def _either(here: Lookup, there: Lookup) -> Lookup:
    def find(fields: Fields) -> JsonValue:
        value = here(fields)
        return value if value is not None else there(fields)

    return find


def _descend(value: JsonValue, names: tuple[str, ...]) -> JsonValue:
    for position, name in enumerate(names):
        if isinstance(value, list):
            return _into_list(value, names[position:])
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _into_list(elements: list[JsonValue], names: tuple[str, ...]) -> JsonValue:
    if names[0].isascii() and names[0].isdecimal():
        index = int(names[0]) if len(names[0]) < 6 else len(elements)
        return _descend(elements[index], names[1:]) if index < len(elements) else None
    found: list[JsonValue] = [value for element in elements if (value := _descend(element, names)) is not None]
    return found or None


def as_dimension(value: JsonValue) -> str:
    """A value as a dimension holds it: text, "true"/"false", a number without ".0", "" for nothing.

    The distinct values of a list are joined by commas. An object is no value; its fields have paths of their own.
    """
    if value.__class__ is str:
        return value[:MAX_VALUE_LENGTH]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)[:MAX_VALUE_LENGTH]
    if isinstance(value, list):
        return ", ".join(dict.fromkeys(text for element in value if (text := as_dimension(element))))[:MAX_VALUE_LENGTH]
    return ""


def as_number(value: JsonValue) -> float:
    """A value as a number: numeric text counts (carts often send prices as text), true is 1 and false 0.

    A list is the sum of its numbers. NaN when there is no finite number.
    """
    if value.__class__ is float or value.__class__ is int:
        return float(value) if -_FAR < value < _FAR else math.nan
    if isinstance(value, str):
        number = float(value) if _NUMBER.fullmatch(value) else math.nan
        return number if math.isfinite(number) else math.nan
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        numbers = [number for element in value if not math.isnan(number := as_number(element))]
        return math.fsum(numbers) if numbers else math.nan
    return math.nan


def as_dimensions(values: Sequence[JsonValue]) -> Sequence[str]:
    """Many values as a dimension holds them."""
    kinds = {*map(type, values)}
    if kinds <= _TEXT_OR_NOTHING:
        texts = [value or "" for value in values] if len(kinds) > 1 or str not in kinds else values
        if max(map(len, texts), default=0) <= MAX_VALUE_LENGTH:  # type: ignore[arg-type]
            return texts  # type: ignore[return-value]
    return [as_dimension(value) for value in values]


def as_numbers(values: Sequence[JsonValue]) -> Sequence[float]:
    """Many values as numbers."""
    if {*map(type, values)} == {float} and max(values) < _FAR and min(values) > -_FAR:  # type: ignore[type-var, operator]
        return values  # type: ignore[return-value]
    return [as_number(value) for value in values]
