"""What people tell detection over the API: it is kept, shown, and taken back."""

from __future__ import annotations

import pytest
from tests.api.conftest import REVENUE, World


def test_a_sensitivity_is_set_shown_with_its_promise_and_taken_back(world: World) -> None:
    path = f"/streams/{world.home.stream.id}/sensitivity"
    before = world.ask("GET", path).json()
    given = {"alerts_per_week": 2.0, "minimum_effect": 0.1, "measures": {REVENUE: {"directions": "down"}}}
    after = world.ask("PUT", path, json=given).json()
    assert after["promised_per_week"] == 2.0
    assert after["sensitivity"]["measures"][REVENUE]["directions"] == "down"
    assert after["previous"] == before["sensitivity"]
    undone = world.ask("POST", f"{path}/undo").json()
    assert undone["sensitivity"] == before["sensitivity"]
    assert world.ask("POST", f"{path}/undo").status_code == 409


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"alerts_per_week": 0}, "alerts_per_week"),
        ({"minimum_windows": 0}, "minimum_windows"),
        ({"measures": {"sum(properties.cost)": {}}}, "sum(properties.cost)"),
        ({"alerts": 3}, "alerts"),
    ],
)
def test_a_bad_sensitivity_names_its_field_and_changes_nothing(world: World, given: dict, field: str) -> None:  # type: ignore[type-arg]
    path = f"/streams/{world.home.stream.id}/sensitivity"
    before = world.ask("GET", path).json()
    answer = world.ask("PUT", path, json=given)
    assert answer.status_code == 422
    assert field in answer.json()["detail"]
    assert world.ask("GET", path).json() == before


def test_a_label_is_made_listed_deleted_and_brought_back(world: World) -> None:
    path = f"/streams/{world.home.stream.id}/labels"
    given = {"start": "2026-11-29T08:00:00Z", "end": "2026-11-29T10:00:00Z", "is_anomaly": False, "note": "A fair."}
    made = world.ask("POST", path, json=given)
    assert made.status_code == 201
    label = made.json()
    assert (label["measure"], label["is_anomaly"], label["note"]) == (REVENUE, False, "A fair.")
    assert label in world.ask("GET", path).json()["data"]
    assert world.ask("DELETE", f"{path}/{label['id']}").status_code == 204
    assert label not in world.ask("GET", path).json()["data"]
    assert world.ask("POST", f"{path}/{label['id']}/restore").json() == label


def test_the_mark_of_an_incident_is_a_label_and_can_be_undone(world: World) -> None:
    marks = f"/streams/{world.home.stream.id}/marks"
    world.ask("POST", f"/incidents/{world.home.incident}/false-alarm")
    (mark,) = world.ask("GET", marks).json()["data"]
    assert (mark["kind"], mark["undone"]) == ("false_alarm", False)
    assert 1.03 <= mark["band_width"] <= 1.15
    said = world.ask("GET", f"/streams/{world.home.stream.id}/labels").json()["data"]
    assert [one["is_anomaly"] for one in said if one["incident"] == world.home.incident] == [False]
    assert world.ask("POST", f"/incidents/{world.home.incident}/undo-mark").status_code == 200
    (mark,) = world.ask("GET", marks).json()["data"]
    assert (mark["undone"], mark["band_width"]) == (True, 1.0)
    assert world.ask("POST", f"/incidents/{world.home.incident}/renew-mark").status_code == 200
    assert world.ask("GET", marks).json()["data"][0]["undone"] is False


def test_an_incident_without_a_mark_has_none_to_undo(world: World) -> None:
    answer = world.ask("POST", f"/incidents/{world.home.incident}/undo-mark")
    assert answer.status_code == 409
    assert "not marked" in answer.json()["detail"]


def test_a_deployment_tells_of_a_release_with_a_title_alone(world: World) -> None:
    answer = world.ask("POST", "/annotations", world.home.tokens["write"], json={"title": "Checkout 4.3.0"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["kind"], made["scope"]) == ("release", {})
    assert made["start"] == "2026-11-29T14:00:00.000Z"
    assert world.client.get(answer.headers["Location"], headers=answer.request.headers).json() == made


def test_own_events_are_listed_newest_first_in_pages(world: World) -> None:
    for hour in range(3):
        world.ask("POST", "/annotations", json={"title": f"Sale {hour}", "start": f"2026-11-2{hour}T00:00:00Z"})
    first = world.ask("GET", "/annotations?limit=2").json()
    rest = world.ask("GET", f"/annotations?limit=2&cursor={first['next_cursor']}").json()
    assert [one["title"] for one in (*first["data"], *rest["data"])] == ["Checkout 4.2.1", "Sale 2", "Sale 1", "Sale 0"]


def test_a_deleted_own_event_comes_back(world: World) -> None:
    path = f"/annotations/{world.home.annotation}"
    assert world.ask("DELETE", path).status_code == 204
    assert world.ask("GET", path).status_code == 404
    assert world.ask("POST", f"{path}/restore").json()["title"] == "Checkout 4.2.1"
    assert world.ask("GET", path).status_code == 200


def test_an_own_event_that_ends_before_it_starts_is_refused(world: World) -> None:
    given = {"title": "Sale", "start": "2026-11-02T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
    answer = world.ask("POST", "/annotations", json=given)
    assert answer.status_code == 422
    assert "after the start" in answer.json()["detail"]


def test_a_point_tells_why_it_was_expected_so(shared: World) -> None:
    moment = "2026-11-29T12:30:00Z"
    why = shared.ask("GET", f"/streams/{shared.home.stream.id}/why?at={moment}").json()
    assert (why["window_start"], why["reason"]) == ("2026-11-29T12:00:00.000Z", "learning")
    assert "learning" in why["sentence"]
    missing = shared.ask("GET", f"/streams/{shared.home.stream.id}/why?at=2026-11-20T12:30:00Z")
    assert missing.status_code == 404


def test_a_backtest_of_nothing_says_so(shared: World) -> None:
    tried = shared.ask("POST", f"/streams/{shared.home.stream.id}/backtest", json={}).json()
    assert (tried["alerts"], tried["precision"], tried["sent"]) == (0, None, [])
