"""The noise review: what told too much, fixes with one click, and their undo."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.noise import Fix, FixKind, Noise
from cliffwatch.streams import Stream
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.views.routing import TABS
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/noise")


@router.get("")
def review(visit: Reading) -> Response:
    services = visit.services
    streams = services.streams.list(visit.workspace_id)
    found = services.noise.review(visit.workspace_id, streams, services.pipeline.series_count, visit.now)
    groups = (
        ("streams", "Noisiest data streams", "/streams/{}/sensitivity", "Sensitivity", found.streams),
        ("series", "Noisiest series", "", "", found.series),
        ("monitors", "Noisiest monitors", "/monitors/{}", "Edit", found.monitors),
    )
    return visit.page(
        "noise.html",
        tabs=TABS,
        tab="/noise",
        days=found.days,
        sent=found.sent,
        dismissed=found.dismissed,
        groups=[
            {
                "key": key,
                "title": title,
                "rows": [
                    {"noise": noise, "href": href.format(noise.key), "action": action, "fixes": _fixes(noise)}
                    for noise in rows
                ],
            }
            for key, title, href, action, rows in groups
            if rows
        ],
        done=[_done(visit, fix) for fix in services.noise.fixes(visit.workspace_id)],
    )


@router.post("/fix")
def fix(visit: Editing, posted: PostedForm) -> Response:
    kind, here, by = _kind(posted), visit.workspace_id, visit.identity.label
    made = visit.services.noise.fix(
        here, kind, posted.text("key"), _value(posted), _stream_of(visit), visit.person, by, visit.now
    )
    visit.audit("noise.fix", f"fix:{made.id}", kind=kind.value, what=made.what)
    return see_other("/noise", f"Done: {made.what}. It holds from the next run on; take it back below.")


@router.post("/fixes/{fix_id}/undo")
def undo(visit: Editing, fix_id: int) -> Response:
    by = visit.identity.label
    undone = visit.services.noise.undo(visit.workspace_id, fix_id, _stream_of(visit), by, visit.now)
    visit.audit("noise.undo", f"fix:{fix_id}", what=undone.what)
    return see_other("/noise", f"Taken back: {undone.what}.")


def _stream_of(visit: Visit) -> Callable[[int], Stream]:
    return lambda stream_id: visit.services.streams.get(visit.workspace_id, stream_id)


def _kind(posted: Posted) -> FixKind:
    kind = posted.text("kind")
    if kind not in list(FixKind):
        raise InvalidInput("fix", "is not known.", "Use the buttons of the page.")
    return FixKind(kind)


def _value(posted: Posted) -> Any:
    try:
        return json.loads(posted.text("value") or "null")
    except ValueError as error:
        raise InvalidInput("fix", "has no value.", "Use the buttons of the page.") from error


def _fixes(noise: Noise) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind.value,
            "words": one.words,
            "value": json.dumps(one.value),
            "effect": one.effect,
            "left": one.left,
            "sent": one.sent,
            "confirm": f"{noise.name} wakes nobody any more, until you take it back."
            if one.kind is FixKind.MUTE
            else "",
        }
        for one in noise.proposals
    ]


def _done(visit: Visit, fix: Fix) -> dict[str, Any]:
    return {
        "id": fix.id,
        "what": fix.what,
        "by": fix.made_by,
        "at": formats.moment(fix.made_ms, visit.zone, visit.now),
        "undone": formats.moment(fix.undone_ms, visit.zone, visit.now) if fix.undone_ms is not None else None,
    }
