"""From a definition to questions that an event store answers: which trails it needs, and a leaf per value. Pure.

A page or screen is the event `Page Viewed` or `Screen Viewed`, its name the property `page_name` or `screen_name`, as
in Segment's builder. A trait is the newest value that an identify gave.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cliffwatch.engage.language.model import (
    SYMBOLS,
    And,
    Compare,
    Condition,
    Definition,
    Duration,
    Literal,
    Not,
    Or,
    Property,
    Reduce,
    Reducer,
    Trait,
    compares,
    reduces,
    traits,
)
from cliffwatch.spec.model import Kind
from cliffwatch.spec.paths import split_path
from cliffwatch.spec.times import parse_time
from cliffwatch.store.trails import Condition as Asked
from cliffwatch.store.trails import Every, Leaf, No, Operand, Reduction, Relation, Slot, Some, Test, Trail

TrailKey = tuple[str, str | None]
"""Kind and name of the events of a trail; no name for pages, screens and identifies, which share one."""
Path = tuple[str, ...]

_VIEWS = {"Page Viewed": (Kind.PAGEVIEW, "page_name"), "Screen Viewed": (Kind.SCREENVIEW, "screen_name")}
_IDENTIFY: TrailKey = (Kind.IDENTIFY.value, None)
_COMPARED = {
    "=": Relation.EQUAL,
    "!=": Relation.EQUAL,
    ">": Relation.MORE,
    ">=": Relation.AT_LEAST,
    "<": Relation.LESS,
    "<=": Relation.AT_MOST,
}
_SIGNS = frozenset(SYMBOLS.values())
_NEGATED = {"!=", "absent", "omits", "none_of"}
_MISSING_FULFILS = {"absent", "omits"}


@dataclass(frozen=True, slots=True)
class Edge:
    """People with an event of this trail at `age_ms` before now may change there, without a new event."""

    key: TrailKey
    age_ms: int


def key_of(event_name: str) -> TrailKey:
    view = _VIEWS.get(event_name)
    return (view[0].value, None) if view else (Kind.TRACK.value, event_name)


def path_of(event_name: str, value: Property) -> Path:
    """Where a property of this event lies in a message."""
    view = _VIEWS.get(event_name)
    if view and value.root == "properties" and value.path == view[1]:
        return ("name",)
    return (value.root, *split_path(value.path))


def needs(definition: Definition, computed: Collection[str] = ()) -> dict[TrailKey, frozenset[Path]]:
    """The trails that a definition looks at, and the paths of each. `computed` are keys of other computations, which
    are looked up where a condition on people names them; in an event's filter a trait is what identifies said."""
    found: dict[TrailKey, set[Path]] = {}
    outer = [] if isinstance(definition, Reduce) else compares(definition)
    looked_up = {one.value.key for one in outer if isinstance(one.value, Trait) and one.value.key in computed}
    said = {key for reduce in reduces(definition) for key in traits(reduce)}
    for key in {*traits(definition)} - looked_up | said:
        found.setdefault(_IDENTIFY, set()).add(_trait_path(key))
    for reduce in reduces(definition):
        paths = found.setdefault(key_of(reduce.events.name), set())
        if reduce.of is not None:
            paths.add(path_of(reduce.events.name, reduce.of))
        if reduce.events.where is not None:
            for value, name in _properties(reduce.events.where, reduce.events.name):
                found.setdefault(key_of(name), set()).add(path_of(name, value))
    return {key: frozenset(paths) for key, paths in found.items()}


def _properties(condition: Condition, name: str) -> Iterator[tuple[Property, str]]:
    """The properties in an event's `where`, each with the event that it is of."""
    for compare in compares(condition):
        for value in (compare.value, *compare.arguments):
            if isinstance(value, Property):
                yield value, name
        if isinstance(compare.value, Reduce) and compare.value.events.where is not None:
            inner = compare.value.events
            for value, _ in _properties(inner.where, inner.name):  # type: ignore[arg-type]
                yield value, name if value.parent else inner.name


def edges(definition: Definition) -> frozenset[Edge]:
    """Where time alone changes what holds: the ends of the windows and sessions of outer events."""
    found = set()
    outer = [definition] if isinstance(definition, Reduce) else [compare.value for compare in compares(definition)]
    for value in outer:
        if isinstance(value, Reduce):
            key, window = key_of(value.events.name), value.events.window
            ages = [value.events.session, *((window.start, window.end) if window is not None else ())]
            found |= {Edge(key, age.ms) for age in ages if age is not None}
    return frozenset(found)


def is_incremental(definition: Definition, computed: Collection[str] = ()) -> bool:
    """Whether it is enough to look at people with new events, and at those who cross an edge.

    A date compared with today, or another computation, may change for anybody.
    """
    if any(key in computed for key in traits(definition)):
        return False
    return not any(_is_dated(compare) for compare in _all_compares(definition))


def _all_compares(definition: Definition) -> Iterator[Compare]:
    if not isinstance(definition, Reduce):
        yield from compares(definition)
    for reduce in reduces(definition):
        if reduce.events.where is not None:
            yield from compares(reduce.events.where)


def _is_dated(compare: Compare) -> bool:
    return any(isinstance(argument, Duration) for argument in compare.arguments)


