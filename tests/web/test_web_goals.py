"""Goals: the list with its pictures, the form with its preview, in the pages of a real installation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.pipeline.plant import DAY, Plant, opened

from cliffwatch.accounts import SESSION_COOKIE, Role
from cliffwatch.api import create_api
from cliffwatch.streams import Stream
from cliffwatch.web import create_pages

NOW = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
PASSWORD = "a quiet little bakery"
DAILY = {"frequency_minutes": 1440, "anchor": "00:00", "time_zone": "UTC"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plant, TestClient, Stream]]:
    with opened(tmp_path_factory.mktemp("goals"), NOW) as plant:
        stream = plant.stream(schedule=DAILY)
        plant.facts(stream, np.arange(NOW - 80 * DAY, NOW, DAY // 100))
        plant.judge(stream, NOW - 80 * DAY)
        services = plant.services
        pages = create_pages(services)
        pages.mount("/api/v1", create_api(services))
        token = services.accounts.sign_in("robin@shop.example", PASSWORD, address="", user_agent="", now=NOW)
        client = TestClient(
            pages,
            base_url="http://testserver",
            cookies={SESSION_COOKIE: token},
            headers={"sec-fetch-site": "same-origin"},
        )
        yield plant, client, stream


def form(stream: Stream, **given: str) -> dict[str, str]:
    usual = {"name": "Orders", "measure": json.dumps([stream.id, "count()"]), "aim": "at_least", "target": "2,900"}
    return usual | {"repeat": "month", "first": "", "last": "", "warn_below": "50"} | given


def test_a_goal_is_added_drawn_changed_deleted_and_brought_back(shop: tuple[Plant, TestClient, Stream]) -> None:
    plant, client, stream = shop
    page = client.post("/goals", data=form(stream, name="Orders of November")).text
    assert "Orders of November" in page
    assert "On today&#39;s pace you land at 3,0" in page
    assert "at least 2,900 in November 2026" in page
    assert 'class="goal-band"' in page
    assert re.search(r'class="goal-scale[^>]*><span>3[.,\d]+ ?k?</span><span>0</span>', page)
    assert "target 2,900" in page
    (goal,) = plant.services.goals.list(plant.workspace_id)
    assert "warn_below" in client.get(f"/goals/{goal.id}").text
    client.post(f"/goals/{goal.id}", data=form(stream, name="Orders of November", target="9000"))
    page = client.get("/goals").text
    assert "At risk" in page
    (warning,) = [one for one in plant.incidents() if one.kind == "goal"]
    assert f"/incidents/{warning.number}" in page
    incident = client.get(f"/incidents/{warning.number}").text
    assert "Target" in incident
    assert "9,000" in incident
    page = client.post(f"/goals/{goal.id}/delete").text
    assert "The goal was deleted." in page
    page = client.post(f"/goals/{goal.id}/restore").text
    assert "Orders of November” is back" in page or "Orders of November" in page
    plant.services.goals.delete(plant.workspace_id, goal.id, NOW)


def test_the_preview_says_where_it_lands_and_keeps_nothing(shop: tuple[Plant, TestClient, Stream]) -> None:
    plant, client, stream = shop
    before = plant.services.goals.list(plant.workspace_id)
    part = client.post("/goals/preview", data=form(stream, name="")).text
    assert "On today&#39;s pace you land at 3,0" in part
    assert "likely to reach the target" in part
    assert plant.services.goals.list(plant.workspace_id) == before


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Name the goal."),
        ("measure", "", "Choose what is to be reached."),
        ("target", "many", "Write it as"),
        ("target", "-5", "is more than 0"),
        ("warn_below", "0", "between 0.01 and 0.95"),
        ("slice_value", "DE", "Give both, or neither."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    shop: tuple[Plant, TestClient, Stream], field: str, value: str, said: str
) -> None:
    plant, client, stream = shop
    answer = client.post("/goals", data=form(stream, **{field: value}))
    assert answer.status_code == 422
    assert said in answer.text
    assert f'id="{field}-error"' in answer.text
    assert plant.services.goals.list(plant.workspace_id) == []


def test_a_goal_from_day_to_day_needs_its_days(shop: tuple[Plant, TestClient, Stream]) -> None:
    _, client, stream = shop
    answer = client.post("/goals", data=form(stream, repeat="once"))
    assert (answer.status_code, "days such as 2026-11-01" in answer.text) == (422, True)


def test_who_only_reads_sees_goals_and_changes_none(shop: tuple[Plant, TestClient, Stream]) -> None:
    plant, client, stream = shop
    accounts = plant.services.accounts
    accounts.create_person(plant.workspace_id, "vi@shop.example", "Vi", PASSWORD, Role.VIEWER, NOW)
    token = accounts.sign_in("vi@shop.example", PASSWORD, address="", user_agent="", now=NOW)
    viewer = TestClient(
        client.app,
        base_url="http://testserver",
        cookies={SESSION_COOKIE: token},
        headers={"sec-fetch-site": "same-origin"},
    )
    assert viewer.get("/goals").status_code == 200
    assert viewer.post("/goals", data=form(stream)).status_code == 403
