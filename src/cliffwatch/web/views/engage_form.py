"""The form that builds a query: rows of conditions as a definition, and back where a definition fits the form. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from cliffwatch.engage.language.model import (
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
    Window,
)
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.paths import split_path

WHATS = (("did", "did"), ("did_not", "did not do"), ("trait", "has the trait"))
SIGNS = ((">=", "at least"), ("=", "exactly"), ("<=", "at most"))
OPERATORS = (
    ("=", "is"),
    ("!=", "is not"),
    (">", "is more than"),
    (">=", "is at least"),
    ("<", "is less than"),
    ("<=", "is at most"),
    ("contains", "contains"),
    ("starts_with", "begins with"),
    ("ends_with", "ends with"),
    ("exists", "is there"),
    ("absent", "is not there"),
)
THENS = (("", "whatever came after"), ("did", "and then did"), ("did_not", "and then did not do"))
REDUCERS = (
    ("count", "Event counter"),
    ("sum", "Sum of"),
    ("avg", "Average of"),
    ("min", "Minimum of"),
    ("max", "Maximum of"),
    ("mode", "Most frequent value of"),
    ("first", "First value of"),
    ("last", "Last value of"),
    ("unique", "Unique list of"),
    ("unique_count", "Unique list count of"),
)
_BARE = ("exists", "absent")


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as it stands in the form; everything is text. In a computed trait, `reducer` and `of` say what."""

    what: str = "did"
    event: str = ""
    sign: str = ">="
    count: str = "1"
    days: str = ""
    path: str = ""
    operator: str = "="
    value: str = ""
    then: str = ""
    then_event: str = ""
    then_days: str = "7"
    reducer: str = "count"
    of: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.event and not self.path


FIELDS = tuple(field.name for field in fields(Row))


class Wrong(InvalidInput):
    """A row that says nothing yet; `place` counts from 1."""

    def __init__(self, place: int, rule: str) -> None:
        super().__init__(f"Condition {place}", rule)


def rows_of(columns: Mapping[str, Sequence[str]]) -> list[Row]:
    """The rows of a posted form: one column per field."""
    count = max((len(column) for column in columns.values()), default=0)
    return [
        Row(**{name: columns[name][at] for name in FIELDS if at < len(columns.get(name, ()))}) for at in range(count)
    ]


def compose(rows: Sequence[Row], join: str) -> Condition:
    """The audience that the rows describe; empty ones are left out. Raises Wrong."""
    items = [_condition(row, place) for place, row in enumerate(rows, 1) if not row.is_empty]
    if not items:
        raise Wrong(1, "needs an event or a trait.")
    if len(items) == 1:
        return items[0]
    return Or(tuple(items)) if join == "any" else And(tuple(items))


def compose_trait(row: Row) -> Reduce:
    """The computed trait that the row describes. Raises Wrong."""
    if not row.event:
        raise Wrong(1, "needs an event.")
    reducer = Reducer(row.reducer) if row.reducer in dict(REDUCERS) else Reducer.COUNT
    events = Events(row.event, _filter(row, 1), _window(row.days, 1))
    if reducer is Reducer.COUNT:
        return Reduce(events, reducer)
    if not row.of:
        raise Wrong(1, "needs a property to compute with.")
    return Reduce(events, reducer, _property(row.of, 1), least=2 if reducer is Reducer.MODE else 1)


def decompose(definition: Definition) -> tuple[list[Row], str] | None:
    """The rows and how they are joined (all, any); None for a definition that the form cannot show."""
    if isinstance(definition, Reduce):
        row = _row_of_reduce(definition)
        return ([row], "all") if row is not None and compose_trait(row) == definition else None
    items = definition.items if isinstance(definition, (And, Or)) else (definition,)
    rows = [_row_of(item) for item in items]
    found = [row for row in rows if row is not None]
    join = "any" if isinstance(definition, Or) else "all"
    if len(found) < len(rows):
        return None
    try:
        return (found, join) if compose(found, join) == definition else None
    except Wrong:
        return None


