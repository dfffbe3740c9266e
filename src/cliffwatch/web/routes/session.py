"""First run, signing in and out, appearance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.accounts import SESSION_COOKIE, SLIDING_MS, TooManyAttempts
from cliffwatch.errors import CliffwatchError, InvalidInput
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
    return render(request, "sign_in.html", email="", error="", next=own_path(next))


@router.post("/sign-in")
def sign_in(request: Request, services: Installed, posted: PostedForm) -> Response:
    email = posted.text("email")
    try:
        return _signed_in(request, services, posted, email, own_path(posted.text("next", "/")))
    except (InvalidInput, TooManyAttempts) as error:
        status = 429 if isinstance(error, TooManyAttempts) else 422
        values = {"email": email, "error": str(error), "next": own_path(posted.text("next", "/"))}
        return render(request, "sign_in.html", status, **values)


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


def _signed_in(request: Request, services: Installed, posted: Posted, email: str, path: str) -> Response:
    token = services.accounts.sign_in(
        email,
        posted.raw("password"),
        address=client_address(request),
        user_agent=request.headers.get("user-agent", ""),
        now=services.clock(),
    )
    response = see_other(path)
    secure = request.url.scheme == "https" or services.settings.base_url.startswith("https:")
    response.set_cookie(SESSION_COOKIE, token, max_age=SLIDING_MS // 1000, httponly=True, samesite="lax", secure=secure)
    return response
