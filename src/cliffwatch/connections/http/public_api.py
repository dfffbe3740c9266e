"""A subset of Segment's Public API over this workspace, so that Segment's own client works against it.

Whoever asks has an API token of this installation: `read` for looking, `admin` for changing. Media type, envelope,
errors, paging and the rate limit are Segment's (segment-spec, 5).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from starlette.responses import Response
from starlette.routing import Route

from cliffwatch.accounts import Accounts, Forbidden, Identity, Permission
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.kinds import KINDS, by_metadata_id
from cliffwatch.connections.delivery.store import Destinations, Kept, next_id
from cliffwatch.connections.http import documents
from cliffwatch.connections.http.asking import Asked, endpoint, json_answer
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound, Unavailable
from cliffwatch.ingest import Sources
from cliffwatch.limits import Rate

log = structlog.get_logger(__name__)

RATE = Rate(per_second=200 / 60, burst=200)
MOST = 1_000
DEFAULT_COUNT = 200
MOST_MAPPINGS = 50
MEDIA_TYPE = "application/vnd.segment.v1+json"

T = TypeVar("T")
Answer = Callable[[Asked], Response]


class Stranger(CliffwatchError):
    """Nobody's token."""


class TooFast(Exception):
    """More than the rate allows; `seconds` until the next."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class PublicApi:
    """The routes over the services that they need."""

    def __init__(
        self, accounts: Accounts, sources: Sources, destinations: Destinations, clock: Clock, buckets: Buckets
    ) -> None:
        self._accounts = accounts
        self._sources = sources
        self._destinations = destinations
        self._clock = clock
        self._limiter = buckets.limiter("public", RATE)

    def routes(self) -> list[Route]:
        destination = "/destinations/{destination:int}"
        subscription = f"{destination}/subscriptions/{{subscription}}"
        found: list[tuple[str, str, Answer]] = [
            ("GET", "/", self.workspace),
            ("GET", "/sources", self.list_sources),
            ("POST", "/sources", self.create_source),
            ("GET", "/sources/{source:int}", self.source),
            ("PATCH", "/sources/{source:int}", self.update_source),
            ("DELETE", "/sources/{source:int}", self.delete_source),
            ("POST", "/sources/{source:int}/writekey", self.create_write_key),
            ("DELETE", "/sources/{source:int}/writekey/{key}", self.remove_write_key),
            ("GET", "/sources/{source:int}/connected-destinations", self.connected_destinations),
            ("GET", "/catalog/destinations", self.catalogue),
            ("GET", "/catalog/destinations/{metadata}", self.catalogue_entry),
            ("GET", "/destinations", self.list_destinations),
            ("POST", "/destinations", self.create_destination),
            ("GET", destination, self.destination),
            ("PATCH", destination, self.update_destination),
            ("DELETE", destination, self.delete_destination),
            ("GET", f"{destination}/subscriptions", self.subscriptions),
            ("POST", f"{destination}/subscriptions", self.create_subscription),
            ("GET", subscription, self.subscription),
            ("PATCH", subscription, self.update_subscription),
            ("DELETE", subscription, self.delete_subscription),
        ]
        return [Route(path, endpoint(answer, failed), methods=[method]) for method, path, answer in found]

    def now(self) -> int:
        return self._clock()

    def may(self, asked: Asked, permission: Permission) -> Identity:
        """Who asks, with the right to. Raises Stranger, Forbidden, TooFast."""
        now = self._clock()
        identity = self._accounts.token(asked.bearer, now) if asked.bearer else None
        if identity is None:
            raise Stranger("token", "is missing, wrong, expired or revoked.", "Make one under Settings, API tokens.")
        wait = self._limiter.wait_ms(f"{identity.workspace.id} {identity.label}", now)
        if wait:
            raise TooFast(-(-wait // 1000))
        identity.require(permission)
        return identity

    def workspace(self, asked: Asked) -> Response:
        return data({"workspace": documents.workspace(self.may(asked, Permission.READ).workspace)})

    def list_sources(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        page, pagination = paged(asked, self._sources.list(who.workspace.id))
        shown = [documents.source(found, with_keys=who.role.may(Permission.ADMIN)) for found in page]
        return data({"sources": shown, "pagination": pagination})

    def create_source(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        given = asked.document()
        name = str(given.get("name") or given.get("slug") or "")
        found = self._sources.create(who.workspace.id, name, self._clock())
        if given.get("enabled") is False:
            found = self._sources.update(who.workspace.id, found.id, enabled=False)
        self.note(who, "source.create", f"source:{found.id}", name=name)
        return data({"source": documents.source(found)})

    def source(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        found = self._sources.get(who.workspace.id, number(asked, "source"))
        shown = documents.source(found, with_keys=who.role.may(Permission.ADMIN))
        return data({"source": shown, "trackingPlanId": None})

    def update_source(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        given = asked.document()
        found = self._sources.update(
            who.workspace.id,
            number(asked, "source"),
            name=str(given["name"]) if given.get("name") is not None else None,
            enabled=truth(given, "enabled"),
        )
        self.note(who, "source.update", f"source:{found.id}", name=found.name, enabled=found.enabled)
        return data({"source": documents.source(found)})

    def delete_source(self, asked: Asked) -> Response:
        """Only one that never saw an event goes; the others are switched off by hand, for what they hold is wanted."""
        who = self.may(asked, Permission.ADMIN)
        self._sources.discard(who.workspace.id, number(asked, "source"))
        self.note(who, "source.delete", f"source:{asked.path['source']}")
        return data({"status": "SUCCESS"})

    def create_write_key(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        source_id = number(asked, "source")
        self._sources.add_key(who.workspace.id, source_id, self._clock())
        self.note(who, "source.add_key", f"source:{source_id}")
        return data({"source": documents.source(self._sources.get(who.workspace.id, source_id))})

    def remove_write_key(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        found = self._sources.get(who.workspace.id, number(asked, "source"))
        key = next((one for one in found.write_keys if one.key == asked.path["key"]), None)
        if key is None:
            raise NotFound("Write key", "does not exist on this source.")
        self._sources.revoke_key(who.workspace.id, found.id, key.id, self._clock())
        self.note(who, "source.revoke_key", f"source:{found.id}", key=key.id)
        return data({"status": "SUCCESS"})

    def connected_destinations(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        found = self._sources.get(who.workspace.id, number(asked, "source"))
        page, pagination = paged(asked, self._destinations.list(who.workspace.id, found.id))
        shown = [documents.destination(one, with_secrets=False) for one in page]
        return data({"destinations": shown, "pagination": pagination})

    def catalogue(self, asked: Asked) -> Response:
        self.may(asked, Permission.READ)
        page, pagination = paged(asked, list(KINDS.values()))
        return data({"destinationsCatalog": [documents.metadata(kind) for kind in page], "pagination": pagination})

    def catalogue_entry(self, asked: Asked) -> Response:
        self.may(asked, Permission.READ)
        return data({"destinationMetadata": documents.metadata(by_metadata_id(asked.path["metadata"]))})

    def list_destinations(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        page, pagination = paged(asked, self._destinations.list(who.workspace.id))
        secrets = who.role.may(Permission.ADMIN)
        shown = [documents.destination(one, with_secrets=secrets) for one in page]
        return data({"destinations": shown, "pagination": pagination})

    def create_destination(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        given = asked.document()
        kind = by_metadata_id(str(given.get("metadataId", "")))
        source_id = str(given.get("sourceId", ""))
        if not source_id.isdecimal():
            raise InvalidInput("sourceId", "is the id of a source of this workspace.")
        found = self._sources.get(who.workspace.id, int(source_id))
        made = self._destinations.create(
            who.workspace.id,
            found.id,
            kind.key,
            str(given.get("name") or kind.name),
            settings_of(given, {}),
            self._clock(),
            enabled=truth(given, "enabled") is not False,
        )
        self.note(who, "destination.create", f"destination:{made.id}", kind=kind.key, name=made.name)
        return data({"destination": documents.destination(made)})

    def destination(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))
        return data({"destination": documents.destination(found, with_secrets=who.role.may(Permission.ADMIN))})

    def update_destination(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        given = asked.document()
        before = self._destinations.get(who.workspace.id, number(asked, "destination"))
        changed = self._destinations.update(
            who.workspace.id,
            before.id,
            name=str(given["name"]) if given.get("name") is not None else None,
            enabled=truth(given, "enabled"),
            settings=settings_of(given, before.settings) if "settings" in given else None,
        )
        self.note(who, "destination.update", f"destination:{changed.id}", enabled=changed.enabled)
        return data({"destination": documents.destination(changed)})

    def delete_destination(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        self._destinations.delete(who.workspace.id, number(asked, "destination"))
        self.note(who, "destination.delete", f"destination:{asked.path['destination']}")
        return data({"status": "SUCCESS"})

    def subscriptions(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))
        page, pagination = paged(asked, found.mappings)
        shown = [documents.subscription(found, one) for one in page]
        return data({"subscriptions": shown, "pagination": pagination})

    def create_subscription(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))

        def add(kept: Kept) -> Kept:
            if len(kept) >= MOST_MAPPINGS:
                raise InvalidInput("subscription", f"may be there {MOST_MAPPINGS} times at most.")
            return [*kept, documents.mapping(found, asked.document(), {"id": next_id(found.id, kept)})]

        mapping = self._destinations.edit_mappings(who.workspace.id, found.id, add).mappings[-1]
        self.note(who, "destination.update", f"destination:{found.id}", subscription=mapping["id"])
        return data({"destinationSubscription": documents.subscription(found, mapping)})

    def subscription(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.READ)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))
        return data({"subscription": documents.subscription(found, documents.one_mapping(found.mappings, asked))})

    def update_subscription(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))
        given = asked.document()

        def change(kept: Kept) -> Kept:
            before = documents.one_mapping(kept, asked)
            after = documents.mapping(found, given.get("input", given), before)
            return [after if one["id"] == before["id"] else one for one in kept]

        changed = self._destinations.edit_mappings(who.workspace.id, found.id, change)
        return data({"subscription": documents.subscription(changed, documents.one_mapping(changed.mappings, asked))})

    def delete_subscription(self, asked: Asked) -> Response:
        who = self.may(asked, Permission.ADMIN)

        def remove(kept: Kept) -> Kept:
            gone = documents.one_mapping(kept, asked)
            return [one for one in kept if one["id"] != gone["id"]]

        self._destinations.edit_mappings(who.workspace.id, number(asked, "destination"), remove)
        return data({"status": "SUCCESS"})

    def note(self, who: Identity, action: str, subject: str, **detail: Any) -> None:
        self._accounts.audit(who.workspace.id, who.label, action, subject, detail, "", self._clock())


def data(document: Any) -> Response:
    return json_answer(200, {"data": document}, {"content-type": MEDIA_TYPE})


def paged(asked: Asked, found: Sequence[T]) -> tuple[Sequence[T], dict[str, Any]]:
    """One page of a list and where the others are. Raises InvalidInput for a count or cursor that is none."""
    count = asked.first("pagination[count]") or asked.first("pagination.count") or str(DEFAULT_COUNT)
    if not count.isdecimal() or not 1 <= int(count) <= MOST:
        raise InvalidInput("pagination.count", f"must be from 1 to {MOST:,}.")
    size = int(count)
    start = _start(asked.first("pagination[cursor]") or asked.first("pagination.cursor"))
    pagination: dict[str, Any] = {"current": _cursor(start), "totalEntries": len(found)}
    pagination["next"] = _cursor(start + size) if start + size < len(found) else None
    pagination["previous"] = _cursor(max(start - size, 0)) if start else None
    return found[start : start + size], pagination


def number(asked: Asked, name: str) -> int:
    return int(asked.path[name])


def truth(given: dict[str, Any], name: str) -> bool | None:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(name, "must be true or false.")
    return value


def settings_of(given: dict[str, Any], before: Any) -> dict[str, Any]:
    settings = given.get("settings") or {}
    if not isinstance(settings, dict):
        raise InvalidInput("settings", "must be an object.")
    return {**before, **{name: value for name, value in settings.items() if value is not None}}


def failed(error: Exception) -> Response:
    """Segment's errors: a list, each with its type, message and, where one is meant, the field."""
    if isinstance(error, TooFast):
        headers = {"retry-after": str(error.seconds), "x-ratelimit-reset": str(error.seconds)}
        return _errors(429, "too-many-requests", f"Too many requests; go on in {error.seconds} s.", headers=headers)
    for kind, status, word in (
        (Stranger, 401, "unauthorized"),
        (Forbidden, 403, "forbidden"),
        (NotFound, 404, "not-found"),
        (Conflict, 409, "conflict"),
        (InvalidInput, 422, "invalid-input"),
        (Unavailable, 503, "unavailable"),
    ):
        if isinstance(error, kind):
            field = error.subject if isinstance(error, InvalidInput) else ""
            return _errors(status, word, str(error), field)
    log.error("public_api_failed", error=repr(error))
    return _errors(500, "internal-error", "Something broke on this side.")


def _errors(status: int, word: str, message: str, field: str = "", headers: dict[str, str] | None = None) -> Response:
    error = {"type": word, "message": message, "status": status} | ({"field": field} if field else {})
    return json_answer(status, {"errors": [error]}, {"content-type": MEDIA_TYPE, **(headers or {})})


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode().rstrip("=")


def _start(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    word, _, start = text.partition(":")
    if word != "from" or not start.isdecimal() or len(start) > 9:
        raise InvalidInput("pagination.cursor", "is not one that was given out.", "Leave it out for the first page.")
    return int(start)
