"""The audit log: written in the transaction of the change that it tells of, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.accounts.model import AuditEntry
from cliffwatch.accounts.rows import entry_of
from cliffwatch.db.people import AuditRow

SYSTEM = "system"
"""The actor of what nobody asked for over the network: the command line, a schedule."""


def record(
    session: Session,
    workspace_id: int | None,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any],
    address: str,
    now: int,
) -> None:
    """One line. `action` is "thing.verb", `subject` "thing:id"; `detail` holds no secrets."""
    session.add(
        AuditRow(
            workspace_id=workspace_id,
            at_ms=now,
            actor=actor[:200],
            action=action[:200],
            subject=subject[:200],
            detail=dict(detail),
            address=address[:64],
        )
    )


def read(session: Session, workspace_id: int, before_id: int | None, limit: int) -> list[AuditEntry]:
    """The newest first; those older than `before_id` when it is given."""
    query = select(AuditRow).where(AuditRow.workspace_id == workspace_id)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    return [entry_of(row) for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))]
