"""Which values of a dimension have series of their own, however many values there are.

A value has one when it is among the `top` most frequent and has at least a thousandth of the events. Those are chosen
once a day, by the larger of their shares in the last four weeks and in the last day, and none of them leaves before the
next day. A new value that suddenly matters does not wait for it: when much of a window lies beside the monitored
values, the newest windows are searched for it. A stream has no more series than `MAX_SERIES`, whatever its definition
asks for; what is beyond is part of `(other)`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from cliffwatch.store import EventStore, TopQuery, TopValues
from cliffwatch.streams.model import OTHER, Definition, Stream

DAY_MS = 24 * 3_600_000
LOOK_BACK_MS = 28 * DAY_MS
"""A dimension's top values are those of the last four weeks ..."""
LOOK_BACK_WINDOWS = 8
"""... or of this many windows, where these are longer."""
MAX_SERIES = 4_000
"""Of one stream. The detector remembers 2 KB of each."""
MINIMUM_SHARE = 0.001
"""Of a dimension's events; a value with less has no series of its own."""
JOIN_SHARE = 0.05
"""A new value with such a share of the newest windows' events, ..."""
JOIN_FACTS = 50
"""... and so many of them, has a series at once."""
JOIN_WINDOWS = 3

Values = dict[str, tuple[str, ...]]
Search = Generator[Sequence[TopQuery], Sequence[TopValues], tuple[Values, bool]]
"""Asks for the most frequent values some times; returns the monitored ones, and whether they are worth keeping."""


@dataclass
class _Chosen:
    """The monitored values of a stream, and how much of its newest window lay beside them."""

    asked: tuple[int, Definition]
    values: Values
    rest: Mapping[str, float] = field(default_factory=dict)
    searched: dict[str, float] = field(default_factory=dict)  # the rest of a dimension when it was searched last

    @property
    def to_search(self) -> list[str]:
        """The dimensions of which so much lies beside, more than when they were searched last."""
        return [path for path, share in self.rest.items() if share >= JOIN_SHARE + self.searched.get(path, 0.0)]


_chosen: WeakKeyDictionary[EventStore, dict[int, _Chosen]] = WeakKeyDictionary()
"""Per store and facts_id: what was chosen for a day (its first moment) under a definition."""


def monitored(store: EventStore, stream: Stream, until_ms: int) -> Mapping[str, tuple[str, ...]]:
    """Dimension path -> its values with a series of their own, the most frequent first; `OTHER` last if there are more.

    They are chosen for the day (UTC) that holds `until_ms`; of a stream that has not seen a whole day yet, from all
    that there is.
    """
    return monitored_of(store, [(stream, until_ms)])[0]


def monitored_of(store: EventStore, due: Sequence[tuple[Stream, int]]) -> list[Mapping[str, tuple[str, ...]]]:
    """`monitored` of each stream; what must be searched for is searched for all of them together."""
    of_store = _chosen.setdefault(store, {})
    searches: dict[int, Search] = {}
    for at, (stream, until_ms) in enumerate(due):
        known = of_store.get(stream.facts_id)
        if known is None or known.asked != _asked(stream, until_ms):
            searches[at] = _ranked(stream, until_ms)
        elif known.to_search:
            searches[at] = _joined(stream, until_ms, known)
    found = dict(zip(searches, _searched(store, [*searches.values()]), strict=True))
    answers: list[Mapping[str, tuple[str, ...]]] = []
    for at, (stream, until_ms) in enumerate(due):
        known = of_store.get(stream.facts_id)
        if at in found:
            values, keeps = found[at]
            if known is None or known.asked != _asked(stream, until_ms):
                known = _Chosen(_asked(stream, until_ms), values)
            known.values = values
            if keeps:
                of_store[stream.facts_id] = known
        assert known is not None
        answers.append(known.values)
    return answers


def _asked(stream: Stream, until_ms: int) -> tuple[int, Definition]:
    return until_ms - until_ms % DAY_MS, stream.definition


def chosen_now(store: EventStore, stream: Stream) -> Mapping[str, tuple[str, ...]]:
    """What `monitored` chose last, without asking the store; nothing before the first run."""
    known = _chosen.setdefault(store, {}).get(stream.facts_id)
    return known.values if known is not None and known.asked[1] == stream.definition else {}


