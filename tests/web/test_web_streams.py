"""Streams over plain requests: edit, pause, delete, chart data, suggestions."""

from __future__ import annotations

import html
import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.owners import set_up_owner
from tests.streams.conftest import EVERYTHING
from tests.web.conftest import DEFINITION, NOW, OWNER, PASSWORD, REVENUE, House

from cliffwatch.errors import NotFound
from cliffwatch.guidance import Filters, Sensitivity
from cliffwatch.streams import Stream, StreamState, parse
from cliffwatch.streams.revised import Revised, RevisedPoints
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import wizard

DAY = 86_400_000


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
    return fields | {name: [value] for name, value in changes.items()}


def fields_in(address: str) -> dict[str, Any]:
    """The draft that an address carries, as a form."""
    return parse_qs(urlsplit(address).query, keep_blank_values=True)


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
    assert client.post(f"/streams/{spare.id}/delete").headers["location"] == f"/streams?deleted={spare.id}"
    with pytest.raises(NotFound):
        streams.get(1, spare.id)


def test_a_deletion_can_be_undone_on_the_page_that_follows(house: House, spare: Stream) -> None:
    client = house.client()
    there = client.post(f"/streams/{spare.id}/delete").headers["location"]
    text = client.get(there).text
    assert "“Spare” was deleted. It can be brought back until Tue 1 Dec, 15:30." in text
    assert f'action="/streams/{spare.id}/restore"' in text
    assert client.post(f"/streams/{spare.id}/restore").headers["location"] == f"/streams/{spare.id}"
    assert house.services.streams.get(1, spare.id).name == "Spare"


def test_a_clone_opens_the_wizard_filled_in_and_leaves_the_original_alone(house: House, spare: Stream) -> None:
    client = house.client()
    there = client.get(f"/streams/{spare.id}/clone").headers["location"]
    assert client.get(there).status_code == 200
    made = client.post("/streams/new", data=fields_in(there)).headers["location"]
    clone = house.services.streams.get(1, int(made.rsplit("/", 1)[-1]))
    assert (clone.name, clone.definition) == ("Spare, copy", spare.definition)
    assert house.services.streams.get(1, spare.id) == spare


def test_a_clone_has_the_very_windows_and_everything_else_of_its_original(house: House) -> None:
    assert house.source is not None
    streams = house.services.streams
    original = streams.create(1, house.source.id, "Rich", parse(EVERYTHING), NOW - 3 * DAY)
    assert original.definition.schedule.anchor_date == "2026-11-21"
    there = house.client().get(f"/streams/{original.id}/clone").headers["location"]
    made = house.client().post("/streams/new", data=fields_in(there)).headers["location"]
    assert streams.get(1, int(made.rsplit("/", 1)[-1])).definition == original.definition
    for one in streams.list(1):
        if one.name.startswith("Rich"):
            streams.delete(1, one.id, NOW)


def test_the_next_runs_that_the_wizard_shows_are_those_that_the_stream_gets(house: House) -> None:
    assert house.source is not None
    query = {"source": str(house.source.id), "event": "Order Completed", "frequency": "300", "anchor": "09:00"}
    client, streams = house.client(), house.services.streams
    shown = client.get("/streams/next-runs", params=query).text
    made = client.post("/streams/new", data=query | {"name": "Five"}).headers["location"]
    stream = streams.get(1, int(made.rsplit("/", 1)[-1]))
    times = re.findall(r'datetime="([^"]+)"', shown)
    assert [datetime.fromisoformat(one).timestamp() * 1000 for one in times] == streams.next_runs(stream, NOW)
    streams.delete(1, stream.id, NOW)


def test_a_clone_whose_measures_were_changed_keeps_what_is_left_of_the_sensitivity(house: House, spare: Stream) -> None:
    sensitivities = house.services.guidance.sensitivities
    filters = Filters(minimum_windows=2)
    gone = spare.definition.measures[0].key
    sensitivities.set(spare, Sensitivity(4.5, filters, {gone: Filters(minimum_windows=3)}), "Robin", NOW)
    fields = fields_of(spare, name="Clicks, copy", version="")
    definition = {**DEFINITION, "measures": [{"aggregation": "users"}]}
    other = wizard.of_definition(parse(definition), spare.source_id, "Clicks, copy")
    fields |= {name: [v for n, v in other.pairs() if n == name] for name, _ in other.pairs()} | {
        "base": [str(spare.id)]
    }
    made = house.client().post("/streams/new", data=fields).headers["location"]
    clone = house.services.streams.get(1, int(made.rsplit("/", 1)[-1]))
    assert gone not in {measure.key for measure in clone.definition.measures}
    assert sensitivities.get(clone).sensitivity == Sensitivity(4.5, filters)


