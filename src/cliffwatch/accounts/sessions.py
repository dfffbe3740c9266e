"""Sessions of signed-in people: they slide 14 days with use and end after 60 whatever happens."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from cliffwatch.accounts.model import Identity, Role
from cliffwatch.accounts.rows import person_of, workspace_of
from cliffwatch.accounts.tokens import fingerprint, new_session_token
from cliffwatch.db.people import MembershipRow, PersonRow, SessionRow, WorkspaceRow

DAY_MS = 86_400_000
SLIDING_MS = 14 * DAY_MS
ABSOLUTE_MS = 60 * DAY_MS
CODE_MS = 10 * 60_000
"""How long the second step of signing in may take."""
TOUCH_MS = 60_000
"""How stale "last seen" may be: one write a minute and session, not one per request."""


def expiry(created_ms: int, now: int) -> int:
    return min(now + SLIDING_MS, created_ms + ABSOLUTE_MS)


def start(
    session: Session,
    person_id: int,
    workspace_id: int | None,
    address: str,
    user_agent: str,
    now: int,
    *,
    awaits_code: bool = False,
) -> str:
    """A new session; returns its token, which is kept nowhere. Sessions that are over go.

    One that awaits a code is nobody's, and ends after `CODE_MS`.
    """
    session.execute(delete(SessionRow).where(SessionRow.expires_ms <= now))
    token = new_session_token()
    session.add(
        SessionRow(
            token_hash=fingerprint(token),
            person_id=person_id,
            workspace_id=workspace_id,
            created_ms=now,
            last_seen_ms=now,
            expires_ms=now + CODE_MS if awaits_code else expiry(now, now),
            confirmed_ms=now,
            awaits_code=awaits_code,
            address=address[:64],
            user_agent=user_agent[:300],
        )
    )
    return token


def find(session: Session, token: str, now: int) -> SessionRow | None:
    """The session of a token, unless it is over."""
    row = _any(session, token, now)
    return row if row is not None and not row.awaits_code else None


def find_waiting(session: Session, token: str, now: int) -> SessionRow | None:
    """The session of a token that awaits a code."""
    row = _any(session, token, now)
    return row if row is not None and row.awaits_code else None


def _any(session: Session, token: str, now: int) -> SessionRow | None:
    row = session.scalar(select(SessionRow).where(SessionRow.token_hash == fingerprint(token)))
    return row if row is not None and now < row.expires_ms else None


def is_member(session: Session, person_id: int, workspace_id: int) -> bool:
    mine = (MembershipRow.person_id == person_id, MembershipRow.workspace_id == workspace_id)
    return session.scalar(select(MembershipRow.id).where(*mine)) is not None


def identity(session: Session, row: SessionRow) -> Identity | None:
    """Who it is, in the workspace that they look at, or in their first one when they left that. None: in none."""
    found = session.execute(
        select(PersonRow, MembershipRow, WorkspaceRow)
        .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
        .join(WorkspaceRow, WorkspaceRow.id == MembershipRow.workspace_id)
        .where(PersonRow.id == row.person_id)
        .order_by((WorkspaceRow.id == row.workspace_id).desc(), WorkspaceRow.id)
        .limit(1)
    ).first()
    if found is None:
        return None
    person, membership, workspace = found
    return Identity(person_of(person), workspace_of(workspace), Role(membership.role), "session", person.email)


def touch(session: Session, row: SessionRow, now: int) -> None:
    """It was used: it ends later."""
    session.execute(
        update(SessionRow)
        .where(SessionRow.id == row.id)
        .values(last_seen_ms=now, expires_ms=expiry(row.created_ms, now))
    )
