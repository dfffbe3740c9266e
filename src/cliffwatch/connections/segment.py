"""Today's Segment, with a Public API token: its sources are listed, and a webhook destination is made on one of them.

    token -> sources(...) -> a person chooses -> connect(...)
        connected source with a delivery address and a shared secret -> destination -> mapping -> switched on

A step that fails undoes those before it, at both sides.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.model import Connection, Endpoints, Method, RemoteRefused
from cliffwatch.connections.remote import Ask, Remote
from cliffwatch.connections.store import ConnectionStore
from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound, Unavailable
from cliffwatch.ingest import Deliveries, DeliveryAddress, Source, Sources
from cliffwatch.spec.times import format_time

log = structlog.get_logger(__name__)

WEBHOOK = KINDS["webhook"].metadata_id
DAY_MS = 86_400_000
TRIGGER = 'type = "track" or type = "page" or type = "screen" or type = "identify" or type = "group"'
MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A source of the workspace over there."""

    id: str
    name: str
    slug: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class RemoteWorkspace:
    name: str
    sources: Sequence[RemoteSource]


class SegmentTokens:
    """Connections that a Public API token makes and looks after."""

    def __init__(
        self, sources: Sources, deliveries: Deliveries, connections: ConnectionStore, ask: Ask, clock: Clock
    ) -> None:
        self._sources = sources
        self._deliveries = deliveries
        self._connections = connections
        self._ask = ask
        self._clock = clock

    def sources(self, endpoints: Endpoints, token: str) -> RemoteWorkspace:
        """What the token sees. Raises RemoteRefused, Unavailable, Blocked, InvalidInput."""
        if not token.strip():
            raise InvalidInput("Public API token", "is needed.", "Make one in Segment: Access Management, Tokens.")
        remote = Remote(endpoints.public, token.strip(), self._ask, endpoints.label)
        workspace = _part(remote.call("GET", "/"), "workspace")
        found: list[RemoteSource] = []
        query = {"pagination[count]": "200"}
        for _ in range(MOST_PAGES):
            answer = _data(remote.call("GET", "/sources", query=query))
            found += [_source(item) for item in answer.get("sources", ())]
            following = (answer.get("pagination") or {}).get("next")
            if not following:
                break
            query["pagination[cursor]"] = str(following)
        return RemoteWorkspace(str(workspace.get("name", "")), found)

    def connect(
        self, workspace_id: int, name: str, endpoints: Endpoints, token: str, source_id: str, address: str
    ) -> Connection:
        """`address` is this installation's, without a slash at its end. Raises what `sources` raises, and NotFound."""
        workspace = self.sources(endpoints, token)
        chosen = next((source for source in workspace.sources if source.id == source_id), None)
        if chosen is None:
            raise NotFound("Source", "is not among those that the token sees.", "Choose one of them.")
        remote = Remote(endpoints.public, token.strip(), self._ask, endpoints.label)
        now = self._clock()
        secret = secrets.token_urlsafe(24)
        with contextlib.ExitStack() as undo:
            source, arrival = self._deliveries.create_source(workspace_id, name, now, signing_secret=secret)
            undo.callback(_quietly, lambda: self._sources.discard(workspace_id, source.id))
            made = self._make_destination(remote, chosen, name, secret)
            undo.callback(_quietly, lambda: remote.call("DELETE", f"/destinations/{made}"))
            self._map(remote, made, f"{address}{arrival.path}")
            remote.call("PATCH", f"/destinations/{made}", {"enabled": True})
            connection = self._connections.add(
                workspace_id,
                source.id,
                "segment",
                Method.TOKEN,
                name,
                {
                    "label": endpoints.label,
                    "public": endpoints.public,
                    "workspace": workspace.name,
                    "source": chosen.name,
                    "source_id": chosen.id,
                    "source_name": chosen.name,
                    "destination": made,
                },
                {"token": token.strip()},
                now,
            )
            undo.pop_all()
        return connection

    def by_hand(self, workspace_id: int, name: str) -> Connection:
        """A connected source with address and secret for a person to paste into Segment."""
        now = self._clock()
        source, _ = self._deliveries.create_source(workspace_id, name, now, signing_secret=secrets.token_urlsafe(24))
        return self._connections.add(workspace_id, source.id, "segment", Method.WEBHOOK, name, {}, {}, now)

    def arrival(self, source: Source) -> DeliveryAddress | None:
        """The address and secret of a connected source."""
        return next(iter(self._deliveries.list(source.workspace_id, source.id)), None)

    def metrics(self, connection: Connection, secret: Mapping[str, Any]) -> Mapping[str, int]:
        """What Segment says of its deliveries in the last day: a name and a number each. Raises as `sources` does."""
        remote = self._remote(connection, secret)
        now = self._clock()
        query = {
            "sourceId": str(connection.remote["source_id"]),
            "startTime": format_time(now - DAY_MS),
            "endTime": format_time(now),
            "granularity": "DAY",
        }
        answer = remote.call("GET", f"/destinations/{connection.remote['destination']}/delivery-metrics", query=query)
        metrics = _part(answer, "deliveryMetricsSummary").get("metrics") or ()
        return {str(one.get("metricName")): int(one.get("total") or 0) for one in metrics if isinstance(one, Mapping)}

    def disconnect(self, connection: Connection, secret: Mapping[str, Any]) -> None:
        """Delete the destination over there; one that is gone already is as good. Raises as `sources` does."""
        try:
            self._remote(connection, secret).call("DELETE", f"/destinations/{connection.remote['destination']}")
        except RemoteRefused as error:
            if error.status != 404:
                raise

    def _remote(self, connection: Connection, secret: Mapping[str, Any]) -> Remote:
        return Remote(str(connection.remote["public"]), secret["token"], self._ask, str(connection.remote["label"]))

    def _make_destination(self, remote: Remote, chosen: RemoteSource, name: str, secret: str) -> str:
        """Switched off until its mapping is there: no event goes nowhere."""
        answer = remote.call(
            "POST",
            "/destinations",
            {
                "sourceId": chosen.id,
                "metadataId": WEBHOOK,
                "name": f"Cliffwatch ({name})",
                "enabled": False,
                "settings": {"sharedSecret": secret},
            },
        )
        return str(_part(answer, "destination")["id"])

    def _map(self, remote: Remote, destination: str, url: str) -> None:
        metadata = _part(remote.call("GET", f"/catalog/destinations/{WEBHOOK}"), "destinationMetadata")
        actions = [action for action in metadata.get("actions") or () if action.get("slug") == "send"]
        if not actions:
            raise Unavailable("Segment’s webhook destination", "has no action to send.", "Connect it by hand.")
        remote.call(
            "POST",
            f"/destinations/{destination}/subscriptions",
            {
                "name": "Send to Cliffwatch",
                "actionId": str(actions[0]["id"]),
                "trigger": TRIGGER,
                "enabled": True,
                "settings": {
                    "url": url,
                    "method": "POST",
                    "enable_batching": True,
                    "batch_size": 1000,
                    "data": {"@path": "$."},
                },
            },
        )


def _data(answer: Any) -> Mapping[str, Any]:
    found = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(found, Mapping):
        raise Unavailable("The Public API", "did not answer in its shape.", "Check the address.")
    return found


def _part(answer: Any, name: str) -> Mapping[str, Any]:
    found = _data(answer).get(name)
    if not isinstance(found, Mapping):
        raise Unavailable("The Public API", f"answered without “{name}”.", "Check the address.")
    return found


def _source(item: Mapping[str, Any]) -> RemoteSource:
    slug = str(item.get("slug", ""))
    return RemoteSource(str(item.get("id", "")), str(item.get("name") or slug), slug, item.get("enabled") is not False)


def _quietly(act: Any) -> None:
    """Undo a step. That it fails too must not hide what went wrong first."""
    try:
        act()
    except CliffwatchError as error:
        log.warning("connection_not_undone", error=str(error))
