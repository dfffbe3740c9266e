"""First run, signing in and out, appearance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.accounts import CODE_MS, SESSION_COOKIE, SLIDING_MS, WAITING_COOKIE, Forbidden, TooManyAttempts
from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import THEME, render, see_other
from cliffwatch.web.views.places import country_names, zone_groups
from cliffwatch.web.visit import Installed, client_address

router = APIRouter()

YEAR_SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class WelcomeForm:
    name: str = ""
    email: str = ""
    workspace: str = ""
    time_zone: str = "UTC"
    country: str = ""


@router.get("/welcome")
def welcome(request: Request, services: Installed) -> Response:
    if services.accounts.is_set_up():
        return see_other("/sign-in")
    return _welcome(request, WelcomeForm(), {})


@router.post("/welcome")
def set_up(request: Request, services: Installed, posted: PostedForm) -> Response:
    """Create owner and workspace, sign the owner in, and go straight to the first source."""
    form = WelcomeForm(*(posted.text(name) for name in ("name", "email", "workspace", "time_zone", "country")))
    now = services.clock()
    try:
        identity = services.accounts.set_up(
            email=form.email,
            name=form.name,
            password=posted.raw("password"),
            workspace_name=form.workspace,
            time_zone=form.time_zone,
            country=form.country or None,
            now=now,
            address=client_address(request),
        )
    except CliffwatchError as error:
        return _welcome(request, form, {_FIELDS.get(error.subject, "form"): said(error)}, 422)
    services.incidents.ensure_default_monitor(identity.workspace.id, now)
    return _signed_in(request, services, posted, identity.label, "/sources/new?first=yes")


_FIELDS = {
    "E-mail": "email",
    "Name": "name",
    "Password": "password",
    "Workspace name": "workspace",
    "Time zone": "time_zone",
    "Country": "country",
}


def _welcome(request: Request, form: WelcomeForm, errors: Mapping[str, str], status: int = 200) -> Response:
    return render(
        request,
        "welcome.html",
        status,
        form=form,
        errors=errors,
        zones=zone_groups(),
        countries=country_names(),
        detect_zone=status == 200,
    )


@router.get("/sign-in")
def sign_in_page(request: Request, services: Installed, next: str = "/") -> Response:  # noqa: A002 - the address's word
    if not services.accounts.is_set_up():
        return see_other("/welcome")
    return _sign_in(request, services, "", "", own_path(next))


@router.post("/sign-in")
def sign_in(request: Request, services: Installed, posted: PostedForm) -> Response:
    email = posted.text("email")
    if not services.settings.password_sign_in:
        raise Forbidden("Passwords", "do not sign in here.", "Use single sign-on.")
    try:
        return _signed_in(request, services, posted, email, own_path(posted.text("next", "/")))
    except (InvalidInput, TooManyAttempts) as error:
        status = 429 if isinstance(error, TooManyAttempts) else 422
        return _sign_in(request, services, email, str(error), own_path(posted.text("next", "/")), status)


@router.get("/sign-in/code")
def code_page(request: Request, services: Installed, next: str = "/") -> Response:  # noqa: A002 - the address's word
    if services.accounts.personal.waits_for_code(request.cookies.get(WAITING_COOKIE, ""), services.clock()) is None:
        return see_other("/sign-in", "Begin again with your password.", tone="bad")
    return render(request, "sign_in_code.html", error="", next=own_path(next))


@router.post("/sign-in/code")
def give_code(request: Request, services: Installed, posted: PostedForm) -> Response:
    """The second step of signing in."""
    to = own_path(posted.text("next", "/"))
    try:
        token = services.accounts.personal.give_code(
            request.cookies.get(WAITING_COOKIE, ""),
            posted.text("code"),
            address=client_address(request),
            user_agent=request.headers.get("user-agent", ""),
            now=services.clock(),
        )
    except NotFound as error:
        return see_other("/sign-in", str(error), tone="bad")
    except (InvalidInput, TooManyAttempts) as error:
        status = 429 if isinstance(error, TooManyAttempts) else 422
        return render(request, "sign_in_code.html", status, error=str(error), next=to)
    response = see_other(to)
    response.delete_cookie(WAITING_COOKIE)
    keep_session(request, services, response, token)
    return response


@router.post("/sign-out")
def sign_out(request: Request, services: Installed) -> Response:
    token = request.cookies.get(SESSION_COOKIE)
    if token:
        services.accounts.sign_out(token, now=services.clock(), address=client_address(request))
    response = see_other("/sign-in")
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.post("/appearance")
def appearance(request: Request, posted: PostedForm) -> Response:
    """Light, dark, or as the system; kept in this browser."""
    response = see_other(own_path(urlsplit(request.headers.get("referer", "/")).path))
    theme = posted.text("theme")
    if theme in ("light", "dark"):
        response.set_cookie(THEME, theme, max_age=YEAR_SECONDS, httponly=True, samesite="lax")
    else:
        response.delete_cookie(THEME)
    return response


def own_path(address: str) -> str:
    """The address when it lies on this server, else the start page: nobody is sent elsewhere after signing in."""
    parts = urlsplit(address)
    ours = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return address if ours and all(character.isprintable() for character in address) else "/"


def _sign_in(request: Request, services: Installed, email: str, error: str, path: str, status: int = 200) -> Response:
    return render(
        request,
        "sign_in.html",
        status,
        email=email,
        error=error,
        next=path,
        sso=services.sso.settings,
        passwords=services.settings.password_sign_in,
    )


def _signed_in(request: Request, services: Installed, posted: Posted, email: str, path: str) -> Response:
    token = services.accounts.sign_in(
        email,
        posted.raw("password"),
        address=client_address(request),
        user_agent=request.headers.get("user-agent", ""),
        now=services.clock(),
    )
    if services.accounts.personal.waits_for_code(token, services.clock()) is not None:
        response = see_other(f"/sign-in/code?{urlencode({'next': path})}")
        response.set_cookie(
            WAITING_COOKIE,
            token,
            max_age=CODE_MS // 1000,
            path="/sign-in",
            httponly=True,
            samesite="lax",
            secure=is_secure(request, services),
        )
        return response
    response = see_other(path)
    keep_session(request, services, response, token)
    return response


def keep_session(request: Request, services: Installed, response: Response, token: str) -> None:
    """Hand the session to the browser, out of reach of scripts and of other sites."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=SLIDING_MS // 1000,
        httponly=True,
        samesite="lax",
        secure=is_secure(request, services),
    )


def is_secure(request: Request, services: Installed) -> bool:
    """Whether people reach this server over TLS."""
    return request.url.scheme == "https" or services.settings.base_url.startswith("https:")
