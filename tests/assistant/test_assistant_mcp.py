"""The MCP server, asked by the protocol's own client over standard input and output of a real process."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from mcp import ClientSession, StdioServerParameters, stdio_client
from tests.api.conftest import World, migrated, shared

__all__ = ["migrated", "shared"]

TOOLS = {
    "list_incidents",
    "get_incident",
    "list_streams",
    "list_series",
    "get_points",
    "explain_period",
    "list_own_events",
}


@contextmanager
def serving(world: World) -> Iterator[str]:
    """The installation of the test on a free port of loopback."""
    server = uvicorn.Server(uvicorn.Config(world.client.app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def address(shared: World) -> Iterator[str]:
    with serving(shared) as found:
        yield found


def asked(address: str, token: str, *calls: tuple[str, dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The tools of the server, and the answer to each call."""

    async def talk() -> tuple[list[Any], list[Any]]:
        environment = {**os.environ, "CLIFFWATCH_URL": address, "CLIFFWATCH_TOKEN": token}
        command = StdioServerParameters(
            command=sys.executable, args=["-c", "from cliffwatch.cli import main; main()", "mcp"], env=environment
        )
        async with stdio_client(command) as (reads, writes), ClientSession(reads, writes) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(talk)


def value_of(answer: Any) -> Any:
    assert not answer.is_error, answer.content[0].text
    return json.loads(answer.content[0].text)


def test_every_tool_only_reads_and_says_what_it_is_for(address: str, shared: World) -> None:
    tools, _ = asked(address, shared.home.tokens["read"])
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint and len(tool.description) > 40 for tool in tools)


def test_an_assistant_asks_what_changed_and_why_with_a_token_that_reads(address: str, shared: World) -> None:
    stream = shared.home.stream.id
    period = {"stream_id": stream, "start": "2026-11-29T10:00:00Z", "end": "2026-11-29T12:00:00Z"}
    _, answers = asked(
        address,
        shared.home.tokens["read"],
        ("list_incidents", {"state": "all"}),
        ("get_incident", {"number": shared.home.incident}),
        ("list_streams", {}),
        ("get_points", period),
        ("explain_period", period),
    )
    incidents, incident, streams, points, why = (value_of(answer) for answer in answers)
    assert [one["number"] for one in incidents["incidents"]] == [shared.home.incident]
    assert incident["incident"]["headline"] == incidents["incidents"][0]["headline"]
    assert incident["around"]["near"] is not None
    assert [one["id"] for one in streams["streams"]] == [stream]
    assert points
    assert why["sentence"]


def test_what_the_server_refuses_is_told_in_its_words(address: str, shared: World) -> None:
    _, (unknown, other) = asked(
        address,
        shared.home.tokens["read"],
        ("get_incident", {"number": 999}),
        ("list_series", {"stream_id": shared.other.stream.id}),
    )
    for answer in (unknown, other):
        assert answer.is_error
        assert "does not exist in this workspace" in answer.content[0].text
