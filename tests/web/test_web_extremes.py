"""Numbers and times that nobody means, in addresses and in forms: refused, and no page is ever broken by them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import REVENUE
from tests.owners import set_up_owner
from tests.web.conftest import DEFINITION, NOW, PASSWORD, House, running
from tests.web.test_web_rules import ENDLESS, RULES

from cliffwatch.accounts import Role
from cliffwatch.streams import parse
from cliffwatch.web import formats

OWNER = "robin@extremes.example"
WITH_IDS = sorted(path for method, path in RULES if method == "GET" and "_id}" in path and path != ENDLESS)
LATE, EARLY = "9999-12-31T23:59", "0001-01-01T00:00"
DAY = "2026-12-01T08:00"
HUGE = "9" * 5_000
PAGES = ("/maintenance", "/annotations", "/escalation", "/settings/tokens", "/settings/apps", "/streams/1")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A workspace west of Greenwich, where the last day of the calendar is beyond it by UTC."""
    with running(tmp_path_factory.mktemp("extremes")) as house:
        services = house.services
        house.owner = set_up_owner(
            services.accounts, NOW, email=OWNER, password=PASSWORD, time_zone="America/Los_Angeles"
        )
        source = services.sources.create(1, "Shop", NOW)
        services.streams.create(1, source.id, "Revenue", parse(DEFINITION), NOW)
        shifts = {"first_day": "2026-11-23", "handover": "09:00", "shift_days": 7, "time_zone": "UTC"}
        services.routing.save_rotation(1, name="Primary", people=[1], now=NOW, **shifts)
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    return house.client(OWNER)


@pytest.mark.parametrize("path", WITH_IDS)
@pytest.mark.parametrize("number", ["18446744073709551616", "9" * 400])
def test_an_id_that_no_database_holds_is_not_found(client: TestClient, path: str, number: str) -> None:
    assert client.get(re.sub(r"\{\w+\}", number, path)).status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        f"/streams/1?at={10**18}",
        f"/streams/1?at=-{10**18}",
        f"/streams/1/why?at={10**17}",
        f"/streams/1/why?at=-{10**14}",
        f"/incidents?before={10**25}.1",
        "/incidents?before=²³.1",
        f"/audiences?deleted={10**25}",
        f"/sources/1?tab=settings&days={HUGE}",
        f"/streams/new?step=review&type=track&event=A&dimension=a&top={HUGE}",
        f"/streams/new?step=review&type=track&event=A&frequency={HUGE}",
        "/streams/new?step=schedule&type=track&event=A&anchor=²³:00",
    ],
)
def test_an_odd_number_in_an_address_breaks_no_page(client: TestClient, address: str) -> None:
    assert client.get(address).status_code < 500


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/maintenance", {"title": "Move", "start": DAY, "end": LATE}),
        ("/maintenance", {"title": "Move", "start": EARLY, "end": DAY}),
        ("/annotations", {"title": "Release", "kind": "release", "start": LATE}),
        ("/annotations", {"title": "Release", "kind": "release", "start": "0001-01-01T00:00+14:00"}),
        ("/streams/1/labels", {"start": EARLY, "end": "2026-11-01T00:00"}),
        ("/escalation/rotations/1/stand-in", {"person": "1", "from": DAY, "until": LATE}),
        (
            "/escalation/rotations",
            {
                "name": "Second",
                "person": "1",
                "first_day": "9999-12-31",
                "handover": "08:00",
                "shift_days": "7",
                "time_zone": "UTC",
            },
        ),
        ("/settings/tokens", {"name": "ci", "scope": "read", "days": "99999999999"}),
        ("/settings/tokens", {"name": "ci", "scope": "read", "days": "soon"}),
        ("/settings/tokens", {"name": "ci", "scope": "read", "days": "90", "person": "999"}),
        ("/settings/apps", {"name": "App", "redirects": "https://[::1"}),
    ],
)
def test_a_form_that_means_nothing_is_refused_and_every_page_still_opens(
    client: TestClient, path: str, form: dict[str, Any]
) -> None:
    answer = client.post(path, data=form)
    assert answer.status_code == 422 or "flash=bad" in answer.headers.get("set-cookie", "").replace('"', "")
    assert [client.get(page).status_code for page in PAGES] == [200] * len(PAGES)


def test_a_token_for_a_program_of_another_workspace_is_no_token_for_oneself(client: TestClient, house: House) -> None:
    accounts = house.services.accounts
    assert house.owner is not None
    assert house.owner.person is not None
    second = accounts.create_workspace(
        name="Bakery", time_zone="UTC", country=None, owner_id=house.owner.person.id, now=NOW
    )
    other = accounts.create_person(second.id, "ann@extremes.example", "Ann", PASSWORD, Role.OWNER, NOW)
    before = len(accounts.list_tokens(1))
    form = {"name": "ci", "scope": "admin", "days": "90", "person": str(other.id)}
    assert client.post("/settings/tokens", data=form).status_code == 422
    assert len(accounts.list_tokens(1)) == before


@pytest.mark.parametrize("ms", [-(10**18), -62_135_596_800_000, 253_402_300_799_999, 10**18])
def test_a_time_beyond_the_calendar_is_shown_as_its_end(ms: int) -> None:
    for zone in ("America/Los_Angeles", "Pacific/Kiritimati"):
        assert formats.moment(ms, formats.zone_of(zone), NOW).text


def test_a_goal_is_not_broken_by_the_ends_of_the_calendar(client: TestClient) -> None:
    goal = {
        "name": "Year",
        "measure": json.dumps([1, REVENUE]),
        "aim": "at_least",
        "target": "5000",
        "warn_below": "50",
        "repeat": "once",
        "first": "0001-01-01",
        "last": "9999-12-31",
    }
    assert client.post("/goals", data=goal).status_code == 422
    assert client.get("/goals").status_code == 200
