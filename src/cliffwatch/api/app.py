"""Puts the API together: its routes, who may use them, how errors look, and its documentation."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware

from cliffwatch.accounts import Permission
from cliffwatch.accounts.watched import Watched
from cliffwatch.api import (
    audiences,
    channels,
    digests,
    documentation,
    goals,
    guidance,
    heartbeat,
    incidents,
    noise,
    own_events,
    previews,
    privacy,
    problems,
    regrouping,
    routing,
    series,
    sources,
    streams,
    syncs,
    triage,
    workspace,
)
from cliffwatch.api.auth import Asks, Authentication
from cliffwatch.api.openapi import DESCRIPTION, Api
from cliffwatch.limits import Rate

if TYPE_CHECKING:
    from cliffwatch.services import Services


def create_api(services: Services, *, rate: Rate | None = None) -> FastAPI:
    """The API as an application of its own, to be mounted at `/api/v1`. `rate` is per token."""
    app = Api(
        title="Cliffwatch",
        summary="What Cliffwatch measures, what surprised it, and why.",
        description=DESCRIPTION,
        version=version("cliffwatch"),
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[Middleware(Watched), Middleware(Authentication, services, rate or Rate(), documentation.PUBLIC)],
    )
    problems.install(app)
    rooms = (
        workspace,
        heartbeat,
        sources,
        streams,
        previews,
        series,
        guidance,
        own_events,
        goals,
        audiences,
        syncs,
        incidents,
        regrouping,
        triage,
        routing,
        channels,
        digests,
        noise,
        privacy,
    )
    for room in rooms:
        app.include_router(room.router(services))
    documentation.install(app)
    app.rules = rules(app)
    return app


def rules(app: FastAPI) -> dict[str, Permission]:
    """Operation id -> the permission that it needs. Raises TypeError for a route that names none, or two."""
    found: dict[str, Permission] = {}
    for route in iter_route_contexts(app.routes):
        if route.path in documentation.PUBLIC:
            continue
        parts = route.dependant.dependencies if route.dependant is not None else []
        asked = [part.call.permission for part in parts if isinstance(part.call, Asks)]
        if len(asked) != 1:
            raise TypeError(f"{route.path} must name exactly one permission that it needs, such as `who: Reader`.")
        if route.unique_id is None or route.unique_id in found:
            raise TypeError(f"{route.path} needs a name of its own.")
        found[route.unique_id] = asked[0]
    return found
