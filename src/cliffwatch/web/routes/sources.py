"""Sources: list, create, connect, watch events come in, catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest import CatalogueEvent, Source
from cliffwatch.ingest.catalogue import OTHER_NAMES
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.routes import (
    source_delivery,
    source_keys,
    source_live,
    source_privacy,
    source_quarantine,
    source_settings,
    source_tester,
)
from cliffwatch.web.views import sources as views
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter(prefix="/sources")

DAY_MS = 86_400_000
SHOWN_NAMES = 200


@router.get("")
def sources(visit: Reading) -> Response:
    catalogue = visit.services.catalogue
    found = visit.services.sources.list(visit.workspace_id)
    seen = catalogue.events_of([source.id for source in found])
    lines = [views.line(source, seen[source.id], visit.zone, visit.now) for source in found]
    return visit.page("sources.html", sources=lines)


@router.get("/new")
def new_source(visit: Administering, first: str = "") -> Response:
    return visit.page("source_new.html", first=first == "yes", form={"name": "", "kind": "built_in"}, errors={})


@router.post("")
def create(visit: Administering, posted: PostedForm) -> Response:
    name, kind = posted.text("name"), posted.text("kind", "built_in")
    try:
        if kind == "connected":
            source, _ = visit.services.ingest.deliveries.create_source(visit.workspace_id, name, visit.now)
        else:
            source = visit.services.sources.create(visit.workspace_id, name, visit.now)
    except InvalidInput as error:
        form = {"name": name, "kind": kind}
        return visit.page("source_new.html", 422, first=False, form=form, errors={"name": said(error)})
    visit.audit("source.create", f"source:{source.id}", name=source.name, kind=source.kind)
    return see_other(f"/sources/{source.id}?tab=connect")


@router.get("/{source_id}")
def source_page(visit: Reading, source_id: int, tab: str = "") -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    if tab not in TABS:
        tab = "connect" if source.first_event_ms is None else "events"
    catalogue = visit.services.catalogue.events(source.id)
    return visit.page(
        "source.html",
        source=_page(visit, source),
        live=_live(visit, source, len(catalogue)),
        tab=tab,
        catalogue_count=len(catalogue),
        **TABS[tab](visit, source),
    )


@router.get("/{source_id}/live")
def live(visit: Reading, source_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    count = len(visit.services.catalogue.events(source.id))
    return visit.part("parts/source_live.html", source=views.page(source), live=_live(visit, source, count))


@router.get("/{source_id}/catalogue/{event_id}")
def properties(visit: Reading, source_id: int, event_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    found = next((one for one in visit.services.catalogue.events(source.id) if one.id == event_id), None)
    if found is None:
        raise NotFound(f"Event {event_id}", "is not in the catalogue of this source.")
    items = visit.services.catalogue.properties(source.id, found.kind, [found.name])
    return visit.part(
        "parts/catalogue_properties.html",
        properties=[views.property_line(item) for item in items],
        left_out=visit.services.catalogue.left_out(source.id, found.kind, [found.name]),
        may_edit=found.name != OTHER_NAMES
        and visit.identity.role.may(Permission.EDIT)
        and views.spec_type_of(found.kind) is not None,
        stream_href=_stream_href(source, found),
    )


@router.post("/{source_id}")
def rename(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    return _changed(visit, source_id, {"name": posted.text("name")}, "The source was renamed.")


@router.post("/{source_id}/enabled")
def switch(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    on = posted.text("enabled") == "yes"
    told = "The source accepts events again." if on else "The source is switched off; its events are refused."
    return _changed(visit, source_id, {"enabled": on}, told)


def _changed(visit: Visit, source_id: int, changes: Mapping[str, str | bool], told: str) -> Response:
    here = f"/sources/{source_id}"
    try:
        visit.services.sources.update(visit.workspace_id, source_id, **changes)  # type: ignore[arg-type] # checked there
    except InvalidInput as error:
        return see_other(here, str(error), tone="bad")
    visit.audit("source.update", f"source:{source_id}", **changes)
    return see_other(here, told)


def _page(visit: Visit, source: Source) -> views.SourcePage:
    """The page's source; write keys are for administrators only."""
    found = views.page(source)
    if visit.identity.role.may(Permission.ADMIN):
        return found
    return replace(found, keys=())


def _live(visit: Visit, source: Source, kinds: int) -> views.Live:
    verdicts = visit.services.catalogue.verdicts(source.id, visit.now - DAY_MS)
    return views.live(source, visit.services.ingest.heard(source), verdicts, kinds, visit.now)


def _stream_href(source: Source, found: CatalogueEvent) -> str:
    spec_type = views.spec_type_of(found.kind)
    query = {"source": str(source.id), "type": spec_type.value if spec_type else "track"}
    if found.name:
        query["event"] = found.name
    return f"/streams/new?{urlencode(query)}"


def _catalogue(visit: Visit, source: Source) -> dict[str, Any]:
    """What the catalogue's tab shows; `q`, `kind` and `all` in the address choose it."""
    asked = visit.request.query_params
    query, kind = asked.get("q", "").strip()[:200], views.kind_of(asked.get("kind", ""))
    found = visit.services.catalogue.events(source.id, kind, query)
    shown = found if asked.get("all") == "yes" else found[:SHOWN_NAMES]
    return {
        "catalogue": [views.catalogue_line(event, visit.zone, visit.now) for event in shown],
        "query": query,
        "kind": kind.value if kind else "",
        "kinds": views.KINDS,
        "more_names": len(found) - len(shown),
    }


TABS: Mapping[str, Callable[[Visit, Source], dict[str, Any]]] = {
    "events": source_live.context,
    "delivery": source_delivery.context,
    "catalogue": _catalogue,
    "tester": source_tester.context,
    "quarantine": source_quarantine.context,
    "privacy": source_privacy.context,
    "connect": source_keys.context,
    "settings": source_settings.context,
}
"""The parts of a source's page, each with what it shows."""
