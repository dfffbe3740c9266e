"""Segment's Config API v1beta, as far as an authorised app needs it: workspaces, sources, its destination, its token.

A token of the scope `destination/<slug>` may see the workspace and the source that were chosen, and make, read, change
and delete that one destination on that one source. Nothing else exists for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from starlette.responses import Response
from starlette.routing import Route

from cliffwatch.accounts import Accounts, Workspace
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.delivery.store import Destinations
from cliffwatch.connections.http.asking import Asked, endpoint, json_answer
from cliffwatch.connections.model import Destination, Grant
from cliffwatch.connections.oauth.server import Server
from cliffwatch.errors import Conflict, InvalidInput, NotFound, Unavailable
from cliffwatch.ingest import Source, Sources
from cliffwatch.limits import Rate
from cliffwatch.spec.times import format_time

log = structlog.get_logger(__name__)

RATE = Rate(per_second=200 / 60, burst=200)


class Refused(Exception):
    """An answer that is no: HTTP status, gRPC code, text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class ConfigApi:
    """The routes over the services that they need."""

    def __init__(
        self,
        server: Server,
        accounts: Accounts,
        sources: Sources,
        destinations: Destinations,
        clock: Clock,
        buckets: Buckets,
    ) -> None:
        self._server = server
        self._accounts = accounts
        self._sources = sources
        self._destinations = destinations
        self._clock = clock
        self._limiter = buckets.limiter("config", RATE)

    def routes(self) -> list[Route]:
        base = "/v1beta/workspaces/{workspace}"
        one = f"{base}/sources/{{source}}/destinations/{{slug}}"
        found: list[tuple[str, Callable[[Asked], Response], list[str]]] = [
            ("/v1beta/installs/{install:int}/token", self.token, ["GET", "POST"]),
            ("/v1beta/workspaces", self.workspaces, ["GET"]),
            (base, self.workspace, ["GET"]),
            (f"{base}/sources", self.sources, ["GET"]),
            (f"{base}/sources/{{source}}", self.source, ["GET"]),
            (f"{base}/sources/{{source}}/destinations", self.destinations, ["GET"]),
            (f"{base}/sources/{{source}}/destinations", self.create, ["POST"]),
            (one, self.destination, ["GET"]),
            (one, self.update, ["PATCH"]),
            (one, self.delete, ["DELETE"]),
        ]
        return [Route(path, endpoint(answer, failed), methods=methods) for path, answer, methods in found]

    def token(self, asked: Asked) -> Response:
        answer = self._server.renew(int(asked.path["install"]), asked.headers)
        return json_answer(answer.status, dict(answer.body), dict(answer.headers))

    def workspaces(self, asked: Asked) -> Response:
        grant = self._grant(asked)
        return json_answer(200, {"workspaces": [_workspace(self._workspace(grant))], "next_page_token": ""})

    def workspace(self, asked: Asked) -> Response:
        return json_answer(200, _workspace(self._place(asked)[1]))

    def sources(self, asked: Asked) -> Response:
        grant, workspace = self._place(asked)
        return json_answer(200, {"sources": [_source(workspace, self._chosen(grant))], "next_page_token": ""})

    def source(self, asked: Asked) -> Response:
        _, workspace, source = self._at_source(asked)
        return json_answer(200, _source(workspace, source))

    def destinations(self, asked: Asked) -> Response:
        grant, workspace, source = self._at_source(asked)
        own = self._destinations.find(source.id, _slug(grant))
        found = [_destination(workspace, source, own)] if own is not None else []
        return json_answer(200, {"destinations": found, "next_page_token": ""})

    def destination(self, asked: Asked) -> Response:
        _, workspace, source, own = self._at_destination(asked)
        return json_answer(200, _destination(workspace, source, own))

    def create(self, asked: Asked) -> Response:
        grant, workspace, source = self._at_source(asked)
        given = _object(asked.document().get("destination"), "destination")
        slug = str(given.get("name", "")).rpartition("/")[2]
        if slug != _slug(grant):
            raise Refused(403, 7, f"insufficient scope: the token may make {grant.app.scope} only")
        try:
            own = self._destinations.create(
                grant.install.workspace_id,
                source.id,
                slug,
                grant.app.name,
                _settings(given.get("config")),
                self._clock(),
                enabled=given.get("enabled") is not False,
                slug=slug,
                install_id=grant.install.id,
            )
        except Conflict as error:
            raise Refused(409, 6, f"destination already exists: {error}") from error
        return json_answer(200, _destination(workspace, source, own))

    def update(self, asked: Asked) -> Response:
        """Only what `update_mask.paths` lists changes; what it lists and the body leaves out becomes empty."""
        _, workspace, source, own = self._at_destination(asked)
        document = asked.document()
        given = _object(document.get("destination"), "destination")
        paths = _object(document.get("update_mask"), "update_mask").get("paths")
        if not isinstance(paths, list) or not paths:
            raise InvalidInput("update_mask.paths", "must list what to change.")
        unknown = set(map(str, paths)) - {"destination.enabled", "destination.config", "destination.connection_mode"}
        if unknown:
            raise InvalidInput("update_mask.paths", f"cannot be {sorted(unknown)[0]}.")
        changed = self._destinations.update(
            own.workspace_id,
            own.id,
            enabled=bool(given.get("enabled", False)) if "destination.enabled" in paths else None,
            settings=_settings(given.get("config")) if "destination.config" in paths else None,
        )
        return json_answer(200, _destination(workspace, source, changed))

    def delete(self, asked: Asked) -> Response:
        _, _, _, own = self._at_destination(asked)
        self._destinations.delete(own.workspace_id, own.id)
        return json_answer(200, {})

    def _grant(self, asked: Asked) -> Grant:
        now = self._clock()
        grant = self._server.apps.grant(asked.bearer, now) if asked.bearer else None
        if grant is None:
            raise Refused(401, 16, "malformed token: it is missing, expired or revoked; get a new one for the install")
        wait = self._limiter.wait_ms(grant.install.name, now)
        if wait:
            raise Refused(429, 8, f"more than 200 requests a minute; go on in {-(-wait // 1000)} s")
        return grant

    def _workspace(self, grant: Grant) -> Workspace:
        return self._accounts.workspace(grant.install.workspace_id)

    def _chosen(self, grant: Grant) -> Source:
        return self._sources.get(grant.install.workspace_id, grant.install.source_id)

    def _place(self, asked: Asked) -> tuple[Grant, Workspace]:
        grant = self._grant(asked)
        workspace = self._workspace(grant)
        if asked.path["workspace"] != workspace.slug:
            raise Refused(403, 7, "insufficient scope: the token is for another workspace")
        return grant, workspace

    def _at_source(self, asked: Asked) -> tuple[Grant, Workspace, Source]:
        grant, workspace = self._place(asked)
        source = self._chosen(grant)
        if asked.path["source"] != source.slug:
            raise Refused(403, 7, "insufficient scope: the token is for another source")
        return grant, workspace, source

    def _at_destination(self, asked: Asked) -> tuple[Grant, Workspace, Source, Destination]:
        grant, workspace, source = self._at_source(asked)
        if asked.path["slug"] != _slug(grant):
            raise Refused(403, 7, "insufficient scope: the token is for another destination")
        own = self._destinations.find(source.id, asked.path["slug"])
        if own is None:
            raise Refused(404, 5, "destination not found")
        return grant, workspace, source, own


