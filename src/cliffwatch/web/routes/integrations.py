"""The integrations library: search, start, name, connect, watch for the first event, disconnect."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from cliffwatch.accounts import Permission
from cliffwatch.connections import (
    Callback,
    Connection,
    Endpoints,
    Integration,
    Method,
    RemoteRefused,
    endpoints,
    integration,
    search,
)
from cliffwatch.connections.endpoints import OWN, REGIONS, US
from cliffwatch.connections.oauth.authorise import checked_name
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound, Unavailable
from cliffwatch.ingest import Quarantined, Source
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.routes.imports import connect_warehouse, import_parts
from cliffwatch.web.views import integrations as views
from cliffwatch.web.views.snippets import connect_snippets
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter()

LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class StartForm:
    """What the Start page was given."""

    name: str = ""
    method: str = ""
    region: str = OWN
    address: str = ""
    client_id: str = ""
    token_region: str = US
    token_address: str = ""
    place: str = ""
    schema: str = ""
    folder: str = ""

    @classmethod
    def of(cls, posted: Posted) -> StartForm:
        return cls(*(posted.text(field.name) for field in dataclasses.fields(cls)))


@router.get("/integrations")
def library(visit: Reading, q: str = "") -> Response:
    connections = visit.services.connections.store.list(visit.workspace_id)
    return visit.page(
        "integrations.html",
        query=q,
        cards=[views.card(found, connections) for found in search(q)],
        connections=[_line(visit, connection) for connection in connections],
    )


@router.get("/integrations/callback")
def callback(
    visit: Administering, state: str = "", code: str = "", error: str = "", error_description: str = "", iss: str = ""
) -> Response:
    """Where the other side sends the browser back to. What failed is told here, with the way out."""
    answer = Callback(state, code, error[:200], error_description[:300], iss)
    service = visit.services.connections.authorisations
    try:
        connection = service.finish(visit.workspace_id, visit.person.id, answer, f"{visit.address}/deliveries/direct")
    except CliffwatchError as failed:
        status = 503 if isinstance(failed, Unavailable) else 403
        return visit.page("not_connected.html", status, text=str(failed), denied=error == "access_denied")
    visit.audit(
        "connection.create", f"connection:{connection.id}", method=connection.method.value, name=connection.name
    )
    return see_other(f"/connections/{connection.id}", f"“{connection.name}” is connected.")


@router.get("/integrations/authorise/{authorisation_id}")
def leave(visit: Administering, authorisation_id: int) -> Response:
    """To the other side's page. Each time with a new state, so that going back and on again works."""
    service = visit.services.connections.authorisations
    return RedirectResponse(service.address(visit.workspace_id, visit.person.id, authorisation_id), 302)


@router.get("/integrations/{key}")
def start_page(visit: Reading, key: str) -> Response:
    found = integration(key)
    return _start(visit, found, StartForm(method=found.methods[0].value), {})


@router.post("/integrations/{key}")
def start(visit: Administering, key: str, posted: PostedForm) -> Response:
    """Connect, or send the browser to where it is allowed."""
    found, form = integration(key), StartForm.of(posted)
    method = next((one for one in found.methods if one.value == form.method), found.methods[0])
    try:
        if method is Method.AUTHORISE:
            return _authorise(visit, found, form, posted.raw("client_secret"))
        if method is Method.TOKEN:
            return _list_sources(visit, found, form, posted.raw("token"))
        connection = _connect(visit, found, method, form, posted.raw("url").strip())
    except (InvalidInput, Conflict) as error:
        field = _FIELDS.get(error.subject, "form")
        field = f"token_{field}" if method is Method.TOKEN and field == "address" else field
        return _start(visit, found, form, {field: said(error)}, 422)
    except (RemoteRefused, Unavailable) as error:
        return _start(visit, found, form, {"form": str(error)}, 502)
    visit.audit("connection.create", f"connection:{connection.id}", method=method.value, name=connection.name)
    return see_other(f"/connections/{connection.id}")


