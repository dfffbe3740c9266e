"""Channels: add, change, test; the delivery log; and the demo's own inbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.notify import Channel, ChannelKind, Inbox, ReceivedMail
from cliffwatch.notify.routing.shapes import dump_quiet
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.security import LETTER_POLICY
from cliffwatch.web.views import channels as views
from cliffwatch.web.views.routing import DAYS, TABS
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter()

SHOWN_DELIVERIES = 50


@router.get("/channels")
def channels(visit: Reading) -> Response:
    services = visit.services
    kinds = services.channels.kinds()
    log = services.outbox.log(visit.workspace_id, limit=SHOWN_DELIVERIES)
    found = services.channels.list(visit.workspace_id)
    numbers = {one.id: one.number for one in services.incidents.list(visit.workspace_id, limit=500)}
    return visit.page(
        "channels.html",
        tabs=TABS,
        tab="/channels",
        kinds=[views.kind_view(kind) for kind in kinds.values()],
        channels=[views.line(channel, kinds[channel.kind], log) for channel in found],
        log=[views.log_line(delivery, numbers, visit.zone, visit.now) for delivery in log],
        no_mail=not services.settings.smtp_host and any(channel.kind == "email" for channel in found),
    )


@router.get("/channels/new")
def new_channel(visit: Administering, kind: str = "") -> Response:
    if not kind:
        kinds = visit.services.channels.offered()
        return visit.page("channel_new.html", kinds=[views.kind_view(each) for each in kinds.values()])
    chosen = _kind(visit, kind)
    values = {"to": visit.person.email} if kind == "email" else {}
    return _form(visit, chosen, None, "", values, {})


@router.post("/channels")
def create(visit: Administering, posted: PostedForm) -> Response:
    kind = _kind(visit, posted.text("kind"))
    values = _values(kind, posted)
    name = posted.text("name")
    try:
        channel = visit.services.channels.create(visit.workspace_id, kind.kind, name, values, visit.now)
    except InvalidInput as error:
        return _form(visit, kind, None, name, values, _errors(error, kind), 422)
    visit.audit("channel.create", f"channel:{channel.id}", kind=kind.kind, name=channel.name)
    return see_other("/channels", f"“{channel.name}” was added. Send a test to be sure.")


@router.get("/channels/{channel_id}")
def edit_page(visit: Administering, channel_id: int) -> Response:
    channel = visit.services.channels.get(visit.workspace_id, channel_id)
    return _form(visit, _kind(visit, channel.kind), channel, channel.name, views.values_of(channel), {})


@router.post("/channels/{channel_id}")
def edit(visit: Administering, channel_id: int, posted: PostedForm) -> Response:
    channel = visit.services.channels.get(visit.workspace_id, channel_id)
    kind = _kind(visit, channel.kind)
    values, name = _values(kind, posted), posted.text("name")
    kept = {secret for secret in views.secrets_of(channel) if not values.get(secret)}
    given = {setting: value for setting, value in values.items() if setting not in kept}
    try:
        visit.services.channels.update(visit.workspace_id, channel_id, name=name, settings=given, quiet=_quiet(posted))
    except InvalidInput as error:
        return _form(visit, kind, channel, name, values, _errors(error, kind), 422, posted)
    visit.audit("channel.update", f"channel:{channel_id}", name=name)
    return see_other("/channels", "Your changes are saved.")


@router.post("/channels/{channel_id}/test")
def test(visit: Administering, channel_id: int) -> Response:
    channel = visit.services.channels.get(visit.workspace_id, channel_id)
    count = visit.services.outbox.enqueue_test(channel, visit.now)
    visit.audit("channel.test", f"channel:{channel_id}")
    return see_other(
        "/channels", f"{formats.plural(count, 'test message')} on the way. The log below shows the answer."
    )


@router.post("/channels/{channel_id}/enabled")
def switch(visit: Administering, channel_id: int, posted: PostedForm) -> Response:
    on = posted.text("enabled") == "yes"
    channel = visit.services.channels.update(visit.workspace_id, channel_id, enabled=on)
    visit.audit("channel.update", f"channel:{channel_id}", enabled=on)
    return see_other("/channels", f"“{channel.name}” is switched {'on' if on else 'off'}.")


@router.post("/channels/{channel_id}/delete")
def delete(visit: Administering, channel_id: int) -> Response:
    channel = visit.services.channels.get(visit.workspace_id, channel_id)
    visit.services.channels.delete(visit.workspace_id, channel_id)
    visit.audit("channel.delete", f"channel:{channel_id}", name=channel.name)
    return see_other("/channels", f"“{channel.name}” was deleted.")


@router.get("/inbox")
def inbox_page(visit: Reading, mail: int | None = None) -> Response:
    mails = _inbox(visit).list(limit=100)
    chosen = next((one for one in mails if one.id == mail), mails[0] if mails else None)
    return visit.page("inbox.html", mails=[_mail(visit, one) for one in mails], chosen=chosen)


@router.get("/inbox/{mail_id}/body")
def mail_body(visit: Reading, mail_id: int) -> Response:
    """The mail's own HTML, for a sandboxed frame: no script, nothing from elsewhere."""
    mail = _inbox(visit).get(mail_id)
    return HTMLResponse(mail.page, headers={"content-security-policy": LETTER_POLICY, "x-frame-options": "SAMEORIGIN"})


