"""Digests and the heartbeat over the API."""

from __future__ import annotations

from tests.api.conftest import World


def test_digests_are_chosen_as_a_whole_and_sent_to_whom_they_name(world: World) -> None:
    channel = world.home.channel.id
    given = {"daily": True, "hour": 7, "channels": [channel]}
    saved = world.ask("PUT", "/digests", json=given).json()
    assert saved == world.ask("GET", "/digests").json()
    assert (saved["daily"], saved["weekly"], saved["hour"], saved["channels"]) == (True, True, 7, [channel])
    assert world.ask("POST", "/digests/send", json={"kind": "daily"}).json() == {"messages": 1}
    newest = world.ask("GET", "/deliveries?limit=1").json()["data"][0]
    assert (newest["purpose"], newest["channel_id"], newest["incident"]) == ("digest", channel, None)


def test_a_digest_for_a_channel_of_somebody_else_is_refused(world: World) -> None:
    answer = world.ask("PUT", "/digests", json={"channels": [9999]})
    assert answer.status_code == 422
    assert "9999" in answer.json()["detail"]


def test_the_heartbeat_says_what_is_watched(world: World) -> None:
    found = world.ask("GET", "/heartbeat").json()
    assert found["healthy"] is True
    assert found["streams"] == len([s for s in world.ask("GET", "/streams").json()["data"] if s["state"] == "active"])
    assert found["outages"] == []
