"""Links in messages: a page that asks once, and the step that its button takes. Nobody needs to be signed in."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.accounts import Person
from cliffwatch.errors import NotFound
from cliffwatch.incidents import Incident
from cliffwatch.notify.links import LABELS, Act, Link
from cliffwatch.services import Services
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import render
from cliffwatch.web.visit import Installed, client_address

router = APIRouter(prefix="/act")

HOURS = (("1", "An hour"), ("4", "Four hours"), ("24", "A day"))


@dataclass(frozen=True, slots=True)
class LinkUser:
    """Whoever used a link that was not in a member's own mail."""

    name: str
    id: None = None


@router.get("/{token}")
def ask(request: Request, services: Installed, token: str) -> Response:
    """Changes nothing: programs that look into mails open every link."""
    link = services.links.read(token, services.clock())
    incident = services.incidents.surviving(link.workspace_id, link.number)
    return _page(request, services, link, incident, done="")


@router.post("/{token}")
def act(request: Request, services: Installed, token: str, posted: PostedForm) -> Response:
    now = services.clock()
    who = _actor(services, services.links.read(token, now))
    link = services.links.use(token, now)
    incidents, where = services.incidents, (link.workspace_id, link.number)
    if link.act is Act.ACKNOWLEDGE:
        incident, _ = incidents.acknowledge(*where, who, now)
        done = "You took it on. Others see that."
    elif link.act is Act.SNOOZE:
        hours = min(posted.number("hours") or 1, 24 * 31)
        incident, _ = incidents.snooze(*where, who, now, now + hours * 3_600_000)
        done = "It is quiet until then, and comes back if it still goes on."
    else:
        incident, _ = incidents.false_alarm(*where, who, now)
        done = "It is marked as a false alarm."
    services.accounts.audit(
        link.workspace_id,
        who.name,
        f"incident.{link.act}",
        f"incident:{link.number}",
        {"by": "a link in a message"},
        client_address(request),
        now,
    )
    return _page(request, services, link, incident, done=done)


def _actor(services: Services, link: Link) -> Person | LinkUser:
    """The member in whose own mail the link was, as long as they are one; else the channel's name."""
    if link.person_id is None:
        return LinkUser(f"By a link in a message to “{link.channel}”")
    for member in services.accounts.members(link.workspace_id):
        if member.person.id == link.person_id:
            return member.person
    raise NotFound("This link", "was sent to somebody who is no member any more.")


def _page(request: Request, services: Services, link: Link, incident: Incident, *, done: str) -> Response:
    return render(
        request,
        "act.html",
        label=LABELS[link.act],
        act=link.act.value,
        workspace=services.accounts.workspace(link.workspace_id).name,
        headline=incident.headline,
        cause=incident.cause,
        href=f"/incidents/{incident.number}",
        hours=HOURS,
        done=done,
    )
