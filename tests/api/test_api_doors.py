"""Doors, privacy and quarantine over the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import World

TRACK = {"type": "track", "event": "Good", "userId": "ada"}


@pytest.fixture
def running(world: World) -> Iterator[World]:
    """The installation with its ingest at work."""
    world.services.ingest.start()
    yield world
    world.services.ingest.stop()


def door(world: World) -> TestClient:
    return TestClient(world.services.ingest.door(nowhere))


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_connected_source_gets_an_address_that_takes_deliveries_until_it_is_revoked(running: World) -> None:
    source = running.ask("POST", "/sources", json={"name": "Segment", "kind": "connected"}).json()
    assert (source["kind"], source["archive_days"]) == ("connected", 0)
    path = f"/sources/{source['id']}/addresses"
    (address,) = running.ask("GET", path).json()["data"]
    assert door(running).post(address["path"], json=TRACK).status_code == 200
    changed = running.ask(
        "PATCH", f"{path}/{address['id']}", json={"signing_secret": "topsecret", "destination_names": ["Ours"]}
    ).json()
    assert (changed["signing_secret"], changed["destination_names"]) == ("topsecret", ["Ours"])
    assert door(running).post(address["path"], json=TRACK).status_code == 401
    second = running.ask("POST", path, json={})
    assert second.status_code == 201
    assert running.ask("DELETE", f"{path}/{address['id']}").status_code == 204
    assert door(running).post(address["path"], json=TRACK).status_code == 404
    assert door(running).post(second.json()["path"], json=TRACK).status_code == 200


def test_a_source_of_sdks_gets_no_address(world: World) -> None:
    answer = world.ask("POST", f"/sources/{world.home.source.id}/addresses", json={})
    assert answer.status_code == 422
    assert "takes events from SDKs" in answer.json()["detail"]


def test_an_oauth_key_is_made_once_with_its_private_half_and_revoked(world: World) -> None:
    path = f"/sources/{world.home.source.id}/oauth-keys"
    made = world.ask("POST", path, json={"name": "Front end"}).json()
    assert "BEGIN PRIVATE KEY" in made["private_key"]
    listed = world.ask("GET", path).json()["data"]
    assert [key["name"] for key in listed] == ["Back end", "Front end"]
    assert all("private_key" not in key for key in listed)
    given = world.ask("POST", path, json={"name": "Same", "public_key": made["key"]["public_key"]}).json()
    assert given["private_key"] is None
    number = made["key"]["id"]
    assert world.ask("DELETE", f"{path}/{number}").status_code == 204
    assert world.ask("DELETE", f"{path}/{number}").status_code == 404


def test_a_rule_of_the_api_applies_to_what_arrives(running: World) -> None:
    source = running.home.source
    given = {"path": "properties.email", "action": "drop"}
    rule = running.ask("POST", f"/sources/{source.id}/rules", json=given).json()
    assert rule["path"] == "properties.email"
    event = TRACK | {"properties": {"email": "a@b.example", "plan": "pro"}}
    door(running).post("/v1/t", json=event, auth=(source.write_key, ""))
    assert running.services.ingest.wait_absorbed(20)
    (found,) = running.services.ingest.recent(source.id)
    assert isinstance(found.fields, dict)
    assert found.fields["properties"] == {"plan": "pro"}
    assert running.ask("DELETE", f"/sources/{source.id}/rules/{rule['id']}").status_code == 204


def test_a_person_is_deleted_over_the_api(running: World) -> None:
    source = running.home.source
    door(running).post("/v1/t", json=TRACK | {"userId": "grace"}, auth=(source.write_key, ""))
    assert running.services.ingest.wait_absorbed(20)
    asked = running.ask("POST", "/deletions", json={"user_ids": ["grace"]})
    assert asked.status_code == 201
    assert running.services.ingest.deletions.wait_done(running.home.id, asked.json()["id"])
    done = running.ask("GET", asked.headers["location"].removeprefix("/api/v1")).json()
    assert (done["events"], done["shown"], done["origin"]) == (1, "gr•••e", "api")
    assert done["done_at"] is not None
    assert running.ask("POST", "/deletions", json={}).status_code == 422


def test_rejected_messages_are_listed_by_pages_and_replayed(running: World) -> None:
    source = running.home.source
    bad = [{"type": "track", "userId": f"u-{number}"} for number in range(3)]
    door(running).post("/v1/batch", json={"batch": bad}, auth=(source.write_key, ""))
    assert running.services.ingest.wait_absorbed(20)
    path = f"/sources/{source.id}/quarantine"
    first = running.ask("GET", path, params={"limit": 2}).json()
    rest = running.ask("GET", path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [len(first["data"]), len(rest["data"]), rest["next_cursor"]] == [2, 2, None]  # one was there before
    (found,) = running.ask("GET", path, params={"search": "U-1", "reason": "event_not_defined"}).json()["data"]
    outcome = running.ask("POST", f"{path}/replay", json={"ids": [found["id"]]}).json()
    assert outcome == {"accepted": [], "refused": {str(found["id"]): "event_not_defined"}}
    counted = running.ask("GET", f"/sources/{source.id}/verdicts").json()["verdicts"]
    assert counted["event_not_defined"] == 3
