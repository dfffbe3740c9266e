"""A stream's definition as plain data (forms, API, database) and back, with every bad field named. Pure."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cliffwatch.errors import CliffwatchError, InvalidInput
from cliffwatch.spec.fql import compile_filter, filter_paths
from cliffwatch.spec.model import SpecType
from cliffwatch.spec.paths import split_path
from cliffwatch.streams.labels import ROOT, label_key
from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Part, Schedule

MAX_EVENTS, MAX_DIMENSIONS, MAX_MEASURES = 20, 10, 20
MAX_FREQUENCY_MINUTES = 44_640


class InvalidDefinition(InvalidInput):
    """A definition with bad fields; `fields` maps each field's path (`measures.0.path`) to the rule that it breaks."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        text = "; ".join(f"{path or 'stream'}: {rule}" for path, rule in fields.items())
        super().__init__("stream definition", f"is not valid. {text}")


def _checked(check: Any, rule: str) -> AfterValidator:
    def validate(value: Any) -> Any:
        try:
            check(value)
        except CliffwatchError as error:
            raise ValueError(str(error)) from error
        except (ValueError, KeyError) as error:
            raise ValueError(rule) from error
        return value

    return AfterValidator(validate)


def _date(text: str) -> None:
    if text:
        dt.date.fromisoformat(text)


