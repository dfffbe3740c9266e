"""What single sign-on is told by the operator, and what it refuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cliffwatch.accounts import Role
from cliffwatch.errors import CliffwatchError, InvalidInput


class SsoRefused(CliffwatchError):
    """The provider's answer lets nobody in."""


@dataclass(frozen=True, slots=True)
class SsoSettings:
    """`issuer` "" means that there is none. `roles` is group -> role; `default_role` is for whoever is in no such
    group, None to refuse them."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    name: str = "single sign-on"
    domains: frozenset[str] = frozenset()
    group_claim: str = "groups"
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_role: Role | None = Role.VIEWER
    allow_private: bool = False

    @property
    def is_on(self) -> bool:
        return bool(self.issuer and self.client_id)

    def role_for(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role of the person's groups; None when they may not come in."""
        found = claims.get(self.group_claim, [])
        groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        mapped = [self.roles[group] for group in groups if isinstance(group, str) and group in self.roles]
        return max(mapped, key=lambda role: role.rank) if mapped else self.default_role

    def takes(self, email: str) -> bool:
        """Whether the address is of an allowed domain; every one is when none is named."""
        return not self.domains or email.rpartition("@")[2].lower() in self.domains


def sso_settings(
    *,
    issuer: str,
    client_id: str,
    client_secret: str,
    name: str,
    domains: str,
    group_claim: str,
    roles: str,
    default_role: str,
    allow_private: bool,
) -> SsoSettings:
    """From the texts of the settings. Raises InvalidInput naming the setting."""
    mapped: dict[str, Role] = {}
    for part in filter(None, (piece.strip() for piece in roles.split(","))):
        group, _, role = part.rpartition("=")
        mapped[group.strip()] = _role("oidc_roles", role.strip())
    return SsoSettings(
        issuer=issuer.strip(),
        client_id=client_id,
        client_secret=client_secret,
        name=name,
        domains=frozenset(filter(None, (part.strip().lower().lstrip("@") for part in domains.split(",")))),
        group_claim=group_claim,
        roles=mapped,
        default_role=_role("oidc_default_role", default_role) if default_role else None,
        allow_private=allow_private,
    )


def _role(setting: str, text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise InvalidInput(
            f"setting {setting}", f"names the role {text!r}.", f"Use one of: {', '.join(Role)}."
        ) from error
