"""What an event store must do. Every engine fulfils this one contract and passes one conformance suite.

Columns travel as numpy arrays and lists, never row by row. All times are Unix milliseconds (UTC); windows are
half-open [start, end). Delivery is at least once, a message counts once: facts and archive rows may repeat, and
every read counts rows with one `message_hash` as one (the earliest `ts` wins). An engine may turn repeats away when
they are written, or tell them apart when it reads. What a query gives is of one moment.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cliffwatch.store.trails import Trails

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DUPLICATE_SLACK_MS = 120_000
"""A re-sent message is re-stamped by at most the difference of two network delays; duplicates are looked for this
far on both sides of a time, so that one that falls across a window's edge still counts once. A copy that is further
away than this may count once more."""


@dataclass(frozen=True, slots=True)
class ArchiveBatch:
    """Whole events, column by column, N rows."""

    source_id: Ints
    kind: Sequence[str]
    name: Sequence[str]
    ts_ms: Ints
    received_at_ms: Ints
    message_hash: Ints
    user_id: Sequence[str]  # "" = none
    anonymous_id: Sequence[str]  # "" = none
    body: Sequence[str | bytes]  # the event as JSON, as text or UTF-8; text when it is read

    def __len__(self) -> int:
        return len(self.ts_ms)


@dataclass(frozen=True, slots=True)
class FactBatch:
    """What streams measure of events, column by column, N rows.

    `dims[i][0]` is the event's name, then one value per dimension of the stream ("" = not set); `nums[i]` holds one
    number per numeric path of the stream (NaN = not set). Their lengths are constant within a stream's revision.
    """

    stream_id: Ints
    ts_ms: Ints
    message_hash: Ints
    actor_hash: Ints
    dims: Sequence[Sequence[str]]
    nums: Sequence[Sequence[float]]

    def __len__(self) -> int:
        return len(self.ts_ms)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal has been absorbed; written in the same transaction as its rows."""

    journal: str
    offset: int


