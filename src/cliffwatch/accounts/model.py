"""Frozen values of people, workspaces, and who is asking. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cliffwatch.errors import CliffwatchError


class Forbidden(CliffwatchError):
    """Who asks is known, but their role or scope does not allow it."""


class TooManyAttempts(CliffwatchError):
    """Too many wrong sign-ins; the next attempt is looked at after `retry_after_s` seconds."""

    def __init__(self, subject: str, rule: str, way_out: str, *, retry_after_s: int) -> None:
        super().__init__(subject, rule, way_out)
        self.retry_after_s = retry_after_s


class Permission(enum.StrEnum):
    """What can be allowed. Each one includes those above it."""

    READ = "read"  # see everything of the workspace except secrets
    EDIT = "edit"  # change streams and incidents
    ADMIN = "admin"  # change the workspace, sources, channels, people and tokens; see write keys
    OWN = "own"  # change its owners; no API token may


class Role(enum.StrEnum):
    """What a person is in a workspace."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"

    def may(self, permission: Permission) -> bool:
        return permission in _ALLOWED[self]

    @property
    def rank(self) -> int:
        """0 for the role that may least; one more for each step up."""
        return len(_ALLOWED[self]) - 1


_ALLOWED: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.EDITOR: frozenset({Permission.READ, Permission.EDIT}),
    Role.ADMIN: frozenset({Permission.READ, Permission.EDIT, Permission.ADMIN}),
    Role.OWNER: frozenset(Permission),
}


class Scope(enum.StrEnum):
    """What an API token may do; the highest does what an administrator does."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        return {Scope.READ: Role.VIEWER, Scope.WRITE: Role.EDITOR, Scope.ADMIN: Role.ADMIN}[self]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant. `country` (ISO 3166-1 alpha-2, or None) says whose holidays are expected."""

    id: int
    name: str
    slug: str
    time_zone: str
    country: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a workspace."""

    person: Person
    role: Role


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody who may join a workspace, as what, and until when."""

    id: int
    workspace_id: int
    email: str
    role: Role
    invited_by: str
    created_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, in which workspace. `label` is how the audit log names them."""

    person: Person | None  # None: a token that belongs to no person
    workspace: Workspace
    role: Role
    how: Literal["session", "token"]
    label: str  # an e-mail address, or "token:<prefix>"

    def require(self, permission: Permission) -> None:
        """Raises Forbidden when the role does not include this permission."""
        if not self.role.may(permission):
            needed = min((role for role in Role if role.may(permission)), key=lambda role: role.rank)
            raise Forbidden(
                "This",
                f"needs the role “{needed}” in the workspace “{self.workspace.name}”; you have “{self.role}”.",
                "Use a token with a wider scope." if self.how == "token" else "Ask an administrator for it.",
            )


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token for the HTTP API, without its secret. `prefix` tells tokens apart."""

    id: int
    workspace_id: int
    person_id: int | None
    name: str
    prefix: str
    scope: Scope
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None
    last_used_from: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, when, and from where."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    address: str
