"""The new-stream wizard: what was typed so far, carried in the address from page to page. Pure.

The whole draft is in the query string, so that going back, reloading and sharing keep every word, right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlencode

from cliffwatch.spec.model import SpecType
from cliffwatch.streams.changes import version_tag
from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Part, Stream
from cliffwatch.web.forms import Posted, whole
from cliffwatch.web.views.filter_form import FILTER_FIELDS, FilterDraft

SPEC_TYPES = (SpecType.TRACK, SpecType.PAGE, SpecType.SCREEN, SpecType.IDENTIFY, SpecType.GROUP)
NAMED = (SpecType.TRACK, SpecType.PAGE, SpecType.SCREEN)
"""Spec types whose messages have a name to choose by."""

FREQUENCIES = (("60", "1 hour"), ("180", "3 hours"), ("300", "5 hours"), ("custom", "Custom"))
UNITS = {"minutes": 1, "hours": 60, "days": 1440}

AGGREGATIONS = (
    (Aggregation.COUNT, "Number of events"),
    (Aggregation.USERS, "Unique users"),
    (Aggregation.SUM, "Sum of a property"),
    (Aggregation.AVERAGE, "Average of a property"),
    (Aggregation.MIN, "Minimum of a property"),
    (Aggregation.MAX, "Maximum of a property"),
    (Aggregation.P50, "Median (p50) of a property"),
    (Aggregation.P90, "90th percentile of a property"),
    (Aggregation.P95, "95th percentile of a property"),
    (Aggregation.P99, "99th percentile of a property"),
    (Aggregation.RATIO, "Ratio of two measures"),
)
PART_AGGREGATIONS = AGGREGATIONS[:3]
"""What can stand in a ratio: what adds up, and unique users."""
TOPS = (5, 10, 20, 50, 100)
DEFAULT_TOP = str(Dimension("").top)

STEPS = (("configure", "Configure"), ("schedule", "Scheduling"), ("review", "Review"))


@dataclass(frozen=True, slots=True)
class PartDraft:
    """Numerator or denominator of a ratio as typed."""

    aggregation: str = "count"
    path: str = ""
    event: str = ""

    def dump(self) -> dict[str, Any]:
        return _without_blanks({"aggregation": self.aggregation, "path": self.path, "event": self.event})


@dataclass(frozen=True, slots=True)
class MeasureDraft:
    """A measure as typed. What its aggregation does not need is kept for a change of mind, and left out of the dump."""

    aggregation: str = "count"
    path: str = ""
    event: str = ""
    label: str = ""
    unit: str = ""
    numerator: PartDraft = PartDraft()
    denominator: PartDraft = PartDraft()

    def dump(self) -> dict[str, Any]:
        data: dict[str, Any] = {"aggregation": self.aggregation, "label": self.label, "unit": self.unit}
        if self.aggregation == Aggregation.RATIO:
            data |= {"numerator": self.numerator.dump(), "denominator": self.denominator.dump()}
        else:
            data["event"] = self.event
            if self.aggregation not in (Aggregation.COUNT, Aggregation.USERS):
                data["path"] = self.path
        return _without_blanks(data)

    def columns(self) -> tuple[str, ...]:
        """The fields in the order of `MEASURE_FIELDS`."""
        top, bottom = self.numerator, self.denominator
        return (
            *(self.aggregation, self.path, self.event, self.label, self.unit),
            *(top.aggregation, top.path, top.event),
            *(bottom.aggregation, bottom.path, bottom.event),
        )


MEASURE_FIELDS = (
    *("m_aggregation", "m_path", "m_event", "m_label", "m_unit"),
    *("m_top_aggregation", "m_top_path", "m_top_event"),
    *("m_bottom_aggregation", "m_bottom_path", "m_bottom_event"),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that the wizard asks, as typed.

    `base` is the stream that this one starts from: what the wizard does not ask is taken from it. `version` is its
    version tag when editing began.
    """

    source: int | None = None
    spec_type: str = "track"
    events: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    custom: bool = False
    measures: tuple[MeasureDraft, ...] = ()
    filter: FilterDraft = field(default_factory=FilterDraft)
    frequency: str = "60"
    every: str = "30"
    unit: str = "minutes"
    anchor: str = "00:00"
    name: str = ""
    base: int | None = None
    version: str = ""

    @property
    def dimension_rows(self) -> list[tuple[str, str]]:
        """(path, how many values are monitored), one empty row when there are none."""
        paths = self.dimensions or ("",)
        return [(path, self.tops[row] if row < len(self.tops) else DEFAULT_TOP) for row, path in enumerate(paths)]

    @property
    def named(self) -> bool:
        """Whether messages of the spec type have names."""
        return self.spec_type in NAMED

    @property
    def minutes(self) -> int | None:
        """The frequency in minutes, None when what was typed is not a number."""
        if self.frequency != "custom":
            return whole(self.frequency)
        every = whole(self.every, 6)
        return every * UNITS.get(self.unit, 1) if every is not None else None

    def definition(self, time_zone: str, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The draft as a stream's definition, unchecked; rows left empty do not count.

        What the wizard does not ask is as in `base`, the definition that the draft started from.
        """
        measures = self.measures if self.custom and self.measures else (MeasureDraft(),)
        old = base or {}
        known = {one["path"]: one for one in old.get("dimensions", ())}
        return {
            **old,
            "spec_type": self.spec_type,
            "events": [event for event in self.events if event] if self.named else [],
            "dimensions": [
                {**known.get(path, {}), "path": path, "top": top if (number := whole(top)) is None else number}
                for path, top in self.dimension_rows
                if path
            ],
            "measures": [measure.dump() for measure in measures],
            "filter": self.filter.fql(),
            "schedule": {
                "time_zone": time_zone,
                **old.get("schedule", {}),
                "frequency_minutes": self.minutes if self.minutes is not None else 0,
                "anchor": self.anchor,
            },
        }

    def pairs(self) -> list[tuple[str, str]]:
        """The draft as form fields; inverse of `read`."""
        return [
            ("source", "" if self.source is None else str(self.source)),
            ("type", self.spec_type),
            *(("event", event) for event in self.events),
            *(
                pair
                for path, top in (self.dimension_rows if self.dimensions else ())
                for pair in (("dimension", path), ("top", top))
            ),
            ("custom", "yes" if self.custom else "no"),
            *(pair for measure in self.measures for pair in zip(MEASURE_FIELDS, measure.columns(), strict=True)),
            *self.filter.pairs(),
            ("frequency", self.frequency),
            ("every", self.every),
            ("unit", self.unit),
            ("anchor", self.anchor),
            ("name", self.name),
            ("base", "" if self.base is None else str(self.base)),
            ("version", self.version),
        ]

    def pairs_without(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The fields that a page carries along because it does not ask them."""
        left_out = set(names)
        return [pair for pair in self.pairs() if pair[0] not in left_out]

    def query(self, step: str) -> str:
        return urlencode([("step", step), *self.pairs()])

    def suggested_name(self) -> str:
        """A name to start from: the events, or what the type is called."""
        events = [event for event in self.events if event]
        if self.named and events:
            return events[0] if len(events) == 1 else f"{events[0]} and {len(events) - 1} more"
        return {"track": "All events", "page": "Page views", "screen": "Screen views"}.get(
            self.spec_type, f"{self.spec_type.capitalize()} calls"
        )


CONFIGURE_FIELDS = ("source", "type", "event", "dimension", "top", "custom", *FILTER_FIELDS, *MEASURE_FIELDS)
SCHEDULE_FIELDS = ("frequency", "every", "unit", "anchor")
REVIEW_FIELDS = ("name",)


def read(posted: Posted) -> Draft:
    """The draft that a form or an address carries; whatever is missing has its default."""
    blank = Draft()
    columns = [posted.all(name) for name in MEASURE_FIELDS]
    count = max((len(column) for column in columns), default=0)
    rows = [tuple(column[i] if i < len(column) else "" for column in columns) for i in range(count)]
    return Draft(
        source=posted.number("source"),
        spec_type=posted.text("type", blank.spec_type),
        events=posted.all("event"),
        dimensions=posted.all("dimension"),
        tops=posted.all("top"),
        custom=posted.text("custom") == "yes",
        measures=tuple(_measure(row) for row in rows),
        filter=FilterDraft.read(posted),
        frequency=posted.text("frequency", blank.frequency),
        every=posted.text("every", blank.every),
        unit=posted.text("unit", blank.unit),
        anchor=posted.text("anchor", blank.anchor),
        name=posted.text("name"),
        base=posted.number("base"),
        version=posted.text("version"),
    )


def _measure(row: Sequence[str]) -> MeasureDraft:
    top, bottom = PartDraft(row[5] or "count", *row[6:8]), PartDraft(row[8] or "count", *row[9:11])
    return MeasureDraft(row[0] or "count", row[1], row[2], row[3], row[4], top, bottom)


def of_stream(stream: Stream) -> Draft:
    """The draft that would have made this stream, for editing it."""
    draft = of_definition(stream.definition, stream.source_id, stream.name)
    return replace(draft, base=stream.id, version=version_tag(stream))


def of_definition(definition: Definition, source: int, name: str) -> Draft:
    """The draft that would have made a stream of this definition."""
    minutes = definition.schedule.frequency_minutes
    standard = str(minutes) in {key for key, _ in FREQUENCIES}
    unit = next(unit for unit in ("days", "hours", "minutes") if minutes % UNITS[unit] == 0)
    plain = len(definition.measures) == 1 and definition.measures[0] == Measure(Aggregation.COUNT)
    return Draft(
        source=source,
        spec_type=definition.spec_type.value,
        events=definition.events,
        dimensions=tuple(dimension.path for dimension in definition.dimensions),
        tops=tuple(str(dimension.top) for dimension in definition.dimensions),
        custom=not plain,
        measures=() if plain else tuple(_measure_draft(measure) for measure in definition.measures),
        filter=FilterDraft.of(definition.filter),
        frequency=str(minutes) if standard else "custom",
        every=str(minutes // UNITS[unit]) if not standard else "30",
        unit=unit if not standard else "minutes",
        anchor=definition.schedule.anchor,
        name=name,
    )


def _measure_draft(measure: Measure) -> MeasureDraft:
    def part(value: Part | None) -> PartDraft:
        return PartDraft(value.aggregation.value, value.path or "", value.event or "") if value else PartDraft()

    return MeasureDraft(
        measure.aggregation.value,
        measure.path or "",
        measure.event or "",
        measure.label or "",
        measure.unit or "",
        part(measure.numerator),
        part(measure.denominator),
    )


def frequency_words(minutes: int) -> str:
    """`every hour`, `every 3 hours`, `every 45 minutes`, `every 2 days`."""
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % size == 0:
            count = minutes // size
            return f"every {unit}" if count == 1 else f"every {count:,} {unit}s"
    return f"every {minutes} minutes"


def _without_blanks(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in ("", None)}


assert len(fields(MeasureDraft)) - 2 + 2 * len(fields(PartDraft)) == len(MEASURE_FIELDS)
