"""The wizard that makes and edits data streams. Its state is the address, so every step can be gone back to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import Source
from cliffwatch.spec.model import SpecType
from cliffwatch.store import ArchiveQuery
from cliffwatch.streams.definition import InvalidDefinition, parse
from cliffwatch.streams.model import Definition, Schedule, Stream
from cliffwatch.streams.schedule import next_runs
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import estimate, problems, wizard
from cliffwatch.web.views import streams as views
from cliffwatch.web.views.wizard import Draft
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/streams")

MOST_SUGGESTIONS = 12
EDIT_NOTE = "A new name changes nothing else. Any other change measures the history again from the archive."
ALL_TIME_MS = 1 << 52


@router.get("/new")
def new_stream(visit: Editing) -> Response:
    sources = visit.services.sources.list(visit.workspace_id)
    if not sources:
        return see_other("/sources/new?first=yes", "Connect a source first: a data stream measures its events.")
    return _step(visit, _typed(visit, sources), sources, None)


@router.post("/new")
def create(visit: Editing, posted: PostedForm) -> Response:
    draft = wizard.read(posted)
    definition, errors = _checked(visit, draft)
    if draft.source is None:
        errors["form"] = "Choose the source whose events are measured."
    elif definition is not None:
        try:
            name = draft.name or draft.suggested_name()
            stream = visit.services.streams.create(visit.workspace_id, draft.source, name, definition, visit.now)
        except InvalidInput as error:
            errors = {"name": said(error)}
        else:
            visit.audit("stream.create", f"stream:{stream.id}", name=stream.name)
            return see_other(f"/streams/{stream.id}", f"“{stream.name}” is filling in its history.")
    return _failed(visit, draft, errors, None)


@router.get("/{stream_id}/edit")
def edit_page(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    sources = visit.services.sources.list(visit.workspace_id)
    draft = _typed(visit, sources) if visit.request.query_params else wizard.of_stream(stream)
    return _step(visit, replace(draft, source=stream.source_id), sources, stream)


@router.post("/{stream_id}/edit")
def edit(visit: Editing, stream_id: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    draft = replace(wizard.read(posted), source=stream.source_id)
    definition, errors = _checked(visit, draft)
    if definition is not None:
        try:
            name = draft.name or stream.name
            visit.services.streams.update(visit.workspace_id, stream.id, visit.now, name=name, definition=definition)
        except InvalidInput as error:
            errors = {"name": said(error)}
        else:
            visit.audit("stream.update", f"stream:{stream.id}", name=name)
            return see_other(f"/streams/{stream.id}", "Your changes are saved.")
    return _failed(visit, draft, errors, stream)


@router.get("/next-runs")
def next_runs_part(visit: Reading) -> Response:
    """The next 3 runs of the schedule being typed, in the workspace's zone."""
    runs, note = _next_runs(visit, wizard.read(Posted.of(visit.request.query_params.multi_items())))
    return visit.part("parts/next_runs.html", next_runs=runs, next_runs_note=note)


@router.get("/suggest")
def suggest(visit: Reading, source: int, type: str = "track", field: str = "event", q: str = "") -> Response:  # noqa: A002
    """Names and paths from the event catalogue that contain what was typed: [{value, detail}]."""
    found = visit.services.sources.get(visit.workspace_id, source)
    kind = SpecType(type).kind if type in wizard.SPEC_TYPES else SpecType.TRACK.kind
    if field == "event":
        pairs = [
            (event.name, f"{formats.compact(float(event.count))} seen")
            for event in visit.services.catalogue.events(found.id, kind, q)
            if event.name
        ]
    else:
        names = [name for name in visit.request.query_params.getlist("event") if name]
        pairs = [
            (item.path, item.example or item.type)
            for item in visit.services.catalogue.properties(found.id, kind, names)
            if q.lower() in item.path.lower() and _fits(item.type, field)
        ]
    return JSONResponse([{"value": value, "detail": detail} for value, detail in pairs[:MOST_SUGGESTIONS]])


def _fits(type_: str, field: str) -> bool:
    """Whether a property of this type is a number to sum, or a value to split by."""
    if field == "number":
        return type_ in ("number", "mixed")
    return type_ not in ("object", "array")


def _typed(visit: Visit, sources: Sequence[Source]) -> Draft:
    draft = wizard.read(Posted.of(visit.request.query_params.multi_items()))
    known = {source.id for source in sources}
    return draft if draft.source in known else replace(draft, source=sources[0].id)


