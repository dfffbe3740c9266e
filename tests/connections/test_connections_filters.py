"""Filters of a destination: what they do to an event, and how the Public API and Segment's own client change them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from tests.connections.conftest import Side, said
from tests.connections.test_connections_public_api import ask, drive
from tests.owners import NOW

from cliffwatch.connections.delivery.filters import Filter, action_document, action_of, of_document, sieve
from cliffwatch.db import Database
from cliffwatch.db.engine import migrations

EVENT = {
    "type": "track",
    "event": "Order",
    "messageId": "m-1",
    "userId": "u-1",
    "properties": {"email": "a@b.example", "plan": "pro", "products": [{"sku": "a", "price": 1}, {"sku": "b"}]},
    "context": {"ip": "203.0.113.9", "page": {"url": "/x", "title": "X"}},
}


def left_of(event: dict[str, Any], *actions: dict[str, Any], when: str = "all") -> Any:
    """What a filter with these actions leaves; None when it holds the event back."""
    wanted = Filter("1", "Test", "", when, tuple(map(action_of, actions)), True, NOW, NOW)
    passed = sieve([wanted])(event)
    return None if passed.reason else passed.event


def without(*names: str, place: str = "properties") -> dict[str, Any]:
    return {"type": "DROP_PROPERTIES", "fields": {place: list(names)}}


def only(*names: str, place: str = "properties") -> dict[str, Any]:
    return {"type": "ALLOW_PROPERTIES", "fields": {place: list(names)}}


def test_what_an_expression_is_not_true_for_passes_as_the_same_object() -> None:
    assert left_of(EVENT, {"type": "DROP"}, when='event = "Refund"') is EVENT
    assert left_of(EVENT, {"type": "DROP"}, when='event = "Order"') is None


CUTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (without("email", "nothing"), {"properties": {k: v for k, v in EVENT["properties"].items() if k != "email"}}),  # type: ignore[attr-defined]
    (without("products.price"), {"properties": {**EVENT["properties"], "products": [{"sku": "a"}, {"sku": "b"}]}}),  # type: ignore[dict-item]
    (without("userId", "context.ip", place=""), {"context": {"page": {"url": "/x", "title": "X"}}}),
    (without("url", place="context.page"), {"context": {"ip": "203.0.113.9", "page": {"title": "X"}}}),
    (only("plan"), {"properties": {"plan": "pro"}}),
    (only("products.sku"), {"properties": {"products": [{"sku": "a"}, {"sku": "b"}]}}),
    (only(), {"properties": {}}),
    (only("title", place="context.page"), {"context": {"ip": "203.0.113.9", "page": {"title": "X"}}}),
]


@pytest.mark.parametrize(("action", "changed"), CUTS, ids=[str(action["fields"]) for action, _ in CUTS])
def test_fields_are_taken_away_or_kept_alone_and_the_rest_stays(action: Any, changed: dict[str, Any]) -> None:
    before = repr(EVENT)
    expected = {**EVENT, **changed}
    if "" in action["fields"]:
        del expected["userId"]
    assert left_of(EVENT, action) == expected
    assert repr(EVENT) == before


def test_type_and_message_id_stay_whatever_a_filter_says() -> None:
    assert left_of(EVENT, without("type", "messageId", "event", place=""))["messageId"] == "m-1"
    assert left_of(EVENT, only("event", place="")) == {"type": "track", "event": "Order", "messageId": "m-1"}


def test_a_sample_lets_its_share_through_the_same_on_every_attempt() -> None:
    tenth = {"type": "SAMPLE", "percent": 0.1}
    events = [{**EVENT, "messageId": f"m-{n}", "userId": f"u-{n % 500}"} for n in range(10_000)]
    passed = [event["messageId"] for event in events if left_of(event, tenth)]
    assert 850 < len(passed) < 1_150  # 5 standard deviations of a fair draw
    assert passed == [event["messageId"] for event in events if left_of(event, tenth)]
    people = {event["userId"] for event in events if left_of(event, {**tenth, "path": "userId"})}
    assert all(left_of(event, {**tenth, "path": "userId"}) for event in events if event["userId"] in people)
    assert left_of(EVENT, {**tenth, "percent": 0}) is None
    assert left_of(EVENT, {**tenth, "percent": 1}) is EVENT


def test_filters_act_in_their_order_and_a_switched_off_one_not_at_all() -> None:
    def one(when: str, *actions: dict[str, Any], enabled: bool = True) -> Filter:
        return Filter("1", "Test", "", when, tuple(map(action_of, actions)), enabled, NOW, NOW)

    drop_email, guard = one("all", without("email")), one('properties.email = "a@b.example"', {"type": "DROP"})
    assert sieve([drop_email, guard])(EVENT).reason == ""
    assert sieve([guard, drop_email])(EVENT).reason == "destination_filter"
    assert sieve([one("all", {"type": "DROP"}, enabled=False)])(EVENT).event is EVENT


def test_a_filter_that_cannot_be_read_lets_nothing_through() -> None:
    broken = Filter("1", "Test", "", "type = ", (action_of({"type": "DROP"}),), True, NOW, NOW)
    assert sieve([broken])(EVENT).reason == "invalid_filter"


@pytest.mark.parametrize(
    "action",
    [{"type": "DROP"}, {"type": "SAMPLE", "percent": 0.25, "path": "userId"}, without("a", "b"), only("c", place="")],
)
def test_an_action_comes_back_in_segments_shape(action: dict[str, Any]) -> None:
    assert action_document(action_of(action)) == action


@pytest.mark.sdk
def test_segments_own_client_makes_reads_changes_previews_and_removes_a_filter(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    hook = side.services.connections.destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    to, api = str(hook.id), "DestinationFiltersApi"
    given = {"sourceId": str(source.id), "if": 'event = "Test"', "title": "No tests", "enabled": True}
    trial = {"filter": {"if": "all", "actions": [without("email")]}, "payload": EVENT}
    made, listed, read, changed, kept, held, removed, gone = drive(
        side,
        [api, "createFilterForDestination", to, {**given, "actions": [{"type": "DROP"}]}],
        [api, "listFiltersFromDestination", to, {"count": 10}],
        [api, "getFilterInDestination", to, "$0.data.filter.id"],
        [api, "updateFilterForDestination", to, "$0.data.filter.id", {"enabled": False, "actions": [without("ip")]}],
        [api, "previewDestinationFilter", trial],
        [api, "previewDestinationFilter", {**trial, "filter": {"if": "all", "actions": [{"type": "DROP"}]}}],
        [api, "removeFilterFromDestination", to, "$0.data.filter.id"],
        [api, "getFilterInDestination", to, "$0.data.filter.id"],
    )
    shown = made["body"]["data"]["filter"]
    assert shown == given | {
        "id": f"{to}-1",
        "destinationId": to,
        "actions": [{"type": "DROP"}],
        "description": "",
        "createdAt": "2026-11-24T14:30:00.000Z",
        "updatedAt": "2026-11-24T14:30:00.000Z",
    }
    assert listed["body"]["data"]["filters"] == [shown]
    assert read["body"]["data"]["filter"] == shown
    assert changed["body"]["data"]["filter"] == {**shown, "enabled": False, "actions": [without("ip")]}
    assert "email" not in kept["body"]["data"]["result"]["properties"]
    assert kept["body"]["data"]["inputPayload"] == EVENT
    assert held["body"]["data"]["result"] is None
    assert removed["body"]["data"]["status"] == "SUCCESS"
    assert (gone["status"], gone["body"]["errors"][0]["type"]) == (404, "not-found")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"if": "event = "}, "if"),
    ({"if": ""}, "if"),
    ({"title": ""}, "title"),
    ({"title": "x" * 65}, "title"),
    ({"title": 5}, "title"),
    ({"sourceId": "99"}, "sourceId"),
    ({"enabled": "yes"}, "enabled"),
    ({"actions": []}, "actions"),
    ({"actions": {}}, "actions"),
    ({"actions": ["DROP"]}, "actions.type"),
    ({"actions": [{"type": "drop"}]}, "actions.type"),
    ({"actions": [{"type": "SAMPLE"}]}, "actions.percent"),
    ({"actions": [{"type": "SAMPLE", "percent": 1.5}]}, "actions.percent"),
    ({"actions": [{"type": "SAMPLE", "percent": 0.5, "path": "a..b"}]}, "actions.path"),
    ({"actions": [{"type": "DROP_PROPERTIES", "fields": {"properties": []}}]}, "actions.fields"),
    ({"actions": [{"type": "ALLOW_PROPERTIES", "fields": {"properties": "email"}}]}, "actions.fields"),
    ({"actions": [{"type": "DROP_PROPERTIES", "fields": {"properties": ["a."]}}]}, "actions.fields"),
]


def test_what_is_wrong_with_a_filter_is_named_and_nothing_is_kept(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    destinations = side.services.connections.destinations
    hook = destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    path, token = f"/destination/{hook.id}/filters", side.token()
    good = {"sourceId": str(source.id), "if": "all", "title": "T", "enabled": True, "actions": [{"type": "DROP"}]}
    for changes, field in WRONG:
        answer = ask(side, path, token=token, method="POST", json=good | changes)
        found = (answer.status_code, answer.json()["errors"][0].get("field"))
        assert found == (422, field), f"{changes}: {answer.text}"
    assert ask(side, path, token=side.token("read"), method="POST", json=good).status_code == 403
    assert list(destinations.get(side.workspace, hook.id).filters) == []
    for _ in range(10):
        assert ask(side, path, token=token, method="POST", json=good | {"title": "é" * 64}).status_code == 200
    assert ask(side, path, token=token, method="POST", json=good).status_code == 422
    assert len({one.id for one in destinations.get(side.workspace, hook.id).filters}) == 10


def test_a_filter_is_made_changed_switched_and_deleted_on_its_page(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    destinations = side.services.connections.destinations
    hook = destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    base = f"/destinations/{hook.id}/filters"
    form = {"title": "No e-mail", "when": 'type = "track"', "act": "DROP_PROPERTIES", "fields": "properties.email\n"}
    wrong = side.post(base, {**form, "when": "type =", "fields": ""})
    assert (wrong.status_code, 'id="when-error"' in wrong.text or 'id="fields-error"' in wrong.text) == (422, True)
    assert side.post(base, form).headers["location"] == f"/destinations/{hook.id}#filters"
    (made,) = destinations.get(side.workspace, hook.id).filters
    assert action_document(made.actions[0]) == without("email")
    assert "Without properties.email" in said(side.browser.get(f"{side.address}/destinations/{hook.id}"))
    assert "properties.email</textarea>" in side.browser.get(f"{side.address}{base}/{made.id}").text
    side.post(f"{base}/{made.id}", {"title": "A tenth", "act": "SAMPLE", "percent": "10", "path": "userId"})
    side.post(f"{base}/{made.id}/enabled", {"enabled": ""})
    (made,) = destinations.get(side.workspace, hook.id).filters
    assert (made.title, made.when, made.enabled) == ("A tenth", "all", False)
    assert action_document(made.actions[0]) == {"type": "SAMPLE", "percent": 0.1, "path": "userId"}
    side.post(f"{base}/{made.id}/delete", {})
    assert list(destinations.get(side.workspace, hook.id).filters) == []


def test_the_expression_of_an_earlier_version_becomes_a_filter_that_does_the_same(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/old.db")
    config = migrations()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0020")
        connection.execute(text("PRAGMA foreign_keys=OFF"))
        for number, kept in ((1, 'type = "track" and properties.n > 1'), (2, ""), (3, "all")):
            connection.execute(
                text(
                    "INSERT INTO destinations (id, workspace_id, source_id, kind, slug, name, enabled, settings, "
                    "mappings, filter, created_ms, retry_ms, attempts, last_error) "
                    "VALUES (:id, 1, 1, 'webhook', :id, 'Hook', true, '', '[]', :filter, 5, 0, 0, '')"
                ),
                {"id": number, "filter": kept},
            )
        command.upgrade(config, "head")
        rows = connection.execute(text("SELECT filters FROM destinations ORDER BY id")).scalars().all()
        command.downgrade(config, "0020")
        back = connection.execute(text("SELECT filter FROM destinations ORDER BY id")).scalars().all()
    database.close()
    kept, *none = [[of_document(one) for one in json.loads(row)] for row in rows]
    assert none == [[], []]
    passes = sieve(kept)
    assert passes({**EVENT, "properties": {"n": 2}}).reason == ""
    assert passes({**EVENT, "properties": {"n": 1}}).reason == "destination_filter"
    assert passes({"type": "page"}).reason == "destination_filter"
    assert back == ['type = "track" and properties.n > 1', "", ""]
