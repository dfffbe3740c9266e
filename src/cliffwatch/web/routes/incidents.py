"""Incidents: the list, one incident, and what people do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound
from cliffwatch.incidents import Incident, IncidentState, Transition
from cliffwatch.incidents.filters import Show, Wanted
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.markdown import file_name
from cliffwatch.incidents.triage import MOST as MOST_AT_ONCE
from cliffwatch.notify import Delivery
from cliffwatch.pipeline.export import incident_markdown
from cliffwatch.streams.model import Slice, Stream, slice_key
from cliffwatch.web import formats, points
from cliffwatch.web.forms import Posted, PostedForm, whole
from cliffwatch.web.render import see_other
from cliffwatch.web.views import goals as goal_views
from cliffwatch.web.views import heatmap, links, series
from cliffwatch.web.views import incidents as views
from cliffwatch.web.views import moved as moved_view
from cliffwatch.web.views.around import near_row, suspect, verdict_view
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/incidents")

BEFORE_MS = 3 * formats.DAY_MS
AFTER_MS = formats.DAY_MS // 2
MOST_OTHERS = 60
PER_PAGE = 50
TRIAGED = {
    "acknowledge": "acknowledged",
    "snooze": "snoozed for 4 hours",
    "resolve": "resolved",
    "false-alarm": "marked as false alarm",
    "expected": "marked as expected",
}
"""So many other incidents are offered to merge into: the newest."""


@router.get("")
def incident_list(
    visit: Reading,
    show: str = "live",
    stream: str = "",
    owner: str = "",
    before: str = "",
    size: int = PER_PAGE,
    undo: int = 0,
    deleted: int = 0,
) -> Response:
    services, here = visit.services, visit.workspace_id
    streams = {one.id: one.name for one in services.streams.list(here)}
    wanted = Wanted.of({"show": show, "stream": stream, "owner": owner}, streams)
    which = (wanted.show.states, wanted.stream_id, wanted.owners(visit.person.id))
    size = min(max(size, 1), PER_PAGE)
    opened, _, last = before.partition(".")
    ends = whole(opened, 15), whole(last)
    since = (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None else None
    found = services.incidents.list(here, *which[:2], limit=size + 1, before=since, owners=which[2])
    more = f"{found[size - 1].opened_ms}.{found[size - 1].number}" if len(found) > size else ""
    live = services.incidents.count(here, views.LIVE)
    saved = services.filters.list(here, visit.person.id)
    return visit.page(
        "incidents.html",
        show=wanted.show.value,
        wanted=wanted.fields,
        narrowed=wanted.narrowed,
        filters=[
            (f"/incidents?{replace(wanted, show=one).query}", one, label, live if one is Show.LIVE else 0)
            for one, label in views.SHOWS.items()
        ],
        streams=list(streams.items()),
        owners=list(views.OWNERS.items()),
        saved=[(one, one.wanted == wanted, one.person_id == visit.person.id) for one in saved],
        matching=services.incidents.count(here, *which) if more else len(found),
        most=MOST_AT_ONCE,
        seen_ms=visit.now,
        deleted=deleted if 0 < deleted < 2**53 else 0,
        lines=[views.line(incident, visit.zone, visit.now) for incident in found[:size]],
        older=f"/incidents?{urlencode({**wanted.fields, 'size': size, 'before': more})}" if more else "",
        newest=since is None,
        undo=undo if 0 < undo < 2**53 else 0,
    )


def wanted_in(posted: Posted) -> Wanted:
    """What the list showed that a form stands on."""
    return Wanted.of({name: posted.text(name) for name in ("show", "stream", "owner")})


@router.post("/triage")
def triage(visit: Editing, posted: PostedForm) -> Response:
    """One step with all that were chosen, or with all that the list shows on any page; the answer offers to take it
    back. What came in since the list was opened is left alone."""
    services, step, wanted = visit.services, posted.text("step"), wanted_in(posted)
    here = f"/incidents?{wanted.query}"
    numbers = [number for one in posted.all("number") if (number := whole(one)) is not None]
    if posted.has("all"):
        seen = posted.text("seen")
        numbers = services.incidents.numbers(
            visit.workspace_id,
            wanted.show.states,
            wanted.stream_id,
            wanted.owners(visit.person.id),
            opened_until_ms=whole(seen, 15) or 0,
            limit=MOST_AT_ONCE,
        )
    try:
        with services.database.write() as session:
            done = services.triage.act(session, visit.workspace_id, numbers, step, visit.person, visit.now)
            services.outbox.enqueue(session, done.transitions, visit.now)
    except CliffwatchError as error:
        return see_other(here, str(error), tone="bad")
    visit.audit(f"incident.{step}", "incidents", numbers=list(done.done))
    told = f"{formats.plural(len(done.done), 'incident')} {TRIAGED[step]}."
    if done.refused:
        told += f" {len(done.refused)} could not be: {done.refused[0][1]}"
    if not done.done:
        return see_other(here, told, tone="bad")
    return see_other(f"{here}&undo={done.id}", told)


@router.post("/triage/{triage_id}/undo")
def undo_triage(visit: Editing, triage_id: int) -> Response:
    services = visit.services
    try:
        with services.database.write() as session:
            back, left = services.triage.undo(session, visit.workspace_id, triage_id, visit.person, visit.now)
    except Conflict as error:
        return see_other("/incidents", str(error), tone="bad")
    visit.audit("incident.undo", "incidents", numbers=list(back))
    told = f"{formats.plural(len(back), 'incident')} as before."
    if left:
        told += f" {formats.plural(len(left), 'incident')} changed since and stayed."
    return see_other("/incidents", told)


@router.get("/{number}")
def incident_page(visit: Reading, number: int) -> Response:
    services = visit.services
    incident = services.incidents.get(visit.workspace_id, number)
    if incident.merged_into is not None:
        told = f"#{number} is part of #{incident.merged_into}."
        return see_other(f"/incidents/{incident.merged_into}", told)
    stream = _stream(visit, incident)
    of = views.explained(incident)
    link = links.slice_link(
        of.stream_id, of.measure, incident.started_ms, incident.last_window_ms, visit.zone, visit.now
    )
    address = f"{visit.address}/incidents/{number}"
    anomalies = services.incidents.anomalies(incident.id)
    moved = views.also_moved(incident, anomalies, visit.zone, visit.now)
    around, of_goal = services.around.look(incident), incident.kind == GOAL
    return visit.page(
        "incident.html",
        verdict=verdict_view(around.verdict),
        suspect=suspect(around.near, incident),
        near=[near_row(one, incident, visit.zone, visit.now) for one in around.near],
        incident=views.line(incident, visit.zone, visit.now),
        may_acknowledge=incident.state in (IncidentState.OPEN, IncidentState.SNOOZED),
        status_note=_status_note(visit, incident),
        facts=views.facts(incident, visit.zone, visit.now, anomalies),
        why=views.why(incident, link),
        seen_in=of.seen_in,
        explain_href=_explain_href(visit, incident, stream, of),
        goal=goal_views.of_incident(incident),
        chart=_chart(visit, incident, stream),
        heat=None if of_goal else _heat(visit, incident, stream),
        moved=[(item, _moved_href(item)) for item in moved],
        timeline=_timeline(visit, incident),
        members=[(member.person.id, member.person.name) for member in services.accounts.members(visit.workspace_id)],
        owner_id=incident.owner_id,
        moves=[moved_view.line(one, visit.zone, visit.now) for one in services.moves.of(incident)],
        parts=moved_view.parts(incident, anomalies),
        others=moved_view.others(incident, services.incidents.list(visit.workspace_id, limit=MOST_OTHERS)),
        shares=len([one for one in services.shares.list(visit.workspace_id, number) if one.works(visit.now)]),
        markdown=incident_markdown(services.incidents, around, incident, visit.zone, visit.now, address),
        link=address,
    )


@router.post("/{number}/acknowledge")
def acknowledge(visit: Editing, number: int) -> Response:
    return _act(visit, number, visit.services.incidents.acknowledge, "You took it on. Others see that.")


@router.post("/{number}/snooze")
def snooze(visit: Editing, number: int, posted: PostedForm) -> Response:
    until = views.snooze_until(posted.text("until"), visit.zone, visit.now)
    if until is None:
        raise InvalidInput("Snooze until", "is 1h, 4h or tomorrow.")
    told = f"Quiet until {formats.moment(until, visit.zone, visit.now).text}."
    return _act(visit, number, visit.services.incidents.snooze, told, until_ms=until)


@router.post("/{number}/resolve")
def resolve(visit: Editing, number: int) -> Response:
    return _act(visit, number, visit.services.incidents.resolve, "Resolved.")


@router.post("/{number}/reopen")
def reopen(visit: Editing, number: int) -> Response:
    return _act(visit, number, visit.services.incidents.reopen, "Open again.")


@router.post("/{number}/false-alarm")
def false_alarm(visit: Editing, number: int) -> Response:
    told = "Marked as a false alarm: its series’ band is a little wider from the next run on."
    return _act(visit, number, visit.services.incidents.false_alarm, told)


@router.post("/{number}/expected")
def expected(visit: Editing, number: int) -> Response:
    told = "Marked as expected: nothing is learned from it."
    return _act(visit, number, visit.services.incidents.expected, told)


@router.post("/{number}/new-normal")
def new_normal(visit: Editing, number: int) -> Response:
    told = "Marked as the new normal: the base line is moved from the next run on."
    return _act(visit, number, visit.services.incidents.new_normal, told)


@router.post("/{number}/comment")
def comment(visit: Editing, number: int, posted: PostedForm) -> Response:
    return _act(visit, number, visit.services.incidents.comment, "", text=posted.text("text"))


@router.post("/{number}/assign")
def assign(visit: Editing, number: int, posted: PostedForm) -> Response:
    return _act(visit, number, visit.services.incidents.assign, "", owner_id=posted.number("owner"))


Acted = tuple[Incident, Sequence[Transition]]


def _act(visit: Visit, number: int, step: Callable[..., Acted], told: str, **more: Any) -> Response:
    """Do it, with what channels hear of it, and go back to the incident; say so when it is not possible."""
    here = f"/incidents/{number}"
    try:
        step(visit.workspace_id, number, visit.person, visit.now, **more)
    except NotFound:
        raise
    except CliffwatchError as error:
        return see_other(here, str(error), tone="bad")
    visit.audit(f"incident.{step.__name__}", f"incident:{number}")
    return see_other(here, told)


@router.post("/{number}/merge")
def merge(visit: Editing, number: int, posted: PostedForm) -> Response:
    visit.services.incidents.get(visit.workspace_id, number)
    into = posted.number("into")
    if into is None:
        return see_other(f"/incidents/{number}", "Choose the incident that it is part of.", tone="bad")
    services = visit.services
    try:
        with services.database.write() as session:
            steps = services.moves.merge(session, visit.workspace_id, number, into, visit.person, visit.now)
            services.outbox.enqueue(session, steps, visit.now)
    except CliffwatchError as error:
        return see_other(f"/incidents/{number}", str(error), tone="bad")
    visit.audit("incident.merge", f"incident:{number}", into=into)
    return see_other(f"/incidents/{into}", f"#{number} is part of this incident now. Undo stands beside the owner.")


@router.post("/{number}/split")
def split(visit: Editing, number: int, posted: PostedForm) -> Response:
    visit.services.incidents.get(visit.workspace_id, number)
    chosen = [id_ for part in posted.all("series") for one in part.split(",") if (id_ := whole(one)) is not None]
    services = visit.services
    try:
        with services.database.write() as session:
            new, steps = services.moves.split(session, visit.workspace_id, number, chosen, visit.person, visit.now)
            services.outbox.enqueue(session, steps, visit.now)
    except CliffwatchError as error:
        return see_other(f"/incidents/{number}", str(error), tone="bad")
    visit.audit("incident.split", f"incident:{number}", new=new.number)
    return see_other(f"/incidents/{new.number}", f"Split off from #{number}. Undo stands beside the owner.")


@router.post("/{number}/moves/{move_id}/undo")
def undo_move(visit: Editing, number: int, move_id: int) -> Response:
    services = visit.services
    try:
        with services.database.write() as session:
            steps = services.moves.undo(session, visit.workspace_id, move_id, visit.person, visit.now)
            services.outbox.enqueue(session, steps, visit.now)
    except NotFound:
        raise
    except CliffwatchError as error:
        return see_other(f"/incidents/{number}", str(error), tone="bad")
    visit.audit("incident.undo_move", f"incident:{number}", move=move_id)
    return see_other(f"/incidents/{number}", "Taken back.")


@router.get("/{number}/export.md")
def export(visit: Reading, number: int) -> Response:
    """The incident as a Markdown file."""
    incident = visit.services.incidents.get(visit.workspace_id, number)
    url = f"{visit.address}/incidents/{number}"
    text = incident_markdown(
        visit.services.incidents, visit.services.around.look(incident), incident, visit.zone, visit.now, url
    )
    named = {"content-disposition": f'attachment; filename="{file_name(incident)}"'}
    return Response(text, media_type="text/markdown; charset=utf-8", headers=named)


def _stream(visit: Visit, incident: Incident) -> Stream | None:
    """The incident's stream; None when it was deleted."""
    try:
        return visit.services.streams.get(visit.workspace_id, incident.stream_id)
    except NotFound:
        return None


