"""The way from Start to a connection by authorisation, and back from any step of it: the only writer of its table.

    start -> address (state and PKCE verifier, new each time) -> browser -> finish(state, code)
        -> token -> connected source -> destination over there -> connection

Whatever fails on the way is undone behind it: no source without a destination, no destination without a connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import delete, select

from cliffwatch.clock import Clock
from cliffwatch.connections.model import Connection, Endpoints, Method, NotAuthorised
from cliffwatch.connections.oauth.apps import SCOPE, SLUG, fingerprint
from cliffwatch.connections.oauth.client import Client, new_state, new_verifier, refused
from cliffwatch.connections.remote import Ask, Remote
from cliffwatch.connections.store import ConnectionStore
from cliffwatch.db import Database
from cliffwatch.db.connections import AuthorisationRow
from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound
from cliffwatch.ingest import Sources

log = structlog.get_logger(__name__)

STALE_MS = 30 * 60_000
"""How long a person may take on the other side's pages."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    """An authorisation under way, without its secrets."""

    id: int
    workspace_id: int
    person_id: int
    integration: str
    name: str
    endpoints: Endpoints
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Callback:
    """What the browser brought back."""

    state: str
    code: str
    error: str
    description: str
    issuer: str


class Authorisations:
    """One step each, with the person whose browser it is: nobody can finish what somebody else began."""

    def __init__(
        self, database: Database, sources: Sources, connections: ConnectionStore, ask: Ask, clock: Clock
    ) -> None:
        self._database = database
        self._sources = sources
        self._connections = connections
        self._ask = ask
        self._clock = clock

    def start(
        self,
        workspace_id: int,
        person_id: int,
        integration: str,
        name: str,
        endpoints: Endpoints,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
    ) -> Authorisation:
        """Raises InvalidInput naming what is missing."""
        for what, value in (("Client id", client_id), ("Client secret", client_secret)):
            if not value.strip():
                raise InvalidInput(what, "is needed to ask over there.", "Copy it from the app that you registered.")
        secret = {"client_id": client_id.strip(), "client_secret": client_secret.strip()}
        return self._insert(workspace_id, person_id, integration, name, endpoints, redirect_uri, secret)

    def _insert(
        self,
        workspace_id: int,
        person_id: int,
        integration: str,
        name: str,
        endpoints: Endpoints,
        redirect_uri: str,
        secret: Mapping[str, str],
    ) -> Authorisation:
        now, name = self._clock(), checked_name(name)
        with self._database.write() as session:
            session.execute(delete(AuthorisationRow).where(AuthorisationRow.created_ms < now - STALE_MS))
            row = AuthorisationRow(
                workspace_id=workspace_id,
                person_id=person_id,
                integration=integration,
                name=name,
                remote={**_document(endpoints), "redirect_uri": redirect_uri},
                secret=dict(secret),
                state_hash=None,
                created_ms=now,
            )
            session.add(row)
            session.flush()
            return _authorisation(row)

    def keep_token(
        self, workspace_id: int, person_id: int, integration: str, name: str, endpoints: Endpoints, token: str
    ) -> Authorisation:
        """A token between the page that took it and the page that lists what it sees. Raises InvalidInput."""
        return self._insert(workspace_id, person_id, integration, name, endpoints, "", {"token": token.strip()})

    def token(self, workspace_id: int, person_id: int, authorisation_id: int) -> tuple[Authorisation, str]:
        """What `keep_token` kept. Raises NotFound."""
        found = self.get(workspace_id, person_id, authorisation_id)
        with self._database.read() as session:
            return found, str(session.get_one(AuthorisationRow, authorisation_id).secret.get("token", ""))

    def end(self, authorisation_id: int) -> None:
        """It led to a connection, or is not wanted any more."""
        with self._database.write() as session:
            session.execute(delete(AuthorisationRow).where(AuthorisationRow.id == authorisation_id))

    def get(self, workspace_id: int, person_id: int, authorisation_id: int) -> Authorisation:
        """Raises NotFound, also for one that is somebody else's or stale."""
        with self._database.read() as session:
            row = session.get(AuthorisationRow, authorisation_id)
            if row is None or not self._is_open(row, workspace_id, person_id):
                raise NotFound("This authorisation", "is over.", "Start again from the integrations library.")
            return _authorisation(row)

    def address(self, workspace_id: int, person_id: int, authorisation_id: int) -> str:
        """Where to send the browser. Each call makes a new state and verifier; the ones before are void."""
        self.get(workspace_id, person_id, authorisation_id)
        state, verifier = new_state(), new_verifier()
        with self._database.write() as session:
            row = session.get_one(AuthorisationRow, authorisation_id)
            row.state_hash = fingerprint(state)
            row.secret = {**row.secret, "verifier": verifier}
            found, secret = _authorisation(row), row.secret
        return self._client(found, secret).address(state, verifier)

    def finish(self, workspace_id: int, person_id: int, callback: Callback, arrival: str) -> Connection:
        """The connection. `arrival` is where deliveries are posted to. Raises NotAuthorised, RemoteRefused, Conflict,
        Unavailable; then nothing is left of it, here or there."""
        found, secret = self._take(workspace_id, person_id, callback.state)
        label = found.endpoints.label
        if callback.issuer and callback.issuer != found.endpoints.issuer:
            raise NotAuthorised(
                label,
                "did not give this answer: it names another server.",
                "Start again, and tell that server’s owner.",
            )
        if callback.error or not callback.code:
            raise refused(label, callback.error or "invalid_grant", callback.description)
        client = self._client(found, secret)
        token = client.exchange(callback.code, secret["verifier"])
        with contextlib.ExitStack() as undo:
            undo.callback(_quietly, lambda: client.revoke(token.access_token))
            source = self._sources.create(workspace_id, found.name, self._clock(), archive_days=0, kind="connected")
            undo.callback(_quietly, lambda: self._sources.discard(workspace_id, source.id))
            remote = Remote(found.endpoints.config, token.access_token, self._ask, label)
            destination = f"{token.source_name}/destinations/{SLUG}"
            remote.call(
                "POST", f"/{token.source_name}/destinations", _destination(destination, source.write_key, arrival)
            )
            undo.callback(_quietly, lambda: remote.call("DELETE", f"/{destination}"))
            connection = self._connections.add(
                workspace_id,
                source.id,
                found.integration,
                Method.AUTHORISE,
                found.name,
                {
                    **_document(found.endpoints),
                    "redirect_uri": found.redirect_uri,
                    "install": token.install_name,
                    "workspace": token.workspace_name,
                    "source": token.source_name,
                    "destination": destination,
                },
                {"client_id": secret["client_id"], "client_secret": secret["client_secret"]},
                self._clock(),
            )
            undo.pop_all()
        return connection

    def disconnect(self, connection: Connection, secret: Mapping[str, Any]) -> None:
        """Take the destination over there away and give the access back. Raises what the other side's answers raise."""
        client = self._client_of(connection, secret)
        token = client.refresh(str(connection.remote["install"]))
        remote = self._remote(connection, token.access_token)
        remote.call("DELETE", f"/{connection.remote['destination']}")
        client.revoke(token.access_token)

    def destination(self, connection: Connection, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        """How the destination over there is set. Raises what the other side's answers raise."""
        token = self._client_of(connection, secret).refresh(str(connection.remote["install"]))
        found = self._remote(connection, token.access_token).call("GET", f"/{connection.remote['destination']}")
        return found if isinstance(found, Mapping) else {}

    def _remote(self, connection: Connection, token: str) -> Remote:
        return Remote(str(connection.remote["config"]), token, self._ask, str(connection.remote["label"]))

    def _client_of(self, connection: Connection, secret: Mapping[str, Any]) -> Client:
        return Client(
            _endpoints(connection.remote),
            secret["client_id"],
            secret["client_secret"],
            SCOPE,
            str(connection.remote["redirect_uri"]),
            self._ask,
        )

    def _client(self, found: Authorisation, secret: Mapping[str, Any]) -> Client:
        return Client(
            found.endpoints, secret["client_id"], secret["client_secret"], SCOPE, found.redirect_uri, self._ask
        )

    def _take(self, workspace_id: int, person_id: int, state: str) -> tuple[Authorisation, Mapping[str, Any]]:
        """What this state stands for, once. Raises NotAuthorised."""
        query = select(AuthorisationRow).where(AuthorisationRow.state_hash == fingerprint(state))
        with self._database.write() as session:
            row = session.scalar(query) if state else None
            if row is None or not self._is_open(row, workspace_id, person_id):
                raise NotAuthorised(
                    "This answer",
                    "belongs to no authorisation that you began here, or came a second time.",
                    "Start again from the integrations library, in this browser.",
                )
            row.state_hash = None
            return _authorisation(row), dict(row.secret)

    def _is_open(self, row: AuthorisationRow, workspace_id: int, person_id: int) -> bool:
        fresh = self._clock() - row.created_ms < STALE_MS
        return fresh and row.workspace_id == workspace_id and row.person_id == person_id


def checked_name(name: str) -> str:
    """The name of an integration in one line. Raises InvalidInput."""
    name = " ".join(name.split())
    if not name or len(name) > 120:
        raise InvalidInput("Name", "must have 1 to 120 characters.", "Name it after what its events are of.")
    return name


def _destination(name: str, write_key: str, arrival: str) -> dict[str, Any]:
    """A destination as the Config API takes one (segment-spec, 5)."""

    def setting(key: str, label: str, value: str) -> dict[str, str]:
        return {"name": f"{name}/config/{key}", "display_name": label, "value": value, "type": "string"}

    return {
        "destination": {
            "name": name,
            "connection_mode": "CLOUD",
            "config": [setting("apiKey", "API Key", write_key), setting("endpoint", "Address", arrival)],
            "enabled": True,
        }
    }


def _quietly(act: Any) -> None:
    """Undo a step. That it fails too must not hide what went wrong first."""
    try:
        act()
    except CliffwatchError as error:
        log.warning("authorisation_not_undone", error=str(error))


def _document(endpoints: Endpoints) -> dict[str, str]:
    return {
        "label": endpoints.label,
        "authorise": endpoints.authorise,
        "token": endpoints.token,
        "revoke": endpoints.revoke,
        "config": endpoints.config,
        "public": endpoints.public,
        "issuer": endpoints.issuer,
    }


def _endpoints(remote: Mapping[str, Any]) -> Endpoints:
    names = ("label", "authorise", "token", "revoke", "config", "public", "issuer")
    return Endpoints(*(str(remote[name]) for name in names))


def _authorisation(row: AuthorisationRow) -> Authorisation:
    return Authorisation(
        row.id,
        row.workspace_id,
        row.person_id,
        row.integration,
        row.name,
        _endpoints(row.remote),
        str(row.remote["redirect_uri"]),
    )
