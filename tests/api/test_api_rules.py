"""Who may do what: every operation, for every scope, taken from the routes themselves."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from tests.api.conftest import World, session_of

from cliffwatch.accounts import Permission, Role, Scope
from cliffwatch.api import create_api
from cliffwatch.api.app import rules
from cliffwatch.api.auth import Editor, Reader

ROOT = Path(__file__).parents[2]
NOBODY = 999_999_999  # an id that nothing has: what is allowed answers 404 and changes nothing

# The document needs no services; the steps of incidents are looked up when routes are made.
_STEPS = dict.fromkeys(("acknowledge", "resolve", "false_alarm", "expected", "reopen"))
DOCUMENT: dict[str, Any] = create_api(SimpleNamespace(incidents=SimpleNamespace(**_STEPS))).openapi()  # type: ignore[arg-type]
OPERATIONS = [
    (method.upper(), path, Permission(operation["x-permission"]))
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


def nowhere(path: str) -> str:
    return re.sub(r"\{\w+\}", str(NOBODY), path)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(("method", "path", "permission"), OPERATIONS)
def test_each_scope_may_exactly_what_each_operation_needs(
    shared: World, method: str, path: str, permission: Permission, scope: Scope
) -> None:
    answer = shared.ask(method, nowhere(path), shared.home.tokens[scope.value], json={} if method != "GET" else None)
    if scope.role.may(permission):
        assert answer.status_code in (200, 201, 404, 422)
    else:
        assert answer.status_code == 403
        assert "needs the role" in answer.json()["detail"]


@pytest.mark.parametrize("token", ["", "cw_wrong", "cw_" + "x" * 51])
@pytest.mark.parametrize(("method", "path"), [operation[:2] for operation in OPERATIONS])
def test_nothing_answers_without_a_valid_token(shared: World, method: str, path: str, token: str) -> None:
    shared.clock.now += 2_000  # strangers may ask once a second
    answer = shared.ask(method, nowhere(path), token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.fixture(scope="module")
def cookie(shared: World) -> dict[str, str]:
    return session_of(shared)


@pytest.mark.parametrize(("method", "path", "permission"), OPERATIONS)
def test_the_cookie_of_the_pages_reads_and_never_changes(
    shared: World, cookie: dict[str, str], method: str, path: str, permission: Permission
) -> None:
    shared.clock.now += 2_000
    answer = shared.ask(method, nowhere(path), "", headers=cookie)
    assert answer.status_code in ((200, 404, 422) if method == "GET" else (401,))


def test_a_wrong_token_is_not_made_good_by_a_cookie(shared: World, cookie: dict[str, str]) -> None:
    assert shared.ask("GET", "/streams", "cw_wrong", headers=cookie).status_code == 401


@pytest.mark.parametrize("role", Role)
def test_a_token_of_a_person_may_no_more_than_the_person(world: World, role: Role) -> None:
    accounts, home = world.services.accounts, world.home.id
    person = accounts.create_person(home, "ada@shop.example", "Ada", "nine quiet lanterns", role, world.clock())
    _, token = accounts.create_token(home, person.id, "mine", Scope.ADMIN, expires_ms=None, now=world.clock())
    assert (world.ask("GET", "/channels", token).status_code == 200) == role.may(Permission.ADMIN)
    assert (world.ask("POST", f"/streams/{world.home.stream.id}/pause", token).status_code == 200) == role.may(
        Permission.EDIT
    )


def test_a_route_without_a_rule_stops_the_api_from_starting() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/forgotten")
    def forgotten() -> None: ...

    with pytest.raises(TypeError, match="/forgotten must name exactly one permission"):
        rules(app)


def test_a_route_with_two_rules_stops_the_api_from_starting() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/torn")
    def torn(reader: Reader, editor: Editor) -> None: ...

    with pytest.raises(TypeError, match="/torn must name exactly one permission"):
        rules(app)


def test_a_token_that_belongs_to_nobody_takes_no_step_in_an_incident(world: World) -> None:
    _, token = world.services.accounts.create_token(
        world.home.id, None, "ci", Scope.WRITE, expires_ms=None, now=world.clock()
    )
    answer = world.ask("POST", f"/incidents/{world.home.incident}/acknowledge", token)
    assert answer.status_code == 403
    assert "belongs to none" in answer.json()["detail"]


def test_each_operation_and_its_scope_are_documented_and_no_other() -> None:
    text = (ROOT / "docs/api.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z]+) (/\S*)` \| (\w+) \| (.+) \|$", text, re.M))
    scopes = {
        permission: next(scope for scope in Scope if scope.role.may(permission)) for permission in list(Permission)[:3]
    }
    there = {
        (method, path, scopes[permission].value, DOCUMENT["paths"][path][method.lower()]["summary"])
        for method, path, permission in OPERATIONS
    }
    assert documented == there