def failed(error: Exception) -> Response:
    """gRPC's codes, as Segment answers them."""
    if isinstance(error, Refused):
        return json_answer(error.status, {"error": error.text, "code": error.code})
    for kind, status, code in ((InvalidInput, 400, 3), (NotFound, 404, 5), (Conflict, 409, 6), (Unavailable, 503, 14)):
        if isinstance(error, kind):
            return json_answer(status, {"error": str(error), "code": code})
    log.error("config_api_failed", error=repr(error))
    return json_answer(500, {"error": "something broke on this side", "code": 13})


def _slug(grant: Grant) -> str:
    return grant.app.scope.partition("/")[2]


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(what, "must be an object.")
    return value


def _settings(config: Any) -> dict[str, str]:
    """The values of a list of config entries, by the last part of their names."""
    if not isinstance(config, list):
        raise InvalidInput("destination.config", "must be a list.")
    entries = [_object(entry, "destination.config") for entry in config]
    return {str(entry.get("name", "")).rpartition("/")[2]: str(entry.get("value", "")) for entry in entries}


def _workspace(workspace: Workspace) -> dict[str, Any]:
    return {
        "name": f"workspaces/{workspace.slug}",
        "display_name": workspace.name,
        "id": str(workspace.id),
        "create_time": format_time(workspace.created_ms),
    }


def _source(workspace: Workspace, source: Source) -> dict[str, Any]:
    return {
        "name": f"workspaces/{workspace.slug}/sources/{source.slug}",
        "parent": f"workspaces/{workspace.slug}",
        "catalog_name": "catalog/sources/http-api",
        "display_name": source.name,
        "create_time": format_time(source.created_ms),
    }


def _destination(workspace: Workspace, source: Source, own: Destination) -> dict[str, Any]:
    name = f"workspaces/{workspace.slug}/sources/{source.slug}/destinations/{own.slug}"
    config = [
        {
            "name": f"{name}/config/{item.name}",
            "display_name": item.label,
            "value": own.settings.get(item.name, ""),
            "type": item.type,
        }
        for item in KINDS[own.kind].fields
    ]
    return {
        "name": name,
        "parent": f"workspaces/{workspace.slug}/sources/{source.slug}",
        "display_name": own.name,
        "enabled": own.enabled,
        "connection_mode": "CLOUD",
        "config": config,
        "create_time": format_time(own.created_ms),
    }
