"""Property paths such as `properties.plan`, `context.page.path` or `userId`: looked up in an event's fields. Pure.

A path is names joined by dots; a backslash takes the next character literally (`properties.total\\.billed`). An
array on the way gives its first element that has the rest of the path. `name` is looked up at the top level first, then
in `properties` (analytics.js copies a page's name there, other SDKs do not).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.model import JsonValue

Fields = Mapping[str, JsonValue]
Lookup = Callable[[Fields], JsonValue]

MAX_VALUE_LENGTH = 200


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
            f"path {path!r}", "is names joined by dots.", "For example properties.plan; write a dot in a name as \\."
        )
    return tuple(names)


def join_path(names: tuple[str, ...]) -> str:
    """The path of these names; inverse of `split_path`."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def compile_path(path: str) -> Lookup:
    """A function that finds the path's value in an event's fields; None when it is not there."""
    names = split_path(path)
    if names == ("name",):
        return _name
    if len(names) == 1:
        (only,) = names
        return lambda fields: fields.get(only)
    if len(names) == 2:
        first, second = names

        def find_two(fields: Fields) -> JsonValue:
            inner = fields.get(first)
            return inner.get(second) if type(inner) is dict else _descend(inner, (second,))

        return find_two
    return lambda fields: _descend(fields, names)


def _name(fields: Fields) -> JsonValue:
    name = fields.get("name")
    if name is not None:
        return name
    properties = fields.get("properties")
    return properties.get("name") if isinstance(properties, Mapping) else None


def _descend(value: JsonValue, names: tuple[str, ...]) -> JsonValue:
    for position, name in enumerate(names):
        if isinstance(value, list):
            for element in value:
                found = _descend(element, names[position:])
                if found is not None:
                    return found
            return None
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def as_dimension(value: JsonValue) -> str:
    """A value as a dimension holds it: text, "true"/"false", a number without ".0", "" for nothing."""
    if type(value) is str:
        return value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH]
    if value is None:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return ", ".join(as_dimension(element) for element in value)[:MAX_VALUE_LENGTH]
    return ""  # an object is not a value; its fields have paths of their own


def as_number(value: JsonValue) -> float:
    """A value as a number; a numeric text counts (carts often send prices as text), everything else is NaN."""
    if type(value) is float or type(value) is int:
        return float(value) if -1e300 < value < 1e300 else math.nan
    if type(value) is str:
        try:
            number = float(value)
        except ValueError:
            return math.nan
        return number if math.isfinite(number) else math.nan
    return math.nan
