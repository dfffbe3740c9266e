"""Streams over plain requests: edit, pause, delete, chart data, suggestions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.conftest import DEFINITION, NOW, REVENUE, House

from cliffwatch.errors import NotFound
from cliffwatch.streams import Stream, StreamState, parse
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import wizard


@pytest.fixture
def spare(house: House) -> Stream:
    """A stream that a test may change."""
    assert house.source is not None
    return house.services.streams.create(1, house.source.id, "Spare", parse(DEFINITION), NOW)


def fields_of(stream: Stream, **changes: str) -> dict[str, Any]:
    """What the last page of the wizard posts for a stream, with some fields changed."""
    fields: dict[str, Any] = {}
    for name, value in wizard.of_stream(stream).pairs():
        fields.setdefault(name, []).append(value)
    return fields | changes


def test_an_edit_changes_name_and_schedule(house: House, spare: Stream) -> None:
    fields = fields_of(spare, name="Renamed", frequency="180")
    answer = house.client().post(f"/streams/{spare.id}/edit", data=fields)
    assert answer.headers["location"] == f"/streams/{spare.id}"
    changed = house.services.streams.get(1, spare.id)
    assert changed.name == "Renamed"
    assert changed.definition.schedule.frequency_minutes == 180
    assert changed.definition.measures == spare.definition.measures


def test_a_bad_edit_changes_nothing(house: House, spare: Stream) -> None:
    answer = house.client().post(f"/streams/{spare.id}/edit", data=fields_of(spare, anchor="29:00"))
    assert answer.status_code == 422
    assert house.services.streams.get(1, spare.id) == spare


def test_a_stream_is_paused_resumed_and_deleted(house: House, spare: Stream) -> None:
    client, streams = house.client(), house.services.streams
    client.post(f"/streams/{spare.id}/pause")
    assert streams.get(1, spare.id).state is StreamState.PAUSED
    client.post(f"/streams/{spare.id}/resume")
    assert streams.get(1, spare.id).state is not StreamState.PAUSED
    assert client.post(f"/streams/{spare.id}/delete").headers["location"] == "/streams"
    with pytest.raises(NotFound):
        streams.get(1, spare.id)


def test_a_new_stream_needs_a_source(house: House) -> None:
    answer = house.client().post("/streams/new", data={"event": "A"})
    assert answer.status_code == 422
    assert "Choose the source" in answer.text


def test_chart_data_has_columns_of_equal_length(house: House) -> None:
    data = house.client().get("/streams/1/series.json", params={"measure": REVENUE, "range": "7d"}).json()
    lengths = {len(data[name]) for name in ("start", "end", "actual", "expected", "lower", "upper", "score", "flagged")}
    assert len(lengths) == 1
    assert lengths.pop() > 150
    assert (data["measure"], data["unit"], data["zone"]) == ("Revenue", "EUR", "Europe/Berlin")


def test_chart_data_marks_the_anomaly_with_its_incident(house: House) -> None:
    data = house.client().get("/streams/1/series.json", params={"measure": REVENUE, "range": "24h"}).json()
    assert ("dip", 1) in [(one["kind"], one["incident"]) for one in data["anomalies"]]


def test_a_measure_that_is_gone_falls_back_to_the_first(house: House) -> None:
    assert house.client().get("/streams/1/series.json", params={"measure": "gone"}).json()["measure"] == "Revenue"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({"field": "event", "q": "order"}, ["Order Completed"]),
        ({"field": "event", "q": "nothing"}, []),
        ({"field": "number", "event": "Order Completed"}, ["properties.revenue"]),
        ({"field": "path", "q": "country"}, ["properties.country"]),
    ],
)
def test_suggestions_come_from_the_catalogue(query: dict[str, str], values: list[str], house: House) -> None:
    found = house.client().get("/streams/suggest", params={"source": "1", "type": "track", **query}).json()
    assert [one["value"] for one in found] == values


def test_suggestions_show_an_example(house: House) -> None:
    (found,) = house.client().get("/streams/suggest", params={"source": "1", "field": "event"}).json()
    assert found["detail"] == "700 seen"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"frequency": "300", "anchor": "09:00"}, "PM"),
        ({"frequency": "custom", "every": "0"}, "A frequency from 1 minute to 31 days."),
        ({"frequency": "custom", "every": "x"}, "A frequency from 1 minute to 31 days."),
        ({"anchor": "99:00"}, "An anchor time such as 09:00."),
    ],
)
def test_next_runs_follow_what_is_typed(query: dict[str, str], text: str, house: House) -> None:
    answer = house.client().get("/streams/next-runs", params=query)
    assert answer.status_code == 200
    assert text in answer.text


def test_a_draft_from_the_catalogue_opens_filled_in(house: House) -> None:
    text = house.client().get("/streams/new?source=1&type=track&event=Order+Completed").text
    assert 'value="Order Completed"' in text
    assert wizard.read(Posted.of([("event", "Order Completed")])).suggested_name() == "Order Completed"