def _mail(visit: Visit, mail: ReceivedMail) -> dict[str, Any]:
    at = formats.moment(mail.date_ms, visit.zone, visit.now) if mail.date_ms is not None else None
    return {"id": mail.id, "to": mail.to, "subject": mail.subject, "at": at}


def _inbox(visit: Visit) -> Inbox:
    if visit.services.inbox is None:
        raise NotFound("The inbox", "is there in the demo only.")
    return visit.services.inbox


def _kind(visit: Visit, name: str) -> ChannelKind[Any]:
    kinds = visit.services.channels.kinds()
    if name not in kinds:
        raise NotFound(f"Channel kind {name!r}", "is not known.", f"Use: {', '.join(kinds)}.")
    return kinds[name]


def _values(kind: ChannelKind[Any], posted: Posted) -> dict[str, str]:
    return {field.name: posted.text(field.name) for field in views.fields(kind, {})}


def _quiet(posted: Posted) -> dict[str, Any]:
    """The quiet hours of the form; {} where both times are empty."""
    start, end = posted.text("quiet_start"), posted.text("quiet_end")
    days = [int(day) for day in posted.all("quiet_days") if day.isdigit()]
    return {"start": start, "end": end, "days": days or list(range(7))} if start or end else {}


def _errors(error: InvalidInput, kind: ChannelKind[Any]) -> dict[str, str]:
    """Beside the field that the error names."""
    for field in views.fields(kind, {}):
        if f"'{field.name}'" in error.subject:
            return {field.name: f"{error.rule} {error.way_out}".strip().capitalize()}
    if error.subject.startswith("quiet hours"):
        return {"quiet": said(error)}
    return {"name" if "name" in error.subject else "form": said(error)}


def _quiet_shown(channel: Channel | None, posted: Posted | None) -> dict[str, Any]:
    if posted is not None:
        return {"days": [], "start": "", "end": "", **_quiet(posted)}
    hours = dump_quiet(channel.quiet) if channel else None
    return hours or {"start": "", "end": "", "days": list(range(7))}


def _form(
    visit: Visit,
    kind: ChannelKind[Any],
    channel: Channel | None,
    name: str,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
    posted: Posted | None = None,
) -> Response:
    return visit.page(
        "channel_form.html",
        status,
        kind=views.kind_view(kind),
        channel_name=channel.name if channel else "",
        action=f"/channels/{channel.id}" if channel else "/channels",
        form={"name": name},
        fields=views.fields(kind, values, views.secrets_of(channel) if channel else frozenset()),
        quiet=_quiet_shown(channel, posted),
        days=DAYS,
        errors=errors,
    )
