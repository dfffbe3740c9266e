"""The pages as one FastAPI application: middleware, static files, routes, and an answer for what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cliffwatch.accounts import Forbidden, Permission, TooManyAttempts
from cliffwatch.accounts.watched import Watched
from cliffwatch.connections import NotAuthorised, RemoteRefused
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound, Unavailable
from cliffwatch.services import Services
from cliffwatch.web.bodies import SmallBodies
from cliffwatch.web.render import STATIC, render, see_other
from cliffwatch.web.routes import (
    account,
    act,
    apps,
    audit,
    authorise,
    channels,
    destination_filters,
    destinations,
    digests,
    engage_detail,
    engage_list,
    escalation,
    explain,
    filters,
    goals,
    home,
    imports,
    incidents,
    integrations,
    join,
    judging,
    members,
    noise,
    own_events,
    privacy,
    routing,
    session,
    settings,
    shares,
    source_keys,
    source_live,
    source_privacy,
    source_quarantine,
    source_settings,
    source_tester,
    sources,
    sso,
    streams,
    unsubscribe,
    wizard,
    wizard_parts,
    workspaces,
)
from cliffwatch.web.security import SameOrigin, SecurityHeaders
from cliffwatch.web.visit import NEEDS, PROOF, ProveFirst, SetUpFirst, SignInFirst

log = structlog.get_logger(__name__)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

ROUTES = (
    act,
    unsubscribe,
    session,
    sso,
    join,
    workspaces,
    home,
    destination_filters,
    destinations,
    sources,
    source_live,
    source_tester,
    source_quarantine,
    source_privacy,
    source_settings,
    source_keys,
    engage_list,
    engage_detail,
    wizard_parts,
    wizard,
    explain,
    streams,
    judging,
    own_events,
    goals,
    filters,
    incidents,
    shares,
    channels,
    digests,
    noise,
    routing,
    escalation,
    apps,
    privacy,
    members,
    account,
    audit,
    settings,
    imports,
    integrations,
    authorise,
)

YEAR_SECONDS = 365 * 86_400
HOUR_SECONDS = 3_600


def create_pages(services: Services, *, lifespan: Lifespan | None = None) -> FastAPI:
    """The pages of an installation. Other applications (the HTTP API) may be mounted into it."""
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.services = services
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    app.add_middleware(SmallBodies)
    app.add_middleware(SameOrigin)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Watched)
    app.mount("/static", KeptFiles(directory=STATIC))
    for module in ROUTES:
        app.include_router(module.router)
    rules(app)
    _answer_errors(app)
    return app


PUBLIC = frozenset(
    {
        "/act/{token}",
        "/shared/{token}",
        "/shared/{token}/series.json",
        "/appearance",
        "/join/{token}",
        "/sign-in",
        "/sign-in/code",
        "/sso/callback",
        "/sso/start",
        "/sign-out",
        "/unsubscribe/{token}",
        "/welcome",
    }
)
"""Pages for people who are not signed in. The tokens in links are secrets of their own."""


def rules(app: FastAPI) -> dict[tuple[str, str], Permission | None]:
    """(method, path) -> the permission that a page needs; None for public ones. Raises TypeError for one without."""
    found: dict[tuple[str, str], Permission | None] = {}
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is None:  # static files, mounted applications
            continue
        asked = [NEEDS[call] for call in _calls(dependant) if call in NEEDS]
        if bool(asked) is (route.path in PUBLIC):
            raise TypeError(f"{route.path} must ask for a visit, such as `visit: Reading`, or else be named in PUBLIC.")
        needed = max(asked, key=list(Permission).index) if asked else None
        for method in route.methods or ():
            found[method, str(route.path)] = needed
    return found


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


class KeptFiles(StaticFiles):
    """Static files that browsers keep: for ever when their address carries a hash, for an hour when not."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            hashed = scope["query_string"].startswith(b"v=")
            response.headers["cache-control"] = (
                f"public, max-age={YEAR_SECONDS}, immutable" if hashed else f"public, max-age={HOUR_SECONDS}"
            )
        return response


