"""What a source does not keep: rules for properties."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.ingest import Source
from cliffwatch.spec.model import Kind
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.visit import Administering, Visit

router = APIRouter(prefix="/sources/{source_id}/rules")

ACTIONS = (("drop", "Drop it"), ("hash", "Keep a keyed hash"))
_MOST_PATHS = 300


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows."""
    paths: dict[str, None] = {"userId": None, "anonymousId": None, "context.ip": None}
    for kind in Kind:
        if kind is not Kind.ALIAS and len(paths) < _MOST_PATHS:
            found = visit.services.catalogue.properties(source.id, kind)
            paths.update(dict.fromkeys(item.path for item in found if item.type != "object"))
    return {
        "rules": visit.services.ingest.rules.list(visit.workspace_id, source.id),
        "actions": ACTIONS,
        "paths": list(paths)[:_MOST_PATHS],
    }


@router.post("")
def add(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    path, action = posted.text("path"), posted.text("action")
    try:
        rule = visit.services.ingest.rules.add(visit.workspace_id, source_id, path, action, visit.now)
    except (InvalidInput, Conflict) as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.add_rule", f"source:{source_id}", path=rule.path, rule=rule.action)
    done = "dropped" if rule.action == "drop" else "hashed"
    return _back(source_id, f"{rule.path} is {done} from now on. What is stored already stays as it is.")


@router.post("/{rule_id}/remove")
def remove(visit: Administering, source_id: int, rule_id: int) -> Response:
    rule = visit.services.ingest.rules.remove(visit.workspace_id, source_id, rule_id)
    visit.audit("source.remove_rule", f"source:{source_id}", path=rule.path, rule=rule.action)
    return _back(source_id, f"{rule.path} is kept again from now on.")


def _back(source_id: int, message: str, *, tone: str = "good") -> Response:
    return see_other(f"/sources/{source_id}?tab=privacy", message, tone=tone)
