"""Audiences and computed traits: the list, the form with its preview, and what makes, deletes and brings back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.engage import Asked, Computation, ComputationKind, InvalidQuery, computation_kind
from cliffwatch.engage.language import show
from cliffwatch.engage.store import definition_of, key_of_name
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput
from cliffwatch.spec.model import Kind
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import engage as views
from cliffwatch.web.views import engage_form as form
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter()

MONTH_MS = 30 * 86_400_000
MOST_NAMES = 200
AT_ONCE_SECONDS = 0.5
"""A preview that takes longer shows how far it is."""


@router.get("/audiences")
def listed(visit: Reading, deleted: int = 0) -> Response:
    computations = visit.services.engage.computations
    lines = [
        views.line(one, computations.passes(one.id, visit.now - MONTH_MS, 200), visit.zone, visit.now)
        for one in computations.list(visit.workspace_id)
    ]
    gone = computations.get(visit.workspace_id, deleted) if 0 < deleted < 2**53 else None
    return visit.page("engage/list.html", lines=lines, gone=gone if gone and gone.deleted_ms else None)


@router.get("/audiences/new")
def new(visit: Editing, kind: str = "audience") -> Response:
    return _form(visit, None, {"kind": computation_kind(kind).value, "every": "", "watched": "yes"}, [form.Row()], {})


@router.post("/audiences")
def create(visit: Editing, posted: PostedForm) -> Response:
    typed, rows = _typed(posted), _rows(posted)
    try:
        made = visit.services.engage.create(
            visit.workspace_id,
            computation_kind(typed["kind"]),
            typed["name"],
            posted.raw("query"),
            visit.now,
            anonymous=typed["anonymous"] == "yes",
            every_minutes=_every(typed["every"]),
            watched=typed["watched"] == "yes",
        )
    except (InvalidInput, Conflict) as error:
        return _form(visit, None, typed, rows, {_field(error): said(error)}, 422)
    visit.audit("audience.create", f"audience:{made.id}", key=made.key, query=made.query)
    return see_other(f"/audiences/{made.id}", f"“{made.name}” is being computed.")


@router.get("/audiences/{computation_id}/edit")
def edit(visit: Editing, computation_id: int) -> Response:
    one = visit.services.engage.computations.get(visit.workspace_id, computation_id)
    parts = form.decompose(definition_of(one.kind, one.query))
    typed = {
        "kind": one.kind.value,
        "name": one.name,
        "query": one.query,
        "every": str(one.every_minutes),
        "anonymous": "yes" if one.anonymous else "",
        "join": parts[1] if parts else "all",
    }
    return _form(visit, one, typed, parts[0] if parts else [], {})


@router.post("/audiences/{computation_id}")
def save(visit: Editing, computation_id: int, posted: PostedForm) -> Response:
    computations = visit.services.engage.computations
    before = computations.get(visit.workspace_id, computation_id)
    typed = _typed(posted) | {"kind": before.kind.value}
    try:
        computations.update(
            visit.workspace_id,
            computation_id,
            visit.now,
            name=typed["name"],
            query=posted.raw("query"),
            anonymous=typed["anonymous"] == "yes",
            every_minutes=_every(typed["every"]),
        )
    except InvalidInput as error:
        return _form(visit, before, typed, _rows(posted), {_field(error): said(error)}, 422)
    visit.audit("audience.update", f"audience:{computation_id}", query=posted.raw("query"))
    return see_other(f"/audiences/{computation_id}", "Your changes are saved, and are being computed.")


@router.post("/audiences/{computation_id}/enabled")
def switch(visit: Editing, computation_id: int, posted: PostedForm) -> Response:
    on = posted.text("enabled") == "yes"
    one = visit.services.engage.computations.update(visit.workspace_id, computation_id, visit.now, enabled=on)
    visit.audit("audience.update", f"audience:{computation_id}", enabled=on)
    told = "is computed again" if on else "is switched off: it is neither computed nor sent"
    return see_other(f"/audiences/{computation_id}", f"“{one.name}” {told}.")


@router.post("/audiences/{computation_id}/delete")
def delete(visit: Editing, computation_id: int) -> Response:
    visit.services.engage.delete(visit.workspace_id, computation_id, visit.now)
    visit.audit("audience.delete", f"audience:{computation_id}")
    return see_other(f"/audiences?deleted={computation_id}")


@router.post("/audiences/{computation_id}/restore")
def restore(visit: Editing, computation_id: int) -> Response:
    one = visit.services.engage.computations.restore(visit.workspace_id, computation_id, visit.now)
    visit.audit("audience.restore", f"audience:{computation_id}")
    return see_other(f"/audiences/{computation_id}", f"“{one.name}” is back.")


@router.post("/audiences/new/build")
def build(visit: Reading, posted: PostedForm) -> Response:
    """The query that the form's rows describe, as the text beside them."""
    kind, error = computation_kind(posted.text("kind")), ""
    try:
        rows = _rows(posted)
        definition = (
            form.compose(rows, posted.text("join"))
            if kind is ComputationKind.AUDIENCE
            else form.compose_trait(rows[0] if rows else form.Row())
        )
        query = show(definition)
    except InvalidInput as problem:
        query, error = posted.raw("query"), str(problem)
    return visit.part("engage/query.html", query=query, hint=error, errors={})