@dataclass(frozen=True, slots=True)
class Planner:
    """Definitions as leaves and conditions, at one moment. `sources` are ids of sources by what queries call them."""

    trails: Mapping[TrailKey, Trail]
    now: int
    sources: Mapping[str, int]

    def leaf(self, reduce: Reduce, parent: str = "") -> Leaf:
        """`parent` is the event that it stands in."""
        events, name = reduce.events, reduce.events.name
        trail = self.trails[key_of(name)]
        reduction = Reduction(reduce.reducer.value)
        if reduce.as_text:
            reduction = Reduction.MIN_TEXT if reduce.reducer is Reducer.MIN else Reduction.MAX_TEXT
        window, nested = events.window, bool(parent)
        inner = window if nested else None
        outer = None if nested else window
        return Leaf(
            trail=trail.id,
            reduction=reduction,
            of=self._slot(name, reduce.of).index if reduce.of is not None else None,
            where=self.condition(events.where, name, parent) if events.where is not None else None,
            from_ms=self.now - outer.start.ms if outer else None,
            to_ms=self.now - outer.end.ms if outer and outer.end else None,
            least=reduce.least,
            session=(events.session.ms, self.now) if events.session else None,
            excluded_sources=tuple(self.sources[one] for one in events.excluded_sources if one in self.sources),
            after=(inner.end.ms if inner and inner.end else 0, inner.start.ms if inner else None) if nested else None,
        )

    def trait(self, key: str) -> Leaf:
        """A person's trait: the newest value that is set."""
        trail = self.trails[_IDENTIFY]
        return Leaf(trail.id, Reduction.LAST, trail.paths.index(_trait_path(key)))

    def condition(self, condition: Condition, event: str, parent: str = "") -> Asked:
        """What an event (`event` is its name) must fulfil."""
        match condition:
            case And(items):
                return Every(tuple(self.condition(item, event, parent) for item in items))
            case Or(items):
                return Some(tuple(self.condition(item, event, parent) for item in items))
            case Not(item):
                return No(self.condition(item, event, parent))
            case Compare():
                return self.test(self._operand(condition.value, event, parent), condition, event, parent)

    def test(self, operand: Operand, compare: Compare, event: str = "", parent: str = "") -> Asked:
        """The comparison, with another operand in the place of its value. False for what is not there, but for the
        two comparators that are said to be true then."""
        is_set = Test(operand, Relation.IS_SET)
        if compare.operator in ("exists", "absent"):
            return is_set if compare.operator == "exists" else No(is_set)
        holds = self._positive(operand, compare, event, parent)
        if compare.operator not in _NEGATED:
            return holds
        return No(holds) if compare.operator in _MISSING_FULFILS else Every((is_set, No(holds)))

    def _positive(self, operand: Operand, compare: Compare, event: str, parent: str) -> Asked:
        operator, arguments = compare.operator, compare.arguments
        if operator in _SIGNS:
            return self._sign(operand, operator, arguments[0], event, parent)
        if operator in ("one_of", "none_of"):
            return Some(tuple(self._sign(operand, "=", argument, event, parent) for argument in arguments))
        if operator in ("contains", "omits", "starts_with", "ends_with"):
            relation = {"starts_with": Relation.STARTS, "ends_with": Relation.ENDS}.get(operator, Relation.CONTAINS)
            texts = tuple(text_of(argument) for argument in arguments if isinstance(argument, (str, float, int)))
            return Test(operand, relation, texts)
        return Test(operand, Relation.TIME_IN, times=_times(compare, self.now))

    def _sign(
        self,
        operand: Operand,
        sign: str,
        argument: Literal | Trait | Property | Duration,
        event: str,
        parent: str,
    ) -> Asked:
        if isinstance(argument, (Trait, Property)):
            other = self._operand(argument, event, parent)
            assert isinstance(other, (Slot, Leaf))
            return Test(operand, _COMPARED[sign], other=other)
        assert not isinstance(argument, Duration)
        if sign in ("=", "!=") and (isinstance(argument, (bool, str))):
            return Test(operand, Relation.TEXT_IN, (text_of(argument),))
        return Test(operand, _COMPARED[sign], number=number_of(argument))

    def _operand(self, value: Trait | Property | Reduce, event: str, parent: str) -> Slot | Leaf:
        match value:
            case Trait(key):
                return self.trait(key)
            case Property():
                return self._slot(parent if value.parent else event, value)
            case Reduce():
                return self.leaf(value, parent=event)

    def _slot(self, event: str, value: Property) -> Slot:
        return Slot(self.trails[key_of(event)].paths.index(path_of(event, value)), value.parent)


def text_of(literal: Literal) -> str:
    """A literal as a value is stored: text, true/false, a number without ".0"."""
    if isinstance(literal, bool):
        return "true" if literal else "false"
    return literal if isinstance(literal, str) else repr(literal).removesuffix(".0")


def number_of(literal: Literal) -> float | None:
    """The number that a literal is; None for one that is none."""
    if isinstance(literal, (bool, str)):
        try:
            return float(literal) if isinstance(literal, str) and literal.strip() == literal else None
        except ValueError:
            return None
    return float(literal)


def _times(compare: Compare, now: int) -> tuple[int | None, int | None]:
    argument = compare.arguments[0]
    if isinstance(argument, Duration):
        return {
            "within_last": (now - argument.ms, now),
            "within_next": (now, now + argument.ms),
            "before_last": (None, now - argument.ms),
            "after_next": (now + argument.ms, None),
        }[compare.operator]
    moment = parse_time(argument)
    assert moment is not None, "the parser has checked it"
    return (None, moment - 1) if compare.operator == "before_date" else (moment + 1, None)


def _trait_path(key: str) -> Path:
    return ("traits", *split_path(key))
