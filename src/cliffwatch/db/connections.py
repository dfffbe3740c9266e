"""Tables of connections, destinations, OAuth apps and imports. Written by `connections`."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Long, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretDocument, SecretText


class ConnectionRow(Base):
    """An integration of the library that was started and completed: it has a source."""

    __tablename__ = "connections"
    thing: ClassVar[str] = "connection"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    integration: Mapped[str] = mapped_column(String(40))  # key of the library
    method: Mapped[str] = mapped_column(String(16))  # authorise, token, webhook, write_key, upload, warehouse
    name: Mapped[Short]
    remote: Mapped[Json]  # what is at the other side: address, names, ids
    secret: Mapped[dict[str, Any]] = mapped_column(SecretDocument("connections.secret"))
    created_ms: Mapped[Ms]
    last_error: Mapped[Long]


class AuthorisationRow(Base):
    """An authorisation under way: it becomes a connection, or nothing."""

    __tablename__ = "authorisations"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    person_id: Mapped[int] = mapped_column(reference("people.id"))
    integration: Mapped[str] = mapped_column(String(40))
    name: Mapped[Short]
    remote: Mapped[Json]  # endpoints, scope, redirect address
    secret: Mapped[dict[str, Any]] = mapped_column(
        SecretDocument("authorisations.secret")
    )  # client id and secret, PKCE verifier
    state_hash: Mapped[str | None] = mapped_column(String(64), unique=True)  # None: not sent yet, or used
    created_ms: Mapped[Ms]


class OAuthAppRow(Base):
    """A program that may ask people of this installation for access to a source."""

    __tablename__ = "oauth_apps"
    thing: ClassVar[str] = "app"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)  # who looks after it
    name: Mapped[Short]
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(80))
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    created_ms: Mapped[Ms]


class OAuthInstallRow(Base):
    """What an owner allowed: an app, on a source of a workspace. Tokens belong to it."""

    __tablename__ = "oauth_installs"
    thing: ClassVar[str] = "access"
    __table_args__ = (UniqueConstraint("app_id", "workspace_id"),)

    id: Mapped[Id]
    app_id: Mapped[int] = mapped_column(reference("oauth_apps.id"))
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    person_id: Mapped[int] = mapped_column(reference("people.id"), index=True)
    created_ms: Mapped[Ms]


class OAuthCodeRow(Base):
    """An authorisation code. It stays after its use until it is old, so that a replay is known as one."""

    __tablename__ = "oauth_codes"

    id: Mapped[Id]
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    app_id: Mapped[int] = mapped_column(reference("oauth_apps.id"))
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    person_id: Mapped[int] = mapped_column(reference("people.id"))
    redirect_uri: Mapped[Long]
    scope: Mapped[str] = mapped_column(String(80))
    challenge: Mapped[str] = mapped_column(String(128))
    expires_ms: Mapped[Ms]
    used_ms: Mapped[OptionalMs]
    install_id: Mapped[int | None] = mapped_column(BigId)  # what came of it


class OAuthTokenRow(Base):
    __tablename__ = "oauth_tokens"

    id: Mapped[Id]
    install_id: Mapped[int] = mapped_column(reference("oauth_installs.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[Ms]
    expires_ms: Mapped[Ms]


class DestinationRow(Base):
    """Where events of a source are delivered to, and how that goes."""

    __tablename__ = "destinations"
    thing: ClassVar[str] = "destination"
    __table_args__ = (UniqueConstraint("source_id", "slug"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    install_id: Mapped[int | None] = mapped_column(reference("oauth_installs.id"), index=True)  # the app that made it
    kind: Mapped[str] = mapped_column(String(40))  # cliffwatch, webhook
    slug: Mapped[str] = mapped_column(String(80))
    name: Mapped[Short]
    enabled: Mapped[bool] = mapped_column(Boolean)
    settings: Mapped[dict[str, Any]] = mapped_column(SecretDocument("destinations.settings"))
    mappings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # the subscriptions of a webhook
    filters: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # in order; see delivery/filters.py
    created_ms: Mapped[Ms]
    retry_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[Long]
    last_error_ms: Mapped[OptionalMs]
    last_delivery_ms: Mapped[OptionalMs]


class DeliveryPositionRow(Base):
    """How far a destination has got in the delivery journal of a node."""

    __tablename__ = "delivery_positions"

    destination_id: Mapped[int] = mapped_column(BigId, reference("destinations.id"), primary_key=True)
    journal: Mapped[str] = mapped_column(String(40), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger)


class DeliveryCountRow(Base):
    """What became of events on their way to a destination, per minute."""

    __tablename__ = "delivery_counts"
    __table_args__ = (
        UniqueConstraint(
            "destination_id",
            "minute_ms",
            "outcome",
            "event_type",
            "event_name",
            "reason",
            name="uq_delivery_counts_what",
        ),
        Index("ix_delivery_counts_minute_ms", "minute_ms"),
    )

    id: Mapped[Id]
    destination_id: Mapped[int] = mapped_column(reference("destinations.id"))
    minute_ms: Mapped[Ms]
    outcome: Mapped[str] = mapped_column(String(16))  # delivered, filtered, retried, failed
    event_type: Mapped[str] = mapped_column(String(16))
    event_name: Mapped[Short]
    reason: Mapped[str] = mapped_column(String(60))
    count: Mapped[int] = mapped_column(BigInteger)


class ImportRow(Base):
    """A file or warehouse that is read into a source; `cursor` is where it goes on."""

    __tablename__ = "imports"
    thing: ClassVar[str] = "import"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # csv, files, postgresql
    name: Mapped[Short]
    settings: Mapped[Json]
    secret: Mapped[str] = mapped_column(SecretText("imports.secret"))
    state: Mapped[str] = mapped_column(String(16))  # waiting, running, paused, done, failed
    cursor: Mapped[Json]
    rows_done: Mapped[int] = mapped_column(BigInteger)
    rows_total: Mapped[int] = mapped_column(BigInteger)
    rejected: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[Long]
    created_ms: Mapped[Ms]
    started_ms: Mapped[OptionalMs]
    finished_ms: Mapped[OptionalMs]
