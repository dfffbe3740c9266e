"""The wizard that makes and edits data streams. Its state is the address, so every step can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.ingest import Source
from cliffwatch.spec.fql_form import OPERATORS, VALUELESS, Condition
from cliffwatch.streams import Stream
from cliffwatch.streams.model import Definition
from cliffwatch.web.drafts import checked, next_runs_of, typed, zone_of
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.ideas import ideas_for
from cliffwatch.web.render import see_other
from cliffwatch.web.views import edits, filter_form, problems, wizard
from cliffwatch.web.views import streams as views
from cliffwatch.web.views.wizard import Draft
from cliffwatch.web.visit import Editing, Visit

router = APIRouter(prefix="/streams")

CONNECTED = "connected"
CHANGED_MEANWHILE = (
    "Somebody else changed this stream while you were editing. What you typed is still here; "
    "save again to put it in place of their change, or cancel to look at theirs first."
)


@router.get("/new")
def new_stream(visit: Editing) -> Response:
    sources = visit.services.sources.list(visit.workspace_id)
    if not sources:
        return see_other("/sources/new?first=yes", "Connect a source first: a data stream measures its events.")
    return _step(visit, typed(visit, sources), sources, None)


@router.post("/new")
def create(visit: Editing, posted: PostedForm) -> Response:
    draft = wizard.read(posted)
    definition, errors = checked(visit, draft)
    if draft.source is None:
        errors["form"] = "Choose the source whose events are measured."
    elif definition is not None:
        try:
            name = draft.name or draft.suggested_name()
            stream = visit.services.streams.create(visit.workspace_id, draft.source, name, definition, visit.now)
        except InvalidInput as error:
            errors = {"name": said(error)}
        else:
            _as_sensitive_as_its_original(visit, draft, stream)
            visit.audit("stream.create", f"stream:{stream.id}", name=stream.name)
            return see_other(f"/streams/{stream.id}", f"“{stream.name}” is filling in its history.")
    return _failed(visit, draft, errors, None)


def _as_sensitive_as_its_original(visit: Visit, draft: Draft, stream: Stream) -> None:
    """Give a clone the sensitivity of the stream that it was made from, unless that is gone by now."""
    if draft.base is None:
        return
    with suppress(NotFound):
        original = visit.services.streams.get(visit.workspace_id, draft.base)
        visit.services.guidance.sensitivities.copy(original, stream, visit.person.name, visit.now)


@router.get("/{stream_id}/edit")
def edit_page(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    sources = visit.services.sources.list(visit.workspace_id)
    draft = typed(visit, sources) if visit.request.query_params else wizard.of_stream(stream)
    return _step(visit, replace(draft, source=stream.source_id, base=stream.id), sources, stream)


@router.post("/{stream_id}/edit")
def edit(visit: Editing, stream_id: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    draft = replace(wizard.read(posted), source=stream.source_id, base=stream.id)
    definition, errors = checked(visit, draft)
    if definition is not None:
        name = draft.name or stream.name
        expected = {draft.version} if draft.version else None
        try:
            visit.services.streams.update(
                visit.workspace_id, stream.id, visit.now, name=name, definition=definition, expected=expected
            )
        except Conflict:
            fresh = wizard.of_stream(visit.services.streams.get(visit.workspace_id, stream_id))
            return _failed(visit, replace(draft, version=fresh.version), {"form": CHANGED_MEANWHILE}, stream)
        except InvalidInput as error:
            errors = {"name": said(error)}
        else:
            visit.audit("stream.update", f"stream:{stream.id}", name=name)
            return see_other(f"/streams/{stream.id}", "Your changes are saved.")
    return _failed(visit, draft, errors, stream)


@router.get("/{stream_id}/clone")
def clone_page(visit: Editing, stream_id: int) -> Response:
    """The wizard for a new stream, filled in from another one."""
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    draft = replace(wizard.of_stream(stream), name=f"{stream.name}, copy"[:120], version="")
    return see_other(f"/streams/new?{draft.query('configure')}")


def _step(visit: Visit, draft: Draft, sources: Sequence[Source], stream: Stream | None) -> Response:
    """The page that was asked for, or the first one before it that has something to correct."""
    step = visit.request.query_params.get("step", "configure")
    if step not in ("schedule", "review"):
        return _page(visit, "configure", draft, {}, stream, sources)
    definition, errors = checked(visit, draft)
    early = {field: text for field, text in errors.items() if problems.step_of({field: text}) == problems.CONFIGURE}
    if early:
        return _page(visit, "configure", draft, early, stream, sources, 422)
    if step == "schedule" or definition is None:
        late = errors if step == "review" else {}
        return _page(visit, "schedule", draft, late, stream, sources, 422 if late else 200)
    return _page(visit, "review", draft, {}, stream, sources, definition=definition)


def _failed(visit: Visit, draft: Draft, errors: Mapping[str, str], stream: Stream | None) -> Response:
    sources = visit.services.sources.list(visit.workspace_id)
    definition, _ = checked(visit, draft)
    if definition is not None and draft.source is not None:
        return _page(visit, "review", draft, errors, stream, sources, 422, definition)
    return _page(visit, problems.step_of(errors), draft, errors, stream, sources, 422)


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
    runs, note = next_runs_of(visit, draft)
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
            "tops": wizard.TOPS,
            "default_top": wizard.DEFAULT_TOP,
            "ideas": () if stream or visit.request.query_params or errors else ideas_for(visit, sources),
            **filter_values(draft, errors),
        }
    elif step == "schedule":
        values |= {
            "frequencies": wizard.FREQUENCIES,
            "units": list(wizard.UNITS),
            "time_zone": zone_of(visit, draft).replace("_", " "),
        }
    elif definition is not None:
        values |= _review(visit, draft, definition, stream)
    return visit.page(f"wizard/{step}.html", status, **values)


def filter_values(draft: Draft, errors: Mapping[str, str], note: str = "") -> dict[str, Any]:
    """What the filter's part of the page shows."""
    written = draft.filter.mode == filter_form.TEXT
    return {
        "filter": draft.filter,
        "errors": errors,
        "filter_note": note,
        "filter_mark": filter_form.mark(draft.filter.text) if written and errors.get("filter") else None,
        "operators": OPERATORS,
        "valueless": VALUELESS,
        "blank_condition": Condition(""),
    }


def _review(visit: Visit, draft: Draft, definition: Definition, stream: Stream | None) -> dict[str, Any]:
    values: dict[str, Any] = {"facts": views.facts(definition), "edit": None}
    if stream is not None:
        archived = edits.events_again(stream, definition, visit.services.store.count_archive)
        source = visit.services.sources.get(visit.workspace_id, stream.source_id)
        selective = source.kind == CONNECTED
        values["edit"] = edits.review(stream, definition, draft.name, archived, selective=selective)
    return values
