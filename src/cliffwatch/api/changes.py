"""Tells the audit log what somebody changed over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request

from cliffwatch.accounts import Identity
from cliffwatch.api.auth import address_of

if TYPE_CHECKING:
    from cliffwatch.services import Services


def note(
    services: Services, request: Request, who: Identity, action: str, subject: str, detail: dict[str, Any] | None = None
) -> None:
    """`action` is "thing.verb", `subject` "thing:id"; `detail` holds no secrets."""
    services.accounts.audit(
        who.workspace.id, who.label, action, subject, detail or {}, address_of(request), services.clock()
    )


def location(request: Request, path: str) -> dict[str, str]:
    """The header that says where a new thing is."""
    return {"Location": f"{request.scope.get('root_path', '')}{path}"}
