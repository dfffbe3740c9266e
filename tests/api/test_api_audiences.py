"""Audiences, computed traits and where they are sent, over the API."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.conftest import T0, World

GIVEN = {"name": "Spent much", "kind": "trait", "query": "event('Order Completed').sum(property('revenue'))"}
_names = itertools.count(1)


def made(world: World, **given: Any) -> dict[str, Any]:
    answer = world.ask("POST", "/audiences", json=GIVEN | {"name": f"Spent {next(_names)}", "watched": False} | given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ordered(world: World, *users: str) -> None:
    """Let them order something, and what is due be computed."""
    bodies = [
        {
            "type": "track",
            "event": "Order Completed",
            "userId": user,
            "messageId": f"{user}-{next(_names)}",
            "timestamp": "2026-11-29T12:00:00Z",
            "properties": {"revenue": 5},
        }
        for user in users
    ]
    services = world.services
    services.ingest.take(world.home.source.id, [json.dumps(body).encode() for body in bodies])
    assert services.ingest.wait_absorbed(60)
    world.clock.now += 120_000
    services.engage.compute()


@pytest.fixture
def fed(world: World) -> Iterator[World]:
    """An installation that takes events."""
    world.services.ingest.start()
    yield world
    world.services.ingest.stop()


def test_an_audience_is_created_read_changed_switched_off_deleted_and_brought_back(shared: World) -> None:
    answer = shared.ask("POST", "/audiences", json=GIVEN)
    assert (answer.status_code, answer.json()["key"], answer.json()["every_minutes"]) == (201, "spent_much", 0)
    path = answer.headers["location"].removeprefix("/api/v1")
    changed = shared.ask("PATCH", path, json={"name": "Spent very much", "every_minutes": 60}).json()
    assert (changed["name"], changed["key"], changed["every_minutes"]) == ("Spent very much", "spent_much", 60)
    assert shared.ask("PATCH", path, json={"enabled": False}).json()["status"] == "Disabled"
    assert shared.ask("DELETE", path).status_code == 204
    assert [shared.ask(how, path).status_code for how in ("GET", "DELETE")] == [404, 404]
    assert "Spent very much" in [one["name"] for one in shared.ask("GET", "/audiences/deleted").json()["data"]]
    assert shared.ask("POST", f"{path}/restore").json()["name"] == "Spent very much"
    assert shared.ask("GET", path).status_code == 200


def test_what_was_deleted_more_than_a_week_ago_is_not_offered_any_more(world: World) -> None:
    world.clock.now = T0 + 7 * 86_400_000 + 1
    assert world.ask("GET", "/audiences/deleted").json()["data"] == []


def test_a_query_that_cannot_be_read_is_refused_at_its_place(shared: World) -> None:
    answer = shared.ask("POST", "/audiences", json=GIVEN | {"query": "event('A').counts() > 1"})
    assert answer.status_code == 422
    assert "at character 12" in answer.json()["detail"]


def test_two_names_with_one_key_are_told_apart_before_anything_is_made(shared: World) -> None:
    made(shared, name="Big  Spender!")
    answer = shared.ask("POST", "/audiences", json=GIVEN | {"name": "big-spender"})
    assert answer.status_code == 409
    assert "gives the key big_spender" in answer.json()["detail"]


def test_people_values_transitions_and_sizes_come_page_by_page(fed: World) -> None:
    world = fed
    path = f"/audiences/{made(world)['id']}"
    ordered(world, "ann", "bob", "cid")
    ordered(world, "bob", "cid", "dan")
    first = world.ask("GET", f"{path}/members", params={"limit": 3}).json()
    rest = world.ask("GET", f"{path}/members", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert {one["ids"][0]["id"]: one["value"] for one in first["data"] + rest["data"]} == {
        "ann": 5,
        "bob": 10,
        "cid": 10,
        "dan": 5,
    }
    assert rest["next_cursor"] is None
    newest = world.ask("GET", f"{path}/transitions", params={"limit": 2}).json()
    older = world.ask("GET", f"{path}/transitions", params={"limit": 2, "cursor": newest["next_cursor"]}).json()
    came = [(one["ids"][0]["id"], one["value"]) for one in newest["data"] + older["data"]]
    assert sorted(came) == [("bob", 10), ("cid", 10), ("dan", 5)]
    sizes = [one["size"] for one in world.ask("GET", f"{path}/evaluations").json()["data"]]
    assert (sizes[0], sizes[-1]) == (4, 3)


def test_a_preview_counts_and_saves_nothing(fed: World) -> None:
    world = fed
    ordered(world, "ann", "bob")
    before = world.ask("GET", "/audiences").json()
    asked = {"query": "event('Order Completed').count() >= 1"}
    found = world.ask("POST", "/audiences/preview", json=asked).json()
    assert (found["size"], found["everybody"]) == (2, 2)
    assert {one["ids"][0]["id"] for one in found["sample"]} == {"ann", "bob"}
    assert world.ask("GET", "/audiences").json() == before


def test_a_sync_shows_its_secret_once_and_is_paused_resumed_and_removed(shared: World) -> None:
    given = {"audience_id": shared.home.audience, "kind": "webhook", "settings": {"url": "https://one.example/a"}}
    answer = shared.ask("POST", "/syncs", json=given | {"paused": True, "per_second": 7})
    assert (answer.status_code, answer.json()["name"]) == (201, "Buyers to one.example")
    assert answer.json()["settings"]["secret"].startswith("whsec_")
    path = answer.headers["location"].removeprefix("/api/v1")
    there = shared.ask("GET", path).json()
    assert (there["paused"], there["per_second"], there["settings"]["secret"]) == (True, 7, "(hidden)")
    changed = shared.ask("PATCH", path, json={"paused": False, "per_second": 9, "mode": "both"}).json()
    assert (changed["paused"], changed["per_second"], changed["mode"]) == (False, 9, "both")
    assert shared.ask("GET", f"{path}/runs").json()["data"] == []
    assert shared.ask("DELETE", path).status_code == 204
    assert shared.ask("GET", path).status_code == 404


def test_a_second_sync_to_one_place_gets_a_name_of_its_own(shared: World) -> None:
    given = {"audience_id": shared.home.audience, "kind": "webhook", "settings": {"url": "https://two.example/a"}}
    names = [shared.ask("POST", "/syncs", json=given).json()["name"] for _ in range(2)]
    assert names == ["Buyers to two.example", "Buyers to two.example 2"]


def test_a_secret_can_be_set_anew_and_no_other_setting(shared: World) -> None:
    to = {"endpoint": "https://three.example/v1", "write_key": "first"}
    given = {"audience_id": shared.home.audience, "kind": "segment", "settings": to}
    sync = shared.ask("POST", "/syncs", json=given).json()["id"]
    assert shared.ask("PATCH", f"/syncs/{sync}", json={"settings": {"write_key": "second"}}).status_code == 200
    assert shared.services.engage.syncs.secret(sync) == {"write_key": "second"}
    refused = shared.ask("PATCH", f"/syncs/{sync}", json={"settings": {"endpoint": "https://else.example/v1"}})
    assert refused.status_code == 409
    assert shared.ask("GET", f"/syncs/{sync}").json()["settings"]["endpoint"] == "https://three.example/v1"


@pytest.mark.parametrize(
    ("kind", "settings", "names"),
    [
        ("carrier_pigeon", {}, "is one of"),
        ("webhook", {"url": "https://example.com", "colour": "red"}, "colour: is no setting of webhook"),
        ("cliffwatch", {"source": "²"}, "source"),
        ("cliffwatch", {"source": "9" * 30}, "source"),
        ("segment", {"endpoint": "https://example.com/v1"}, "write_key"),
    ],
)
def test_a_wrong_destination_is_refused_with_its_cause(
    shared: World, kind: str, settings: dict[str, str], names: str
) -> None:
    given = {"audience_id": shared.home.audience, "kind": kind, "settings": settings}
    answer = shared.ask("POST", "/syncs", json=given)
    assert answer.status_code == 422
    assert names in answer.text


def test_nothing_is_sent_of_or_to_another_workspace(shared: World) -> None:
    theirs = {"audience_id": shared.other.audience, "kind": "webhook", "settings": {"url": "https://example.com/a"}}
    into = {"audience_id": shared.home.audience, "kind": "cliffwatch", "settings": {"source": shared.other.source.id}}
    assert [shared.ask("POST", "/syncs", json=given).status_code for given in (theirs, into)] == [404, 404]