_STATUS: MutableMapping[type[CliffwatchError], tuple[int, str]] = {
    NotFound: (404, "This is not here"),
    InvalidInput: (422, "This cannot be done"),
    Conflict: (409, "This cannot be done now"),
    Forbidden: (403, "You may not do this"),
    TooManyAttempts: (429, "Too many attempts"),
    Unavailable: (503, "A part of Cliffwatch does not answer"),
    NotAuthorised: (403, "This was not authorised"),
    RemoteRefused: (502, "The other side refused"),
}
_CODES = {404: "not_found", 405: "method_not_allowed"}
NO_DOOR = (
    "Nothing is posted to this address. Events go to /v1/batch, or one by one to /v1/track, /v1/identify, /v1/page, "
    "/v1/screen, /v1/group and /v1/alias; SDKs are given the address of this server alone."
)
_HTTP = {
    404: ("This page does not exist", "The address may be mistyped, or what it showed was deleted."),
    405: ("This address does not take that", "Go back and use the buttons of the page."),
    408: ("That took too long", "Send it again."),
    413: ("That was too much at once", "Send less."),
}


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(SignInFirst)
    def sign_in_first(request: Request, _: Exception) -> Response:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        to = f"/sign-in?next={quote(wanted, safe='')}" if request.method == "GET" and wanted != "/" else "/sign-in"
        return _redirect(request, to)

    @app.exception_handler(SetUpFirst)
    def set_up_first(request: Request, _: Exception) -> Response:
        return _redirect(request, "/welcome")

    @app.exception_handler(ProveFirst)
    def prove_first(request: Request, wanted: Exception) -> Response:
        assert isinstance(wanted, ProveFirst)
        visit, fields = wanted.visit, wanted.posted.fields
        kept = [(name, value) for name, values in fields.items() for value in values if name != PROOF]
        has_factor = visit.services.accounts.personal.factor(visit.person.id).is_on
        return visit.page(
            "confirm.html",
            wanted.status,
            kept=kept,
            error=wanted.error,
            by_code=has_factor,
            action=request.url.path,
            back=_back(request),
        )

    @app.exception_handler(CliffwatchError)
    def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, CliffwatchError)
        status, title = next((pair for kind, pair in _STATUS.items() if isinstance(error, kind)), (400, "This failed"))
        return _problem(request, status, title, str(error))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code in (404, 405) and _is_program(request):
            body = {"success": False, "code": _CODES[error.status_code], "message": NO_DOOR}
            return JSONResponse(body, error.status_code, headers=error.headers)
        title, text = _HTTP.get(error.status_code, ("This failed", str(error.detail)))
        return _problem(request, error.status_code, title, text)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, _: Exception) -> Response:
        return _problem(request, 404, *_HTTP[404])

    @app.exception_handler(Exception)
    def unknown(request: Request, error: Exception) -> Response:
        log.error("page failed", path=request.url.path, error=repr(error))
        return _problem(
            request,
            500,
            "Something broke on our side",
            "Nothing you typed was at fault. Try again; if it happens once more, the server’s log says what it was.",
        )


def _is_program(request: Request) -> bool:
    """Whether it is no page that asks: an SDK with a wrong path shows its owner what it was answered."""
    asks_for_page = "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
    return request.method == "POST" and not asks_for_page


def _redirect(request: Request, path: str) -> Response:
    """htmx would swap the sign-in page into a corner of the old one; it is told to leave the page instead."""
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": path})
    return see_other(path)


def _problem(request: Request, status: int, title: str, text: str) -> Response:
    return render(request, "problem.html", status, code=status, title=title, text=text, back=_back(request))


def _back(request: Request) -> str:
    """The page of this server that the visitor came from, "" when there is none."""
    referer = request.headers.get("referer", "")
    return referer if referer.startswith(str(request.base_url)) else ""
