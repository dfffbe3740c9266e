"""Single sign-on: to the provider, back from it, and its page of settings."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from cliffwatch.accounts import Forbidden
from cliffwatch.errors import InvalidInput, NotFound, Unavailable
from cliffwatch.sso import COOKIE, SsoRefused
from cliffwatch.sso.flow import VALID_MS
from cliffwatch.web.render import render, see_other
from cliffwatch.web.routes.session import is_secure, keep_session, own_path
from cliffwatch.web.visit import Administering, Installed, client_address

router = APIRouter()


@router.get("/sso/start")
def start(request: Request, services: Installed, next: str = "/") -> Response:  # noqa: A002 - the address's word
    if not services.sso.settings.is_on:
        raise NotFound("Single sign-on", "is not set up here.")
    try:
        started = services.sso.start(own_path(next), services.clock())
    except (SsoRefused, Unavailable) as error:
        return _refused(request, services, str(error))
    response = RedirectResponse(started.url, 303, headers={"cache-control": "no-store"})
    response.set_cookie(
        COOKIE,
        started.cookie,
        max_age=VALID_MS // 1000,
        path="/sso",
        httponly=True,
        samesite="lax",
        secure=is_secure(request, services),
    )
    return response


@router.get("/sso/callback")
def callback(request: Request, services: Installed) -> Response:
    if not services.sso.settings.is_on:
        raise NotFound("Single sign-on", "is not set up here.")
    try:
        token, path = services.sso.finish(
            request.cookies.get(COOKIE, ""),
            dict(request.query_params),
            address=client_address(request),
            user_agent=request.headers.get("user-agent", ""),
            now=services.clock(),
        )
    except (SsoRefused, Unavailable, Forbidden, InvalidInput) as error:
        services.accounts.audit(
            None,
            "(unknown)",
            "session.sign_in_failed",
            "person:?",
            {"single_sign_on": str(error)[:300]},
            client_address(request),
            services.clock(),
        )
        return _refused(request, services, str(error))
    response = see_other(own_path(path))
    response.delete_cookie(COOKIE, path="/sso")
    keep_session(request, services, response, token)
    return response


@router.get("/settings/single-sign-on")
def page(visit: Administering) -> Response:
    sso = visit.services.sso
    return visit.page(
        "single_sign_on.html",
        sso=sso.settings,
        redirect_uri=sso.redirect_uri,
        problem=sso.check() if sso.settings.is_on else "",
        roles=sorted((group, role.value) for group, role in sso.settings.roles.items()),
        domains=", ".join(sorted(sso.settings.domains)),
        passwords=visit.services.settings.password_sign_in,
    )


def _refused(request: Request, services: Installed, text: str) -> Response:
    response = render(
        request,
        "sign_in.html",
        403,
        email="",
        error=text,
        next="/",
        sso=services.sso.settings,
        passwords=services.settings.password_sign_in,
    )
    response.delete_cookie(COOKIE, path="/sso")
    return response
