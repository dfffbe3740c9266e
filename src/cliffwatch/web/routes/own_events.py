"""Own events: releases, campaigns, flags, outages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import CliffwatchError
from cliffwatch.guidance import Annotation, AnnotationKind
from cliffwatch.streams.model import TOTAL, Slice, make_slice
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, local_ms, said
from cliffwatch.web.render import see_other
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/annotations")

KINDS: Mapping[AnnotationKind, tuple[str, str]] = {
    AnnotationKind.RELEASE: ("Release", "package"),
    AnnotationKind.CAMPAIGN: ("Campaign", "zap"),
    AnnotationKind.FLAG: ("Flag", "flag"),
    AnnotationKind.OUTAGE: ("Outage", "triangle-alert"),
    AnnotationKind.OTHER: ("Other", "tag"),
}


@router.get("")
def page(visit: Reading, deleted: int = 0) -> Response:
    return _page(visit, Posted(), {}, deleted)


@router.post("")
def create(visit: Editing, posted: PostedForm) -> Response:
    try:
        kind = AnnotationKind(posted.text("kind", AnnotationKind.RELEASE.value))
    except ValueError:
        return _page(visit, posted, {"form": "Choose what kind of event it is."})
    try:
        end = posted.text("end")
        made = visit.services.guidance.annotations.create(
            visit.workspace_id,
            kind,
            posted.text("title"),
            local_ms(posted.text("start"), visit.zone, "start"),
            local_ms(end, visit.zone, "end") if end else None,
            by=visit.person.name,
            now=visit.now,
            scope=_scope(posted),
            url=posted.text("url"),
        )
    except CliffwatchError as error:
        field = error.subject if error.subject in ("title", "start", "end", "url") else "form"
        return _page(visit, posted, {field: said(error)})
    visit.audit("annotation.create", f"annotation:{made.id}", title=made.title)
    return see_other("/annotations", f"“{made.title}” is on the charts.")


@router.post("/{annotation_id}/delete")
def delete(visit: Editing, annotation_id: int) -> Response:
    visit.services.guidance.annotations.delete(visit.workspace_id, annotation_id, visit.now)
    visit.audit("annotation.delete", f"annotation:{annotation_id}")
    return see_other(f"/annotations?deleted={annotation_id}")


@router.post("/{annotation_id}/restore")
def restore(visit: Editing, annotation_id: int) -> Response:
    made = visit.services.guidance.annotations.restore(visit.workspace_id, annotation_id)
    visit.audit("annotation.restore", f"annotation:{annotation_id}")
    return see_other("/annotations", f"“{made.title}” is back.")


def _page(visit: Visit, posted: Posted, errors: Mapping[str, str], deleted: int = 0) -> Response:
    now = formats.local(visit.now, visit.zone)
    form = {name: posted.text(name) for name in ("kind", "title", "end", "url", "scope_path", "scope_value")}
    return visit.page(
        "annotations.html",
        422 if errors else 200,
        kinds=[(kind.value, *KINDS[kind]) for kind in AnnotationKind],
        form={**form, "start": posted.text("start") or f"{now:%Y-%m-%dT%H:%M}"},
        errors=errors,
        deleted=deleted,
        paths=dimension_paths(visit),
        lines=[line(one, visit) for one in visit.services.guidance.annotations.list(visit.workspace_id)],
        curl=_curl(visit),
        zone=visit.identity.workspace.time_zone.replace("_", " "),
    )


def line(one: Annotation, visit: Visit) -> Mapping[str, Any]:
    label, mark = KINDS[one.kind]
    return {
        "id": one.id,
        "kind": label,
        "icon": mark,
        "title": one.title,
        "when": formats.span(one.start_ms, one.end_ms, visit.zone),
        "scope": [(path.rsplit(".", 1)[-1].replace("_", " "), value) for path, value in one.scope],
        "url": one.url,
        "by": one.made_by,
    }


def dimension_paths(visit: Visit) -> Sequence[str]:
    """The dimensions of the workspace's streams."""
    streams = visit.services.streams.list(visit.workspace_id)
    return sorted({dimension.path for stream in streams for dimension in stream.definition.dimensions})


def _scope(posted: Posted) -> Slice:
    path, value = posted.text("scope_path"), posted.text("scope_value")
    return make_slice({path: value}) if path and value else TOTAL


def _curl(visit: Visit) -> str:
    return (
        f"curl {visit.address}/api/v1/annotations \\\n"
        '  -H "Authorization: Bearer $CLIFFWATCH_TOKEN" -H "Content-Type: application/json" \\\n'
        '  -d \'{"kind": "release", "title": "Checkout 4.2.1"}\''
    )
