"""Deleting people: ask, and see what came of it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views.data_map import DATA_MAP, Held
from cliffwatch.web.visit import Administering, Proven, Visit

router = APIRouter(prefix="/settings/privacy")

SHOWN = 100


@router.get("")
def deletions(visit: Administering) -> Response:
    return _page(visit, {"user_id": "", "anonymous_id": "", "for_ever": ""}, {})


@router.get("/list")
def listed(visit: Administering) -> Response:
    return visit.part("parts/deletions.html", deletions=_lines(visit))


@router.get("/map")
def data_map(visit: Administering) -> Response:
    """What is stored about whom, with what this workspace has chosen."""
    ingest = visit.services.ingest
    sources = [
        {
            "id": source.id,
            "name": source.name,
            "kept": formats.plural(source.archive_days, "day") if source.archive_days else "not at all",
            "rules": ", ".join(
                f"{rule.path} ({rule.action})" for rule in ingest.rules.list(visit.workspace_id, source.id)
            ),
        }
        for source in visit.services.sources.list(visit.workspace_id)
    ]
    groups: dict[str, list[Held]] = {}
    for held in DATA_MAP:
        groups.setdefault(held.whose, []).append(held)
    return visit.page("data_map.html", sources=sources, groups=list(groups.items()))


@router.post("")
def delete(visit: Administering, _: Proven, posted: PostedForm) -> Response:
    form = {name: posted.text(name) for name in ("user_id", "anonymous_id", "for_ever")}
    try:
        found = visit.services.ingest.deletions.request(
            visit.workspace_id,
            user_ids=[form["user_id"]],
            anonymous_ids=[form["anonymous_id"]],
            origin="page",
            requested_by=visit.identity.label,
            now=visit.now,
            for_ever=form["for_ever"] == "yes",
        )
    except InvalidInput as error:
        return _page(visit, form, {"user_id": said(error)}, 422)
    visit.audit("person.delete", f"deletion:{found.id}", shown=found.shown, for_ever=found.for_ever)
    return see_other("/settings/privacy", "The person is being deleted; it takes a moment.")


def _page(visit: Visit, form: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    return visit.page("privacy.html", status, form=form, errors=errors, deletions=_lines(visit))


def _lines(visit: Visit) -> list[dict[str, object]]:
    return [
        {
            "shown": found.shown,
            "at": formats.moment(found.requested_ms, visit.zone, visit.now),
            "by": found.requested_by if found.origin != "segment" else "Segment",
            "for_ever": found.for_ever,
            "done": found.done_ms is not None,
            "events": formats.number(found.events),
            "facts": formats.number(found.facts),
            "error": found.error,
        }
        for found in visit.services.ingest.deletions.list(visit.workspace_id, limit=SHOWN)
    ]
