"""Frozen values of what people tell detection about a stream. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from cliffwatch.detect import Directions
from cliffwatch.streams.model import TOTAL, Slice

SeriesKey = tuple[str, Slice]
"""(Measure.key, slice) within a stream."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a surprise must be beyond surprising before anybody hears of it.

    `minimum_effect` is a share of what was expected (0.1 = 10 %), `minimum_impact` is in the measure's unit per window;
    `minimum_windows` is for how many windows in a row it must last.
    """

    minimum_effect: float = 0.0
    minimum_impact: float = 0.0
    directions: Directions = Directions.BOTH
    minimum_windows: int = 1


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How sensitive a stream is.

    `alerts_per_week` is the promise: on a stream where nothing happens, so many alerts a week, shared equally among
    its series; None keeps the detector's own quiet budget per series. `measures` replaces the filters for single
    measures.
    """

    alerts_per_week: float | None = None
    filters: Filters = Filters()
    measures: Mapping[str, Filters] = field(default_factory=dict)

    def of(self, measure: str) -> Filters:
        return self.measures.get(measure, self.filters)


@dataclass(frozen=True, slots=True)
class KeptSensitivity:
    """A stream's sensitivity, who set it, and what it was before."""

    sensitivity: Sensitivity
    previous: Sensitivity | None
    changed_ms: int | None
    changed_by: str


@dataclass(frozen=True, slots=True)
class Label:
    """A stretch [start_ms, end_ms) of a series of which somebody said whether it was an anomaly."""

    id: int
    stream_id: int
    measure: str
    slice: Slice
    start_ms: int
    end_ms: int
    is_anomaly: bool
    note: str
    made_by: str
    created_ms: int
    incident: int | None = None  # the number of the incident whose mark says so; its `id` is 0 then

    @property
    def series(self) -> SeriesKey:
        return (self.measure, self.slice)


class MarkKind(enum.StrEnum):
    """What a person said of an incident. The values are those of `IncidentState`."""

    FALSE_ALARM = "false_alarm"  # nothing had happened
    EXPECTED = "expected"  # it happened, and was meant to
    NEW_NORMAL = "new_normal"  # it happened, and stays

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Mark:
    """What an incident's mark says of one series over [start_ms, end_ms).

    `actual` and `expected` are sums where the measure adds up over time, means otherwise. `score` is the largest
    surprise. An `undone` mark is remembered and teaches nothing.
    """

    incident_id: int
    incident: int
    kind: MarkKind
    measure: str
    slice: Slice
    start_ms: int
    end_ms: int
    score: float
    actual: float
    expected: float
    marked_ms: int
    undone: bool = False

    @property
    def series(self) -> SeriesKey:
        return (self.measure, self.slice)


class AnnotationKind(enum.StrEnum):
    """What an own event is. Campaigns and others are meant to move metrics, and detection learns by how much. Releases
    and flags are not: one that breaks something must be told at once, so they excuse nothing and are named as causes.
    """

    RELEASE = "release"
    CAMPAIGN = "campaign"
    FLAG = "flag"
    OUTAGE = "outage"  # what was measured meanwhile is not to be learned from
    OTHER = "other"

    @property
    def moves(self) -> bool:
        """Whether metrics are expected to change while it lasts."""
        return self in (AnnotationKind.CAMPAIGN, AnnotationKind.OTHER)


@dataclass(frozen=True, slots=True)
class Annotation:
    """An own event of the workspace over [start_ms, end_ms). `scope` names dimension values; empty: it concerns all."""

    id: int
    workspace_id: int
    kind: AnnotationKind
    title: str
    start_ms: int
    end_ms: int
    scope: Slice = TOTAL
    url: str = ""
    made_by: str = ""
    created_ms: int = 0
    deleted: bool = False

    def concerns(self, slice_: Slice) -> bool:
        """Whether a series of this slice may feel it: the total, the scope's own slice, and whatever contains either.

        A slice of another dimension overlaps with the scope; one of another value of the same dimension does not.
        """
        values = dict(slice_)
        return all(values.get(path, value) == value for path, value in self.scope)
