"""The live parts of the wizard: suggestions, next runs, the filter's two faces, and the preview."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from cliffwatch.errors import InvalidInput
from cliffwatch.pipeline.preview import Preview, Request
from cliffwatch.pipeline.previews import Waiting
from cliffwatch.spec.model import Kind, SpecType
from cliffwatch.spec.paths import as_dimension, compile_path
from cliffwatch.store import ArchiveQuery
from cliffwatch.streams.backfill import query_of
from cliffwatch.streams.labels import label_path
from cliffwatch.web import formats
from cliffwatch.web.drafts import checked, next_runs_of, typed
from cliffwatch.web.forms import Posted
from cliffwatch.web.routes.wizard import CONNECTED, filter_values
from cliffwatch.web.views import preview as views
from cliffwatch.web.views import wizard
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/streams")

MOST_SUGGESTIONS = 12
MOST_LABELS = 4
"""Audiences among them, they come after the event's own properties."""
LOOKED_AT = 500
"""Events that are looked at for the values of a property."""
WAIT_SECONDS = 60.0


@router.get("/next-runs")
def next_runs_part(visit: Reading) -> Response:
    """The next 3 runs of the schedule being typed, in the workspace's zone."""
    runs, note = next_runs_of(visit, wizard.read(Posted.of(visit.request.query_params.multi_items())))
    return visit.part("parts/next_runs.html", next_runs=runs, next_runs_note=note)


@router.get("/suggest")
def suggest(
    visit: Reading,
    source: int,
    type: str = "track",  # noqa: A002 - the field's name
    field: str = "event",
    q: str = "",
    path: str = "",
) -> Response:
    """Names, paths and values that contain what was typed: [{value, detail}]."""
    found = visit.services.sources.get(visit.workspace_id, source)
    kind = SpecType(type).kind if type in wizard.SPEC_TYPES else SpecType.TRACK.kind
    names = [name for name in visit.request.query_params.getlist("event") if name]
    if field == "event":
        pairs = [
            (event.name, f"{formats.compact(float(event.count))} seen")
            for event in visit.services.catalogue.offered(found.id, kind, q)
            if event.name
        ]
    elif field == "value":
        pairs = _values(visit, found.id, kind, names, path, q)
    else:
        pairs = [
            (item.path, " · ".join(part for part in (item.type, item.example) if part))
            for item in visit.services.catalogue.properties(found.id, kind, names)
            if q.lower() in item.path.lower() and _fits(item.type, field)
        ]
        if field == "dimension":
            labels = _labels(visit, q)
            pairs = pairs[: MOST_SUGGESTIONS - len(labels)] + labels
    return JSONResponse([{"value": value, "detail": detail} for value, detail in pairs[:MOST_SUGGESTIONS]])


def _labels(visit: Visit, q: str) -> list[tuple[str, str]]:
    """Audiences and computed traits, which split events by what is known of their people."""
    return [
        (
            path,
            f"{'Audience' if one.is_audience else 'Computed trait'} · {formats.plural(one.size, 'person', 'people')}",
        )
        for one in visit.services.engage.computations.list(visit.workspace_id)
        if q.lower() in (path := label_path(one.key)).lower() or q.lower() in one.name.lower()
    ][:MOST_LABELS]


def _fits(type_: str, field: str) -> bool:
    """Whether a property of this type is a number to sum, or a value to split by."""
    if field == "number":
        return type_ in ("number", "mixed")
    return type_ not in ("object", "array")


def _values(visit: Visit, source_id: int, kind: Kind, names: list[str], path: str, q: str) -> list[tuple[str, str]]:
    """The most frequent values of a path among events of the last days."""
    try:
        look_up = compile_path(path)
    except InvalidInput:
        return []
    values: Counter[str] = Counter()
    for days in (1, 30):
        query = ArchiveQuery(
            source_id, visit.now - days * formats.DAY_MS, visit.now + formats.DAY_MS, (kind.value,), tuple(names)
        )
        bodies = visit.services.store.read_archive(replace(query, limit=LOOKED_AT)).body
        values.update(as_dimension(look_up(json.loads(body))) for body in bodies)
        if values:
            break
    total = values.total()
    return [
        (value, f"{count / total:.0%} of events".replace("%", " %"))
        for value, count in values.most_common()
        if value and q.lower() in value.lower()
    ]


@router.get("/filter")
def filter_part(visit: Editing, mode: str = "rows") -> Response:
    """The filter that is being typed, as rows or as text."""
    draft = wizard.read(Posted.of(visit.request.query_params.multi_items()))
    was = replace(draft.filter, mode=visit.request.query_params.get("filter_was", draft.filter.mode))
    switched, note = was.switched(mode)
    errors = switched.errors() if note else {}
    return visit.part("wizard/filter.html", **filter_values(replace(draft, filter=switched), errors, note))


@router.get("/preview")
def preview_part(visit: Editing, draw: str = "") -> Response:
    """The draft's preview: how far it is, or what it shows."""
    waiting, errors = _waiting(visit)
    if waiting is None:
        why = "" if "events" in errors else next(iter(errors.values()), "")
        return visit.part("wizard/preview.html", state="incomplete", why=why)
    if not waiting.finished.is_set():
        return visit.part("wizard/preview.html", state="working", done=waiting.done, total=waiting.total, draw=draw)
    if waiting.result is None:
        return visit.part("wizard/preview.html", state="failed", error=waiting.error)
    archived = visit.services.store.count_archive(query_of(waiting.result.stream))
    source = visit.services.sources.get(visit.workspace_id, waiting.request.source_id)
    panel = views.panel(waiting.result, draw, archived, visit.zone, selective=source.kind == CONNECTED)
    query = visit.request.url.query
    return visit.part("wizard/preview.html", state="made", panel=panel, chart_src=f"/streams/preview.json?{query}")


@router.get("/preview.json")
def preview_json(visit: Editing, draw: str = "") -> Response:
    """Columns of the preview's chart, for the measure to draw."""
    waiting, _ = _waiting(visit)
    if waiting is None:
        raise InvalidInput("the preview", "needs a complete draft.")
    if not waiting.finished.wait(WAIT_SECONDS) or waiting.result is None:
        raise InvalidInput("the preview", waiting.error or "took too long.", "Ask again.")
    definition = waiting.request.definition
    chosen = definition.find_measure(draw) or definition.measures[0]
    data = views.chart(waiting.result, chosen, visit.identity.workspace.time_zone)
    return JSONResponse(data, headers={"cache-control": "no-store"})


def _waiting(visit: Visit) -> tuple[Waiting[Request, Preview] | None, dict[str, str]]:
    """The preview of the draft in the address; None with what is wrong, while it is not complete."""
    sources = visit.services.sources.list(visit.workspace_id)
    if not sources:
        return None, {}
    draft = typed(visit, sources)
    definition, errors = checked(visit, draft)
    if definition is None or draft.source is None:
        return None, errors
    monitors = tuple(visit.services.incidents.monitors(visit.workspace_id))
    workspace = visit.identity.workspace
    request = Request(workspace.id, draft.source, definition, workspace.country, monitors)
    if draft.version and draft.base is not None:  # an edit: what was told of the stream holds for it
        request = replace(request, stream_id=draft.base)
    request = replace(request, advice=visit.services.guidance.advice(request.stream(visit.now)))
    return visit.services.previews.ask(f"person:{visit.person.id}", request), {}
