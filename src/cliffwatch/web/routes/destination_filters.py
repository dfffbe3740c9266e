"""Filters of a destination: make, try on events that came, change, switch, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.connections import Destination
from cliffwatch.connections.delivery.filters import Filter, checked
from cliffwatch.connections.delivery.store import one_filter
from cliffwatch.errors import InvalidInput
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.views import destination_filters as views
from cliffwatch.web.views.destination_filters import ACTS, FilterForm
from cliffwatch.web.visit import Administering, Visit

router = APIRouter(prefix="/destinations/{destination_id}/filters")

LOOKED_AT = 100


@router.get("/new")
def new(visit: Administering, destination_id: int) -> Response:
    return _page(visit, _destination(visit, destination_id), None, FilterForm(), {})


@router.post("/preview")
def try_out(visit: Administering, destination_id: int, posted: PostedForm) -> Response:
    """What the filter of the form would do to the newest events of the source."""
    found = _destination(visit, destination_id)
    try:
        trial = checked(_made(FilterForm.read(posted), visit.now, title="Preview"))
    except InvalidInput as error:
        return visit.part("parts/filter_preview.html", wrong=next(iter(views.errors(error).values())), preview=None)
    recent = visit.services.ingest.recent(found.source_id, LOOKED_AT)
    events = [one.fields for one in recent if isinstance(one.fields, Mapping) and not one.verdict.rejected]
    return visit.part("parts/filter_preview.html", wrong="", preview=views.preview(trial, events))


@router.post("")
def create(visit: Administering, destination_id: int, posted: PostedForm) -> Response:
    found, form = _destination(visit, destination_id), FilterForm.read(posted)
    try:
        made = visit.services.connections.destinations.add_filter(
            visit.workspace_id, found.id, _made(form, visit.now, title=form.title)
        )
    except InvalidInput as error:
        return _page(visit, found, None, form, views.errors(error), 422)
    return _done(visit, found, made, "It acts on what is delivered from now on.")


@router.get("/{filter_key}")
def edit(visit: Administering, destination_id: int, filter_key: str) -> Response:
    found = _destination(visit, destination_id)
    before = one_filter(found.filters, filter_key)
    return _page(visit, found, before, FilterForm.of(before), {})


@router.post("/{filter_key}")
def save(visit: Administering, destination_id: int, filter_key: str, posted: PostedForm) -> Response:
    found, form = _destination(visit, destination_id), FilterForm.read(posted)
    before = one_filter(found.filters, filter_key)
    try:
        changed = visit.services.connections.destinations.change_filter(
            visit.workspace_id,
            found.id,
            filter_key,
            lambda kept: replace(kept, title=form.title, when=form.fql, actions=(form.action(),), updated_ms=visit.now),
        )
    except InvalidInput as error:
        return _page(visit, found, before, form, views.errors(error), 422)
    return _done(visit, found, changed, "Your changes act on what is delivered from now on.")


@router.post("/{filter_key}/enabled")
def switch(visit: Administering, destination_id: int, filter_key: str, posted: PostedForm) -> Response:
    found, on = _destination(visit, destination_id), posted.text("enabled") == "yes"
    changed = visit.services.connections.destinations.change_filter(
        visit.workspace_id, found.id, filter_key, lambda kept: replace(kept, enabled=on, updated_ms=visit.now)
    )
    return _done(visit, found, changed, "It is on." if on else "It is off.")


@router.post("/{filter_key}/delete")
def delete(visit: Administering, destination_id: int, filter_key: str) -> Response:
    found = _destination(visit, destination_id)
    gone = one_filter(found.filters, filter_key)
    visit.services.connections.destinations.remove_filter(visit.workspace_id, found.id, filter_key)
    return _done(visit, found, gone, "It is deleted.")


def _done(visit: Visit, found: Destination, one: Filter, told: str) -> Response:
    visit.audit("destination.update", f"destination:{found.id}", filter=one.id, title=one.title)
    return see_other(f"/destinations/{found.id}#filters", f"“{one.title}”: {told}")


def _destination(visit: Visit, destination_id: int) -> Destination:
    return visit.services.connections.destinations.get(visit.workspace_id, destination_id)


def _made(form: FilterForm, now: int, *, title: str) -> Filter:
    return Filter("", title, "", form.fql, (form.action(),), True, now, now)


def _page(
    visit: Visit,
    found: Destination,
    before: Filter | None,
    form: FilterForm | None,
    errors: Mapping[str, str],
    status: int = 200,
) -> Response:
    return visit.page(
        "destination_filter.html",
        status,
        destination=found,
        before=views.line(before) if before else None,
        form=form,
        acts=ACTS,
        errors=errors,
    )
