"""The filters of a destination, as Segment's Public API gives them: list, make, read, change, remove, and try one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from cliffwatch.accounts import Identity, Permission
from cliffwatch.connections.delivery.filters import Filter, action_document, action_of, checked, sieve
from cliffwatch.connections.delivery.store import Destinations, one_filter
from cliffwatch.connections.http.asking import Asked, endpoint
from cliffwatch.connections.http.public_api import PublicApi, data, failed, number, paged, truth
from cliffwatch.connections.model import Destination
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.times import format_time


class FiltersApi:
    """The routes beside those of `PublicApi`, whose rules about who may ask are theirs, too."""

    def __init__(self, api: PublicApi, destinations: Destinations) -> None:
        self._api = api
        self._destinations = destinations

    def routes(self) -> list[Route]:
        every = "/destination/{destination:int}/filters"
        one = f"{every}/{{filter}}"
        found: list[tuple[str, str, Callable[[Asked], Response]]] = [
            ("POST", "/destination/filters/preview", self.preview),
            ("GET", every, self.list),
            ("POST", every, self.create),
            ("GET", one, self.read),
            ("PATCH", one, self.update),
            ("DELETE", one, self.remove),
        ]
        return [Route(path, endpoint(answer, failed), methods=[method]) for method, path, answer in found]

    def list(self, asked: Asked) -> Response:
        _, found = self._destination(asked, Permission.READ)
        page, pagination = paged(asked, found.filters)
        return data({"filters": [_document(found, one) for one in page], "pagination": pagination})

    def read(self, asked: Asked) -> Response:
        _, found = self._destination(asked, Permission.READ)
        return data({"filter": _document(found, one_filter(found.filters, asked.path["filter"]))})

    def create(self, asked: Asked) -> Response:
        who, found = self._destination(asked, Permission.ADMIN)
        given = asked.document()
        if str(given.get("sourceId", "")) != str(found.source_id):
            raise InvalidInput("sourceId", "is not the source of this destination.", f"That is {found.source_id}.")
        now = self._api.now()
        made = self._destinations.add_filter(
            found.workspace_id, found.id, _given(given, Filter("", "", "", "", (), True, now, now))
        )
        self._note(who, found, filter=made.id, title=made.title)
        return data({"filter": _document(found, made)})

    def update(self, asked: Asked) -> Response:
        who, found = self._destination(asked, Permission.ADMIN)
        given, now = asked.document(), self._api.now()
        changed = self._destinations.change_filter(
            found.workspace_id,
            found.id,
            asked.path["filter"],
            lambda before: _given(given, replace(before, updated_ms=now)),
        )
        self._note(who, found, filter=changed.id, title=changed.title)
        return data({"filter": _document(found, changed)})

    def remove(self, asked: Asked) -> Response:
        who, found = self._destination(asked, Permission.ADMIN)
        self._destinations.remove_filter(found.workspace_id, found.id, asked.path["filter"])
        self._note(who, found, removed_filter=asked.path["filter"])
        return data({"status": "SUCCESS"})

    def preview(self, asked: Asked) -> Response:
        """What a filter would leave of an event; null where it holds it back. Nothing is kept."""
        self._api.may(asked, Permission.READ)
        given = asked.document()
        wanted, payload = given.get("filter"), given.get("payload")
        if not isinstance(wanted, Mapping):
            raise InvalidInput("filter", "must be an object with if and actions.")
        if not isinstance(payload, Mapping):
            raise InvalidInput("payload", "must be an event, as an object.")
        trial = checked(_given({"title": "Preview", **wanted}, Filter("", "", "", "", (), True, 0, 0)))
        passed = sieve([replace(trial, enabled=True)])(payload)
        return data({"inputPayload": payload, "result": None if passed.reason else passed.event})

    def _destination(self, asked: Asked, permission: Permission) -> tuple[Identity, Destination]:
        who = self._api.may(asked, permission)
        return who, self._destinations.get(who.workspace.id, number(asked, "destination"))

    def _note(self, who: Identity, found: Destination, **detail: str) -> None:
        self._api.note(who, "destination.update", f"destination:{found.id}", **detail)


def _given(given: Mapping[str, Any], before: Filter) -> Filter:
    """The filter with what the request says of it."""
    enabled = truth(dict(given), "enabled")
    actions = given.get("actions")
    if actions is not None and not isinstance(actions, list):
        raise InvalidInput("actions", "must be a list.")
    return replace(
        before,
        title=_text(given, "title", before.title),
        description=_text(given, "description", before.description),
        when=_text(given, "if", before.when),
        actions=before.actions if actions is None else tuple(map(action_of, actions)),
        enabled=before.enabled if enabled is None else enabled,
    )


def _text(given: Mapping[str, Any], name: str, before: str) -> str:
    value = given.get(name, before)
    if value is None and name == "description":
        return ""
    if not isinstance(value, str):
        raise InvalidInput(name, "must be a text.")
    return value


def _document(found: Destination, one: Filter) -> dict[str, Any]:
    return {
        "id": one.id,
        "sourceId": str(found.source_id),
        "destinationId": str(found.id),
        "if": one.when,
        "actions": [action_document(action) for action in one.actions],
        "title": one.title,
        "description": one.description,
        "enabled": one.enabled,
        "createdAt": format_time(one.created_ms),
        "updatedAt": format_time(one.updated_ms),
    }
