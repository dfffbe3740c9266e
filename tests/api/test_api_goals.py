"""Goals over the API."""

from __future__ import annotations

from tests.api.conftest import REVENUE, World

GIVEN = {"name": "Revenue of the quarter", "measure": REVENUE, "target": 500_000, "repeat": "quarter"}


def test_a_goal_is_created_read_changed_deleted_and_brought_back(world: World) -> None:
    given = GIVEN | {"stream_id": world.home.stream.id}
    made = world.ask("POST", "/goals", json=given)
    assert made.status_code == 201
    assert made.json()["pace"]["so_far"] > 0  # looked at at once
    path = made.headers["location"].removeprefix("/api/v1")
    assert world.ask("GET", path).json()["target"] == 500_000.0
    changed = world.ask("PUT", path, json=given | {"aim": "at_most", "slice": {"properties.country": "DE"}}).json()
    assert (changed["aim"], changed["slice"]) == ("at_most", {"properties.country": "DE"})
    assert world.ask("DELETE", path).status_code == 204
    assert world.ask("GET", path).status_code == 404
    assert world.ask("POST", f"{path}/restore").json()["name"] == GIVEN["name"]


def test_a_preview_says_where_it_stands(world: World) -> None:
    found = world.ask("POST", "/goals/preview", json=GIVEN | {"stream_id": world.home.stream.id}).json()
    assert found["period"] == "Q4 2026"
    assert found["so_far"] > 0
    assert found["outlook"]


def test_a_measure_that_does_not_add_up_is_refused_with_the_way_out(world: World) -> None:
    answer = world.ask("POST", "/goals", json=GIVEN | {"stream_id": world.home.stream.id, "measure": "users()"})
    assert answer.status_code == 422
    assert "It has: sum(properties.revenue)" in answer.text


def test_a_token_that_only_reads_makes_no_goal(world: World) -> None:
    answer = world.ask("POST", "/goals", world.home.tokens["read"], json=GIVEN | {"stream_id": world.home.stream.id})
    assert answer.status_code == 403
