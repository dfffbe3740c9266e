"""Segment's Profile API over the people of a workspace (segment-spec, 6.3): traits, events, ids and accounts of one.

Whoever asks has an API token of this installation with the right to read, as the user of Basic, with or without a colon
behind it. A space is the workspace: `spa_1`, or its number.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlencode

import numpy as np
import structlog
from starlette.responses import Response
from starlette.routing import Route, Router

from cliffwatch.accounts import Accounts, Forbidden, Permission
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock
from cliffwatch.connections.http.asking import Asked, endpoint, json_answer
from cliffwatch.engage.service import Engage
from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound, Unavailable
from cliffwatch.ingest import Sources
from cliffwatch.limits import Rate
from cliffwatch.notify.message import iso
from cliffwatch.store import ArchiveBatch, EventStore
from cliffwatch.store.trails import Identifier

log = structlog.get_logger(__name__)

PREFIX = "/segment/profiles"
RATE = Rate(per_second=100, burst=200)
DEFAULT_LIMIT = 10
MOST = 200
MOST_IDENTIFIES = 2_000
"""Identify events of a person whose traits are put together, the newest."""
MOST_GROUPS = 2_000
"""Group events of a person whose accounts are listed, the newest."""
_CLASSES = ("audience", "computed_trait")


class Stranger(CliffwatchError):
    """Nobody's token."""


class TooFast(CliffwatchError):
    """More than the rate allows."""


class Profiles:
    """The routes over the services that they need, to be mounted at `PREFIX`."""

    def __init__(
        self, accounts: Accounts, engage: Engage, sources: Sources, store: EventStore, clock: Clock, buckets: Buckets
    ) -> None:
        self._accounts = accounts
        self._engage = engage
        self._sources = sources
        self._store = store
        self._clock = clock
        self._limiter = buckets.limiter("profiles", RATE)

    def application(self) -> Router:
        base = "/v1/spaces/{space}/collections/{collection}/profiles/{profile}"
        answers = {
            "traits": self.traits,
            "events": self.events,
            "external_ids": self.external_ids,
            "metadata": self.metadata,
            "links": self.links,
        }
        routes = [
            Route(f"{base}/{name}", endpoint(answer, failed), methods=["GET"]) for name, answer in answers.items()
        ]
        return Router(routes, redirect_slashes=False)

    def traits(self, asked: Asked) -> Response:
        """What identify events said of a person, the newest of each key, and what computations say now."""
        workspace, person = self._person(asked)
        only = asked.first("class")
        if only and only not in _CLASSES:
            raise InvalidInput("class", f"is one of {', '.join(_CLASSES)}.")
        found = {} if only else self._said(workspace, person)
        for one in self._engage.computations.list(workspace):
            if only and (only == "audience") != one.is_audience:
                continue
            value = self._engage.value_of(one, person)
            if value is not None and one.computed_ms is not None:
                found[one.key] = value
        wanted = set(asked.all("include"))
        keys = [key for key in sorted(found) if not wanted or key in wanted]
        page, cursor = _paged(asked, keys)
        return json_answer(200, {"traits": {key: found[key] for key in page}, "cursor": cursor})

    def events(self, asked: Asked) -> Response:
        """The whole events of a person that are kept, the newest first."""
        workspace, person = self._person(asked)
        limit, start = _limit(asked), _start(asked)
        batch = self._events(workspace, person, names=asked.all("include"), skip=start, limit=limit + 1)
        bodies = [json.loads(body) for body in batch.body]
        data = [
            {
                "type": body.get("type"),
                "event": body.get("event", body.get("name")),
                "message_id": body.get("messageId"),
                "timestamp": iso(ts),
                "properties": body.get("properties", body.get("traits", {})),
                "context": body.get("context", {}),
            }
            for body, ts in zip(bodies, batch.ts_ms.tolist(), strict=True)
        ]
        return json_answer(200, {"data": data[:limit], "cursor": _cursor(asked, start, limit, more=len(data) > limit)})

    def external_ids(self, asked: Asked) -> Response:
        """Every id of a person."""
        workspace, person = self._person(asked)
        found = self._identifiers(workspace, person)
        wanted = set(asked.all("include"))
        data = [
            {"id": one.id, "type": one.kind, "collection": "users", "encoding": "none"}
            for one in found
            if not wanted or one.kind in wanted
        ]
        page, cursor = _paged(asked, data)
        return json_answer(200, {"data": page, "cursor": cursor})

    def metadata(self, asked: Asked) -> Response:
        """When a person was first and last heard of, and by which messages of which sources; null where no whole event
        is kept."""
        workspace, person = self._person(asked)
        found: dict[str, Any] = {"expires_at": None}
        for which, at, oldest in (("first", "created_at", True), ("last", "updated_at", False)):
            batch = self._events(workspace, person, limit=1, oldest=oldest)
            known = len(batch) > 0
            found[at] = iso(int(batch.ts_ms[0])) if known else None
            found[f"{which}_message_id"] = json.loads(batch.body[0]).get("messageId") if known else None
            found[f"{which}_source_id"] = str(batch.source_id[0]) if known else None
        return json_answer(200, {"metadata": found, "cursor": _cursor(asked, 0, _limit(asked), more=False)})

    def links(self, asked: Asked) -> Response:
        """The accounts of a person: those that their group events named, each with when it first did, by name."""
        workspace, person = self._person(asked)
        batch = self._events(workspace, person, kinds=("group",), limit=MOST_GROUPS)
        since: dict[str, int] = {}
        for body, ts in zip(batch.body, batch.ts_ms.tolist(), strict=True):  # the newest first
            group = json.loads(body).get("groupId")
            if isinstance(group, str) and group:
                since[group] = ts
        data = [
            {
                "to_collection": "accounts",
                "external_ids": [
                    {
                        "id": group,
                        "type": "group_id",
                        "collection": "accounts",
                        "created_at": iso(ts),
                        "encoding": "none",
                    }
                ],
            }
            for group, ts in sorted(since.items())
        ]
        page, cursor = _paged(asked, data)
        return json_answer(200, {"data": page, "cursor": cursor})

    def _events(
        self,
        workspace: int,
        person: int,
        *,
        kinds: Sequence[str] = (),
        names: Sequence[str] = (),
        skip: int = 0,
        limit: int,
        oldest: bool = False,
    ) -> ArchiveBatch:
        users, anonymous = self._ids(workspace, person)
        sources = self._source_ids(workspace)
        return self._store.trails.events(sources, users, anonymous, kinds, names, skip, limit, oldest=oldest)

    def _person(self, asked: Asked) -> tuple[int, int]:
        """(workspace, person) of the address. Raises Stranger, Forbidden, NotFound, TooFast."""
        now, token = self._clock(), _token(asked.headers.get("authorization", ""))
        identity = self._accounts.token(token, now) if token else None
        if identity is None:
            raise Stranger("token", "is missing, wrong, expired or revoked.", "Make one under Settings, API tokens.")
        if self._limiter.wait_ms(f"{identity.workspace.id} {identity.label}", now):
            raise TooFast("profiles", f"answer {RATE.per_second:g} requests a second.", "Ask again in a second.")
        identity.require(Permission.READ)
        workspace = identity.workspace.id
        if asked.path["space"] not in (f"spa_{workspace}", str(workspace), identity.workspace.slug):
            raise NotFound("space", "is not the one of this token.", f"It is spa_{workspace}.")
        if asked.path["collection"] != "users":
            raise NotFound("collection", "is not kept here.", "People are in the collection users.")
        kind, colon, id_ = unquote(asked.path["profile"]).partition(":")
        if not colon:
            raise InvalidInput("profile", "is a type and an id.", "For example user_id:ann.")
        person = self._store.trails.find(workspace, kind, [id_]).get(id_)
        if person is None:
            raise NotFound("profile", f"{kind}:{id_[:80]} is not known.")
        return workspace, person

    def _said(self, workspace: int, person: int) -> dict[str, Any]:
        batch = self._events(workspace, person, kinds=("identify",), limit=MOST_IDENTIFIES)
        found: dict[str, Any] = {}
        for body in batch.body:  # the newest first
            said = json.loads(body).get("traits")
            for key, value in said.items() if isinstance(said, Mapping) else ():
                found.setdefault(key, value)
        return found

    def _source_ids(self, workspace: int) -> list[int]:
        return [source.id for source in self._sources.list(workspace)]

    def _identifiers(self, workspace: int, person: int) -> Sequence[Identifier]:
        return self._store.trails.identifiers(workspace, np.array([person]))

    def _ids(self, workspace: int, person: int) -> tuple[list[str], list[str]]:
        found = self._identifiers(workspace, person)
        users = [one.id for one in found if one.kind == "user_id"]
        return users, [one.id for one in found if one.kind == "anonymous_id"]


