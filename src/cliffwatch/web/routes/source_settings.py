"""What is set on a source: which pages may send, how long whole events stay, on and off, and which streams use it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import Source
from cliffwatch.ingest.sources import MAX_ARCHIVE_DAYS
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, whole
from cliffwatch.web.render import see_other
from cliffwatch.web.views import streams as stream_views
from cliffwatch.web.visit import Administering, Visit

router = APIRouter(prefix="/sources/{source_id}")


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows. With `days` in the address, what keeping so many would delete, to be said yes to."""
    asked = visit.request.query_params.get("days", "")
    days = whole(asked)
    days = days if days is not None and days <= MAX_ARCHIVE_DAYS else None
    return {
        "using": [
            (stream.id, stream.name, stream_views.about(stream))
            for stream in visit.services.streams.list(visit.workspace_id)
            if stream.source_id == source.id
        ],
        "created": formats.moment(source.created_ms, visit.zone, visit.now),
        "asked_days": days,
        "would_go": visit.services.ingest.retention.would_go(source.id, days) if days is not None else 0,
    }


@router.post("/origins")
def set_origins(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    origins = posted.raw("origins").split()
    try:
        source = visit.services.sources.update(visit.workspace_id, source_id, allowed_origins=origins)
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.update", f"source:{source_id}", allowed_origins=list(source.allowed_origins))
    if not source.allowed_origins:
        return _back(source_id, "Pages of every origin may send.")
    return _back(source_id, "Events of other pages are rejected from now on, and counted.")


@router.post("/address")
def set_address(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    keep = posted.text("keep_ip") == "yes"
    visit.services.sources.update(visit.workspace_id, source_id, keep_ip=keep)
    visit.audit("source.update", f"source:{source_id}", keep_ip=keep)
    if keep:
        return _back(source_id, "Events from people’s own devices get their address as context.ip from now on.")
    return _back(source_id, "Addresses are not kept from now on.")


@router.post("/retention")
def set_retention(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    """Save how long whole events stay. What would delete some says how many first, and asks."""
    sources, days = visit.services.sources, posted.number("archive_days")
    source = sources.get(visit.workspace_id, source_id)
    if days is None:
        return _back(source_id, "Days must be a whole number, such as 395.", tone="bad")
    asks = days < source.archive_days and posted.text("sure") != "yes" and days <= MAX_ARCHIVE_DAYS
    if asks and visit.services.ingest.retention.would_go(source_id, days):
        return see_other(f"/sources/{source_id}?tab=settings&days={days}#retention")
    try:
        sources.update(visit.workspace_id, source_id, archive_days=days)
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.update", f"source:{source_id}", archive_days=days)
    if days == 0:
        return _back(source_id, "No whole events are kept; those that are there go within the hour.")
    return _back(source_id, f"Whole events are kept for {days:,} days.")


def _back(source_id: int, message: str, *, tone: str = "good") -> Response:
    return see_other(f"/sources/{source_id}?tab=settings", message, tone=tone)