def _step(visit: Visit, draft: Draft, sources: Sequence[Source], stream: Stream | None) -> Response:
    """The page that was asked for, or the first one before it that has something to correct."""
    step = visit.request.query_params.get("step", "configure")
    if step not in ("schedule", "review"):
        return _page(visit, "configure", draft, {}, stream, sources)
    definition, errors = _checked(visit, draft)
    early = {field: text for field, text in errors.items() if problems.step_of({field: text}) == problems.CONFIGURE}
    if early:
        return _page(visit, "configure", draft, early, stream, sources, 422)
    if step == "schedule" or definition is None:
        late = errors if step == "review" else {}
        return _page(visit, "schedule", draft, late, stream, sources, 422 if late else 200)
    return _page(visit, "review", draft, {}, stream, sources, definition=definition)


def _failed(visit: Visit, draft: Draft, errors: Mapping[str, str], stream: Stream | None) -> Response:
    sources = visit.services.sources.list(visit.workspace_id)
    definition, _ = _checked(visit, draft)
    if definition is not None and draft.source is not None:
        return _page(visit, "review", draft, errors, stream, sources, 422, definition)
    return _page(visit, problems.step_of(errors), draft, errors, stream, sources, 422)


def _checked(visit: Visit, draft: Draft) -> tuple[Definition | None, dict[str, str]]:
    """The definition, or what is wrong with each field."""
    extra = {"every": "Type a whole number."} if draft.minutes is None else {}
    if draft.spec_type == SpecType.TRACK and not any(draft.events):
        extra["events"] = "Name at least one event."
    try:
        definition = parse(draft.definition(visit.identity.workspace.time_zone))
    except InvalidDefinition as error:
        return None, problems.placed(error.fields, draft) | extra
    return (None, extra) if extra else (definition, {})


def _page(
    visit: Visit,
    step: str,
    draft: Draft,
    errors: Mapping[str, str],
    stream: Stream | None,
    sources: Sequence[Source],
    status: int = 200,
    definition: Definition | None = None,
) -> Response:
    titles = dict(wizard.STEPS)
    asked = {"configure": wizard.CONFIGURE_FIELDS, "schedule": wizard.SCHEDULE_FIELDS, "review": wizard.REVIEW_FIELDS}
    runs, note = _next_runs(visit, draft)
    values: dict[str, Any] = {
        "step": step,
        "step_title": titles[step],
        "step_index": [key for key, _ in wizard.STEPS].index(step),
        "steps": wizard.STEPS,
        "base": f"/streams/{stream.id}/edit" if stream else "/streams/new",
        "editing": stream,
        "draft": draft,
        "errors": errors,
        "carried": draft.pairs_without(asked[step]),
        "next_runs": runs,
        "next_runs_note": note,
    }
    if step == "configure":
        values |= {
            "sources": sources,
            "spec_types": [(one.value, one.value.capitalize()) for one in wizard.SPEC_TYPES],
            "aggregations": wizard.AGGREGATIONS,
            "part_aggregations": wizard.PART_AGGREGATIONS,
            "blank_measure": wizard.MeasureDraft(),
        }
    elif step == "schedule":
        values |= {
            "frequencies": wizard.FREQUENCIES,
            "units": list(wizard.UNITS),
            "time_zone": visit.identity.workspace.time_zone.replace("_", " "),
        }
    elif definition is not None:
        values |= _review(visit, draft, definition, stream)
    return visit.page(f"wizard/{step}.html", status, **values)


def _review(visit: Visit, draft: Draft, definition: Definition, stream: Stream | None) -> dict[str, Any]:
    found = _estimate(visit, draft, definition)
    return {
        "facts": views.facts(definition),
        "figures": estimate.tiles(found, definition),
        "warning": estimate.warning(found),
        "edit_note": EDIT_NOTE if stream else "",
    }


def _estimate(visit: Visit, draft: Draft, definition: Definition) -> estimate.Estimate:
    """Look at the newest matching messages of the archive."""
    assert draft.source is not None
    month_ms = 31 * formats.DAY_MS

    def query(start_ms: int) -> ArchiveQuery:
        return ArchiveQuery(
            draft.source or 0,
            start_ms,
            ALL_TIME_MS,
            (definition.spec_type.kind.value,),
            definition.events,
            limit=estimate.SAMPLE,
        )

    events = visit.services.store.count_archive(query(0))
    bodies = visit.services.store.read_archive(query(visit.now - month_ms)).body if events else ()
    return estimate.estimate(definition, [json.loads(body) for body in bodies], events)


def _next_runs(visit: Visit, draft: Draft) -> tuple[tuple[views.NextRun, ...], str]:
    """The next runs, or why there are none."""
    minutes = draft.minutes
    if minutes is None or not 1 <= minutes <= 44_640:
        return (), "A frequency from 1 minute to 31 days."
    hour, _, minute = draft.anchor.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        return (), "An anchor time such as 09:00."
    schedule = Schedule(minutes, f"{int(hour):02}:{int(minute):02}", visit.identity.workspace.time_zone)
    return views.next_runs(next_runs(schedule, visit.now, 3), visit.zone, visit.now), ""
