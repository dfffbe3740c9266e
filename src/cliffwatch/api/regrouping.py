"""Incidents put together and taken apart by hand, their share links, and their export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from cliffwatch.api.auth import Editor, Reader, in_a_name
from cliffwatch.api.changes import note
from cliffwatch.api.incidents import IncidentDetail, detail
from cliffwatch.api.shapes import MAX_ID, Body, Id, Moment, Shown, Text
from cliffwatch.incidents import Move, Share
from cliffwatch.incidents.markdown import file_name
from cliffwatch.incidents.shares import MAX_DAYS
from cliffwatch.pipeline.export import incident_markdown

if TYPE_CHECKING:
    from cliffwatch.services import Services

Number = Annotated[int, Field(ge=1, le=MAX_ID)]


class Merge(Body):
    """The incident that this one is part of."""

    into: Annotated[Number, Field(examples=[2])]


class Split(Body):
    """What becomes an incident of its own. The rest of each anomaly's series comes along."""

    anomaly_ids: Annotated[list[Number], Field(min_length=1, max_length=1000, examples=[[1]])]


class MoveShown(Shown):
    """A merge or a split by hand."""

    id: int
    kind: Annotated[str, Field(description="`merge` or `split`.")]
    came: Annotated[bool, Field(description="Whether anomalies came to this incident, or left it.")]
    other: Annotated[int, Field(description="Number of the incident at the other end.")]
    person: str | None
    at: Annotated[Moment, Field(validation_alias="at_ms")]
    undone_at: Annotated[Moment | None, Field(validation_alias="undone_ms")]


class ShareGiven(Body):
    """Whom a link is for, and how long it works."""

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 7
    note: Annotated[Text, Field(max_length=120, examples=["Payment provider"])] = ""


class ShareShown(Shown):
    """A link by which anybody may read one incident. Its address is given once, when it is made."""

    id: int
    note: str
    created_by: str | None
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]
    expires_at: Annotated[Moment, Field(validation_alias="expires_ms")]
    revoked_at: Annotated[Moment | None, Field(validation_alias="revoked_ms")]
    opened_count: int


class ShareMade(ShareShown):
    """A new link."""

    url: Annotated[str, Field(description="Shown only this once: it is not kept in readable form.")]


class MoveList(Shown):
    """Merges and splits, the newest first."""

    data: list[MoveShown]


class ShareList(Shown):
    """Share links, the newest first."""

    data: list[ShareShown]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/incidents/{number}", tags=["Incidents"])
    add_moves(routes, services)
    add_shares(routes, services)

    @routes.get("/export", summary="An incident as Markdown", response_class=PlainTextResponse)
    def export_incident(who: Reader, number: Id) -> Response:
        """The whole story as a document: figures, why, what else moved, and what was done."""
        incident = services.incidents.get(who.workspace.id, number)
        url = f"{services.settings.effective_base_url.rstrip('/')}/incidents/{number}"
        zone, now = ZoneInfo(who.workspace.time_zone), services.clock()
        text = incident_markdown(services.incidents, services.around.look(incident), incident, zone, now, url)
        named = {"content-disposition": f'attachment; filename="{file_name(incident)}"'}
        return Response(text, media_type="text/markdown; charset=utf-8", headers=named)

    return routes


def add_moves(routes: APIRouter, services: Services) -> None:
    @routes.post("/merge", summary="Make an incident part of another one")
    def merge_incident(who: Editor, request: Request, number: Id, given: Merge) -> IncidentDetail:
        """Answers with the surviving incident. What comes later of either joins it; messages keep their threads."""
        person, now = in_a_name(who), services.clock()
        with services.database.write() as session:
            steps = services.moves.merge(session, who.workspace.id, number, given.into, person, now)
            services.outbox.enqueue(session, steps, now)
        note(services, request, who, "incident.merge", f"incident:{number}", {"into": given.into})
        return detail(services, services.incidents.get(who.workspace.id, given.into))

    @routes.post("/split", summary="Take anomalies out into an incident of their own", status_code=201)
    def split_incident(who: Editor, request: Request, number: Id, given: Split) -> IncidentDetail:
        """Answers with the new incident."""
        person, now = in_a_name(who), services.clock()
        with services.database.write() as session:
            new, steps = services.moves.split(session, who.workspace.id, number, given.anomaly_ids, person, now)
            services.outbox.enqueue(session, steps, now)
        note(services, request, who, "incident.split", f"incident:{number}", {"new": new.number})
        return detail(services, new)

    @routes.get("/moves", summary="What was merged into an incident, or split off, by hand")
    def list_moves(who: Reader, number: Id) -> MoveList:
        found: list[Move] = services.moves.of(services.incidents.get(who.workspace.id, number))
        return MoveList(data=[MoveShown.model_validate(one) for one in found])

    @routes.post("/moves/{move_id}/undo", summary="Take a merge or a split back")
    def undo_move(who: Editor, request: Request, number: Id, move_id: Id) -> IncidentDetail:
        person, now = in_a_name(who), services.clock()
        services.incidents.get(who.workspace.id, number)
        with services.database.write() as session:
            steps = services.moves.undo(session, who.workspace.id, move_id, person, now)
            services.outbox.enqueue(session, steps, now)
        note(services, request, who, "incident.undo_move", f"incident:{number}", {"move": move_id})
        return detail(services, services.incidents.get(who.workspace.id, number))


def add_shares(routes: APIRouter, services: Services) -> None:
    @routes.get("/shares", summary="Links by which anybody may read an incident")
    def list_shares(who: Editor, number: Id) -> ShareList:
        found: list[Share] = services.shares.list(who.workspace.id, number)
        return ShareList(data=[ShareShown.model_validate(one) for one in found])

    @routes.post("/shares", summary="Make a link by which anybody may read an incident", status_code=201)
    def create_share(who: Editor, request: Request, number: Id, given: ShareGiven) -> ShareMade:
        made, token = services.shares.create(
            who.workspace.id,
            number,
            days=given.days,
            note=given.note,
            person_id=who.person.id if who.person else None,
            now=services.clock(),
        )
        note(services, request, who, "share.create", f"incident:{number}", {"share": made.id})
        url = f"{services.settings.effective_base_url.rstrip('/')}/shared/{token}"
        shown = ShareShown.model_validate(made)
        return ShareMade.model_construct(**{name: getattr(shown, name) for name in ShareShown.model_fields}, url=url)

    @routes.delete("/shares/{share_id}", summary="Revoke a share link", status_code=204)
    def revoke_share(who: Editor, request: Request, number: Id, share_id: Id) -> None:
        services.shares.revoke(who.workspace.id, number, share_id, services.clock())
        note(services, request, who, "share.revoke", f"incident:{number}", {"share": share_id})
