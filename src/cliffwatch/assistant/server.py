"""The tools that an assistant gets. Their descriptions are what it reads to choose among them."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from cliffwatch.client import ApiError, Client

INSTRUCTIONS = """\
Cliffwatch watches a company's metrics: data streams of events, cut by dimensions into series, each with a forecast.
Surprises are incidents with a root cause. Begin with list_incidents for what is wrong now, get_incident for one of them
with its cause and what happened around it, and explain_period for why any stretch of a metric differs from what was
expected. Times are ISO 8601 in UTC. Quote figures as they are; say so when nothing was found."""

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
MOST = 50

StreamId = Annotated[int, Field(ge=1, description="Id of a data stream, from list_streams.")]
Slice = Annotated[
    dict[str, str] | None,
    Field(description='Which slice, e.g. {"properties.country": "DE"}; leave it out for the total.'),
]
Measure = Annotated[str | None, Field(description="A measure's key from list_streams; the stream's first if left out.")]
Time = Annotated[str, Field(description="ISO 8601 with a time zone, e.g. 2026-11-23T09:00:00Z.")]


def create_server(client: Client) -> MCPServer:
    """The server, which asks through `client`. What the API refuses is told to the assistant in its own words."""
    server = MCPServer("cliffwatch", title="Cliffwatch", instructions=INSTRUCTIONS, version=version("cliffwatch"))

    @server.tool(title="What is wrong", annotations=READS)
    def list_incidents(
        state: Annotated[
            Literal["going on", "all"], Field(description="Only incidents that go on, or also those that are over.")
        ] = "going on",
        most: Annotated[int, Field(ge=1, le=MOST)] = 20,
    ) -> dict[str, Any]:
        """Incidents, the newest first: what changed in one sentence, its cause, its size, since when, who has it."""
        with refusals():
            states = ["open", "acknowledged", "snoozed"] if state == "going on" else None
            found = first(client.list_incidents(state=states), most)
        return {"incidents": [brief(one) for one in found], "there_are_more": len(found) == most}

    @server.tool(title="One incident, and why", annotations=READS)
    def get_incident(
        number: Annotated[int, Field(ge=1, description="The incident's number, from list_incidents.")],
    ) -> dict[str, Any]:
        """An incident with its root cause (slices and their share of the change), whether tracking broke or business
        fell with the evidence, and what happened near it: other metrics, releases, campaigns, the source's health."""
        with refusals():
            return {"incident": client.get_incident(number), "around": client.look_around(number)}

    @server.tool(title="What is watched", annotations=READS)
    def list_streams() -> dict[str, Any]:
        """The data streams: which events each measures, its measures with their keys, dimensions, and how often."""
        with refusals():
            return {"streams": list(client.list_streams())}

    @server.tool(title="The series of a stream", annotations=READS)
    def list_series(stream_id: StreamId) -> dict[str, Any]:
        """Every series of a stream (measure and slice) with its newest actual and expected value."""
        with refusals():
            return client.list_series(stream_id)

    @server.tool(title="Points of a series", annotations=READS)
    def get_points(
        stream_id: StreamId, start: Time, end: Time, measure: Measure = None, within: Slice = None
    ) -> dict[str, Any]:
        """One series over time: actual, expected, usual range and score of each window, and which were anomalies."""
        with refusals():
            return client.get_points(stream_id, measure=measure, slice_=cut(within), start=start, end=end)

    @server.tool(title="Why a period differs", annotations=READS)
    def explain_period(
        stream_id: StreamId, start: Time, end: Time, measure: Measure = None, within: Slice = None
    ) -> dict[str, Any]:
        """The root cause of any stretch of a metric: the few slices that explain the change against the same hours of
        earlier weeks, each with actual, expected and its share, and one plain sentence."""
        with refusals():
            return client.explain_window(stream_id, start=start, end=end, measure=measure, slice_=cut(within))

    @server.tool(title="What people did", annotations=READS)
    def list_own_events(most: Annotated[int, Field(ge=1, le=MOST)] = 20) -> dict[str, Any]:
        """Releases, campaigns, flags and outages that people wrote down."""
        with refusals():
            return {"own_events": first(client.list_annotations(), most)}

    return server


class refusals:  # noqa: N801 # reads as a word in `with refusals():`
    """Turns what the API refuses into what the assistant is told."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            raise ToolError(str(error)) from error


def first(found: Any, most: int) -> list[dict[str, Any]]:
    return [one for one, _ in zip(found, range(most), strict=False)]


def cut(slice_: dict[str, str] | None) -> str | None:
    """A slice as the API takes it."""
    return json.dumps(slice_) if slice_ else None


def brief(incident: dict[str, Any]) -> dict[str, Any]:
    """What a list needs of an incident."""
    keys = ("number", "state", "headline", "cause", "stream_name", "measure_name", "unit", "actual", "expected")
    return {key: incident[key] for key in (*keys, "impact", "started_at", "ended_at", "acknowledged_by")}
