"""Puts the API together: its routes, who may use them, how errors look, and its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from cliffwatch.accounts import Permission
from cliffwatch.api import channels, documentation, incidents, problems, series, sources, streams, workspace
from cliffwatch.api.auth import Asks, Authentication
from cliffwatch.api.limits import Rate
from cliffwatch.api.openapi import describe

if TYPE_CHECKING:
    from cliffwatch.services import Services

MAX_BODY_BYTES = 1_000_000


def create_api(services: Services, *, rate: Rate | None = None) -> FastAPI:
    """The API as an application of its own, to be mounted at `/api/v1`. `rate` is per token."""
    app = FastAPI(
        title="Cliffwatch",
        summary="What Cliffwatch measures, what surprised it, and why.",
        version=version("cliffwatch"),
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        max_body_size=MAX_BODY_BYTES,
        middleware=[Middleware(Authentication, services, rate or Rate(), documentation.PUBLIC)],
    )
    problems.install(app)
    for room in (workspace, sources, streams, series, incidents, channels):
        app.include_router(room.router(services))
    documentation.install(app)
    describe(app, rules(app))
    return app


def rules(app: FastAPI) -> dict[str, Permission]:
    """Operation id -> the permission that it needs. Raises TypeError for a route that names none, or two."""
    found: dict[str, Permission] = {}
    for route in api_routes(app):
        asked = [part.call.permission for part in route.dependant.dependencies if isinstance(part.call, Asks)]
        if len(asked) != 1:
            raise TypeError(f"{route.path} must name exactly one permission that it needs, such as `who: Reader`.")
        if route.unique_id in found:
            raise TypeError(f"{route.path} has the name of another route: {route.unique_id}.")
        found[route.unique_id] = asked[0]
    return found


def api_routes(app: FastAPI) -> Iterator[APIRoute]:
    """The documented routes."""
    return (route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema)
