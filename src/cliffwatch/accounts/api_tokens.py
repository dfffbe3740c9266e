"""API tokens: made, looked up, revoked. Each function works in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cliffwatch.accounts.model import ApiToken, Identity, Role, Scope
from cliffwatch.accounts.rows import person_of, token_of, workspace_of
from cliffwatch.accounts.tokens import PREFIX_LENGTH, fingerprint, new_api_token
from cliffwatch.db import owned
from cliffwatch.db.people import ApiTokenRow, MembershipRow, PersonRow, WorkspaceRow

USED_MS = 60_000
"""How stale "last used" may be: one write a minute and token, not one per request."""


def create(
    session: Session,
    workspace_id: int,
    person_id: int | None,
    name: str,
    scope: Scope,
    expires_ms: int | None,
    now: int,
) -> tuple[ApiToken, str]:
    """A new token and its plain text, which is kept nowhere."""
    plain = new_api_token()
    row = ApiTokenRow(
        workspace_id=workspace_id,
        person_id=person_id,
        name=name,
        prefix=plain[:PREFIX_LENGTH],
        token_hash=fingerprint(plain),
        scope=scope.value,
        created_ms=now,
        expires_ms=expires_ms,
    )
    session.add(row)
    session.flush()
    return token_of(row), plain


def find(session: Session, plain: str, now: int) -> ApiTokenRow | None:
    """The token, unless it is revoked or has expired."""
    row = session.scalar(select(ApiTokenRow).where(ApiTokenRow.token_hash == fingerprint(plain)))
    if row is None or row.revoked or (row.expires_ms is not None and row.expires_ms <= now):
        return None
    return row


def identity(session: Session, row: ApiTokenRow) -> Identity | None:
    """Who the token stands for: its scope, but never more than its person may; None when they have left."""
    workspace = workspace_of(session.get_one(WorkspaceRow, row.workspace_id))
    label, scope = f"token:{row.prefix}", Scope(row.scope)
    if row.person_id is None:
        return Identity(None, workspace, scope.role, "token", label)
    own = role_of(session, row.workspace_id, row.person_id)
    if own is None:
        return None
    person = person_of(session.get_one(PersonRow, row.person_id))
    return Identity(person, workspace, min(scope.role, own, key=lambda role: role.rank), "token", label)


def touch(session: Session, row: ApiTokenRow, now: int, address: str) -> None:
    """It was used."""
    session.execute(
        update(ApiTokenRow).where(ApiTokenRow.id == row.id).values(last_used_ms=now, last_used_from=address[:64])
    )


def is_stale(row: ApiTokenRow, now: int) -> bool:
    return row.last_used_ms is None or now - row.last_used_ms >= USED_MS


def revoke(session: Session, workspace_id: int, token_id: int) -> ApiToken | None:
    """The token that is refused from now on; None when it was already. Raises NotFound."""
    row = owned(session, ApiTokenRow, workspace_id, token_id)
    if row.revoked:
        return None
    row.revoked = True
    return token_of(row)


def role_of(session: Session, workspace_id: int, person_id: int) -> Role | None:
    """What a person is in a workspace; None when they are not in it."""
    role = session.scalar(
        select(MembershipRow.role).where(
            MembershipRow.workspace_id == workspace_id, MembershipRow.person_id == person_id
        )
    )
    return Role(role) if role is not None else None