def test_an_edit_of_what_somebody_changed_meanwhile_is_not_saved_unseen(house: House, spare: Stream) -> None:
    client, mine = house.client(), fields_of(spare, name="Mine")
    house.services.streams.rename(1, spare.id, "Theirs", NOW)
    answer = client.post(f"/streams/{spare.id}/edit", data=mine)
    assert answer.status_code == 422
    assert "Somebody else changed this stream while you were editing" in answer.text
    assert 'value="Mine"' in answer.text
    assert house.services.streams.get(1, spare.id).name == "Theirs"
    again = dict(re.findall(r'<input type="hidden" name="(version)" value="([^"]*)"', answer.text))
    client.post(f"/streams/{spare.id}/edit", data=mine | again)
    assert house.services.streams.get(1, spare.id).name == "Mine"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "Other"}, "Nothing is computed again."),
        ({"frequency": "180"}, "from the facts that are already there"),
        ({"event": "Order Refunded"}, "The archive holds none of these events, so the stream begins anew"),
        ({"filter_mode": "text", "filter": "properties.revenue > 9"}, "Saving reads 700 events of the archive again"),
    ],
)
def test_an_edit_says_before_it_is_saved_what_is_computed_again(
    change: dict[str, str], text: str, house: House, spare: Stream
) -> None:
    query = fields_of(spare, step="review", **change)
    assert text in house.client().get(f"/streams/{spare.id}/edit", params=query).text
    assert house.services.streams.get(1, spare.id) == spare


def test_an_edit_keeps_how_many_values_are_watched(house: House, spare: Stream) -> None:
    house.client().post(f"/streams/{spare.id}/edit", data=fields_of(spare, name="Renamed"))
    changed = house.services.streams.get(1, spare.id)
    assert [one.top for one in changed.definition.dimensions] == [5, 5]
    assert changed.revision == spare.revision


def preview_of(house: House, query: dict[str, Any]) -> str:
    """The preview's part once it is made."""
    for _ in range(600):
        text = house.client().get("/streams/preview", params=query).text
        if "Preview progress" not in text:
            return text
        time.sleep(0.05)
    raise AssertionError("the preview takes too long")


def test_a_preview_tells_what_the_stream_would_have_shown(house: House) -> None:
    query = {"source": "1", "event": "Order Completed", "dimension": "properties.country", "custom": "no"}
    before = house.services.store.stats()
    text = preview_of(house, query)
    assert "In the last 10 days this stream would have sent" in text
    assert re.search(r"<dt>Series</dt><dd><strong>4</strong>", text)  # the total and three countries
    assert "700" in text
    data = house.client().get("/streams/preview.json", params=query).json()
    assert sum(value for value in data["actual"] if value) > 600
    after = house.services.store.stats()
    assert (before.fact_rows, before.point_rows) == (after.fact_rows, after.point_rows)


def test_a_preview_of_what_never_came_says_what_will_happen(house: House) -> None:
    text = preview_of(house, {"source": "1", "event": "Never", "dimension": "properties.country"})
    assert "No “Never” has come yet" in text
    assert "up to 12" in text


def test_a_preview_waits_for_a_complete_draft(house: House) -> None:
    assert "Name an event" in house.client().get("/streams/preview", params={"source": "1", "type": "track"}).text


def test_a_property_without_numbers_is_noted(house: House) -> None:
    query = {"source": "1", "event": "Order Completed", "custom": "yes", "m_aggregation": "average"}
    text = preview_of(house, query | {"m_path": "properties.country"})
    assert "has no values in these events. Is its property a number?" in text


def test_the_filter_changes_its_face_and_not_its_meaning(house: House) -> None:
    rows = {"filter_was": "rows", "f_path": "properties.country", "f_op": "is", "f_value": "DE"}
    text = house.client().get("/streams/filter", params={"mode": "text", "filter_mode": "text", **rows}).text
    assert "properties.country = &#34;DE&#34;</textarea>" in text
    back = {"filter_was": "text", "filter": 'properties.country = "DE"', "filter_mode": "rows", "mode": "rows"}
    assert 'value="properties.country"' in house.client().get("/streams/filter", params=back).text


