"""What a query says, as frozen values: a condition (an audience) or a value per person (a computed trait).

    event('Order Completed').where(property('total') > 50).within(30 days).count() >= 1 AND trait('plan') = 'pro'

is `And((Compare(Reduce(Events(...), COUNT), ">=", (1,)), Compare(Trait("plan"), "=", ("pro",))))`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Literal = str | float | int | bool


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time as it was written: `7 days`."""

    count: int
    unit: str  # second, hour, day

    @property
    def ms(self) -> int:
        return self.count * {"second": 1000, "hour": HOUR_MS, "day": DAY_MS}[self.unit]


@dataclass(frozen=True, slots=True)
class Trait:
    """What is known of a person: the newest value that an identify gave, or another computation by its key."""

    key: str


@dataclass(frozen=True, slots=True)
class Property:
    """A value in an event: `property('a.b')`, `context('page.url')`; of the outer event of a funnel with `parent`."""

    path: str
    root: str = "properties"  # or context
    parent: bool = False


class Reducer(enum.StrEnum):
    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MODE = "mode"
    FIRST = "first"
    LAST = "last"
    UNIQUE = "unique"
    UNIQUE_COUNT = "unique_count"


NUMERIC = (Reducer.COUNT, Reducer.SUM, Reducer.AVG, Reducer.MIN, Reducer.MAX, Reducer.UNIQUE_COUNT)
"""Reducers that give a number (min and max only when they do not order by text)."""


@dataclass(frozen=True, slots=True)
class Window:
    """Events no older than `start`, and not younger than `end` where there is one; counted back from now.

    With `parent`, events that came after the outer one: no later than `start`, and not before `end`.
    """

    start: Duration
    end: Duration | None = None
    parent: bool = False


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one name, filtered. `session` keeps those of the session under way, which ends after that pause.

    Within another event's `where` they are those that came after that event.
    """

    name: str
    where: Condition | None = None
    window: Window | None = None
    excluded_sources: tuple[str, ...] = ()
    session: Duration | None = None


@dataclass(frozen=True, slots=True)
class Reduce:
    """One value of a person's events. `as_text` orders min and max by text; `least` is how often a mode must occur."""

    events: Events
    reducer: Reducer
    of: Property | None = None
    as_text: bool = False
    least: int = 1


Value = Trait | Property | Reduce


@dataclass(frozen=True, slots=True)
class Compare:
    """A value and what is asked of it. Arguments are literals, values, or a duration for the date comparators."""

    value: Value
    operator: str  # one of OPERATORS
    arguments: tuple[Literal | Trait | Property | Duration, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: Condition


Condition = Compare | And | Or | Not
Definition = Condition | Reduce
"""A condition is an audience, a reduced value a computed trait."""

SYMBOLS = {
    "equals": "=",
    "differs": "!=",
    "greater_than": ">",
    "at_least": ">=",
    "less_than": "<",
    "at_most": "<=",
}
"""Comparators with a sign of their own."""
TEXT_OPERATORS = ("contains", "omits", "starts_with", "ends_with", "one_of", "none_of")
DATE_OPERATORS = ("before_date", "after_date")
RELATIVE_OPERATORS = ("within_last", "within_next", "before_last", "after_next")
OPERATORS = (*SYMBOLS.values(), "exists", "absent", *TEXT_OPERATORS, *DATE_OPERATORS, *RELATIVE_OPERATORS)


def compares(definition: Definition) -> Iterator[Compare]:
    """Every comparison outside of `where`, from left to right."""
    match definition:
        case Compare():
            yield definition
        case And(items) | Or(items):
            for item in items:
                yield from compares(item)
        case Not(item):
            yield from compares(item)
        case Reduce():
            return


def reduces(definition: Definition) -> Iterator[Reduce]:
    """Every reduced value, nested ones after the one that they are in."""
    if isinstance(definition, Reduce):
        yield definition
        if definition.events.where is not None:
            yield from reduces(definition.events.where)
        return
    for compare in compares(definition):
        if isinstance(compare.value, Reduce):
            yield from reduces(compare.value)


def traits(definition: Definition) -> Iterator[str]:
    """The key of every trait that is looked at."""
    if isinstance(definition, Reduce):
        if definition.events.where is not None:
            yield from traits(definition.events.where)
        return
    for compare in compares(definition):
        for value in (compare.value, *compare.arguments):
            if isinstance(value, Trait):
                yield value.key
            elif isinstance(value, Reduce):
                yield from traits(value)
