"""Settings: who belongs to the workspace, who is invited, and accounts of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Role
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.notify import send_note
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.visit import Administering, Owning, Proven, Reading, Visit

router = APIRouter(prefix="/settings/members")

HERE = "/settings/members"
ROLES = (
    (Role.VIEWER, "Viewer", "sees everything but secrets"),
    (Role.EDITOR, "Editor", "changes streams and incidents"),
    (Role.ADMIN, "Administrator", "changes sources, channels, people and tokens"),
    (Role.OWNER, "Owner", "changes the workspace and its owners"),
)


@router.get("")
def members(visit: Reading) -> Response:
    return _page(visit, {}, {})


@router.post("/invite")
def invite(visit: Administering, _: Proven, posted: PostedForm) -> Response:
    """Invite by mail, where there is a mail server; and show the link this once."""
    form = {"email": posted.text("email"), "role": posted.text("role")}
    try:
        invitation, token = visit.services.accounts.team.invite(
            visit.identity, form["email"], _role(posted), visit.now, address=visit.from_address
        )
    except (InvalidInput, Conflict) as error:
        return _page(visit, form, {"role" if error.subject == "Role" else "email": said(error)}, 422)
    link = f"{visit.address}/join/{token}"
    return _page(
        visit, {}, {}, link={"email": invitation.email, "url": link, "mail": _mail(visit, invitation.email, link)}
    )


@router.post("/invitations/{invitation_id}/take-back")
def take_back(visit: Administering, invitation_id: int) -> Response:
    visit.services.accounts.team.take_back(visit.identity, invitation_id, visit.now, address=visit.from_address)
    return see_other(HERE, "The invitation is good no more.")


@router.post("/{person_id}/role")
def change_role(visit: Administering, _: Proven, person_id: int, posted: PostedForm) -> Response:
    visit.services.accounts.team.change_role(
        visit.identity, person_id, _role(posted), visit.now, address=visit.from_address
    )
    return see_other(HERE, "The role was changed.")


@router.post("/{person_id}/remove")
def remove(visit: Administering, _: Proven, person_id: int) -> Response:
    visit.services.accounts.team.remove(visit.identity, person_id, visit.now, address=visit.from_address)
    return see_other(HERE, "They are a member no more; their tokens for this workspace are refused.")


@router.post("/{person_id}/transfer")
def transfer(visit: Owning, _: Proven, person_id: int) -> Response:
    visit.services.accounts.team.transfer(visit.identity, person_id, visit.now, address=visit.from_address)
    return see_other(HERE, "The workspace has a new owner; you are an administrator now.")


@router.post("/leave")
def leave(visit: Reading, _: Proven) -> Response:
    visit.services.accounts.team.remove(visit.identity, visit.person.id, visit.now, address=visit.from_address)
    return see_other("/", f"You left the workspace “{visit.identity.workspace.name}”.")


@router.post("/programs")
def add_program(visit: Administering, _: Proven, posted: PostedForm) -> Response:
    form = {"program": posted.text("program"), "role": posted.text("role")}
    try:
        made = visit.services.accounts.team.add_service_account(
            visit.identity, form["program"], _role(posted), visit.now, address=visit.from_address
        )
    except InvalidInput as error:
        return _page(visit, form, {"program_role" if error.subject == "Role" else "program": said(error)}, 422)
    return see_other("/settings/tokens", f"“{made.name}” is there. Now make a token that acts for it.")


def _role(posted: Posted) -> Role:
    try:
        return Role(posted.text("role"))
    except ValueError as error:
        raise InvalidInput("Role", "is none.", "Choose one of these.") from error


def _mail(visit: Visit, email: str, link: str) -> str:
    """What became of the mail, "" where there is no mail server."""
    if not visit.services.mail.host:
        return ""
    name, workspace = visit.person.name, visit.identity.workspace.name
    lines = (
        f"{name} invites you to the workspace “{workspace}” of Cliffwatch, which watches its metrics.",
        f"Accept within seven days:\n{link}",
        "The link is good once, and for you alone. If you do not know what this is, do nothing.",
    )
    answer = send_note(visit.services.mail, email, f"Join “{workspace}” on Cliffwatch", lines, visit.now)
    return f"A mail is on its way to {email}." if answer.ok else f"The mail could not be sent: {answer.text}"


def _page(
    visit: Visit,
    form: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
    link: Mapping[str, str] | None = None,
) -> Response:
    accounts, place, me = visit.services.accounts, visit.workspace_id, visit.identity
    found: list[dict[str, Any]] = [
        {
            "id": member.person.id,
            "name": member.person.name,
            "initials": formats.initials(member.person.name),
            "email": member.person.email,
            "role": member.role.value,
            "you": member.person.id == visit.person.id,
            "second_factor": accounts.personal.factor(member.person.id).is_on,
            "changeable": member.role is not Role.OWNER or me.role is Role.OWNER,
        }
        for member in accounts.members(place)
    ]
    invitations = [
        {
            "id": one.id,
            "email": one.email,
            "role": one.role.value,
            "by": one.invited_by,
            "expires": formats.moment(one.expires_ms, visit.zone, visit.now),
            "is_over": one.expires_ms <= visit.now,
        }
        for one in accounts.team.invitations(place)
    ]
    programs = [
        {"id": one.person.id, "name": one.person.name, "role": one.role.value}
        for one in accounts.team.service_accounts(place)
    ]
    return visit.page(
        "members.html",
        status,
        members=found,
        invitations=invitations,
        programs=programs,
        form={"email": "", "role": "viewer", "program": ""} | dict(form),
        errors=errors,
        roles=[(role.value, label, what) for role, label, what in ROLES if role is not Role.OWNER or me.role is role],
        link=link,
    )
