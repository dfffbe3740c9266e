"""Requests that nobody thought of, made from the OpenAPI document by schemathesis, as a person of each role."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import hypothesis
import pytest
import requests
import schemathesis
import uvicorn
from schemathesis.checks import not_a_server_error
from tests.api.conftest import PASSWORD, T0, World
from tests.api.test_api_rules import DOCUMENT

from cliffwatch.accounts import Role, Scope
from cliffwatch.api.problems import MEDIA_TYPE

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
BOUNDED = hypothesis.settings(
    max_examples=2,  # times four people
    deadline=None,
    derandomize=True,  # the same requests each time
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@pytest.fixture(scope="module")
def address(shared: World) -> Iterator[str]:
    """The API on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(shared.client.app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def tokens(shared: World) -> dict[Role, str]:
    """One person of each role, each with a token that may all that they may."""
    accounts, found = shared.services.accounts, {}
    for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER):
        person = accounts.create_person(shared.home.id, f"{role.value}@roles.example", role.value, PASSWORD, role, T0)
        _, found[role] = accounts.create_token(
            shared.home.id, person.id, role.value, Scope.ADMIN, expires_ms=None, now=T0
        )
    return found


@SCHEMA.exclude(method="DELETE").parametrize()
@BOUNDED
def test_no_request_of_any_role_breaks_the_server(
    shared: World, tokens: dict[Role, str], address: str, session: requests.Session, case: schemathesis.Case
) -> None:
    send(shared, tokens, address, session, case)


# What is deleted cannot be asked for any more, so that comes last.
@SCHEMA.include(method="DELETE").parametrize()
@BOUNDED
def test_no_deletion_of_any_role_breaks_the_server(
    shared: World, tokens: dict[Role, str], address: str, session: requests.Session, case: schemathesis.Case
) -> None:
    send(shared, tokens, address, session, case)


def send(
    world: World, tokens: dict[Role, str], address: str, session: requests.Session, case: schemathesis.Case
) -> None:
    """Ask as a person of each role, the owner last; about half of what has an id is asked of what is there."""
    ids = world.home.ids
    if len(str(case.path_parameters)) % 2:
        case.path_parameters.update({name: ids[name] for name in case.path_parameters})
    for token in tokens.values():
        world.clock.now += 2_000
        answer = case.call(base_url=address, session=session, headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, checks=[not_a_server_error])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == [MEDIA_TYPE], answer.text