class Function(enum.StrEnum):
    COUNT = "count"
    USERS = "users"  # distinct actors, exact
    SUM = "sum"  # to 14 significant digits: the same each time it is asked for, whatever the order of adding
    AVERAGE = "average"
    MIN = "min"
    MAX = "max"
    QUANTILE = "quantile"
    ABOVE = "above"  # how many facts have a number above a threshold


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One column of an aggregate query over facts.

    `number` is the index into `nums` (not for COUNT and USERS), `quantile` in (0, 1) for QUANTILE, `threshold` a finite
    number for ABOVE, `event` restricts to facts whose `dims[0]` equals it. COUNT with a `number` counts the facts where
    that number is set. The value of an empty set is 0 for COUNT, USERS, SUM and ABOVE, NaN otherwise.
    """

    function: Function
    number: int | None = None
    quantile: float | None = None
    event: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """Measures per window and group of one stream (`stream_id` is the stream's `facts_id`).

    `edges_ms` (W + 1 ascending times) are windows that tile [edges[0], edges[-1]). `group_by` holds indices into `dims`
    (0 is the event's name); empty gives one group per window. `where` restricts to dims[index] == value.
    """

    stream_id: int
    edges_ms: Sequence[int]
    aggregates: Sequence[Aggregate]
    group_by: Sequence[int] = ()
    where: Sequence[tuple[int, str]] = ()


class Coded(Sequence[str]):
    """R texts as codes into their distinct values: hundreds of thousands of groups without as many Python strings."""

    __slots__ = ("codes", "values")

    def __init__(self, codes: NDArray[np.int32], values: Sequence[str]) -> None:
        """`codes` is (R,) with 0 <= code < len(values)."""
        self.codes = codes
        self.values = values

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Coded: ...
    def __getitem__(self, index: int | slice) -> str | Coded:
        if isinstance(index, slice):
            return Coded(self.codes[index], self.values)
        return self.values[int(self.codes[index])]

    def __iter__(self) -> Iterator[str]:
        return map(self.values.__getitem__, self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # like a list

    def __repr__(self) -> str:
        return repr(list(self))

    @classmethod
    def of(cls, texts: Sequence[str]) -> Coded:
        """Any column of texts, coded."""
        if isinstance(texts, Coded):
            return texts
        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32, len(texts))
        return cls(codes, list(known))


@dataclass(frozen=True, slots=True)
class AggregateTable:
    """R rows: window index, group values, one array per aggregate. Windows and groups without facts have no row.

    Rows are ordered by window, then by group values.
    """

    window: Ints
    groups: Sequence[Sequence[str]]  # one sequence of R values per entry of group_by
    values: Sequence[Floats]  # one array of R numbers per aggregate


@dataclass(frozen=True, slots=True)
class SliceQuery:
    """Measures per window of any number of streams that ask for the same ones: their totals, and chosen values.

    `chosen` are (stream id, index into `dims`, value): each is a slice of its own. What it costs depends on how many
    are chosen, not on how many values a dimension has.
    """

    stream_ids: Sequence[int]
    edges_ms: Sequence[int]
    aggregates: Sequence[Aggregate]
    chosen: Sequence[tuple[int, int, str]] = ()


@dataclass(frozen=True, slots=True)
class SliceTable:
    """R rows in order of stream, window and slice. Slices without facts in a window have no row."""

    stream_id: Ints
    window: Ints
    chosen: Ints  # place in the query's `chosen`, -1 = the stream's total
    values: Sequence[Floats]  # one array of R numbers per aggregate


@dataclass(frozen=True, slots=True)
class TopQuery:
    """The most frequent values of one dimension (an index into `dims`) in [start_ms, end_ms), `limit` at most.

    Values with less than `minimum_share` of the facts are left out; that share (at least 1 in 20,000) is what keeps the
    memory of the answer small, however many distinct values there are.
    """

    stream_id: int
    dimension: int
    start_ms: int
    end_ms: int
    limit: int
    minimum_share: float


@dataclass(frozen=True, slots=True)
class TopValues:
    """Values with their number of facts, the most frequent first (equal ones by value); exact. `facts` counts all."""

    values: Sequence[str]
    counts: Sequence[int]
    facts: int

    @property
    def complete(self) -> bool:
        """Whether no other value occurred."""
        return sum(self.counts) == self.facts


@dataclass(frozen=True, slots=True)
class PointBatch:
    """Points with their forecast, column by column, N rows. NaN = not there (missing, or not scored yet)."""

    stream_id: int
    measure: Sequence[str]  # Measure.key
    slice: Sequence[str]  # slice_key(...)
    window_start_ms: Ints
    window_end_ms: Ints
    value: Floats
    weight: Floats  # events under a sum, average or percentile, denominator of a ratio; NaN for counts
    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    p_value: Floats
    flagged: NDArray[np.bool_]
    revision: Ints  # 0 for the first value, then one more for each change by late events

    def __len__(self) -> int:
        return len(self.window_start_ms)

    def where(self, wanted: NDArray[np.bool_]) -> PointBatch:
        """The rows that are wanted (N), in their order."""
        at = np.flatnonzero(wanted).tolist()
        texts = ("stream_id", "measure", "slice")
        numbers = {one.name: getattr(self, one.name)[at] for one in fields(self) if one.name not in texts}
        return PointBatch(self.stream_id, [self.measure[i] for i in at], [self.slice[i] for i in at], **numbers)


@dataclass(frozen=True, slots=True)
class PointQuery:
    stream_id: int
    start_ms: int
    end_ms: int
    measure: str | None = None
    slices: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """A page of the archive in the order of (received_at_ms, message_hash), each message once.

    `after` is the last row of the page before; only what was received before `before_ms` is there. `one_in` above 1
    takes a sample: always the same messages, those whose hash is a multiple of it.
    """

    source_id: int
    start_ms: int  # of ts
    end_ms: int
    kinds: Sequence[str] = ()  # empty = all
    names: Sequence[str] = ()  # empty = all
    after: tuple[int, int] | None = None
    limit: int = 10_000
    one_in: int = 1
    before_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a deletion concerns, and where: ids as the archive holds them, and the actor hashes that facts carry."""

    source_ids: Sequence[int]
    stream_ids: Sequence[int]  # the `facts_id`s of their streams
    user_ids: Sequence[str]
    anonymous_ids: Sequence[str]
    actor_hashes: Sequence[int]


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the store holds, for health pages: rows per table and bytes on disk."""

    archive_rows: int
    fact_rows: int
    point_rows: int
    disk_bytes: int
    extra: dict[str, float] = field(default_factory=dict)


class EventStore(Protocol):
    """The contract. All methods may be called from any thread.

    A failure raises `errors.Unavailable` and leaves nothing half-written: all of a call, or nothing of it, is there.
    """

    trails: Trails
    """What audiences and computed traits are computed from: a contract of its own."""

    def write(
        self, archive: ArchiveBatch | None, facts: FactBatch | None, position: Position | None = None
    ) -> Ints | None:
        """Write archive rows, facts and the journal position in one transaction; durable on return.

        Returns the message hashes among the rows whose message was stored before, in any order and perhaps twice; None
        where an engine does not know, because it tells repeats apart when it reads.

        After `Unavailable` it is unknown whether the rows were taken: write them again, they count once. Raises
        InvalidInput when columns differ in length or type.
        """
        ...

    def position(self, journal: str) -> int:
        """The absorbed offset of a journal, 0 when it is unknown."""
        ...

    def read_archive(self, query: ArchiveQuery) -> ArchiveBatch: ...

    def count_archive(self, query: ArchiveQuery) -> int:
        """How many messages match, each counted once (`after` and `limit` are ignored)."""
        ...

    def archive_cuts(self, query: ArchiveQuery, parts: int) -> list[int]:
        """Times of arrival that cut what matches into `parts` of about the same size (`after` and `limit` are ignored).

        Ascending, each once, `parts` - 1 at most: fewer where much arrived in one millisecond, none of nothing.
        """
        ...

    def aggregate(self, query: AggregateQuery) -> AggregateTable: ...

    def aggregate_slices(self, query: SliceQuery) -> SliceTable: ...

    def top_values(self, query: TopQuery) -> TopValues: ...

    def top_values_of(self, queries: Sequence[TopQuery]) -> list[TopValues]:
        """What `top_values` gives of each: streams that are due together are asked for together."""
        ...

    def fact_spans(self, stream_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Stream id -> first and last `ts_ms` of its facts, for those that have any."""
        ...

    def fact_span(self, stream_id: int) -> tuple[int, int] | None:
        """First and last `ts_ms` of a stream's facts; None when it has none."""
        ...

    def write_points(self, *batches: PointBatch) -> None:
        """Write points of any number of streams together; one with the same (stream, measure, slice, window start) is
        replaced. Of several in one call, the last counts."""
        ...

    def read_points(self, query: PointQuery) -> PointBatch:
        """Points of [start_ms, end_ms) by window start, ordered by measure, slice, window start."""
        ...

    def read_points_of(
        self, stream_ids: Sequence[int], start_ms: int, end_ms: int, slices: Sequence[str] | None = None
    ) -> dict[int, PointBatch]:
        """All points of these streams in [start_ms, end_ms), or those of some slices, as `read_points` gives those of
        each."""
        ...

    def delete_facts(self, stream_id: int) -> None: ...

    def delete_points(self, stream_id: int) -> None: ...

    def delete_archive(self, source_id: int, before_ms: int) -> int:
        """Forget whole events older than `before_ms` (retention); returns how many rows went."""
        ...

    def anonymous_ids(self, source_ids: Sequence[int], user_ids: Sequence[str]) -> list[str]:
        """The anonymous ids that whole events of these users carry, each once, in order."""
        ...

    def delete_person(self, person: Person) -> tuple[int, int]:
        """Forget a person's whole events and facts; returns how many of each went. After a failure, ask again.

        Whole events go that carry one of the user ids, or one of the anonymous ids and no user id: what another user
        did on the same device stays. Facts go by their actor.
        """
        ...

    def overwrite_deleted(self) -> None:
        """Make sure that nothing of what was deleted can be read from the engine's files any more.

        Takes a while where much was deleted. Raises Unavailable when it has to be tried again.
        """
        ...

    def stats(self) -> StoreStats: ...

    def close(self) -> None: ...