PathText = Annotated[str, Field(max_length=300), _checked(split_path, "is a path such as properties.plan")]
DimensionPath = Annotated[PathText, _checked(label_key, "is a path such as properties.plan")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Part(_Form):
    aggregation: Aggregation = Aggregation.COUNT
    path: PathText | None = None
    event: Name | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> _Part:
        if self.aggregation.needs_path and not self.path:
            raise ValueError(f"{self.aggregation.value} needs the path of a number, such as properties.revenue")
        return self

    def value(self) -> Part:
        return Part(self.aggregation, self.path, self.event)


class _RatioPart(_Part):
    @model_validator(mode="after")
    def _adds_up(self) -> _RatioPart:
        if not (self.aggregation.additive or self.aggregation is Aggregation.USERS):
            raise ValueError("the parts of a ratio are counts, unique users or sums")
        return self


class _Measure(_Part):
    numerator: _RatioPart | None = None
    denominator: _RatioPart | None = None
    label: Annotated[str, Field(max_length=80)] | None = None
    unit: Annotated[str, Field(max_length=12)] | None = None

    @model_validator(mode="after")
    def _is_a_ratio_or_not(self) -> _Measure:
        is_ratio = self.aggregation is Aggregation.RATIO
        if is_ratio and not (self.numerator and self.denominator):
            raise ValueError("a ratio needs a numerator and a denominator")
        if not is_ratio and (self.numerator or self.denominator):
            raise ValueError("only a ratio has a numerator and a denominator")
        return self

    def measure(self) -> Measure:
        ratio = self.aggregation is Aggregation.RATIO
        return Measure(
            aggregation=self.aggregation,
            path=None if ratio else self.path,
            event=None if ratio else self.event,
            numerator=self.numerator.value() if self.numerator else None,
            denominator=self.denominator.value() if self.denominator else None,
            label=self.label or None,
            unit=self.unit or None,
        )


class _Dimension(_Form):
    path: DimensionPath
    top: int = Field(10, ge=1, le=200)


class _Schedule(_Form):
    frequency_minutes: int = Field(60, ge=1, le=MAX_FREQUENCY_MINUTES)
    anchor: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "00:00"
    time_zone: Annotated[str, _checked(zoneinfo.ZoneInfo, "is an IANA time zone, such as Europe/Berlin")] = "UTC"
    anchor_date: Annotated[str, _checked(_date, "is a date such as 2026-11-23")] = ""


class _Definition(_Form):
    spec_type: SpecType
    events: list[Name] = Field(default_factory=list, max_length=MAX_EVENTS)
    dimensions: list[_Dimension] = Field(default_factory=list, max_length=MAX_DIMENSIONS)
    measures: list[_Measure] = Field(default_factory=list, max_length=MAX_MEASURES)
    schedule: _Schedule = _Schedule(frequency_minutes=60)
    filter: Annotated[str, Field(max_length=2000), _checked(lambda text: text and compile_filter(text), "")] = ""

    @model_validator(mode="after")
    def _fits_together(self) -> _Definition:
        if self.spec_type is SpecType.ALIAS:
            raise ValueError("alias events are kept but not measured; choose another spec type")
        if self.spec_type is SpecType.TRACK and not self.events:
            raise ValueError("a Track stream needs at least one event name")
        if self.spec_type in (SpecType.IDENTIFY, SpecType.GROUP) and self.events:
            raise ValueError(f"{self.spec_type.value} events have no names; leave events empty")
        for what, keys in (
            ("event", self.events),
            ("dimension", [dimension.path for dimension in self.dimensions]),
            ("measure", [measure.measure().key for measure in self.measures]),
        ):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            if twice:
                raise ValueError(f"the {what} {twice[0]} is there twice")
        parts = [p for m in self.measures for p in (m, m.numerator, m.denominator) if p is not None]
        looked_into = [*(part.path for part in parts if part.path), *(filter_paths(self.filter) if self.filter else ())]
        labels = [path for path in looked_into if split_path(path)[0] == ROOT]
        if labels:
            raise ValueError(f"{labels[0]} is known of people and not said in events; it can be a dimension")
        unknown = sorted({p.event for p in parts if p.event is not None} - set(self.events)) if self.events else []
        if unknown:
            raise ValueError(f"the event {unknown[0]} of a measure is not among the events of the stream")
        return self


def parse(data: Mapping[str, Any]) -> Definition:
    """A definition from plain data. Without measures, events are counted. Raises InvalidDefinition."""
    try:
        form = _Definition.model_validate(dict(data))
    except ValidationError as error:
        raise InvalidDefinition(
            {".".join(str(part) for part in problem["loc"]): _rule(problem["msg"]) for problem in error.errors()}
        ) from error
    measures = tuple(measure.measure() for measure in form.measures) or (Measure(Aggregation.COUNT),)
    return Definition(
        spec_type=form.spec_type,
        events=tuple(form.events),
        dimensions=tuple(Dimension(dimension.path, dimension.top) for dimension in form.dimensions),
        measures=measures,
        schedule=Schedule(**form.schedule.model_dump()),
        filter=form.filter.strip(),
    )


def parse_stored(data: Mapping[str, Any]) -> Definition:
    """The definition of what `stored` gave. Every page reads many, so what was read once is remembered."""
    return _parse_text(json.dumps(data, sort_keys=True))


@lru_cache(maxsize=8192)
def _parse_text(text: str) -> Definition:
    return parse(json.loads(text))


def _rule(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return "is not a field of a stream" if text.startswith("Extra inputs") else text[0].lower() + text[1:]


def stored(definition: Definition) -> dict[str, Any]:
    """Plain data of a definition as a stream keeps it; `parse` gives the same definition back."""
    data = dump(definition)
    if definition.schedule.anchor_date:
        data["schedule"]["anchor_date"] = definition.schedule.anchor_date
    return data


def dump(definition: Definition) -> dict[str, Any]:
    """Plain data of a definition as people write it: without the anchor's date, which a stream keeps by itself."""

    def part(value: Part | Measure) -> dict[str, Any]:
        fields = {"aggregation": value.aggregation.value, "path": value.path, "event": value.event}
        return {name: field for name, field in fields.items() if field is not None}

    def measure(value: Measure) -> dict[str, Any]:
        data = part(value)
        for name in ("numerator", "denominator"):
            if (inner := getattr(value, name)) is not None:
                data[name] = part(inner)
        return data | {name: text for name in ("label", "unit") if (text := getattr(value, name))}

    return {
        "spec_type": definition.spec_type.value,
        "events": list(definition.events),
        "dimensions": [{"path": dimension.path, "top": dimension.top} for dimension in definition.dimensions],
        "measures": [measure(value) for value in definition.measures],
        "schedule": {
            "frequency_minutes": definition.schedule.frequency_minutes,
            "anchor": definition.schedule.anchor,
            "time_zone": definition.schedule.time_zone,
        },
        "filter": definition.filter,
    }


def validate(definition: Definition) -> None:
    """Raises InvalidDefinition when the definition breaks a rule."""
    parse(stored(definition))
