"""Sources: list, create, connect, watch events come in, catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest import CatalogueEvent, Source
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import sources as views
from cliffwatch.web.views.snippets import snippets
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter(prefix="/sources")

DAY_MS = 86_400_000
SHOWN_EVENTS = 40
TABS = ("events", "connect", "catalogue")


@router.get("")
def sources(visit: Reading) -> Response:
    catalogue = visit.services.catalogue
    found = visit.services.sources.list(visit.workspace_id)
    lines = [views.line(source, catalogue.events(source.id), visit.zone, visit.now) for source in found]
    return visit.page("sources.html", sources=lines)


@router.get("/new")
def new_source(visit: Administering, first: str = "") -> Response:
    return visit.page("source_new.html", first=first == "yes", form={"name": ""}, errors={})


@router.post("")
def create(visit: Administering, posted: PostedForm) -> Response:
    name = posted.text("name")
    try:
        source = visit.services.sources.create(visit.workspace_id, name, visit.now)
    except InvalidInput as error:
        return visit.page("source_new.html", 422, first=False, form={"name": name}, errors={"name": said(error)})
    visit.audit("source.create", f"source:{source.id}", name=source.name)
    return see_other(f"/sources/{source.id}?tab=connect")


@router.get("/{source_id}")
def source_page(visit: Reading, source_id: int, tab: str = "", q: str = "") -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    if tab not in TABS:
        tab = "connect" if source.first_event_ms is None else "events"
    catalogue = visit.services.catalogue.events(source.id)
    shown = visit.services.catalogue.events(source.id, search=q) if q else catalogue
    return visit.page(
        "source.html",
        source=_page(visit, source),
        live=_live(visit, source, len(catalogue)),
        tab=tab,
        snippets=_snippets(visit, source),
        events=_events(visit, source),
        catalogue=[views.catalogue_line(event, visit.zone, visit.now) for event in shown],
        catalogue_count=len(catalogue),
        query=q,
    )


@router.get("/{source_id}/live")
def live(visit: Reading, source_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    count = len(visit.services.catalogue.events(source.id))
    return visit.part("parts/source_live.html", source=views.page(source), live=_live(visit, source, count))


@router.get("/{source_id}/events")
def events(visit: Reading, source_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    return visit.part("parts/source_event_table.html", source=views.page(source), events=_events(visit, source))


@router.get("/{source_id}/events/{sequence}")
def event(visit: Reading, source_id: int, sequence: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    for found in visit.services.ingest.recent(source.id, 500):
        if found.sequence == sequence:
            rejected = found.verdict is not Verdict.ACCEPTED
            sentence = found.verdict.sentence if rejected else ""
            return visit.part(
                "parts/event_json.html", json=views.event_json(found), sentence=sentence, rejected=rejected
            )
    raise NotFound(f"Event {sequence}", "is not among the newest of this source any more.")


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
        may_edit=visit.identity.role.may(Permission.EDIT) and views.spec_type_of(found.kind) is not None,
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


@router.post("/{source_id}/keys")
def add_key(visit: Administering, source_id: int) -> Response:
    key = visit.services.sources.add_key(visit.workspace_id, source_id, visit.now)
    visit.audit("source.add_key", f"source:{source_id}", key=key.id)
    return see_other(f"/sources/{source_id}?tab=connect", "A write key was added. The others stay valid.")


@router.post("/{source_id}/keys/{key_id}/revoke")
def revoke_key(visit: Administering, source_id: int, key_id: int) -> Response:
    visit.services.sources.revoke_key(visit.workspace_id, source_id, key_id, visit.now)
    visit.audit("source.revoke_key", f"source:{source_id}", key=key_id)
    return see_other(f"/sources/{source_id}?tab=connect", "The write key was revoked.")


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
    return views.SourcePage(found.id, found.name, found.enabled, found.seen, ())


def _snippets(visit: Visit, source: Source) -> object:
    if not source.write_key or not visit.identity.role.may(Permission.ADMIN):
        return ()
    return snippets(source.write_key, visit.address)


def _live(visit: Visit, source: Source, kinds: int) -> views.Live:
    newest = visit.services.ingest.recent(source.id, 1)
    verdicts = visit.services.catalogue.verdicts(source.id, visit.now - DAY_MS)
    return views.live(source, newest[0].received_at_ms if newest else None, verdicts, kinds, visit.now)


def _events(visit: Visit, source: Source) -> list[views.EventLine]:
    recent = visit.services.ingest.recent(source.id, SHOWN_EVENTS)
    return [views.event_line(found, visit.zone, visit.now) for found in recent]


def _stream_href(source: Source, found: CatalogueEvent) -> str:
    spec_type = views.spec_type_of(found.kind)
    query = {"source": str(source.id), "type": spec_type.value if spec_type else "track"}
    if found.name:
        query["event"] = found.name
    return f"/streams/new?{urlencode(query)}"
