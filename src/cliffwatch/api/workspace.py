"""The workspace that the token belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from cliffwatch.accounts import Workspace
from cliffwatch.api.auth import Admin, Reader, address_of
from cliffwatch.api.shapes import Body, Moment, Name, Shown, Text

if TYPE_CHECKING:
    from cliffwatch.services import Services

TimeZone = Annotated[Text | None, Field(max_length=64, description="An IANA time zone.", examples=["Europe/Berlin"])]
Country = Annotated[
    Text | None,
    Field(max_length=2, description="ISO 3166-1 alpha-2: whose holidays are expected; null for none.", examples=["DE"]),
]


class WorkspaceShown(Shown):
    """The tenant: people, sources, streams and incidents belong to one."""

    id: Annotated[int, Field(examples=[1])]
    name: Annotated[str, Field(examples=["Acme"])]
    slug: Annotated[str, Field(examples=["acme"])]
    time_zone: Annotated[str, Field(examples=["Europe/Berlin"])]
    country: Annotated[str | None, Field(examples=["DE"])]
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]


class WorkspaceChange(Body):
    """What to change; what is left out stays."""

    name: Annotated[Name | None, Field(examples=["Acme"])] = None
    time_zone: TimeZone = None
    country: Country = None


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Workspace"])

    @routes.get("/workspace", summary="The workspace of this token")
    def get_workspace(who: Reader) -> WorkspaceShown:
        return shown(services.accounts.workspace(who.workspace.id))

    @routes.patch("/workspace", summary="Change the workspace")
    def update_workspace(who: Admin, request: Request, change: WorkspaceChange) -> WorkspaceShown:
        """Changing the time zone or the country changes what is expected from the next run on."""
        there = services.accounts.workspace(who.workspace.id)
        changed = services.accounts.update_workspace(
            there.id,
            name=there.name if change.name is None else change.name,
            time_zone=there.time_zone if change.time_zone is None else change.time_zone,
            country=change.country if "country" in change.model_fields_set else there.country,
            now=services.clock(),
            actor=who.label,
            address=address_of(request),
        )
        return shown(changed)

    return routes


def shown(workspace: Workspace) -> WorkspaceShown:
    return WorkspaceShown.model_validate(workspace)
