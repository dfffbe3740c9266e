"""Frozen values of connections, destinations, apps and their authorisations. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.connections.delivery.filters import Filter
from cliffwatch.errors import CliffwatchError


class Method(enum.StrEnum):
    """How an integration is connected."""

    AUTHORISE = "authorise"  # OAuth: the other side's owner allows it
    TOKEN = "token"  # noqa: S105 - the word, not a token: a Public API token of Segment
    WEBHOOK = "webhook"  # the address is pasted into Segment by hand
    WRITE_KEY = "write_key"  # any SDK sends to the source
    UPLOAD = "upload"  # files
    WAREHOUSE = "warehouse"


@dataclass(frozen=True, slots=True)
class Connection:
    """An integration that is connected; its events arrive at `source_id`. `remote` holds no secrets."""

    id: int
    workspace_id: int
    source_id: int
    integration: str
    method: Method
    name: str
    remote: Mapping[str, Any]
    created_ms: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a Segment, or a Cliffwatch in its shape, answers. Each without a slash at its end."""

    label: str
    authorise: str
    token: str
    revoke: str  # "" where the other side has none
    config: str  # Config API v1beta
    public: str  # Public API
    issuer: str = ""  # what the answer to an authorisation must name, "" where the other side names none


@dataclass(frozen=True, slots=True)
class App:
    """A program that may ask this installation's owners for a source. Its secret is kept as a hash only."""

    id: int
    workspace_id: int
    name: str
    client_id: str
    scope: str
    redirect_uris: Sequence[str]
    created_ms: int


@dataclass(frozen=True, slots=True)
class Install:
    """What an owner allowed an app: one source of a workspace."""

    id: int
    app_id: int
    workspace_id: int
    source_id: int
    person_id: int
    created_ms: int

    @property
    def name(self) -> str:
        return f"installs/{self.id}"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid access token stands for."""

    install: Install
    app: App


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events of a source are delivered to. `settings` holds secrets: it is shown to administrators only."""

    id: int
    workspace_id: int
    source_id: int
    install_id: int | None
    kind: str
    slug: str
    name: str
    enabled: bool
    settings: Mapping[str, Any]
    mappings: Sequence[Mapping[str, Any]]
    filters: Sequence[Filter]
    created_ms: int
    retry_ms: int
    attempts: int
    last_error: str
    last_error_ms: int | None
    last_delivery_ms: int | None


class Outcome(enum.StrEnum):
    """What became of an event on its way to a destination."""

    DELIVERED = "delivered"
    FILTERED = "filtered"  # by the event's own integrations, or by the destination's filter
    RETRIED = "retried"  # an attempt that will be repeated
    FAILED = "failed"  # given up; the other side does not want it


class RemoteRefused(CliffwatchError):
    """The other side answered no; `status` is its HTTP status."""

    def __init__(self, subject: str, rule: str, way_out: str = "", *, status: int = 0) -> None:
        super().__init__(subject, rule, way_out)
        self.status = status


class NotAuthorised(CliffwatchError):
    """An authorisation ended without a connection: denied, stale, replayed, or not ours."""
