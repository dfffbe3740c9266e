"""Destinations of a source: where its events are delivered to, how that is set, and how it goes."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.connections import Destination
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.errors import InvalidInput
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import destinations as views
from cliffwatch.web.views.destination_filters import line as filter_line
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter()

DAY_MS = 86_400_000


@router.get("/sources/{source_id}/destinations")
def of_source(visit: Reading, source_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    found = visit.services.connections.destinations.list(visit.workspace_id, source.id)
    lines = [views.line(one, _health(visit, one), visit.zone, visit.now) for one in found]
    return visit.page("destinations.html", source=source, destinations=lines, kinds=views.kinds())


@router.post("/sources/{source_id}/destinations")
def create(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    """A new one, switched off until it is set up."""
    source = visit.services.sources.get(visit.workspace_id, source_id)
    kind = KINDS.get(posted.text("kind"))
    if kind is None:
        raise InvalidInput("Destination", "is none of the catalogue.", "Choose one of them.")
    try:
        made = visit.services.connections.destinations.create(
            visit.workspace_id,
            source.id,
            kind.key,
            kind.name,
            views.settings_of(kind, posted),
            visit.now,
            enabled=False,
            mappings=views.mappings_of(kind, posted, ()),
        )
    except InvalidInput as error:
        return see_other(f"/sources/{source_id}/destinations", str(error), tone="bad")
    visit.audit("destination.create", f"destination:{made.id}", kind=kind.key)
    return see_other(f"/destinations/{made.id}", "The destination is made. Switch it on when everything is right.")


@router.get("/destinations/{destination_id}")
def settings(visit: Reading, destination_id: int) -> Response:
    found = visit.services.connections.destinations.get(visit.workspace_id, destination_id)
    return _page(visit, found, {}, {})


@router.post("/destinations/{destination_id}")
def save(visit: Administering, destination_id: int, posted: PostedForm) -> Response:
    service = visit.services.connections.destinations
    before = service.get(visit.workspace_id, destination_id)
    kind = KINDS[before.kind]
    try:
        service.update(
            visit.workspace_id,
            destination_id,
            name=posted.text("name"),
            settings=views.settings_of(kind, posted, before.settings),
            mappings=views.mappings_of(kind, posted, before.mappings),
        )
    except InvalidInput as error:
        return _page(visit, before, _typed(posted), {_field(error): said(error)}, 422)
    visit.audit("destination.update", f"destination:{destination_id}", name=posted.text("name"))
    return see_other(f"/destinations/{destination_id}", "Your changes are saved.")


@router.post("/destinations/{destination_id}/enabled")
def switch(visit: Administering, destination_id: int, posted: PostedForm) -> Response:
    on = posted.text("enabled") == "yes"
    found = visit.services.connections.destinations.update(visit.workspace_id, destination_id, enabled=on)
    visit.audit("destination.update", f"destination:{destination_id}", enabled=on)
    told = "gets the events that come from now on" if on else "is switched off; what comes meanwhile is not kept for it"
    return see_other(f"/destinations/{destination_id}", f"“{found.name}” {told}.")


@router.post("/destinations/{destination_id}/delete")
def delete(visit: Administering, destination_id: int) -> Response:
    found = visit.services.connections.destinations.get(visit.workspace_id, destination_id)
    visit.services.connections.destinations.delete(visit.workspace_id, destination_id)
    visit.audit("destination.delete", f"destination:{destination_id}", name=found.name)
    return see_other(f"/sources/{found.source_id}/destinations", f"“{found.name}” was deleted.")


def _page(
    visit: Visit, found: Destination, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
) -> Response:
    source = visit.services.sources.get(visit.workspace_id, found.source_id)
    may = visit.identity.role.may(Permission.ADMIN)
    return visit.page(
        "destination.html",
        status,
        destination=found,
        source=source,
        kind=KINDS[found.kind],
        fields=views.fields(found, typed, with_secrets=may),
        url=typed.get("url", views.url_of(found)),
        name=typed.get("name", found.name),
        filters=[filter_line(one) for one in found.filters],
        errors=errors,
        health=_health(visit, found),
        state=views.state(found, visit.zone, visit.now),
    )


def _health(visit: Visit, found: Destination) -> views.Health:
    day = visit.now - DAY_MS
    return views.health(visit.services.connections.destinations.counts([found.id], day, visit.now + 1))


def _typed(posted: Posted) -> Mapping[str, str]:
    return {name: posted.text(name) for name in posted.fields}


def _field(error: InvalidInput) -> str:
    return {"Destination name": "name", "settings.url": "url"}.get(
        error.subject, error.subject.removeprefix("settings.")
    )
