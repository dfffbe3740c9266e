"""The pages of who is told: what their forms make, keep and refuse."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from tests.owners import set_up_owner
from tests.web.conftest import NOW, OWNER, PASSWORD, VIEWER, House

from cliffwatch.accounts import Role


@pytest.fixture
def home(new_house: House) -> House:
    accounts = new_house.services.accounts
    new_house.owner = set_up_owner(
        accounts, NOW, email=OWNER, name="Robin Weber", password=PASSWORD, time_zone="Europe/Berlin"
    )
    workspace = new_house.owner.workspace.id
    accounts.create_person(workspace, VIEWER, "Kim Ito", PASSWORD, Role.VIEWER, NOW)
    new_house.services.channels.create(workspace, "email", "Team inbox", {"to": [OWNER]}, NOW)
    return new_house


@pytest.fixture
def client(home: House) -> TestClient:
    return home.client()


def workspace(home: House) -> int:
    assert home.owner is not None
    return home.owner.workspace.id


POLICY = {
    "do": "save",
    "steps": "2",
    "name": "On call",
    "channels-0": "1",
    "after-1": "15",
    "channels-1": "1",
    "repeats": "0",
}


def test_a_policy_is_what_its_form_said(home: House, client: TestClient) -> None:
    assert client.post("/escalation/policies", data=POLICY).status_code == 303
    (policy,) = home.services.routing.policies(workspace(home))
    assert [(step.after_minutes, step.channels) for step in policy.steps] == [(0, (1,)), (15, (1,))]
    assert "After 15 minutes more" in client.get("/escalation").text


def test_adding_a_step_keeps_everything_that_was_typed(client: TestClient) -> None:
    page = client.post("/escalation/policies", data={**POLICY, "do": "add"}).text
    assert 'value="On call"' in page
    assert page.count('<legend class="label">Step') == 3


def test_removing_a_step_removes_that_one(client: TestClient) -> None:
    page = client.post("/escalation/policies", data={**POLICY, "do": "remove-0"}).text
    assert page.count('<legend class="label">Step') == 1
    assert re.search(r'name="channels-0" value="1" checked', page)


def test_a_step_that_tells_nobody_is_named_beside_it(client: TestClient) -> None:
    answer = client.post("/escalation/policies", data={**POLICY, "channels-1": ""})
    assert answer.status_code == 422
    assert 'id="step-1-error"' in answer.text


def test_a_rotation_is_what_its_form_said_and_shows_who_is_on_call(home: House, client: TestClient) -> None:
    form = {"do": "save", "name": "Primary", "person": ["1", "2"], "first_day": "2026-11-23", "handover": "09:00"}
    answer = client.post("/escalation/rotations", data={**form, "shift_days": "7", "time_zone": "Europe/Berlin"})
    assert answer.status_code == 303
    assert "Robin Weber, Kim Ito take turns, a week each" in client.get("/escalation").text


def test_a_monitor_is_what_its_form_said(home: House, client: TestClient) -> None:
    client.post("/escalation/policies", data=POLICY)
    form = {
        "name": "Money",
        "direction": "below",
        "min_relative": "12,5",
        "min_windows": "2",
        "slices": "totals",
        "policy": "1",
    }
    assert client.post("/monitors", data=form).status_code == 303
    page = client.get("/monitors").text
    assert "totals only · below expected · at least 12 % · for 2 windows" in page
    (monitor,) = [one for one in home.services.monitors.list(workspace(home)) if one.name == "Money"]
    assert (monitor.rule.min_relative, monitor.rule.slices, monitor.policy_id) == (0.125, ((),), 1)


def test_a_number_that_is_none_is_named_beside_its_field(client: TestClient) -> None:
    answer = client.post("/monitors", data={"name": "Money", "min_relative": "much"})
    assert answer.status_code == 422
    assert 'id="min_relative-error"' in answer.text
    assert 'value="much"' in answer.text


def test_maintenance_is_planned_by_the_workspaces_clock_and_can_be_taken_back(home: House, client: TestClient) -> None:
    form = {"title": "Move", "start": "2027-01-02T10:00", "end": "2027-01-02T12:00"}
    assert client.post("/maintenance", data=form).status_code == 303
    (window,) = home.services.maintenance.list(workspace(home))
    assert window.end_ms - window.start_ms == 2 * 3_600_000
    assert "10:00 – 12:00" in client.get("/maintenance").text
    client.post(f"/maintenance/{window.id}/end")
    assert home.services.maintenance.list(workspace(home)) == []


def test_a_maintenance_form_with_a_bad_time_keeps_what_was_typed(client: TestClient) -> None:
    answer = client.post("/maintenance", data={"title": "Move", "start": "tomorrow", "end": "2027-01-02T12:00"})
    assert answer.status_code == 422
    assert 'value="Move"' in answer.text
    assert 'id="start-error"' in answer.text


def test_quiet_hours_are_kept_with_the_channel_and_end_when_they_are_emptied(home: House, client: TestClient) -> None:
    form = {"name": "Team inbox", "to": OWNER, "quiet_start": "22:00", "quiet_end": "07:00", "quiet_days": ["0", "4"]}
    assert client.post("/channels/1", data=form).status_code == 303
    assert "Quiet 22:00–07:00 Mon Fri" in client.get("/channels").text
    client.post("/channels/1", data={"name": "Team inbox", "to": OWNER, "quiet_start": "", "quiet_end": ""})
    assert home.services.channels.get(workspace(home), 1).quiet is None


@pytest.mark.parametrize("path", ["/monitors/new", "/escalation/policies/new", "/escalation/rotations/new"])
def test_a_viewer_changes_nothing_of_it(home: House, path: str) -> None:
    assert home.client(VIEWER).get(path).status_code == 403
