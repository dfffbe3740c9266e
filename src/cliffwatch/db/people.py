"""Tables of workspaces and the people in them. Written by `accounts`."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Json, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretText


class WorkspaceRow(Base):
    __tablename__ = "workspaces"

    id: Mapped[Id]
    name: Mapped[Short]
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64))
    country: Mapped[str | None] = mapped_column(String(2))  # ISO 3166-1 alpha-2, for holidays
    created_ms: Mapped[Ms]


class PersonRow(Base):
    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("sso_issuer", "sso_subject"),)

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(320), unique=True)  # lower case
    name: Mapped[Short]
    password_hash: Mapped[str] = mapped_column(String(300))  # "": signs in without one, or not at all
    is_service: Mapped[bool] = mapped_column(Boolean, server_default=false())  # a program; it never signs in
    totp_secret: Mapped[str] = mapped_column(SecretText("people.totp_secret"), server_default="")  # base32
    totp_since_ms: Mapped[OptionalMs]  # None: not asked for when signing in
    totp_last_step: Mapped[int] = mapped_column(BigInteger, server_default="-1")  # a code is good once
    sso_issuer: Mapped[str | None] = mapped_column(String(300))
    sso_subject: Mapped[str | None] = mapped_column(String(300))
    created_ms: Mapped[Ms]


class RecoveryCodeRow(Base):
    """Stands for the authenticator app once."""

    __tablename__ = "recovery_codes"

    id: Mapped[Id]
    person_id: Mapped[int] = mapped_column(reference("people.id"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))  # SHA-256
    used_ms: Mapped[OptionalMs]


class InvitationRow(Base):
    """A link that brings somebody into a workspace. It stays until it is used, taken back, or renewed."""

    __tablename__ = "invitations"
    thing: ClassVar[str] = "invitation"
    __table_args__ = (UniqueConstraint("workspace_id", "email"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    email: Mapped[str] = mapped_column(String(320))  # lower case
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the link's token
    invited_by: Mapped[Short]
    created_ms: Mapped[Ms]
    expires_ms: Mapped[Ms]


class MembershipRow(Base):
    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("workspace_id", "person_id"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    person_id: Mapped[int] = mapped_column(reference("people.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))  # owner, admin, editor, viewer
    created_ms: Mapped[Ms]


class SessionRow(Base):
    __tablename__ = "sessions"

    id: Mapped[Id]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the cookie
    person_id: Mapped[int] = mapped_column(reference("people.id"), index=True)
    workspace_id: Mapped[int | None] = mapped_column(reference("workspaces.id"))  # the one being looked at
    created_ms: Mapped[Ms]
    last_seen_ms: Mapped[Ms]
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    confirmed_ms: Mapped[int] = mapped_column(BigInteger, server_default="0")  # when they proved who they are
    awaits_code: Mapped[bool] = mapped_column(Boolean, server_default=false())  # it is nobody's until then
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(300))


class ApiTokenRow(Base):
    __tablename__ = "api_tokens"
    thing: ClassVar[str] = "token"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    person_id: Mapped[int | None] = mapped_column(reference("people.id"))
    name: Mapped[Short]
    prefix: Mapped[str] = mapped_column(String(16))  # the first characters, to tell tokens apart
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(16))  # read, write, admin
    created_ms: Mapped[Ms]
    expires_ms: Mapped[OptionalMs]
    last_used_ms: Mapped[OptionalMs]
    last_used_from: Mapped[str] = mapped_column(String(64), server_default="")  # an address
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)


class AuditRow(Base):
    __tablename__ = "audit_log"

    id: Mapped[Id]
    workspace_id: Mapped[int | None] = mapped_column(BigInteger, index=True)  # outlives what it speaks of
    at_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    actor: Mapped[Short]  # an email, "token:<prefix>", "system"
    action: Mapped[Short]  # e.g. "stream.create"
    subject: Mapped[Short]  # e.g. "stream:12"
    detail: Mapped[Json]
    address: Mapped[str] = mapped_column(String(64))


class SettingRow(Base):
    """Facts of this installation that must survive a restart, e.g. its signing key."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[str] = mapped_column(SecretText("settings.value"))
