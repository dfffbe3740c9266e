"""The shape of a stream's definition in JSON. What its values may be, `streams.definition` decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from cliffwatch.api.shapes import Body, Text
from cliffwatch.spec.model import SpecType
from cliffwatch.streams import Aggregation, Definition, dump, parse
from cliffwatch.streams.definition import MAX_DIMENSIONS, MAX_EVENTS, MAX_FREQUENCY_MINUTES, MAX_MEASURES

Path = Annotated[Text, Field(max_length=300, description="A property path.", examples=["properties.revenue"])]
Event = Annotated[Text, Field(min_length=1, max_length=200, examples=["Order Completed"])]

EXAMPLE: JsonDict = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 10}],
    "measures": [{"aggregation": "sum", "path": "properties.revenue", "label": "Revenue", "unit": "EUR"}],
    "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "Europe/Berlin"},
    "filter": "",
}


class PartBody(Body):
    """Numerator or denominator of a ratio: a count, unique users, or a sum."""

    aggregation: Aggregation = Aggregation.COUNT
    path: Path | None = None
    event: Annotated[Event | None, Field(description="Only events of this name.")] = None


class MeasureBody(Body):
    """What is counted per window. Sums, averages and percentiles need a path; a ratio needs its two parts."""

    aggregation: Aggregation = Aggregation.COUNT
    path: Path | None = None
    event: Annotated[Event | None, Field(description="Only events of this name.")] = None
    numerator: PartBody | None = None
    denominator: PartBody | None = None
    label: Annotated[Text | None, Field(max_length=80, description="Your own name for it.", examples=["Revenue"])] = (
        None
    )
    unit: Annotated[Text | None, Field(max_length=12, examples=["EUR"])] = None


class DimensionBody(Body):
    """A property path whose values split the events; `computed.` and a key is an audience or computed trait."""

    path: Path
    top: Annotated[int, Field(ge=1, le=200, description="How many values are monitored; the rest is one.")] = 10


class ScheduleBody(Body):
    """When windows begin and how long they are."""

    frequency_minutes: Annotated[int, Field(ge=1, le=MAX_FREQUENCY_MINUTES, examples=[60])] = 60
    anchor: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["00:00"])] = "00:00"
    time_zone: Annotated[Text, Field(max_length=64, examples=["Europe/Berlin"])] = "UTC"


class DefinitionBody(Body):
    """What a data stream measures, along which dimensions, and when. Without measures, events are counted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    spec_type: SpecType
    events: Annotated[list[Event], Field(max_length=MAX_EVENTS, description="A track stream needs at least one.")] = (
        Field(default_factory=list)
    )
    dimensions: Annotated[list[DimensionBody], Field(max_length=MAX_DIMENSIONS)] = Field(default_factory=list)
    measures: Annotated[list[MeasureBody], Field(max_length=MAX_MEASURES)] = Field(default_factory=list)
    schedule: ScheduleBody = Field(default_factory=ScheduleBody)
    filter: Annotated[Text, Field(max_length=2_000, description="Segment's FQL; empty keeps every event.")] = ""

    def value(self) -> Definition:
        """Raises InvalidInput with each rule that it breaks."""
        return parse(self.model_dump(mode="json", exclude_none=True))


def shown(definition: Definition) -> DefinitionBody:
    return DefinitionBody.model_validate(dump(definition))
