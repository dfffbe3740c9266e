"""Share links: their list for people who may edit, and the page that they show to anybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from cliffwatch.accounts import Workspace
from cliffwatch.errors import CliffwatchError, NotFound
from cliffwatch.incidents import Incident, Share
from cliffwatch.services import Services
from cliffwatch.web import formats, points
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import render, see_other
from cliffwatch.web.routes.incidents import chart_window
from cliffwatch.web.views import goals as goal_views
from cliffwatch.web.views import incidents as views
from cliffwatch.web.views import series
from cliffwatch.web.views.around import verdict_view
from cliffwatch.web.visit import Editing, Installed, Visit

router = APIRouter()

DAYS = (("1", "A day"), ("7", "A week"), ("30", "30 days"), ("90", "90 days"))
PRIVATE = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
}
"""The address is the secret: nobody keeps the page, finds it in a search, or sends its address along."""


@router.get("/incidents/{number}/share")
def share_list(visit: Editing, number: int) -> Response:
    return _list(visit, number)


@router.post("/incidents/{number}/share")
def share(visit: Editing, number: int, posted: PostedForm) -> Response:
    """Make a link and show it this once, on the very answer: it is never kept in readable form."""
    services = visit.services
    try:
        made, token = services.shares.create(
            visit.workspace_id,
            number,
            days=posted.number("days") or 0,
            note=posted.text("note"),
            person_id=visit.person.id,
            now=visit.now,
        )
    except NotFound:
        raise
    except CliffwatchError as error:
        return _list(visit, number, problem=str(error), status=422)
    visit.audit("share.create", f"incident:{number}", share=made.id, expires_ms=made.expires_ms)
    return _list(visit, number, link=f"{visit.address}/shared/{token}")


@router.post("/incidents/{number}/share/{share_id}/revoke")
def revoke(visit: Editing, number: int, share_id: int) -> Response:
    visit.services.shares.revoke(visit.workspace_id, number, share_id, visit.now)
    visit.audit("share.revoke", f"incident:{number}", share=share_id)
    return see_other(f"/incidents/{number}/share", "The link shows nothing any more.")


@router.get("/shared/{token}")
def shared(request: Request, services: Installed, token: str) -> Response:
    """One incident, for anybody who has the link: nothing to do, nowhere else to go."""
    now = services.clock()
    workspace, incident = _shown(services, token, now, count=True)
    zone = formats.zone_of(workspace.time_zone)
    anomalies = services.incidents.anomalies(incident.id)
    response = render(
        request,
        "shared.html",
        workspace=workspace.name,
        incident=views.line(incident, zone, now),
        facts=views.facts(incident, zone, now, anomalies),
        why=views.why(incident),
        goal=goal_views.of_incident(incident),
        verdict=verdict_view(services.around.look(incident).verdict),
        chart={
            "title": f"{incident.measure_name}, {series.slice_words(incident.slice)}",
            "src": f"/shared/{token}/series.json",
            "height": 240,
            "summary": incident.headline,
        },
        moved=views.also_moved(incident, anomalies, zone, now),
        zone=workspace.time_zone,
    )
    response.headers.update(PRIVATE)
    return response


@router.get("/shared/{token}/series.json")
def shared_series(services: Installed, token: str) -> Response:
    """The headline series around the incident: what the page's chart shows, and no more."""
    now = services.clock()
    workspace, incident = _shown(services, token, now)
    stream = services.streams.get(workspace.id, incident.stream_id)
    measure = stream.definition.find_measure(incident.measure)
    if measure is None:
        raise NotFound("chart", "is not there any more: its stream does not measure this now.")
    start, end = chart_window(incident, now)
    found = points.read(services.store, stream.id, start, end, measure.key, [incident.slice])
    told = [one for one in services.incidents.anomalies(incident.id) if one.series == incident.series]
    data = series.chart_data(
        found.get((measure.key, incident.slice), series.empty()),
        measure,
        workspace.time_zone,
        [replace(one, incident_id=None) for one in told if one.withdrawn_ms is None],
        {},
    )
    return JSONResponse(data, headers=PRIVATE)


def _shown(services: Services, token: str, now: int, *, count: bool = False) -> tuple[Workspace, Incident]:
    workspace_id, number = services.shares.read(token, now, count=count)
    return services.accounts.workspace(workspace_id), services.incidents.get(workspace_id, number)


def _list(visit: Visit, number: int, *, link: str = "", problem: str = "", status: int = 200) -> Response:
    services = visit.services
    incident = services.incidents.get(visit.workspace_id, number)
    return visit.page(
        "share.html",
        status,
        incident=views.line(incident, visit.zone, visit.now),
        shares=[_line(one, visit) for one in services.shares.list(visit.workspace_id, number)],
        days=DAYS,
        link=link,
        problem=problem,
    )


def _line(one: Share, visit: Visit) -> dict[str, Any]:
    def at(ms: int | None) -> formats.Moment | None:
        return formats.moment(ms, visit.zone, visit.now) if ms is not None else None

    state = "revoked" if one.revoked_ms is not None else "works" if one.works(visit.now) else "ended"
    return {
        "id": one.id,
        "note": one.note or "Without a note",
        "by": one.created_by or "",
        "created": at(one.created_ms),
        "expires": at(one.expires_ms),
        "state": state,
        "opened": one.opened_count,
        "last": at(one.last_opened_ms),
    }