@router.post("/integrations/segment/source")
def choose_source(visit: Administering, posted: PostedForm) -> Response:
    """Make the destination on the source that was chosen from a token's list."""
    service = visit.services.connections
    kept, token = service.authorisations.token(visit.workspace_id, visit.person.id, posted.number("kept") or 0)
    try:
        connection = service.segment.connect(
            visit.workspace_id, kept.name, kept.endpoints, token, posted.text("source"), visit.address
        )
    except CliffwatchError as failed:
        return visit.page("not_connected.html", 502, text=str(failed), denied=False)
    service.authorisations.end(kept.id)
    visit.audit("connection.create", f"connection:{connection.id}", method="token", name=connection.name)
    return see_other(f"/connections/{connection.id}", f"“{connection.name}” is connected.")


@router.get("/connections/{connection_id}")
def connection_page(visit: Reading, connection_id: int) -> Response:
    connection = visit.services.connections.store.get(visit.workspace_id, connection_id)
    found = integration(connection.integration)
    snippets: Any = ()
    source = visit.services.sources.get(visit.workspace_id, connection.source_id)
    if connection.method is Method.WRITE_KEY and visit.identity.role.may(Permission.ADMIN):
        snippets = connect_snippets(source.write_key, visit.address, found.snippet)
    return visit.page(
        "connection.html",
        connection=connection,
        integration=found,
        source=source,
        snippets=snippets,
        arrival=_arrival(visit, connection, source),
        metrics=_metrics(visit, connection),
        max_upload_mb=visit.services.settings.max_upload_mb,
        **import_parts(visit, connection),
        method=views.METHODS[connection.method],
        **_progress(visit, connection),
    )


@router.get("/connections/{connection_id}/progress")
def progress(visit: Reading, connection_id: int) -> Response:
    connection = visit.services.connections.store.get(visit.workspace_id, connection_id)
    return visit.part(
        "parts/connection_progress.html",
        connection=connection,
        may_edit=visit.identity.role.may(Permission.EDIT),
        **_progress(visit, connection),
    )


@router.post("/connections/{connection_id}/disconnect")
def disconnect(visit: Administering, connection_id: int, posted: PostedForm) -> Response:
    """End it at both sides; when the other side cannot be asked, here alone if that is wanted."""
    service = visit.services.connections
    connection = service.store.get(visit.workspace_id, connection_id)
    try:
        if posted.text("anyway") == "yes":
            service.forget(connection)
        else:
            service.disconnect(connection)
    except CliffwatchError as error:
        service.store.note_error(connection.id, str(error))
        return see_other(f"/connections/{connection.id}?failed=yes", f"Not disconnected. {error}", tone="bad")
    visit.audit("connection.delete", f"connection:{connection_id}", name=connection.name)
    return see_other(
        "/integrations", f"“{connection.name}” is disconnected. What it measured stays, and its source is switched off."
    )


_FIELDS = {
    "Name": "name",
    "Source name": "name",
    "address": "address",
    "Client id": "client_id",
    "Client secret": "client_secret",
    "Public API token": "token",
    "Warehouse address": "url",
    "Folder": "folder",
}


def _connect(visit: Visit, found: Integration, method: Method, form: StartForm, secret: str) -> Connection:
    if method is Method.WRITE_KEY:
        return visit.services.connections.connect_sdk(visit.workspace_id, found, form.name)
    if method is Method.UPLOAD:
        return visit.services.connections.connect_import(visit.workspace_id, found, form.name, method, {})
    if method is Method.WAREHOUSE:
        return connect_warehouse(visit, found, form.name, form.place, form.folder, form.schema, secret)
    if method is Method.WEBHOOK:
        return visit.services.connections.segment.by_hand(visit.workspace_id, checked_name(form.name))
    raise NotFound(f"Method {method}", "is not one of this integration.")


