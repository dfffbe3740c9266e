"""Frozen values of an incident: what a run reports, what a person sees, what happened to it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cliffwatch.streams.model import Slice

HOUR_MS = 3_600_000


class IncidentState(enum.StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    FALSE_ALARM = "false_alarm"
    EXPECTED = "expected"
    NEW_NORMAL = "new_normal"
    MERGED = "merged"  # a person made it part of another incident

    @property
    def live(self) -> bool:
        """Whether the story still goes on: new anomalies join it and it may resolve by itself."""
        return self in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)


class QuietReason(enum.StrEnum):
    """Why an anomaly made no incident. Later members got further through a monitor's rule."""

    OLD_NEWS = "old_news"  # it was over when it was first seen, or that was long ago
    NOT_MONITORED = "not_monitored"  # no enabled monitor watches this stream, measure or slice
    MUTED = "muted"  # somebody muted its series
    OTHER_DIRECTION = "other_direction"  # the monitor asks for the other direction only
    TOO_SMALL = "too_small"  # below the monitor's least effect
    TOO_SHORT = "too_short"  # not yet as many windows as the monitor asks for
    MARKED_FALSE_ALARM = "marked_false_alarm"  # continues what a person marked as a false alarm
    MARKED_EXPECTED = "marked_expected"  # continues what a person marked as expected
    MARKED_NEW_NORMAL = "marked_new_normal"  # continues what a person marked as the new normal
    RESOLVED_BY_HAND = "resolved_by_hand"  # continues what a person resolved
    MAINTENANCE = "maintenance"  # it lies in a maintenance window


class TransitionKind(enum.StrEnum):
    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    RETRACTED = "retracted"  # late events took every anomaly of it back
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    FALSE_ALARM = "false_alarm"
    EXPECTED = "expected"
    NEW_NORMAL = "new_normal"
    COMMENTED = "commented"
    ASSIGNED = "assigned"
    MERGED = "merged"  # a person made it part of another
    SEPARATED = "separated"  # and took that back
    SPLIT = "split"  # a person took a part of it out, into an incident of its own


SeriesKey = tuple[int, str, Slice]
"""(stream id, Measure.key, slice): what a series is, across runs."""

MeasureKey = tuple[int, str]
"""(stream id, Measure.key)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a measure of a stream is called and how its numbers read. Kept with the incident, so that its story is
    told in the same words after the stream was edited or deleted."""

    measure_name: str
    unit: str | None
    additive: bool
    stream_name: str
    window_ms: int = HOUR_MS


