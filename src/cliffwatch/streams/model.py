"""Frozen values of a data stream: what it measures, along which dimensions, and when. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cliffwatch.spec.model import SpecType

Slice = tuple[tuple[str, str], ...]
"""Fixed dimension values, sorted by path; the empty slice is the total."""

TOTAL: Slice = ()
OTHER = "(other)"
"""The value that gathers everything outside a dimension's top values."""
NOT_SET = ""
"""The value of a dimension that an event does not carry; shown as "(not set)"."""


def make_slice(values: Mapping[str, str] | Iterable[tuple[str, str]]) -> Slice:
    """The slice with these dimension values, in canonical order."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return tuple(sorted(pairs))


def slice_key(slice_: Slice) -> str:
    """The canonical text of a slice, as stored and as used in addresses; "{}" is the total."""
    return json.dumps(dict(slice_), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=16_384)  # a run reads the same few thousand again
def parse_slice_key(key: str) -> Slice:
    """The slice of a canonical text; inverse of `slice_key`."""
    return make_slice(json.loads(key))


class Aggregation(enum.StrEnum):
    COUNT = "count"
    USERS = "users"
    SUM = "sum"
    AVERAGE = "average"
    MIN = "min"
    MAX = "max"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"
    RATIO = "ratio"

    @property
    def needs_path(self) -> bool:
        return self not in (Aggregation.COUNT, Aggregation.USERS, Aggregation.RATIO)

    @property
    def additive(self) -> bool:
        """Whether the values of disjoint slices add up to the value of their union."""
        return self in (Aggregation.COUNT, Aggregation.SUM)

    @property
    def quantile(self) -> float | None:
        return int(self[1:]) / 100 if self[0] == "p" else None


@dataclass(frozen=True, slots=True)
class Part:
    """A simple aggregate: numerator or denominator of a ratio. `event` restricts it to one event name."""

    aggregation: Aggregation
    path: str | None = None
    event: str | None = None

    @property
    def key(self) -> str:
        inner = self.path or ""
        at = f"@{self.event}" if self.event else ""
        return f"{self.aggregation.value}({inner}){at}"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is counted per window. A ratio has two parts; the others have a path where the aggregation needs one."""

    aggregation: Aggregation
    path: str | None = None
    event: str | None = None
    numerator: Part | None = None
    denominator: Part | None = None
    label: str | None = None  # the user's own name for it
    unit: str | None = None  # e.g. "USD", "ms"

    @property
    def key(self) -> str:
        """Stable text identity of the measure within its stream: `count()`, `sum(properties.revenue)`."""
        if self.aggregation is Aggregation.RATIO and self.numerator and self.denominator:
            return f"ratio({self.numerator.key}/{self.denominator.key})"
        return Part(self.aggregation, self.path, self.event).key

    @property
    def name(self) -> str:
        """What people read: their own label, else a plain phrase."""
        return self.label or _phrase(self)


def _phrase(measure: Measure) -> str:
    if measure.aggregation is Aggregation.RATIO and measure.numerator and measure.denominator:
        return f"{_part_phrase(measure.numerator)} per {_part_phrase(measure.denominator)}"
    return _part_phrase(Part(measure.aggregation, measure.path, measure.event))


def _part_phrase(part: Part) -> str:
    field = part.path.rsplit(".", 1)[-1] if part.path else ""
    words = {Aggregation.COUNT: "Events", Aggregation.USERS: "Unique users"}.get(
        part.aggregation, f"{part.aggregation.value.capitalize()} of {field}"
    )
    return f"{words} ({part.event})" if part.event else words


@dataclass(frozen=True, slots=True)
class Dimension:
    """A property path whose values split the events; the `top` values are monitored, the rest as `(other)`."""

    path: str
    top: int = 10

    @property
    def name(self) -> str:
        return self.path.rsplit(".", 1)[-1]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A frequency and an anchor in a time zone (architecture, "Streams and time").

    `frequency_minutes` from 1 (a minute) to 44,640 (31 days); `anchor` is a wall-clock time "HH:MM". `anchor_date`
    (ISO 8601) is the day from which a frequency counts that fits neither the day nor the calendar, such as 5 hours.
    """

    frequency_minutes: int
    anchor: str = "00:00"
    time_zone: str = "UTC"
    anchor_date: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open [start, end), Unix milliseconds."""

    start_ms: int
    end_ms: int

    @property
    def hours(self) -> float:
        return (self.end_ms - self.start_ms) / 3_600_000


@dataclass(frozen=True, slots=True)
class Definition:
    """What a data stream is. `events` empty means every event of the spec type (identify and group have no names)."""

    spec_type: SpecType
    events: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    measures: tuple[Measure, ...]
    schedule: Schedule
    filter: str = ""  # FQL; "" keeps everything

    def measure(self, key: str) -> Measure:
        """The measure with this key; KeyError when the stream has none such."""
        found = self.find_measure(key)
        if found is None:
            raise KeyError(key)
        return found

    def find_measure(self, key: str) -> Measure | None:
        """The measure with this key; None when the stream has none such."""
        return next((measure for measure in self.measures if measure.key == key), None)


class StreamState(enum.StrEnum):
    BACKFILLING = "backfilling"
    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stored data stream."""

    id: int
    workspace_id: int
    source_id: int
    name: str
    definition: Definition
    state: StreamState
    revision: int  # one more at each edit
    facts_id: int  # what its facts are filed under in the event store; a new one when an edit changes the projection
    created_at_ms: int
    live_from_ms: int  # the first window that live events fill completely; earlier ones come from the back-fill
