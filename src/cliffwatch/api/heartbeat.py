"""What is watched, when the last run was, and whether Cliffwatch itself does its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import Field

from cliffwatch.api.auth import Reader
from cliffwatch.api.shapes import Moment, Shown

if TYPE_CHECKING:
    from cliffwatch.services import Services


class OutageShown(Shown):
    """A time in which a part of Cliffwatch did not do its work."""

    kind: Annotated[str, Field(description="`runs_late`, `worker`, `store`, `channel` or `stopped`.")]
    text: str
    began_at: Moment
    ended_at: Annotated[Moment | None, Field(description="Null while it lasts.")]


class HeartbeatShown(Shown):
    """What is watched as of the newest runs."""

    healthy: Annotated[bool, Field(description="False while something stands still.")]
    streams: Annotated[int, Field(description="Active data streams.", examples=[12])]
    series: Annotated[int, Field(description="Series that their newest runs measured.", examples=[340])]
    last_run_at: Moment | None
    next_run_at: Moment | None
    outages: Annotated[list[OutageShown], Field(description="Those that last, then the newest.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Workspace"])

    @routes.get("/heartbeat", summary="What is watched, and whether all of it is")
    def get_heartbeat(who: Reader) -> HeartbeatShown:
        watching = services.watcher.watching(who.workspace.id)
        outages = services.watcher.outages(who.workspace.id)
        return HeartbeatShown(
            healthy=all(one.ended_ms is not None for one in outages),
            streams=watching.streams,
            series=watching.series,
            last_run_at=watching.last_run_ms,
            next_run_at=watching.next_run_ms,
            outages=[
                OutageShown(kind=one.kind.value, text=one.text, began_at=one.began_ms, ended_at=one.ended_ms)
                for one in outages
            ],
        )

    return routes