def test_ideas_come_from_the_events_that_are_not_watched_yet(new_house: House) -> None:
    services = new_house.services
    owner = set_up_owner(services.accounts, NOW, email=OWNER, password=PASSWORD)
    source = services.sources.create(owner.workspace.id, "Website", NOW)
    bodies = [
        {"event": "Signed Up", "properties": {"plan": "free"}},
        {"event": "Order Completed", "properties": {"revenue": 9.5, "currency": "EUR"}},
    ]
    for body in bodies:
        sent = new_house.client(None).post("/v1/track", auth=(source.write_key, ""), json={"userId": "u1", **body})
        assert sent.status_code == 200
    assert services.ingest.wait_absorbed(20)
    client = new_house.client()
    text = client.get("/streams/new").text
    assert [idea_link(text, name) is not None for name in ("Revenue and orders", "Sign-ups")] == [True, True]
    page = client.get(html.unescape(idea_link(text, "Sign-ups") or "")).text
    assert 'value="Signed Up"' in page
    assert 'value="properties.plan"' in page
    services.streams.create(
        owner.workspace.id, source.id, "Sign-ups", parse({"spec_type": "track", "events": ["Signed Up"]}), NOW
    )
    text = client.get("/streams").text
    assert [idea_link(text, name) is not None for name in ("Revenue and orders", "Sign-ups")] == [True, False]


def idea_link(text: str, name: str) -> str | None:
    """The address behind a template on a page."""
    found = re.search(rf'<a class="card idea" href="([^"]+)">(?:(?!</a>).)*<strong>{name}</strong>', text, re.DOTALL)
    return found[1] if found else None


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
        ({"field": "value", "path": "properties.country", "q": "d"}, ["DE"]),
        ({"field": "value", "path": "a..b"}, []),
    ],
)
def test_suggestions_come_from_the_catalogue(query: dict[str, str], values: list[str], house: House) -> None:
    found = house.client().get("/streams/suggest", params={"source": "1", "type": "track", **query}).json()
    assert [one["value"] for one in found] == values


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"field": "event"}, "700 seen"),
        ({"field": "path", "q": "country"}, "string · "),
        ({"field": "number", "event": "Order Completed"}, "number · "),
    ],
)
def test_suggestions_show_how_often_a_name_was_seen_or_a_paths_type_and_example(
    query: dict[str, str], detail: str, house: House
) -> None:
    (found,) = house.client().get("/streams/suggest", params={"source": "1", **query}).json()
    assert found["detail"].startswith(detail)
    assert len(found["detail"]) > len(detail) or detail == "700 seen"


def test_the_page_says_what_late_events_revised(house: House, spare: Stream) -> None:
    at = NOW - 26 * 3_600_000 - NOW % 3_600_000
    with house.services.database.write() as session:
        revised = [Revised(REVENUE, "{}", at, 1_204.0, 1_260.0)]
        RevisedPoints(house.services.database).keep(session, spare, revised, NOW)
    text = house.client().get(f"/streams/{spare.id}", params={"measure": REVENUE}).text
    assert "Revised after late events: Yesterday, 13:00: €1,204 → €1,260." in text
    assert "Revised after" not in house.client().get(f"/streams/{spare.id}", params={"measure": "count()"}).text


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


def test_many_streams_are_shown_page_by_page_and_found_by_name(new_house: House) -> None:
    services = new_house.services
    owner = set_up_owner(services.accounts, NOW, email=OWNER, password=PASSWORD)
    source = services.sources.create(owner.workspace.id, "Website", NOW)
    for number in range(60):
        services.streams.create(owner.workspace.id, source.id, f"Stream {number:02}", parse(DEFINITION), NOW)
    client = new_house.client()
    first, second = (client.get("/streams", params={"page": page}).text for page in (1, 2))
    assert [text.count('class="cover"') for text in (first, second)] == [50, 10]
    assert 'class="cover" href="/streams/60">Stream 59' in second
    assert client.get("/streams", params={"q": "stream 07"}).text.count('class="cover"') == 1
    assert "No stream has this in its name" in client.get("/streams", params={"q": "nothing"}).text
    home = client.get("/").text
    assert home.count('class="cover" href="/streams/') == 20
    assert "All 60 data streams" in home