@dataclass(frozen=True, slots=True)
class AnomalyReport:
    """One anomaly as a run found it: a stretch of surprising windows of one series.

    `actual` and `expected` speak of the whole stretch [start_ms, end_ms): sums over its windows where the measure is
    additive, means over time otherwise. `end_ms` is the end of the last surprising window so far; `ongoing` says that
    the newest window still belongs to it. `window_ms` is the usual length of the stream's windows.
    """

    workspace_id: int
    stream_id: int
    measure: str  # Measure.key
    measure_name: str
    unit: str | None
    slice: Slice
    kind: str  # spike, dip, level_shift, trend_change, silence
    direction: int  # +1 above expectation, -1 below
    start_ms: int
    end_ms: int
    ongoing: bool
    actual: float
    expected: float
    score: float
    stream_name: str
    additive: bool
    window_ms: int = HOUR_MS
    provisional: bool = False  # seen in a window that is still open; what the whole window says replaces it
    silence: str = ""  # of a silence: "source" when nothing of the whole source arrived, "event" when other events did

    @property
    def series(self) -> SeriesKey:
        return (self.stream_id, self.measure, self.slice)

    @property
    def impact(self) -> float:
        """Actual minus expected, in the measure's unit; a total where the measure is additive."""
        return self.actual - self.expected

    @property
    def relative(self) -> float | None:
        """Impact as a share of what was expected; None where nothing was expected."""
        return self.impact / abs(self.expected) if self.expected else None

    @property
    def subject(self) -> Subject:
        return Subject(self.measure_name, self.unit, self.additive, self.stream_name, self.window_ms)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A stored anomaly."""

    id: int
    incident_id: int | None
    workspace_id: int
    stream_id: int
    measure: str
    slice: Slice
    kind: str
    direction: int
    start_ms: int
    end_ms: int
    ongoing: bool  # no window has been seen yet in which the metric was back
    actual: float
    expected: float
    impact: float
    score: float
    detected_ms: int
    withdrawn_ms: int | None
    quiet_reason: str  # a QuietReason, or "" when it belongs to an incident
    provisional: bool = False
    silence: str = ""

    @property
    def series(self) -> SeriesKey:
        return (self.stream_id, self.measure, self.slice)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a series changed: explain's answer for the page, and the same in one sentence.

    `explanation["causes"]`, where there is one, is a list of `{"slice": {path: value}, ...}`, most important first;
    `explanation["of"]` says which series it explains, which need not be the one that the headline tells of.
    """

    explanation: Mapping[str, Any]
    sentence: str

    @classmethod
    def of(cls, report: AnomalyReport, explanation: Mapping[str, Any], sentence: str) -> Self:
        """The cause with the series that it explains, as it is kept with an incident."""
        explained = {
            "stream_id": report.stream_id,
            "measure": report.measure,
            "slice": dict(report.slice),
            "name": report.measure_name,
            "unit": report.unit,
            "sentence": sentence,
        }
        return cls({**explanation, "of": explained}, sentence)

    @classmethod
    def kept(cls, explanation: Mapping[str, Any]) -> Self:
        """The cause as it was when it was kept."""
        return cls(explanation, str(explanation.get("of", {}).get("sentence", "")))

    def told_for(self, measure: MeasureKey) -> str:
        """The sentence, under the name of its own measure where the headline tells of another."""
        of = self.explanation.get("of")
        if not self.sentence or of is None or (of["stream_id"], of["measure"]) == measure:
            return self.sentence
        return f"{of['name']}: {self.sentence}"

    @property
    def found(self) -> bool:
        """Whether it names anything: slices that changed, or a mix that did."""
        return bool(self.explanation.get("causes") or self.explanation.get("mix"))

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices that it names."""
        causes = self.explanation.get("causes", ())
        return tuple(tuple(sorted((str(p), str(v)) for p, v in cause["slice"].items())) for cause in causes)


@dataclass(frozen=True, slots=True)
class Incident:
    """What a person sees: the anomalies that are one story, told from the side of its headline series."""

    id: int
    workspace_id: int
    number: int  # 1, 2, 3 ... within the workspace
    stream_id: int
    measure: str
    slice: Slice
    subjects: Mapping[MeasureKey, Subject]
    state: IncidentState
    kind: str
    direction: int
    headline: str
    cause: str
    explanation: Mapping[str, Any]
    actual: float
    expected: float
    score: float
    started_ms: int
    ended_ms: int | None
    last_window_ms: int
    opened_ms: int
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None  # the person's name
    snoozed_until_ms: int | None = None
    resolved_ms: int | None = None
    owner_id: int | None = None
    owner: str | None = None  # the person's name
    revision: int = 0
    told_severity: float = 0.0  # how bad it was when people were last told
    told_causes: tuple[Slice, ...] = ()  # leading causes that people were told
    monitors: tuple[int, ...] = ()  # ids of the monitors that let it through: their policies say who is told
    provisional: bool = False  # its headline's window is still open
    silence: str = ""  # what was silent: "source", "event", or "" when that is not known
    merged_into: int | None = None  # number of the incident that it is part of
    also_about: tuple[Slice, ...] = ()  # what the incidents were about that were merged into it

    @property
    def subject(self) -> Subject:
        """What the headline series is called."""
        return self.subjects[self.stream_id, self.measure]

    @property
    def severity(self) -> float:
        """How far from expected: a share, or the bare impact where nothing was expected."""
        relative = self.relative
        return abs(self.impact if relative is None else relative)

    @property
    def series(self) -> SeriesKey:
        return (self.stream_id, self.measure, self.slice)

    @property
    def stream_name(self) -> str:
        return self.subject.stream_name

    @property
    def measure_name(self) -> str:
        return self.subject.measure_name

    @property
    def unit(self) -> str | None:
        return self.subject.unit

    @property
    def additive(self) -> bool:
        return self.subject.additive

    @property
    def impact(self) -> float:
        """Actual minus expected so far, in the measure's unit; a total where the measure is additive."""
        return self.actual - self.expected

    @property
    def relative(self) -> float | None:
        """Impact as a share of what was expected; None where nothing was expected."""
        return self.impact / abs(self.expected) if self.expected else None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of an incident's history."""

    at_ms: int
    action: str  # a TransitionKind, or "cause", "joined", "withdrawn"
    person: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in an incident's life. `significant` steps are told to people; `note` says what is new about it."""

    kind: TransitionKind
    incident: Incident
    significant: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which anomalies concern a monitor. An empty tuple, or 0, leaves that side open.

    `slices`: an anomaly's slice must contain one of them (the empty slice asks for the total alone).
    `min_relative` is a share (0.1 = 10 %), `min_absolute` is in the measure's unit; both speak of the impact. `muted`
    are series that are told no more.
    """

    streams: tuple[int, ...] = ()
    measures: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    directions: tuple[int, ...] = (-1, 1)
    min_relative: float = 0.0
    min_absolute: float = 0.0
    min_windows: int = 1
    muted: tuple[SeriesKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Monitor:
    """A named rule of a workspace."""

    id: int
    workspace_id: int
    name: str
    rule: Rule
    is_default: bool
    enabled: bool
    created_ms: int
    policy_id: int | None = None  # the escalation policy that it calls; None: everybody at once
