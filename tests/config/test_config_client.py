"""The Python client: its operations are those of the OpenAPI document, and it tells what the server says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.api.conftest import World
from tests.config.conftest import client_of

from cliffwatch.client import ApiError, Client

ROOT = Path(__file__).parent.parent.parent


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("make_client", ROOT / "tools/make_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_client_has_exactly_the_operations_of_the_document() -> None:
    """`python tools/make_client.py` brings it up to date."""
    make = tool()
    wanted = {name: make.formatted(text) for name, text in make.generated(make.document()).items()}
    assert {path.name: path.read_text() for path in make.FOLDER.glob("api_*.py")} == wanted


def test_lists_are_read_to_their_end_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliffwatch.client.transport.PAGE", 2)
    client = client_of(world)
    for number in range(5):
        client.create_channel({"kind": "email", "name": f"Mail {number}", "settings": {"to": ["a@example.com"]}})
    names = [channel["name"] for channel in client.list_channels()]
    assert names[-5:] == [f"Mail {number}" for number in range(5)]
    assert len(names) == len(set(names))


def test_a_refusal_is_an_error_in_the_servers_words(world: World) -> None:
    with pytest.raises(ApiError, match="does not exist in this workspace") as caught:
        client_of(world).get_stream(999)
    assert caught.value.status == 404


def test_what_is_no_cliffwatch_is_told_as_such() -> None:
    answers = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>"))
    with pytest.raises(ApiError, match="Is it the address of a Cliffwatch server"):
        Client("http://x", "cw_x", client=httpx2.Client(transport=answers)).get_workspace()


def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    with Client("http://127.0.0.1:9", "cw_x") as client, pytest.raises(ApiError, match=r"127\.0\.0\.1:9"):
        client.get_workspace()


def test_it_waits_as_long_as_the_server_asks_and_then_goes_on() -> None:
    waits: list[float] = []
    answers = iter([httpx2.Response(429, headers={"retry-after": "7"}, json={}), httpx2.Response(503, json={}), None])
    transport = httpx2.MockTransport(lambda _: next(answers) or httpx2.Response(200, json={"name": "Acme"}))
    client = Client("http://x", "cw_x", client=httpx2.Client(transport=transport), sleep=waits.append)
    assert client.get_workspace() == {"name": "Acme"}
    assert waits == [7.0, 2.0]