def _status_note(visit: Visit, incident: Incident) -> str:
    if incident.state is IncidentState.ACKNOWLEDGED and incident.acknowledged_by:
        return f"{incident.acknowledged_by} is on it"
    if incident.state is IncidentState.SNOOZED and incident.snoozed_until_ms:
        return f"quiet until {formats.moment(incident.snoozed_until_ms, visit.zone, visit.now).text}"
    if incident.resolved_ms and not incident.state.live:
        return f"closed {formats.moment(incident.resolved_ms, visit.zone, visit.now).text}"
    return ""


def chart_window(incident: Incident, now: int) -> tuple[int, int]:
    """The time around the incident that chart and heat map show."""
    end = incident.ended_ms if incident.ended_ms is not None else now
    return incident.started_ms - BEFORE_MS, min(end + AFTER_MS, now)


def _chart(visit: Visit, incident: Incident, stream: Stream | None) -> dict[str, Any]:
    start, end = chart_window(incident, visit.now)
    name = f"{incident.measure_name}, {series.slice_words(incident.slice)}"
    query = {"measure": incident.measure, "slice": slice_key(incident.slice), "start": start, "end": end}
    return {
        "title": name,
        "href": _series_href(stream, incident.measure, incident.slice) or "/streams",
        "src": f"/streams/{incident.stream_id}/series.json?{urlencode(query)}",
        "height": 240,
        "summary": incident.headline,
    }


