"""One audience or computed trait: its size over time, who is in it, who came and went, and where it is sent."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.engage import Computation, Mode, Sync
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.sizes import STREAM
from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import engage as views
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter()

MONTH_MS = 30 * 86_400_000
MEMBERS = 25
CHANGES = 30


@router.get("/audiences/{computation_id}")
def detail(visit: Reading, computation_id: int, after: int = -1) -> Response:
    return _page(visit, _found(visit, computation_id), after, {}, {})


@router.get("/audiences/{computation_id}/live")
def live(visit: Reading, computation_id: int) -> Response:
    """What moves: progress of computing and of sending."""
    one = _found(visit, computation_id)
    return visit.part(
        "engage/live.html", may_admin=visit.identity.role.value in ("owner", "admin"), **_live(visit, one)
    )


@router.post("/audiences/{computation_id}/syncs")
def send(visit: Administering, computation_id: int, posted: PostedForm) -> Response:
    one = _found(visit, computation_id)
    kind = posted.text("destination")
    settings = {field.name: posted.text(field.name) for field in KINDS[kind].fields} if kind in KINDS else {}
    try:
        mode = Mode(posted.text("mode") or "identify")
        made = visit.services.engage.send_to(
            one,
            kind,
            settings,
            mode,
            visit.now,
            name=posted.text("name") or None,
            per_second=posted.number("per_second") or 0,
        )
    except (InvalidInput, NotFound) as error:
        typed = {name: posted.text(name) for name in posted.fields}
        return _page(visit, one, -1, typed, {_field(error): said(error)}, 422)
    visit.audit("audience.send", f"audience:{computation_id}", kind=kind, mode=mode.value, sync=made.id)
    return see_other(f"/audiences/{computation_id}#syncs", "The first sync begins: everybody who is in it is sent.")


@router.post("/audiences/{computation_id}/syncs/{sync_id}/paused")
def pause(visit: Administering, computation_id: int, sync_id: int, posted: PostedForm) -> Response:
    one, on = _found(visit, computation_id), posted.text("paused") == "yes"
    visit.services.engage.syncs.change(one.id, sync_id, paused=on)
    visit.audit("audience.send", f"audience:{computation_id}", sync=sync_id, paused=on)
    told = "Paused. It goes on where it stopped." if on else "It goes on where it stopped."
    return see_other(f"/audiences/{computation_id}#syncs", told)


@router.post("/audiences/{computation_id}/syncs/{sync_id}/rate")
def rate(visit: Administering, computation_id: int, sync_id: int, posted: PostedForm) -> Response:
    one, per_second = _found(visit, computation_id), posted.number("per_second") or 0
    try:
        visit.services.engage.syncs.change(one.id, sync_id, per_second=per_second)
    except InvalidInput as error:
        return see_other(f"/audiences/{computation_id}#syncs", str(error), tone="bad")
    visit.audit("audience.send", f"audience:{computation_id}", sync=sync_id, per_second=per_second)
    return see_other(f"/audiences/{computation_id}#syncs", "The new rate holds from the next people on.")


@router.post("/audiences/{computation_id}/syncs/{sync_id}/delete")
def stop(visit: Administering, computation_id: int, sync_id: int) -> Response:
    one = _found(visit, computation_id)
    visit.services.engage.syncs.delete(one.id, sync_id)
    visit.audit("audience.send", f"audience:{computation_id}", sync=sync_id, deleted=True)
    return see_other(f"/audiences/{computation_id}#syncs", "Nothing is sent there any more.")


def _found(visit: Visit, computation_id: int) -> Computation:
    return visit.services.engage.computations.there(visit.workspace_id, computation_id)


def _page(
    visit: Visit, one: Computation, after: int, typed: dict[str, str], errors: dict[str, str], status: int = 200
) -> Response:
    engage = visit.services.engage
    passes = engage.computations.passes(one.id, visit.now - MONTH_MS)
    members = engage.members(one, MEMBERS + 1, after)
    changes = engage.computations.changes(one.id, CHANGES)
    people = {member.person: member for member in engage.people(one.workspace_id, {c.person: None for c in changes})}
    stream = next((s for s in visit.services.streams.list(visit.workspace_id) if s.name == STREAM), None)
    return visit.page(
        "engage/detail.html",
        status,
        badge=views.badge(one),
        schedule=views.schedule_text(one.every_minutes),
        chart=views.size_chart(passes),
        passes=[
            (formats.moment(done.at_ms, visit.zone, visit.now), done.size, done.entered, done.left, done.looked_at)
            for done in reversed(passes[-200:])
        ],
        span=views.chart_span(passes, visit.zone, visit.now),
        computed=formats.moment(one.computed_ms, visit.zone, visit.now) if one.computed_ms is not None else None,
        members=[(m.label, None if m.value is True else views.value_text(m.value), m) for m in members[:MEMBERS]],
        more=members[MEMBERS - 1].person if len(members) > MEMBERS else None,
        first_page=after < 0,
        changes=views.transitions(one, changes, people, visit.zone, visit.now),
        stream=stream,
        sources=visit.services.sources.list(visit.workspace_id),
        kinds=KINDS.values(),
        modes=views.MODES,
        typed=defaultdict(str, typed),
        errors=errors,
        may_admin=_may(visit),
        **_live(visit, one),
    )


def _live(visit: Visit, one: Computation) -> dict[str, Any]:
    syncs = visit.services.engage.syncs
    cards = [
        views.sync_card(sync, syncs.runs(sync.id, 6), _where(visit, sync), visit.zone, visit.now)
        for sync in syncs.of(one.id)
    ]
    working = one.enabled and one.state in ("preparing", "computing")
    return {
        "one": one,
        "cards": cards,
        "working": working,
        "percent": int(100 * one.progress),
        "moving": working or any(card.busy for card in cards),
    }


def _may(visit: Visit) -> bool:
    return visit.identity.role.may(Permission.ADMIN)


def _field(error: CliffwatchError) -> str:
    """The field of the form that an error speaks of; a channel's setting stands in quotes."""
    quoted = error.subject.split("'")
    return quoted[1] if len(quoted) > 1 else error.subject.split(" ")[0]


def _where(visit: Visit, sync: Sync) -> str:
    if sync.kind == "cliffwatch":
        found = visit.services.sources.find(int(sync.settings["source"]))
        return found.name if found is not None else "a source that was deleted"
    return str(sync.settings.get("endpoint") or sync.settings.get("url", ""))