def _condition(row: Row, place: int) -> Condition:
    if row.what == "trait":
        if not row.path:
            raise Wrong(place, "needs the key of a trait.")
        return Compare(Trait(row.path), row.operator, _arguments(row, place))
    if not row.event:
        raise Wrong(place, "needs an event.")
    count = _whole(row.count, place, "how often") if row.what == "did" else 1
    where = _filter(row, place)
    if row.then:
        if not row.then_event:
            raise Wrong(place, "needs the event that comes after.")
        after = Events(row.then_event, None, _window(row.then_days, place, parent=True))
        nested = Compare(Reduce(after, Reducer.COUNT), ">=" if row.then == "did" else "=", (int(row.then == "did"),))
        where = nested if where is None else And((where, nested))
    happened = Reduce(Events(row.event, where, _window(row.days, place)), Reducer.COUNT)
    if row.what == "did_not":
        return Not(Compare(happened, ">=", (1,)))
    return Compare(happened, row.sign if row.sign in dict(SIGNS) else ">=", (count,))


def _filter(row: Row, place: int) -> Condition | None:
    if not row.path or row.what == "trait":
        return None
    return Compare(_property(row.path, place), row.operator, _arguments(row, place))


def _property(path: str, place: int) -> Property:
    try:
        split_path(path)
    except InvalidInput as error:
        raise Wrong(place, str(error)) from error
    if path.startswith("context."):
        return Property(path.removeprefix("context."), "context")
    return Property(path.removeprefix("properties."))


def _arguments(row: Row, place: int) -> tuple[Literal, ...]:
    if row.operator not in dict(OPERATORS):
        raise Wrong(place, "needs a comparison of the list.")
    if row.operator in _BARE:
        return ()
    if not row.value:
        raise Wrong(place, "needs a value to compare with.")
    return (literal(row.value),)


def literal(text: str) -> Literal:
    """What a typed value means: a number, true or false, else text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    if number != number or abs(number) > 1e15:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def _window(days: str, place: int, *, parent: bool = False) -> Window | None:
    if not days:
        return None
    return Window(Duration(_whole(days, place, "days", least=1), "day"), None, parent)


def _whole(text: str, place: int, what: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) < 100_000):
        raise Wrong(place, f"needs a whole number for {what}.")
    return int(text)


def _row_of(item: Condition) -> Row | None:
    if isinstance(item, Not):
        inner = _row_of(item.item)
        return None if inner is None or inner.what != "did" else _changed(inner, what="did_not")
    if not isinstance(item, Compare) or any(isinstance(one, (Trait, Property, Duration)) for one in item.arguments):
        return None
    if isinstance(item.value, Trait):
        return Row(what="trait", path=item.value.key, operator=item.operator, value=_text(item.arguments))
    if not isinstance(item.value, Reduce) or item.value.reducer is not Reducer.COUNT or len(item.arguments) != 1:
        return None
    row = _row_of_events(item.value.events)
    return None if row is None else _changed(row, sign=item.operator, count=_text(item.arguments))


def _row_of_reduce(reduce: Reduce) -> Row | None:
    row = _row_of_events(reduce.events)
    if row is None or row.then or reduce.as_text:
        return None
    return _changed(row, reducer=reduce.reducer.value, of=_path(reduce.of) if reduce.of is not None else "")


def _row_of_events(events: Events) -> Row | None:
    days = ""
    if events.window is not None:
        if events.window.end is not None or events.window.start.unit != "day":
            return None
        days = str(events.window.start.count)
    row = Row(event=events.name, days=days)
    items = events.where.items if isinstance(events.where, And) else (events.where,) if events.where else ()
    for item in items:
        if not isinstance(item, Compare):
            return None
        if isinstance(item.value, Property) and not row.path:
            row = _changed(row, path=_path(item.value), operator=item.operator, value=_text(item.arguments))
        elif isinstance(item.value, Reduce) and not row.then:
            inner = _row_of_events(item.value.events)
            if inner is None or item.arguments not in ((0,), (1,)):
                return None
            then = "did" if item.arguments == (1,) else "did_not"
            row = _changed(row, then=then, then_event=inner.event, then_days=inner.days)
        else:
            return None
    return row


def _path(value: Property) -> str:
    return f"context.{value.path}" if value.root == "context" else value.path


def _text(arguments: Sequence[object]) -> str:
    if not arguments:
        return ""
    first = arguments[0]
    return ("true" if first else "false") if isinstance(first, bool) else str(first)


def _changed(row: Row, **values: str) -> Row:
    return Row(**{name: values.get(name, getattr(row, name)) for name in FIELDS})
