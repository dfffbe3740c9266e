"""Saved filters of the list of incidents."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import CliffwatchError
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.routes.incidents import wanted_in
from cliffwatch.web.visit import Editing, Reading

router = APIRouter(prefix="/incidents/filters")


@router.post("")
def save_filter(visit: Editing, posted: PostedForm) -> Response:
    wanted = wanted_in(posted)
    try:
        made = visit.services.filters.save(
            visit.workspace_id,
            visit.person.id,
            posted.text("name"),
            wanted,
            shared=posted.text("shared") == "yes",
            now=visit.now,
        )
    except CliffwatchError as error:
        return see_other(f"/incidents?{wanted.query}", str(error), tone="bad")
    visit.audit("filter.save", f"filter:{made.id}", name=made.name, shared=made.shared)
    whose = "Everybody here can use it." if made.shared else "Only you see it."
    return see_other(f"/incidents/filters/{made.id}", f"“{made.name}” is saved. {whose}")


@router.get("/{filter_id}")
def use_filter(visit: Reading, filter_id: int) -> Response:
    """The list as it was saved: a link that may be passed on, where the filter is shared."""
    found = visit.services.filters.get(visit.workspace_id, visit.person.id, filter_id)
    return see_other(f"/incidents?{found.query}")


@router.post("/{filter_id}/share")
def share_filter(visit: Editing, filter_id: int, posted: PostedForm) -> Response:
    shared = posted.text("shared") == "yes"
    made = visit.services.filters.share(visit.workspace_id, visit.person.id, filter_id, shared=shared)
    visit.audit("filter.share", f"filter:{filter_id}", shared=shared)
    told = "Everybody here can use it now." if shared else "Only you see it now."
    return see_other(f"/incidents?{made.query}", told)


@router.post("/{filter_id}/delete")
def delete_filter(visit: Editing, filter_id: int) -> Response:
    visit.services.filters.delete(visit.workspace_id, visit.person.id, filter_id, visit.now)
    visit.audit("filter.delete", f"filter:{filter_id}")
    return see_other(f"/incidents?deleted={filter_id}")


@router.post("/{filter_id}/restore")
def restore_filter(visit: Editing, filter_id: int) -> Response:
    made = visit.services.filters.restore(visit.workspace_id, visit.person.id, filter_id)
    visit.audit("filter.restore", f"filter:{filter_id}")
    return see_other(f"/incidents?{made.query}", f"“{made.name}” is back.")
