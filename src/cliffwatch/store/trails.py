"""What an event store must do for audiences and computed traits: trails of people, and set-wise questions over them.

A **person** is a number per workspace, and identifiers (user ids, anonymous ids, external ids) that belong to it. A
**trail** holds, of the events of one kind and name, who did it, when, and the values at a few paths: narrow columns, so
that a question over millions of events is one scan, a filter and a GROUP BY person. Engage says which trails there are,
has them filled from the archive in the order of arrival, and asks.

Any SQL engine can fulfil it. What each part means:

- *identities*, in order of (received_at, user id, anonymous id): a user id that is new makes a person; an anonymous id
  belongs to the first user that it comes with, and what it did before then is that user's (the two persons merge, the
  user's stays; a person without user id takes the user id). It never joins two users. `alias` joins the persons of both
  its ids, always. An id of `context.externalIds` belongs to the first person it comes with; it joins two persons unless
  both have a user id. An event is done by its user id, else its anonymous id.
- *a value* at a path of names is text: a string as it is, `true`/`false`, a number without `.0`, the JSON of an object
  or array; at most 200 characters, "" when it is not there or null. Its *number* is there when the text is one.
- *conditions* are either true or false, never unknown: what is not there fulfils no test.

Times are Unix milliseconds. Every read is of one moment.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store.contract import ArchiveBatch, Ints

LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class Trail:
    """Which events it holds (`name` None: every name), from which sources, and the paths whose values it keeps."""

    id: int
    workspace_id: int
    source_ids: tuple[int, ...]
    kind: str
    name: str | None
    paths: tuple[tuple[str, ...], ...]


class Reduction(enum.StrEnum):
    """What is made of a person's events. Numbers: COUNT to UNIQUE_COUNT; texts: the others; UNIQUE is a list."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    UNIQUE_COUNT = "unique_count"
    MIN_TEXT = "min_text"
    MAX_TEXT = "max_text"
    MODE = "mode"  # the most frequent text, of equal ones the first by code point; at least `least` times
    FIRST = "first"  # by (ts, message hash)
    LAST = "last"
    UNIQUE = "unique"  # distinct texts in order of code points

    @property
    def is_number(self) -> bool:
        return self in _NUMBERS


_NUMBERS = frozenset(list(Reduction)[:6])


@dataclass(frozen=True, slots=True)
class Slot:
    """The value of a trail's path by its place; of the event around it when `parent`."""

    index: int
    parent: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What the leaf gives for a person, in a condition on it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value per person over the events of a trail, among those with from_ms <= ts < to_ms that fulfil `where`.

    People without such an event have no value; nor have those whose events lack the value that is reduced (`of`, a slot
    of the trail), save for COUNT. `session` is (pause, now): only events of the newest run without a pause longer than
    that count, and none when it is over.

    As an operand in another leaf's `where`: `after` is (least, most) milliseconds after the event around it, and always
    later than it (None: any time after); a leaf without it stands for the person's own value, whatever the event.
    """

    trail: int
    reduction: Reduction
    of: int | None = None
    where: Condition | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    least: int = 1
    session: tuple[int, int] | None = None
    excluded_sources: tuple[int, ...] = ()
    after: tuple[int, int | None] | None = None


Operand = Slot | Result | Leaf


class Relation(enum.StrEnum):
    """IS_SET and what compares with `texts`, `number`, `other` or the stretch `times` (inclusive, None: open)."""

    IS_SET = "is_set"
    TEXT_IN = "text_in"
    CONTAINS = "contains"  # any of `texts`
    STARTS = "starts"
    ENDS = "ends"
    EQUAL = "equal"  # with a number, or with another operand: the same text, or the same number
    MORE = "more"
    AT_LEAST = "at_least"
    LESS = "less"
    AT_MOST = "at_most"
    TIME_IN = "time_in"  # the text is an ISO 8601 date and time with its zone


@dataclass(frozen=True, slots=True)
class Test:
    """What is asked of an operand. A numeric leaf as an operand counts as 0 when it is a count of nothing."""

    operand: Operand
    relation: Relation
    texts: tuple[str, ...] = ()
    number: float | None = None
    other: Slot | Leaf | None = None
    times: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Every:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class No:
    item: Condition


Condition = Test | Every | Some | No


@dataclass(frozen=True, slots=True)
class Filled:
    """How far trails were brought: rows added, people who are new, people who are now part of another."""

    rows: int
    people: int
    merged: int


@dataclass(frozen=True, slots=True)
class PersonValues:
    """N people, in ascending order, and their values: numbers, texts or lists of texts."""

    person: Ints
    value: Sequence[float | str | list[str]]


@dataclass(frozen=True, slots=True)
class Identifier:
    """An id of a person: `kind` is user_id, anonymous_id or the type of an external id."""

    person: int
    kind: str
    id: str


class Trails(Protocol):
    """The contract. All methods may be called from any thread; failures raise `errors.Unavailable`."""

    def arrivals(self, source_ids: Sequence[int], from_ms: int) -> list[tuple[int, int, int]]:
        """Archived events that arrived from then on, by the hour, ascending: its start, how many, newest arrival."""
        ...

    def fill(
        self, trails: Sequence[Trail], from_ms: int, to_ms: int, number: int, *, identify: bool, again: bool = False
    ) -> Filled:
        """Add archived events that arrived in [from_ms, to_ms) to these trails of one workspace, as pass `number`.

        One transaction, durable on return. An event that a trail holds already is not added again; `again` says that
        there may be such. `identify` learns who is who of all events of the sources first; trails of one
        workspace are only ever filled up to where identities are known.
        """
        ...

    def drop(self, trail_id: int) -> None: ...

    def population(self, workspace_id: int) -> int:
        """One more than the highest person number; numbers of merged people stay unused."""
        ...

    def everybody(self, workspace_id: int, kinds: Sequence[str] = ()) -> Ints:
        """The people there are, ascending; with `kinds`, those who have an identifier of one of them."""
        ...

    def touched(self, workspace_id: int, trail_ids: Sequence[int], after: int) -> Ints:
        """People with events that passes above `after` added to these trails, or who became known, were merged or were
        forgotten in them; ascending."""
        ...

    def between(self, trail_id: int, from_ms: int, to_ms: int) -> Ints:
        """People with an event of the trail in [from_ms, to_ms), ascending."""
        ...

    def people(self, leaf: Leaf, condition: Condition, among: Ints | None = None) -> Ints:
        """Those with a value of the leaf for whom the condition on it (`Result`) holds, ascending."""
        ...

    def values(self, leaf: Leaf, among: Ints | None = None) -> PersonValues: ...

    def identifiers(self, workspace_id: int, people: Ints) -> list[Identifier]:
        """All identifiers of these people, in order of (person, kind, when they were learnt, id)."""
        ...

    def kept(self, workspace_id: int, people: Ints) -> dict[int, int]:
        """Of these people those who became part of another, and whose part they are now."""
        ...

    def events(
        self,
        source_ids: Sequence[int],
        user_ids: Sequence[str],
        anonymous_ids: Sequence[str],
        kinds: Sequence[str],
        names: Sequence[str],
        skip: int,
        limit: int,
        *,
        oldest: bool = False,
    ) -> ArchiveBatch:
        """Whole events of one person (by user id, else by anonymous id) of these kinds and names (empty: all), the
        newest (or `oldest`) first by (ts, message hash), without the first `skip`."""
        ...

    def find(self, workspace_id: int, kind: str, ids: Sequence[str]) -> dict[str, int]:
        """Of these identifiers those that are somebody's, and whose."""
        ...


Mask = NDArray[np.bool_]