def _heat(visit: Visit, incident: Incident, stream: Stream | None) -> heatmap.HeatMap | None:
    if stream is None or not stream.definition.dimensions:
        return None
    measure = stream.definition.find_measure(incident.measure)
    if measure is None:
        return None
    start, end = chart_window(incident, visit.now)
    found = points.read(visit.services.store, stream.id, start, end, measure.key)
    paths = [dimension.path for dimension in stream.definition.dimensions]
    link = links.slice_link(stream.id, measure.key, start, end, visit.zone, visit.now)
    looked = heatmap.Looked(measure, incident.started_ms, incident.last_window_ms, visit.zone, link)
    return heatmap.heat_map(found, paths, end, looked)


def _series_href(stream: Stream | None, measure: str, piece: Slice) -> str:
    if stream is None:
        return ""
    return links.series_href(stream.id, measure, piece)


def _explain_href(visit: Visit, incident: Incident, stream: Stream | None, of: views.Explained) -> str:
    if stream is None:
        return ""
    start, end = incident.started_ms, incident.last_window_ms
    return links.explain_href(of.stream_id, of.measure, of.slice, start, end, visit.zone)


def _moved_href(item: views.Moved) -> str:
    return links.series_href(item.stream_id, item.measure, item.slice)


def _timeline(visit: Visit, incident: Incident) -> list[views.Step]:
    """What happened and who was told, the newest first."""
    told = [
        _told(visit, delivery)
        for delivery in visit.services.outbox.log(visit.workspace_id, incident_id=incident.id)
        if delivery.state != "pending"
    ]
    entries = visit.services.incidents.timeline(incident.id)
    happened = [views.step(entry, visit.zone, visit.now) for entry in entries]
    return sorted([*happened, *told], key=lambda step: step.at_ms)[::-1]


def _told(visit: Visit, delivery: Delivery) -> views.Step:
    at = delivery.sent_ms or delivery.created_ms
    sent = delivery.state == "sent"
    return views.Step(
        formats.moment(at, visit.zone, visit.now),
        at,
        "send" if sent else "circle-x",
        "" if sent else "bad",
        "",
        f"Told {delivery.target}" if sent else f"Could not tell {delivery.target}",
        "" if sent else delivery.answer,
    )
