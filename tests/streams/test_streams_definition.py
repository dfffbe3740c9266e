"""A definition is read from plain data, every bad field is named, and it survives the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cliffwatch.spec.model import SpecType
from cliffwatch.streams.definition import InvalidDefinition, dump, parse, stored, validate
from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Part

FULL: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed", "Checkout Failed"],
    "dimensions": [{"path": "properties.country", "top": 5}, {"path": r"properties.total\ billed"}],
    "measures": [
        {"aggregation": "count", "label": "Orders"},
        {"aggregation": "p95", "path": "properties.ms", "event": "Order Completed", "unit": "ms"},
        {
            "aggregation": "ratio",
            "numerator": {"aggregation": "count", "event": "Order Completed"},
            "denominator": {"aggregation": "count"},
        },
    ],
    "schedule": {"frequency_minutes": 300, "anchor": "09:30", "time_zone": "Asia/Kolkata"},
    "filter": "properties.plan != 'internal'",
}


def problems(**changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as caught:
        parse(FULL | changes)
    return caught.value.fields


def test_plain_data_becomes_a_definition() -> None:
    definition = parse(FULL)
    assert definition.spec_type is SpecType.TRACK
    assert definition.dimensions == (Dimension("properties.country", 5), Dimension(r"properties.total\ billed", 10))
    assert definition.measures[2] == Measure(
        Aggregation.RATIO,
        numerator=Part(Aggregation.COUNT, event="Order Completed"),
        denominator=Part(Aggregation.COUNT),
    )


def test_a_definition_survives_the_way_there_and_back() -> None:
    definition = parse(FULL)
    assert parse(dump(definition)) == definition
    dated = replace(definition, schedule=replace(definition.schedule, anchor_date="2026-10-24"))
    assert parse(stored(dated)) == dated
    assert dump(dated) == dump(definition)


def test_without_measures_events_are_counted() -> None:
    assert parse(FULL | {"measures": []}).measures == (Measure(Aggregation.COUNT),)


@pytest.mark.parametrize("spec_type", ["page", "screen"])
def test_pages_and_screens_may_select_all_names(spec_type: str) -> None:
    assert parse({"spec_type": spec_type}).events == ()


@pytest.mark.parametrize(
    ("changes", "path", "rule"),
    [
        ({"colour": "red"}, "colour", "is not a field of a stream"),
        ({"measures": [{"aggregation": "count", "wieght": 1}]}, "measures.0.wieght", "is not a field"),
        ({"spec_type": "alias", "events": []}, "", "not measured"),
        ({"spec_type": "trick"}, "spec_type", "track"),
        ({"events": []}, "", "at least one event"),
        ({"events": [""]}, "events.0", "at least 1"),
        ({"events": ["A"] * 21}, "events", "at most 20"),
        ({"events": ["A", "A"], "measures": []}, "", "the event A is there twice"),
        ({"spec_type": "identify", "measures": []}, "", "have no names"),
        ({"dimensions": [{"path": "a..b"}]}, "dimensions.0.path", "names joined by dots"),
        ({"dimensions": [{"path": "a", "top": 0}]}, "dimensions.0.top", "greater than or equal to 1"),
        ({"dimensions": [{"path": "a"}, {"path": "a"}]}, "", "the dimension a is there twice"),
        ({"dimensions": [{"path": f"p{i}"} for i in range(11)]}, "dimensions", "at most 10"),
        ({"measures": [{"aggregation": "median"}]}, "measures.0.aggregation", "count"),
        ({"measures": [{"aggregation": "sum"}]}, "measures.0", "needs the path of a number"),
        ({"measures": [{"label": "x"}, {"aggregation": "count"}]}, "", "the measure count\\(\\) is there twice"),
        ({"measures": [{"aggregation": "ratio", "numerator": {}}]}, "measures.0", "a numerator and a denominator"),
        ({"measures": [{"aggregation": "count", "numerator": {}}]}, "measures.0", "only a ratio"),
        (
            {
                "measures": [
                    {"aggregation": "ratio", "numerator": {"aggregation": "p90", "path": "a"}, "denominator": {}}
                ]
            },
            "measures.0.numerator",
            "counts, unique users or sums",
        ),
        ({"measures": [{"event": "Signed Up"}]}, "", "the event Signed Up of a measure is not among"),
        ({"measures": [{"aggregation": "sum", "path": f"p{i}"} for i in range(21)]}, "measures", "at most 20"),
        ({"filter": "properties.plan ="}, "filter", "at character 18"),
        ({"schedule": {"frequency_minutes": 0}}, "schedule.frequency_minutes", "greater than or equal to 1"),
        ({"schedule": {"frequency_minutes": 44_641}}, "schedule.frequency_minutes", "less than or equal to 44640"),
        ({"schedule": {"anchor": "24:00"}}, "schedule.anchor", "pattern"),
        ({"schedule": {"time_zone": "Mars/Olympus"}}, "schedule.time_zone", "IANA time zone"),
        ({"schedule": {"time_zone": "../etc/passwd"}}, "schedule.time_zone", "IANA time zone"),
        ({"schedule": {"anchor_date": "2026-02-30"}}, "schedule.anchor_date", "is a date"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_with_its_rule(changes: dict[str, Any], path: str, rule: str) -> None:
    found = problems(**changes)
    assert list(found) == [path]
    with pytest.raises(InvalidDefinition, match=rule):
        parse(FULL | changes)


def test_every_bad_field_is_named_at_once() -> None:
    found = problems(filter="(", schedule={"anchor": "9"}, dimensions=[{"path": ""}], colour=1)
    assert set(found) == {"filter", "schedule.anchor", "dimensions.0.path", "colour"}


def test_a_definition_made_by_hand_is_held_to_the_same_rules(define: Callable[..., Definition]) -> None:
    validate(define())
    with pytest.raises(InvalidDefinition, match="at least one event"):
        validate(replace(define(), events=()))
