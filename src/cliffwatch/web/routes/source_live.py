"""Live events of a source: a table, its stream of rows (server-sent events), and one event whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from cliffwatch.errors import NotFound
from cliffwatch.ingest import RecentEvent, Source
from cliffwatch.web.render import environment
from cliffwatch.web.views import live as views
from cliffwatch.web.visit import Reading, Visit

router = APIRouter(prefix="/sources/{source_id}/events")

KEPT = 500
LOOK_SECONDS = 0.4
"""How often the newest messages are looked for; they lie in memory, or are few in the database."""
STREAM_SECONDS = 300.0
"""A stream of rows ends after this long; the browser opens the next by itself, if anybody still looks."""


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows at first."""
    wanted = _wanted(visit.request)
    return {"events": _lines(visit, source, wanted), "wanted": wanted, "types": views.TYPES, "outcomes": views.OUTCOMES}


@router.get("")
def events(visit: Reading, source_id: int) -> Response:
    """The rows alone, for browsers that cannot keep a stream open."""
    source = visit.services.sources.get(visit.workspace_id, source_id)
    return visit.part("parts/event_rows.html", source=source, events=_lines(visit, source, _wanted(visit.request)))


@router.get("/stream")
def stream(visit: Reading, source_id: int, after: int = 0) -> Response:
    """Rows as they come: each message holds one or more, newest first, with the newest number as its id."""
    source = visit.services.sources.get(visit.workspace_id, source_id)
    last = visit.request.headers.get("last-event-id", "")
    start = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else after
    return StreamingResponse(
        _rows(visit, source, _wanted(visit.request), start),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@router.get("/{sequence}")
def event(visit: Reading, source_id: int, sequence: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    for found in visit.services.ingest.live(source.id, KEPT):
        if found.sequence == sequence:
            return visit.part("parts/event_detail.html", event=views.detail(found))
    raise NotFound(f"Event {sequence}", "is not among the newest of this source any more.")


async def _rows(visit: Visit, source: Source, wanted: views.Wanted, after: int) -> AsyncIterator[str]:
    services, loop = visit.services, asyncio.get_running_loop()
    template = environment().get_template("parts/event_rows.html")
    ui = environment().get_template("ui.html").module
    until = loop.time() + STREAM_SECONDS
    yield "retry: 1000\n\n"
    quiet = 0
    while loop.time() < until and not services.closing.is_set():
        fresh: list[RecentEvent] = await asyncio.to_thread(services.ingest.live, source.id, KEPT, after)
        if fresh:
            after = max(found.sequence for found in fresh)
            now = services.clock()
            lines = [views.line(found, visit.zone, now) for found in fresh if wanted.takes(found)]
            html = template.render(source=source, events=lines, ui=ui) if lines else ""
            yield "".join([f"id: {after}\n", *(f"data: {text}\n" for text in html.splitlines()), "\n"])
            quiet = 0
        else:
            quiet += 1
            if quiet % 40 == 0:  # a sign of life, so that proxies keep the connection
                yield ": \n\n"
        await asyncio.sleep(LOOK_SECONDS)


def _lines(visit: Visit, source: Source, wanted: views.Wanted) -> list[views.Line]:
    recent = visit.services.ingest.live(source.id, KEPT)
    return [views.line(found, visit.zone, visit.now) for found in recent if wanted.takes(found)][: views.SHOWN]


def _wanted(request: Request) -> views.Wanted:
    asked = request.query_params
    return views.Wanted(asked.get("type", ""), asked.get("outcome", ""), asked.get("q", "").strip()[:200])