def failed(error: Exception) -> Response:
    """What was raised, as Segment answers it."""
    status, code = 500, "internal_error"
    match error:
        case Stranger():
            status, code = 401, "unauthorized"
        case Forbidden():
            status, code = 403, "forbidden"
        case NotFound():
            status, code = 404, "not_found"
        case InvalidInput():
            status, code = 400, "bad_request"
        case TooFast():
            status, code = 429, "too_many_requests"
        case Unavailable():
            status, code = 503, "unavailable"
        case _:
            log.exception("profile_api_failed", exc_info=error)
    message = str(error) if isinstance(error, CliffwatchError) else "Something went wrong here; the log says what."
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return json_answer(status, {"error": {"code": code, "message": message}}, headers)


def _token(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _limit(asked: Asked) -> int:
    text = asked.first("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise InvalidInput("limit", f"is a whole number from 1 to {MOST}.")
    return int(text)


def _start(asked: Asked) -> int:
    text = asked.first("next", "0") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput("next", "is what the page before said.")
    return int(text)


def _paged(asked: Asked, items: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    limit, start = _limit(asked), _start(asked)
    return items[start : start + limit], _cursor(asked, start, limit, more=len(items) > start + limit)


def _cursor(asked: Asked, start: int, limit: int, *, more: bool) -> dict[str, Any]:
    following = str(start + limit) if more else ""
    pairs = [(key, value) for key, value in asked.query if key != "next"] + ([("next", following)] if more else [])
    return {"url": f"?{urlencode(pairs)}" if more else "", "has_more": more, "next": following, "limit": limit}
