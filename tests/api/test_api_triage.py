"""Many incidents at once over the API, and saved filters."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import HOUR, T0, World, dip


@pytest.fixture
def several(world: World) -> World:
    """Six incidents, 1 to 6, long after one another."""
    for at in range(1, 6):
        dip(world.services, world.home.owner, world.home.stream, T0 + at * 400 * HOUR)
    world.clock.now = T0 + 2_100 * HOUR
    return world


def states(world: World) -> dict[int, str]:
    found = world.ask("GET", "/incidents").json()["data"]
    return {one["number"]: one["state"] for one in found}


def test_a_step_is_taken_with_many_and_taken_back(several: World) -> None:
    before = states(several)
    done = several.ask("POST", "/incidents/triage", json={"step": "expected", "numbers": [2, 3, 99]}).json()
    assert done["done"] == [2, 3]
    assert [states(several)[number] for number in (2, 3)] == ["expected", "expected"]
    undone = several.ask("POST", f"/incidents/triage/{done['id']}/undo").json()
    assert undone == {"back": [2, 3], "left": []}
    assert states(several) == before


def test_what_refuses_a_step_says_why_and_holds_up_none_of_the_others(several: World) -> None:
    several.ask("POST", "/incidents/triage", json={"step": "expected", "numbers": [6]})
    said = several.ask("POST", "/incidents/triage", json={"step": "expected", "all": {"show": "all"}}).json()
    assert said["done"] == [1, 2, 3, 4, 5]
    assert [(one["number"], "already marked" in one["reason"]) for one in said["refused"]] == [(6, True)]
    assert set(states(several).values()) == {"expected"}


@pytest.mark.parametrize(
    "given", [{}, {"numbers": [1], "all": {}}, {"numbers": []}, {"all": {"stream_id": 999}}, {"all": {"show": "none"}}]
)
def test_a_step_without_a_clear_choice_changes_nothing(several: World, given: dict[str, Any]) -> None:
    before = states(several)
    assert several.ask("POST", "/incidents/triage", json={"step": "resolve", **given}).status_code in (404, 422)
    assert states(several) == before


def test_a_snooze_of_many_ends_when_it_is_said(several: World) -> None:
    until = "2027-03-01T08:00:00.000Z"
    several.ask("POST", "/incidents/triage", json={"step": "snooze", "numbers": [6], "until": until})
    assert several.ask("GET", "/incidents/6").json()["snoozed_until"] == until


def test_incidents_are_those_of_an_owner(several: World) -> None:
    person = several.home.owner.person
    assert person is not None
    several.services.incidents.assign(several.home.id, 4, person, T0, person.id)

    def numbers(owner: str) -> list[int]:
        return [one["number"] for one in several.ask("GET", "/incidents", params={"owner": owner}).json()["data"]]

    assert numbers("me") == [4]
    assert numbers("nobody") == [6, 5, 3, 2, 1]


def test_a_filter_is_kept_read_replaced_deleted_and_brought_back(world: World) -> None:
    given = {"name": "Mine, of revenue", "stream_id": world.home.stream.id, "owner": "me", "shared": True}
    made = world.ask("POST", "/filters", json=given)
    assert made.status_code == 201
    path = made.headers["location"].removeprefix("/api/v1")
    shown = world.ask("GET", path).json()
    assert {**shown, **given} == shown
    assert (shown["show"], shown["own"], shown["made_by"]) == ("live", True, "Robin")
    again = world.ask("POST", "/filters", json=given | {"show": "resolved", "shared": False}).json()
    assert (again["id"], again["show"], again["shared"]) == (shown["id"], "resolved", False)
    assert world.ask("DELETE", path).status_code == 204
    assert world.ask("GET", path).status_code == 404
    assert world.ask("POST", f"{path}/restore").json()["name"] == given["name"]


def test_a_filter_of_the_api_is_one_of_the_page(world: World) -> None:
    made = world.ask("POST", "/filters", json={"name": "Dismissed", "show": "dismissed", "owner": "nobody"}).json()
    person = world.home.owner.person
    assert person is not None
    kept = world.services.filters.get(world.home.id, person.id, made["id"])
    assert kept.query == "show=dismissed&owner=nobody"


def test_a_filter_of_another_workspaces_stream_is_refused(world: World) -> None:
    given = {"name": "Theirs", "stream_id": world.other.stream.id}
    assert world.ask("POST", "/filters", json=given).status_code == 404
