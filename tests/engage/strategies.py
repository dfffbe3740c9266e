"""Random definitions and histories that meet often: few names, few values, few people."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.engage.naive import Happened

from cliffwatch.engage.language.model import (
    NUMERIC,
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
    Window,
)

NOW = 1_790_000_000_000
HOUR = 3_600_000

EVENTS = ("Order Completed", "Product Viewed", "Page Viewed", 'It\'s "odd" \\ name')
PATHS = ("total", "sku", "tag.deep", "page_name", "when")
MOMENTS = ("2026-09-01T10:00:00Z", "2026-09-21T10:00:00+02:00")
TEXTS = ("a", "b", "ab", "5", "5.0", "true", "é'\"\\", "2026-09-01", *MOMENTS)
VALUES = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from((0, 1, 2, 5, -3, 0.5, 2.25, 1e21, True, False, None, "", 10**17, 1e-7, ["a", "b"], {"x": 1})),
)

_hours = st.builds(Duration, st.integers(1, 72), st.just("hour"))
_days = st.builds(Duration, st.integers(1, 4), st.just("day"))
durations = st.one_of(_hours, _days)
literals = st.one_of(st.sampled_from(TEXTS), st.sampled_from((0, 1, 2, 5, -3, 0.5, 2.25, True, False)))
numbers = st.sampled_from((0, 1, 2, 3, 0.5, 2.25, -3))
dates = st.sampled_from(MOMENTS)
signs = st.sampled_from(("=", "!=", ">", ">=", "<", "<="))


def _windows(*, parent: bool) -> st.SearchStrategy[Window]:
    two = st.tuples(durations, durations).filter(lambda pair: pair[0].ms != pair[1].ms)
    between = two.map(lambda pair: Window(max(pair, key=lambda d: d.ms), min(pair, key=lambda d: d.ms), parent))
    return st.one_of(st.builds(Window, durations, st.none(), st.just(parent)), between)


def _properties(*, parent: bool) -> st.SearchStrategy[Property]:
    flag = st.booleans() if parent else st.just(False)
    return st.builds(Property, st.sampled_from(PATHS), st.just("properties"), flag)


def _compared(value: st.SearchStrategy, other: st.SearchStrategy | None = None) -> st.SearchStrategy[Compare]:
    right = literals if other is None else st.one_of(literals, other)
    return st.one_of(
        st.builds(Compare, value, signs, st.tuples(right)),
        st.builds(Compare, value, st.sampled_from(("exists", "absent")), st.just(())),
        st.builds(
            Compare,
            value,
            st.sampled_from(("contains", "omits", "starts_with", "ends_with", "one_of", "none_of")),
            st.lists(literals, min_size=1, max_size=2).map(tuple),
        ),
        st.builds(Compare, value, st.sampled_from(("before_date", "after_date")), st.tuples(dates)),
        st.builds(
            Compare,
            value,
            st.sampled_from(("within_last", "within_next", "before_last", "after_next")),
            st.tuples(durations),
        ),
    )


def _joined(leaf: st.SearchStrategy[Condition], size: int = 3) -> st.SearchStrategy[Condition]:
    def more(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            several.map(lambda items: _flat(And, items)), several.map(lambda items: _flat(Or, items)), inner.map(Not)
        )

    return st.recursive(leaf, more, max_leaves=size)


def _flat(kind: type, items: tuple[Condition, ...]) -> Condition:
    """As the parser does it: no AND directly in an AND."""
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, kind) else [item])  # type: ignore[attr-defined]
    return kind(tuple(flat))


traits = st.builds(Trait, st.sampled_from(("plan", "age", "address.city")))


def _events(*, nested: bool) -> st.SearchStrategy[Events]:
    test = _compared(_properties(parent=nested), st.one_of(_properties(parent=nested), traits))
    tests = st.one_of(test, test, test, _compared(traits))
    if not nested:
        tests = st.one_of(tests, tests, _counted(_reduced(nested=True)))
    return st.builds(
        Events,
        st.sampled_from(EVENTS),
        st.one_of(st.none(), _joined(tests)),
        st.one_of(st.none(), _windows(parent=nested)),
        st.sampled_from(((), (), ("2",))),
    )


def _reduced(*, nested: bool) -> st.SearchStrategy[Reduce]:
    return st.one_of(
        st.builds(Reduce, _events(nested=nested), st.just(Reducer.COUNT)),
        st.builds(
            Reduce,
            _events(nested=nested),
            st.sampled_from([r for r in NUMERIC if r is not Reducer.COUNT]),
            _properties(parent=False),
        ),
        st.builds(
            Reduce,
            _events(nested=nested),
            st.sampled_from((Reducer.MIN, Reducer.MAX)),
            _properties(parent=False),
            st.just(True),
        ),
        st.builds(
            Reduce, _events(nested=nested), st.sampled_from((Reducer.FIRST, Reducer.LAST)), _properties(parent=False)
        ),
        st.builds(
            Reduce,
            _events(nested=nested),
            st.just(Reducer.MODE),
            _properties(parent=False),
            st.just(False),
            st.integers(1, 2),
        ),
    )


def _counted(reduced: st.SearchStrategy[Reduce]) -> st.SearchStrategy[Compare]:
    def compare(reduce: Reduce) -> st.SearchStrategy[Compare]:
        if reduce.reducer in NUMERIC and not reduce.as_text:
            return st.one_of(
                st.builds(Compare, st.just(reduce), signs, st.tuples(numbers)),
                st.builds(Compare, st.just(reduce), st.sampled_from(("exists", "absent")), st.just(())),
            )
        return _compared(st.just(reduce))

    return reduced.flatmap(compare)


audiences = _joined(st.one_of(_counted(_reduced(nested=False)), _counted(_reduced(nested=False)), _compared(traits)), 4)
_lists = st.builds(Reduce, _events(nested=False), st.just(Reducer.UNIQUE), _properties(parent=False))
_sessions = st.builds(
    lambda events, pause: Events(events.name, events.where, None, (), pause), _events(nested=False), _hours
)
computed_traits = st.one_of(
    _reduced(nested=False),
    _lists,
    st.builds(Reduce, _sessions, st.just(Reducer.COUNT)),
    st.builds(Reduce, _sessions, st.just(Reducer.SUM), _properties(parent=False)),
)

_objects = st.dictionaries(st.sampled_from(("total", "sku", "when")), VALUES, max_size=3).flatmap(
    lambda found: st.sampled_from((found, {**found, "tag": {"deep": "a"}}, {**found, "tag": "b"}))
)


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> list[Happened]:
    """Events in the order of their arrival, which is not quite that of their time."""
    names = st.sampled_from((EVENTS[0], EVENTS[0], EVENTS[1], EVENTS[3]))
    events, arrived = [], NOW - 6 * 24 * HOUR
    for order in range(draw(st.integers(0, most))):
        arrived += draw(st.sampled_from((0, 1, HOUR, 3 * HOUR, 9 * HOUR)))
        kind = draw(st.sampled_from(("track", "track", "track", "identify", "page", "alias")))
        user = draw(st.sampled_from(("", "u1", "u2", "u3")))
        anonymous = draw(st.sampled_from(("", "x1", "x2", "u1")))
        if not user and (not anonymous or kind == "alias"):
            user = "u1"
        events.append(
            Happened(
                order=order * 7919 % 1009,
                type=kind,
                name=draw(names) if kind == "track" else "a" * (kind == "page"),
                ts=min(arrived, NOW - 1) - draw(st.sampled_from((0, 0, 0, HOUR, 30 * HOUR))),
                arrived=arrived,
                user_id=user,
                anonymous_id=anonymous,
                properties=draw(_objects) if kind in ("track", "page") else None,
                traits=draw(st.dictionaries(st.sampled_from(("plan", "age")), VALUES)) if kind == "identify" else None,
                previous_id=draw(st.sampled_from(("u1", "u2", "x1", "old"))) if kind == "alias" else "",
                external=draw(st.sampled_from(((), (), (), (("email", "e@x"),), (("email", "f@x"), ("phone", "1"))))),
                source=draw(st.sampled_from((1, 1, 2))),
            )
        )
    return events
