"""Monitors, policies, rotations and maintenance over the API: what they are for, end to end."""

from __future__ import annotations

from tests.api.conftest import T0, World


def test_the_plan_of_a_policy_says_who_is_told_when(world: World) -> None:
    planned = world.ask("GET", f"/policies/{world.home.routing['policy_id']}/plan?opened=2026-11-29T12:00:00Z").json()
    assert [(step["at"], step["told"][0]["channel"]) for step in planned] == [
        ("2026-11-29T12:00:00.000Z", "Hook"),
        ("2026-11-29T12:15:00.000Z", "Robin, personally"),
    ]


def test_quiet_hours_of_a_channel_hold_its_part_of_the_plan_back(world: World) -> None:
    quiet = {"quiet": {"start": "13:00", "end": "15:00"}}  # 12:00 UTC is 13:00 in the workspace
    assert world.ask("PATCH", f"/channels/{world.home.channel.id}", json=quiet).json()["quiet"]["start"] == "13:00"
    (first, _) = world.ask(
        "GET", f"/policies/{world.home.routing['policy_id']}/plan?opened=2026-11-29T12:00:00Z"
    ).json()
    assert first["told"][0]["leaves_at"] == "2026-11-29T14:00:00.000Z"
    assert world.ask("PATCH", f"/channels/{world.home.channel.id}", json={"quiet": None}).json()["quiet"] is None


def test_a_rotation_says_who_is_on_call(world: World) -> None:
    rotation = world.ask("GET", f"/rotations/{world.home.routing['rotation_id']}").json()
    assert world.home.owner.person is not None
    assert rotation["on_call"] == world.home.owner.person.id


def test_a_monitor_goes_back_to_everybody_at_once_when_its_policy_is_null(world: World) -> None:
    path = f"/monitors/{world.home.routing['monitor_id']}"
    assert world.ask("PATCH", path, json={"name": "Money"}).json()["policy_id"] == world.home.routing["policy_id"]
    assert world.ask("PATCH", path, json={"policy_id": None}).json()["policy_id"] is None


def test_a_preview_counts_what_a_rule_would_have_let_through(world: World) -> None:
    world.clock.now = T0 + 3_600_000
    assert world.ask("POST", "/monitors/preview", json={}).json() == {"stories": 1, "anomalies": 1, "seen": 1}
    assert world.ask("POST", "/monitors/preview", json={"directions": [1]}).json()["stories"] == 0


def test_a_policy_in_use_answers_with_who_uses_it(world: World) -> None:
    answer = world.ask("DELETE", f"/policies/{world.home.routing['policy_id']}")
    assert answer.status_code == 409
    assert "Everything lost" in answer.json()["detail"]


def test_maintenance_that_ends_before_it_begins_is_refused(world: World) -> None:
    given = {"title": "Move", "start": "2026-12-01T10:00:00Z", "end": "2026-12-01T09:00:00Z"}
    assert world.ask("POST", "/maintenance", json=given).status_code == 422
