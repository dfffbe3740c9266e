"""The link of an invitation: who has no account makes one, who has one signs in and joins."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.accounts import SESSION_COOKIE, Forbidden
from cliffwatch.errors import CliffwatchError, NotFound
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import render, see_other
from cliffwatch.web.routes.session import keep_session
from cliffwatch.web.visit import Installed, client_address

router = APIRouter(prefix="/join")

_FIELDS = {"Name": "name", "Password": "password"}


@router.get("/{token}")
def ask(request: Request, services: Installed, token: str) -> Response:
    """Changes nothing: programs that look into mails open every link."""
    return _page(request, services, token, "", {})


@router.post("/{token}")
def join(request: Request, services: Installed, token: str, posted: PostedForm) -> Response:
    accounts, now, address = services.accounts, services.clock(), client_address(request)
    invitation, workspace, known = accounts.team.invited(token, now)
    cookie = request.cookies.get(SESSION_COOKIE, "")
    identity = accounts.session(cookie, now) if cookie else None
    if known:
        if identity is None or identity.person is None:
            return see_other(f"/sign-in?next=/join/{token}")
        joined = accounts.team.accept(token, identity.person.id, now, address=address)
        accounts.personal.look_at(identity, cookie, joined.id, now)
        return see_other("/", f"You are a member of “{workspace.name}” now.")
    if not services.settings.password_sign_in:
        raise Forbidden("Passwords", "do not sign in here.", "Use single sign-on, then open the link again.")
    try:
        accounts.team.accept_new(token, posted.text("name"), posted.raw("password"), now, address=address)
    except CliffwatchError as error:
        if isinstance(error, NotFound):
            raise
        errors = {_FIELDS.get(error.subject, "form"): said(error)}
        return _page(request, services, token, posted.text("name"), errors, 422)
    session = accounts.sign_in(
        invitation.email,
        posted.raw("password"),
        address=address,
        user_agent=request.headers.get("user-agent", ""),
        now=now,
    )
    response = see_other("/", f"Welcome to “{workspace.name}”.")
    keep_session(request, services, response, session)
    return response


def _page(
    request: Request, services: Installed, token: str, name: str, errors: Mapping[str, str], status: int = 200
) -> Response:
    now = services.clock()
    invitation, workspace, known = services.accounts.team.invited(token, now)
    cookie = request.cookies.get(SESSION_COOKIE, "")
    identity = services.accounts.session(cookie, now) if cookie else None
    return render(
        request,
        "join.html",
        status,
        token=token,
        email=invitation.email,
        role=invitation.role.value,
        by=invitation.invited_by,
        workspace=workspace.name,
        known=known,
        signed_in_as=identity.label if identity is not None else "",
        form={"name": name},
        errors=errors,
    )
