"""Requests that nobody thought of, made from the OpenAPI document by schemathesis."""

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
from tests.api.conftest import World
from tests.api.test_api_rules import DOCUMENT

from cliffwatch.api.problems import MEDIA_TYPE

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
BOUNDED = hypothesis.settings(
    max_examples=5,
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


FEW = hypothesis.settings(BOUNDED, max_examples=2)


@pytest.mark.parametrize("scope", ["read", "write"])
@SCHEMA.parametrize()
@FEW
def test_no_request_of_a_lesser_scope_breaks_the_server(
    shared: World, address: str, session: requests.Session, case: schemathesis.Case, scope: str
) -> None:
    send(shared, address, session, case, scope)


@SCHEMA.exclude(method="DELETE").parametrize()
@BOUNDED
def test_no_request_breaks_the_server(
    shared: World, address: str, session: requests.Session, case: schemathesis.Case
) -> None:
    send(shared, address, session, case)


# What is deleted cannot be asked for any more, so that comes last.
@SCHEMA.include(method="DELETE").parametrize()
@BOUNDED
def test_no_deletion_breaks_the_server(
    shared: World, address: str, session: requests.Session, case: schemathesis.Case
) -> None:
    send(shared, address, session, case)


def send(world: World, address: str, session: requests.Session, case: schemathesis.Case, scope: str = "admin") -> None:
    """Ask with a token of the scope; about half of what has an id is asked of what is there."""
    ids = world.home.ids
    if len(str(case.path_parameters)) % 2:
        case.path_parameters.update({name: ids[name] for name in case.path_parameters})
    world.clock.now += 2_000
    headers = {"Authorization": f"Bearer {world.home.tokens[scope]}"}
    answer = case.call(base_url=address, session=session, headers=headers)
    case.validate_response(answer, checks=[not_a_server_error])
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == [MEDIA_TYPE], answer.text
