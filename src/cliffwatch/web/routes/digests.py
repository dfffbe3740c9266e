"""Digests: when they leave, for whom, what the next one would say, and each person's own choice."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.notify.digests import DigestKind, DigestSettings
from cliffwatch.notify.digests.schedule import next_ms
from cliffwatch.notify.render import chart_png, html_mail
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.security import LETTER_POLICY
from cliffwatch.web.views.routing import TABS
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter(prefix="/digests")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@router.get("")
def digests(visit: Reading, show: str = "weekly") -> Response:
    return _page(visit, visit.services.digests.settings(visit.workspace_id), {}, show=show)


@router.post("")
def save(visit: Administering, posted: PostedForm) -> Response:
    values = _values(posted)
    try:
        visit.services.digests.save(visit.workspace_id, values, visit.now)
    except InvalidInput as error:
        return _page(visit, visit.services.digests.settings(visit.workspace_id), {"form": said(error)}, 422)
    visit.audit("digest.update", "digests", **values)
    return see_other("/digests", "Your changes are saved.")


@router.post("/mine")
def mine(visit: Reading, posted: PostedForm) -> Response:
    wanted = posted.text("wanted") == "yes"
    visit.services.digests.want(visit.workspace_id, visit.person.id, wanted)
    visit.audit("digest.choose", f"person:{visit.person.id}", wanted=wanted)
    return see_other(
        "/digests", "You get digests again." if wanted else "You get no digests of this workspace any more."
    )


@router.post("/{kind}/send")
def send_now(visit: Administering, kind: str) -> Response:
    count = visit.services.digests.send_now(visit.workspace_id, _kind(kind), visit.now)
    visit.audit("digest.send", "digests", kind=kind, messages=count)
    if not count:
        return see_other("/digests", "Nobody gets digests yet: choose channels or members first.", tone="bad")
    return see_other("/channels", f"{formats.plural(count, 'message')} on the way. The log below shows the answers.")


@router.get("/{kind}/preview")
def preview(visit: Reading, kind: str) -> Response:
    """The mail's own HTML, for a sandboxed frame."""
    message = visit.services.digests.preview(visit.workspace_id, _kind(kind), visit.now)
    light, dark = (_address(chart_png(message, theme)) for theme in ("light", "dark"))
    headers = {"content-security-policy": LETTER_POLICY, "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(html_mail(message, light, dark), headers=headers)


def _address(picture: bytes | None) -> str | None:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture is not None else None


def _kind(name: str) -> DigestKind:
    if name not in list(DigestKind):
        raise NotFound(f"Digest {name!r}", "is not known.", "Use daily or weekly.")
    return DigestKind(name)


def _values(posted: Posted) -> dict[str, Any]:
    chosen = [int(one) for one in posted.all("channels") if one.isascii() and one.isdigit()]
    return {
        "daily": posted.has("daily"),
        "weekly": posted.has("weekly"),
        "weekday": posted.number("weekday") or 0,
        "hour": posted.number("hour") if posted.number("hour") is not None else 9,
        "channels": None if posted.text("where") != "chosen" else chosen,
        "members": posted.has("members"),
    }


def _page(
    visit: Visit, settings: DigestSettings, errors: Mapping[str, str], status: int = 200, *, show: str = "weekly"
) -> Response:
    services, zone = visit.services, visit.identity.workspace.time_zone
    leaves = {
        kind.value: formats.moment(next_ms(kind, settings, zone, visit.now), visit.zone, visit.now)
        for kind in DigestKind
        if settings.sends(kind)
    }
    shared = [one for one in services.channels.list(visit.workspace_id) if one.person_id is None]
    shown = DigestKind(show) if show in list(DigestKind) else DigestKind.WEEKLY
    return visit.page(
        "digests.html",
        status,
        tabs=TABS,
        tab="/digests",
        settings=settings,
        channels=[(one.id, one.name, one.enabled) for one in shared],
        weekdays=WEEKDAYS,
        hours=[f"{hour:02}:00" for hour in range(24)],
        leaves=leaves,
        zone=zone,
        unsubscribed=services.digests.unsubscribed(visit.workspace_id),
        wanted=services.digests.wanted_by(visit.workspace_id, visit.person.id),
        can_mail=services.outbox.can_mail,
        show=shown.value,
        subject=services.digests.preview(visit.workspace_id, shown, visit.now).subject,
        errors=errors,
    )
