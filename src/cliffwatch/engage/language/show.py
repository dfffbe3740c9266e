"""A definition as text, the way a person would write it: parsing the text gives the same definition again. Pure."""

from __future__ import annotations

from cliffwatch.engage.language.model import (
    SYMBOLS,
    And,
    Compare,
    Condition,
    Definition,
    Duration,
    Events,
    Literal,
    Not,
    Or,
    Property,
    Reduce,
    Reducer,
    Trait,
)

_SIGNS = frozenset(SYMBOLS.values())


def show(definition: Definition) -> str:
    """The query of a definition."""
    return _reduce(definition) if isinstance(definition, Reduce) else _condition(definition)


def _condition(condition: Condition) -> str:
    match condition:
        case Or(items):
            return " OR ".join(_inner(item, And, Compare, Not) for item in items)
        case And(items):
            return " AND ".join(_inner(item, Compare, Not) for item in items)
        case Not(item):
            return f"NOT {_inner(item, Not)}"
        case Compare():
            return _compare(condition)


def _inner(condition: Condition, *bare: type) -> str:
    text = _condition(condition)
    return text if isinstance(condition, bare) else f"({text})"


def _compare(compare: Compare) -> str:
    value = _value(compare.value)
    if compare.operator in _SIGNS:
        return f"{value} {compare.operator} {_value(compare.arguments[0])}"
    return f"{value}.{compare.operator}({', '.join(map(_value, compare.arguments))})"


def _value(value: Literal | Trait | Property | Reduce | Duration) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case int() | float():
            return repr(value)
        case Duration(count, unit):
            return f"{count} {unit}{'' if count == 1 else 's'}"
        case Trait(key):
            return f"trait({quoted(key)})"
        case Property(path, root, parent):
            name = "property" if root == "properties" else "context"
            return f"{name}({'parent: ' if parent else ''}{quoted(path)})"
        case Reduce():
            return _reduce(value)


def _reduce(reduce: Reduce) -> str:
    head = _events(reduce.events)
    if reduce.reducer is Reducer.COUNT:
        return f"{head}.count()"
    assert reduce.of is not None
    inside = _value(reduce.of)
    if reduce.as_text:
        inside += " as string"
    if reduce.reducer is Reducer.MODE and reduce.least > 1:
        inside += f", {reduce.least}"
    if reduce.reducer is Reducer.UNIQUE_COUNT:
        return f"{head}.unique({inside}).count()"
    return f"{head}.{reduce.reducer.value}({inside})"


def _events(events: Events) -> str:
    text = f"event({quoted(events.name)})"
    if events.where is not None:
        text += f".where({_condition(events.where)})"
    if events.excluded_sources:
        text += f".sources({{exclude: [{', '.join(map(quoted, events.excluded_sources))}]}})"
    if events.window is not None:
        parent = "parent: " if events.window.parent else ""
        start, end = events.window.start, events.window.end
        if end is None:
            text += f".within({parent}{_value(start)})"
        else:
            text += f".between({parent}{_value(end)}, {_value(start)})"
    if events.session is not None:
        text += f".expires_after({_value(events.session)})"
    return text


def quoted(text: str) -> str:
    """A text in the language's quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")
    return f"'{escaped}'"
