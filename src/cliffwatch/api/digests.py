"""Digests: when they leave, where to, and sending one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from cliffwatch.api.auth import Admin, Reader
from cliffwatch.api.changes import note
from cliffwatch.api.shapes import MAX_ID, Body, Shown
from cliffwatch.notify.digests import DigestKind

if TYPE_CHECKING:
    from cliffwatch.services import Services

ChannelIds = Annotated[
    list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None,
    Field(max_length=500, description="Channels that get them; null: every shared one that is no pager."),
]
Hour = Annotated[int, Field(ge=0, le=23, description="By the workspace's clock.", examples=[9])]
Weekday = Annotated[int, Field(ge=0, le=6, description="Of the weekly one, Monday is 0.", examples=[0])]


class DigestsShown(Shown):
    """When digests leave, and where to."""

    daily: bool
    weekly: bool
    weekday: Weekday
    hour: Hour
    channels: ChannelIds
    members: Annotated[bool, Field(description="Whether each member gets a mail of their own.")]
    unsubscribed: Annotated[list[str], Field(description="Addresses that want none, wherever they stand in channels.")]


class DigestsGiven(Body):
    """The whole of the settings; what is left out is as in a new workspace."""

    daily: bool = False
    weekly: bool = True
    weekday: Weekday = 0
    hour: Hour = 9
    channels: ChannelIds = None
    members: bool = False


class DigestToSend(Body):
    """Which digest."""

    kind: Annotated[Literal["daily", "weekly"], Field(examples=["daily"])]


class DigestSent(Shown):
    """What was sent off; the delivery log tells how it went."""

    messages: Annotated[int, Field(description="How many messages leave now.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Channels"])

    @routes.get("/digests", summary="When digests leave, and where to")
    def get_digests(who: Reader) -> DigestsShown:
        return shown(services, who.workspace.id)

    @routes.put("/digests", summary="Choose when digests leave, and where to")
    def put_digests(who: Admin, request: Request, given: DigestsGiven) -> DigestsShown:
        """What is over by now is not sent afterwards."""
        services.digests.save(who.workspace.id, given.model_dump(), services.clock())
        note(services, request, who, "digest.update", "digests", given.model_dump())
        return shown(services, who.workspace.id)

    @routes.post("/digests/send", status_code=202, summary="Send a digest now")
    def send_digest(who: Admin, request: Request, given: DigestToSend) -> DigestSent:
        """It tells of the last day or week until now."""
        messages = services.digests.send_now(who.workspace.id, DigestKind(given.kind), services.clock())
        note(services, request, who, "digest.send", "digests", given.model_dump())
        return DigestSent(messages=messages)

    return routes


def shown(services: Services, workspace_id: int) -> DigestsShown:
    settings = services.digests.settings(workspace_id)
    return DigestsShown(
        daily=settings.daily,
        weekly=settings.weekly,
        weekday=settings.weekday,
        hour=settings.hour,
        channels=list(settings.channels) if settings.channels is not None else None,
        members=settings.members,
        unsubscribed=services.digests.unsubscribed(workspace_id),
    )