@router.post("/audiences/new/preview")
def preview(visit: Reading, posted: PostedForm) -> Response:
    """Size and sample of what is typed, or the place where it goes wrong."""
    kind, query = computation_kind(posted.text("kind")), posted.raw("query").replace("\r\n", "\n")
    key = key_of_name(posted.text("name")) if posted.text("name").isascii() else ""
    values: dict[str, Any] = {"wrong": None, "problem": "", "found": None, "key": key, "sample": (), "waiting": None}
    if not query.strip():
        return visit.part("engage/preview.html", **values)
    try:
        definition_of(kind, query)
    except InvalidQuery as error:
        return visit.part("engage/preview.html", **values | {"wrong": views.wrong(query, error)})
    asked = Asked(visit.workspace_id, kind, query, posted.text("anonymous") == "yes")
    waiting = visit.services.engage.previews.ask(f"person:{visit.person.id}", asked)
    if not waiting.finished.wait(AT_ONCE_SECONDS):
        return visit.part("engage/preview.html", **values | {"waiting": waiting})
    values["problem"] = waiting.error
    if (found := waiting.result) is not None:
        values["found"] = found
        values["sample"] = [
            (one.label, None if one.value is True else views.value_text(one.value)) for one in found.sample
        ]
    return visit.part("engage/preview.html", **values)


def _form(
    visit: Visit,
    one: Computation | None,
    typed: Mapping[str, str],
    rows: list[form.Row],
    errors: Mapping[str, str],
    status: int = 200,
) -> Response:
    names, paths = _known(visit)
    return visit.page(
        "engage/form.html",
        status,
        one=one,
        typed=defaultdict(str, typed),
        query=typed.get("query", ""),
        rows=rows or ([] if one is not None else [form.Row()]),
        empty=form.Row(),
        errors=errors,
        names=names,
        paths=paths,
        whats=form.WHATS,
        signs=form.SIGNS,
        operators=form.OPERATORS,
        thens=form.THENS,
        reducers=form.REDUCERS,
        schedules=views.SCHEDULES,
        may_edit=visit.identity.role.may(Permission.EDIT),
    )


def _known(visit: Visit) -> tuple[list[str], list[str]]:
    """Events and property paths that the workspace's sources have seen."""
    names: dict[str, None] = {}
    paths: dict[str, None] = {}
    catalogue = visit.services.catalogue
    for source in visit.services.sources.list(visit.workspace_id):
        for event in catalogue.events(source.id):
            name = {Kind.TRACK: event.name, Kind.PAGEVIEW: "Page Viewed", Kind.SCREENVIEW: "Screen Viewed"}
            if event.kind in name:
                names.setdefault(name[event.kind])
        for found in catalogue.properties(source.id, Kind.TRACK):
            if found.path.startswith("properties."):
                paths.setdefault(found.path.removeprefix("properties."))
    return list(names)[:MOST_NAMES], list(paths)[:MOST_NAMES]


def _rows(posted: Posted) -> list[form.Row]:
    return form.rows_of({name: posted.all(name) for name in form.FIELDS})


def _typed(posted: Posted) -> dict[str, str]:
    return {name: posted.text(name) for name in ("kind", "name", "query", "every", "anonymous", "watched", "join")}


def _every(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _field(error: CliffwatchError) -> str:
    if isinstance(error, InvalidQuery):
        return "query"
    return "name" if error.subject.startswith("name") else "every" if error.subject == "schedule" else "query"