def _list_sources(visit: Visit, found: Integration, form: StartForm, token: str) -> Response:
    where = endpoints(form.token_region, form.token_address)
    service = visit.services.connections
    checked_name(form.name)
    workspace = service.segment.sources(where, token)
    kept = service.authorisations.keep_token(visit.workspace_id, visit.person.id, found.key, form.name, where, token)
    return visit.page("segment_sources.html", kept=kept, workspace=workspace, label=where.label)


def _authorise(visit: Visit, found: Integration, form: StartForm, client_secret: str) -> Response:
    settings = visit.services.settings
    configured = bool(settings.segment_address) and not form.client_id
    where = endpoints(OWN, settings.segment_address) if configured else endpoints(form.region, form.address)
    authorisation = visit.services.connections.authorisations.start(
        visit.workspace_id,
        visit.person.id,
        found.key,
        form.name,
        where,
        client_id=settings.segment_client_id if configured else form.client_id,
        client_secret=settings.segment_client_secret if configured else client_secret,
        redirect_uri=_redirect_uri(visit),
    )
    return visit.page("leaving.html", to=f"/integrations/authorise/{authorisation.id}", label=where.label)


def _arrival(visit: Visit, connection: Connection, source: Source) -> Mapping[str, str] | None:
    """Address and secret to paste into Segment; for administrators."""
    if connection.method is not Method.WEBHOOK or not visit.identity.role.may(Permission.ADMIN):
        return None
    found = visit.services.connections.segment.arrival(source)
    return {"url": f"{visit.address}{found.path}", "secret": found.signing_secret} if found else None


def _metrics(visit: Visit, connection: Connection) -> Mapping[str, int] | str | None:
    """What the other side counts, or why that cannot be told."""
    if connection.method is not Method.TOKEN:
        return None
    try:
        return visit.services.connections.segment_metrics(connection)
    except CliffwatchError as error:
        return str(error)


def _redirect_uri(visit: Visit) -> str:
    return f"{visit.address}/integrations/callback"


def _start(visit: Visit, found: Integration, form: StartForm, errors: Mapping[str, str], status: int = 200) -> Response:
    settings = visit.services.settings
    configured: Endpoints | None = endpoints(OWN, settings.segment_address) if settings.segment_address else None
    return visit.page(
        "integration.html",
        status,
        integration=found,
        card=views.card(found, visit.services.connections.store.list(visit.workspace_id)),
        form=form,
        errors=errors,
        regions=REGIONS,
        configured=configured,
        redirect_uri=_redirect_uri(visit),
        folders=visit.services.connections.importer.folders() if Method.WAREHOUSE in found.methods else (),
        exports=visit.services.connections.importer.exports,
    )


def _line(visit: Visit, connection: Connection) -> views.ConnectionLine:
    source = visit.services.sources.get(visit.workspace_id, connection.source_id)
    return views.line(connection, source, visit.services.ingest.heard(source), visit.zone, visit.now)


def _refused(visit: Visit, source: Source, good_ms: int) -> Quarantined | None:
    """The newest message that was refused, if none was taken after it."""
    newest = next(iter(visit.services.ingest.quarantine.list(source.id, limit=1)), None)
    return newest if newest and newest.replayed_ms is None and newest.received_ms > good_ms else None


def _progress(visit: Visit, connection: Connection) -> Mapping[str, Any]:
    source = visit.services.sources.get(visit.workspace_id, connection.source_id)
    # Of a connected source only what streams select is kept; its catalogue knows whatever came.
    recent = visit.services.ingest.recent(source.id, LOOKED_AT)
    taken = [one.received_at_ms for one in recent if not one.verdict.rejected]
    known = [event.last_seen_ms for event in visit.services.catalogue.events(source.id)]
    good_ms = max([source.last_event_ms or 0, *taken, *known])
    heard = bool(source.first_event_ms or good_ms)
    streams = sum(stream.source_id == source.id for stream in visit.services.streams.list(visit.workspace_id))
    refused = _refused(visit, source, good_ms)
    return {
        "steps": views.steps(connection, heard=heard, streams=streams, refused=refused.reason if refused else None),
        "heard": heard,
        "refused": refused is not None,
        "finished": heard and streams > 0 and refused is None,
    }