def saw_rest(store: EventStore, stream: Stream, shares: Mapping[str, float], events: float) -> None:
    """Tell the governor which share of the newest window's events lay beside the monitored values, per dimension.

    Of a few events nothing can be said.
    """
    if events * JOIN_WINDOWS < JOIN_FACTS:
        return
    known = _chosen.setdefault(store, {}).get(stream.facts_id)
    if known is not None and known.asked[1] == stream.definition:
        known.rest = shares


def most_values(definition: Definition, top: int) -> int:
    """How many values of a dimension may have series: `top`, unless the stream would have more than MAX_SERIES."""
    slices = MAX_SERIES // len(definition.measures) - 1
    return max(1, min(top, slices // max(len(definition.dimensions), 1) - 1))


def _searched(store: EventStore, searches: Sequence[Search]) -> list[tuple[Values, bool]]:
    """What the searches find; whatever they ask at the same step is asked at once."""
    found: dict[int, tuple[Values, bool]] = {}
    answers: dict[int, Sequence[TopValues] | None] = dict.fromkeys(range(len(searches)))
    while answers:
        asked: dict[int, Sequence[TopQuery]] = {}
        for at, answer in answers.items():
            try:
                asked[at] = next(searches[at]) if answer is None else searches[at].send(answer)
            except StopIteration as end:
                found[at] = end.value
        queries = [query for of_one in asked.values() for query in of_one]
        got = iter(store.top_values_of(queries) if queries else ())
        answers = {at: [next(got) for _ in of_one] for at, of_one in asked.items()}
    return [found[at] for at in range(len(searches))]


def _ranked(stream: Stream, until_ms: int) -> Search:
    """The monitored values, and whether they hold all day."""
    definition = stream.definition
    midnight = until_ms - until_ms % DAY_MS
    look_back_ms = max(LOOK_BACK_MS, LOOK_BACK_WINDOWS * definition.schedule.frequency_minutes * 60_000)
    chosen: Values = {}
    steady = True
    tops = [most_values(definition, dimension.top) for dimension in definition.dimensions]

    def during(start_ms: int, end_ms: int) -> list[TopQuery]:
        return [_top(stream, index, start_ms, end_ms, most) for index, most in enumerate(tops, start=1)]

    weeks = yield during(midnight - look_back_ms, midnight)
    days = yield during(midnight - DAY_MS, midnight)
    nothing = TopValues((), (), 0)
    young = any(found.facts == newest.facts for found, newest in zip(weeks, days, strict=True))
    now = (yield during(until_ms - look_back_ms, until_ms)) if young else weeks
    for dimension, most, *counted in zip(definition.dimensions, tops, weeks, days, now, strict=True):
        found, newest, until_now = counted
        if found.facts == newest.facts:  # it has not seen a whole day yet
            steady = False
            found, newest = until_now, nothing
        shares = {value: count / found.facts for value, count in zip(found.values, found.counts, strict=True)}
        for value, count in zip(newest.values, newest.counts, strict=True):
            if count >= JOIN_FACTS:
                shares[value] = max(shares.get(value, 0.0), count / newest.facts)
        ranked = sorted((value for value in shares if value != OTHER), key=lambda value: (-shares[value], value))
        top = ranked[:most]
        everything = found.complete and set(found.values) == set(top)
        chosen[dimension.path] = tuple(top) if everything else (*top, OTHER)
    return chosen, steady


def _joined(stream: Stream, until_ms: int, known: _Chosen) -> Search:
    """The monitored values with those that matter since a few windows."""
    since_ms = until_ms - JOIN_WINDOWS * stream.definition.schedule.frequency_minutes * 60_000
    values, wanted = dict(known.values), known.to_search
    dimensions = [
        (index, dimension.path, 2 * most_values(stream.definition, dimension.top))
        for index, dimension in enumerate(stream.definition.dimensions, start=1)
        if dimension.path in wanted
    ]
    tops = yield [
        TopQuery(stream.facts_id, index, since_ms, until_ms, most, JOIN_SHARE) for index, _, most in dimensions
    ]
    for (_, path, most), found in zip(dimensions, tops, strict=True):
        known.searched[path] = known.rest[path]
        before = values[path]
        new = [
            value
            for value, count in zip(found.values, found.counts, strict=True)
            if count >= JOIN_FACTS and value not in before
        ]
        if new:
            old = [value for value in before if value != OTHER]
            values[path] = (*[*old, *new][:most], OTHER)
    return values, True


def _top(stream: Stream, dimension: int, start_ms: int, end_ms: int, most: int) -> TopQuery:
    return TopQuery(stream.facts_id, dimension, start_ms, end_ms, most + 1, MINIMUM_SHARE)
