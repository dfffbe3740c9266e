"""Who may see and do what on the pages: every route, for every role, taken from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient
from tests.owners import set_up_owner
from tests.web.conftest import NOW, PASSWORD, House, running

from cliffwatch.accounts import Permission, Role
from cliffwatch.web.app import create_pages, rules
from cliffwatch.web.visit import Reading

RULES = rules(create_pages(SimpleNamespace()))  # type: ignore[arg-type] # routes are made without services
NEEDED = sorted((method, path, needed) for (method, path), needed in RULES.items() if needed and method != "HEAD")
NOBODY = "999999999"  # an id that nothing has: what is allowed answers 404 and changes nothing
LEAVING = "/settings/members/leave"
ENDLESS = "/sources/{source_id}/events/stream"


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Role | None, TestClient]]:
    """One signed-in browser per role, and one of nobody."""
    with running(tmp_path_factory.mktemp("rules")) as house:
        owner = set_up_owner(house.services.accounts, NOW, email=email_of(Role.OWNER), password=PASSWORD)
        for role in (Role.ADMIN, Role.EDITOR, Role.VIEWER):
            house.services.accounts.create_person(owner.workspace.id, email_of(role), role.value, PASSWORD, role, NOW)
        yield {None: house.client(None), **{role: house.client(email_of(role)) for role in Role}}


def email_of(role: Role) -> str:
    return f"{role.value}@rules.example"


def nowhere(path: str) -> str:
    return re.sub(r"\{\w+\}", NOBODY, path)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("method", "path", "needed"), [one for one in NEEDED if one[1] not in (LEAVING, "/sign-out", ENDLESS)]
)
def test_each_role_may_exactly_what_each_page_needs(
    clients: dict[Role | None, TestClient], method: str, path: str, needed: Permission, role: Role
) -> None:
    answer = clients[role].request(method, nowhere(path))
    refused = answer.status_code == 403 and "You may not do this" in answer.text
    assert refused is not role.may(needed)
    assert answer.status_code < 500


@pytest.mark.parametrize(("method", "path", "needed"), NEEDED)
def test_nothing_answers_who_is_not_signed_in(
    clients: dict[Role | None, TestClient], method: str, path: str, needed: Permission
) -> None:
    answer = clients[None].request(method, nowhere(path))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")


def test_a_page_without_a_rule_stops_the_server_from_starting() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()

    @router.get("/forgotten")
    def forgotten() -> None: ...

    app.include_router(router)
    with pytest.raises(TypeError, match="/forgotten must ask for a visit"):
        rules(app)


def test_a_public_page_that_asks_for_a_visit_stops_it_too() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/sign-in")
    def torn(visit: Reading) -> None: ...

    with pytest.raises(TypeError, match="/sign-in must"):
        rules(app)


def test_everybody_but_the_last_owner_may_leave(tmp_path: Path) -> None:
    with running(tmp_path) as house:
        furnished(house)
        assert house.client("kim@leave.example").post(LEAVING).status_code == 303
        assert house.client("robin@leave.example").post(LEAVING).status_code == 409
        assert [one.person.name for one in house.services.accounts.members(1)] == ["Robin"]


def furnished(house: House) -> None:
    accounts = house.services.accounts
    set_up_owner(accounts, NOW, email="robin@leave.example", password=PASSWORD)
    accounts.create_person(1, "kim@leave.example", "Kim", PASSWORD, Role.VIEWER, NOW)
