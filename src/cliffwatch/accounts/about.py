"""What is stored about a person who signs in, as one document for them: GDPR, articles 15 and 20."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from cliffwatch.accounts.audit import as_document
from cliffwatch.accounts.personal import person_row
from cliffwatch.accounts.rows import entry_of
from cliffwatch.db import Database
from cliffwatch.db.incidents import TimelineRow
from cliffwatch.db.people import ApiTokenRow, AuditRow, MembershipRow, SessionRow, WorkspaceRow


class About:
    """Gathers what the tables say of one person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def document(self, person_id: int) -> dict[str, Any]:
        """JSON values. Secrets and hashes are not in it. Raises NotFound."""
        with self._database.read() as session:
            person = person_row(session, person_id)
            memberships = session.execute(
                select(WorkspaceRow.name, MembershipRow.role, MembershipRow.created_ms)
                .join(MembershipRow, MembershipRow.workspace_id == WorkspaceRow.id)
                .where(MembershipRow.person_id == person_id)
            ).all()
            sessions = session.scalars(select(SessionRow).where(SessionRow.person_id == person_id)).all()
            tokens = session.scalars(select(ApiTokenRow).where(ApiTokenRow.person_id == person_id)).all()
            said = session.scalars(select(TimelineRow).where(TimelineRow.person_id == person_id)).all()
            log = session.scalars(
                select(AuditRow)
                .where((AuditRow.actor == person.email) | (AuditRow.subject == f"person:{person_id}"))
                .order_by(AuditRow.id)
            ).all()
            return {
                "person": {
                    "id": person.id,
                    "email": person.email,
                    "name": person.name,
                    "since": _at(person.created_ms),
                    "second_factor_since": _at(person.totp_since_ms),
                    "single_sign_on": {"issuer": person.sso_issuer, "subject": person.sso_subject}
                    if person.sso_issuer
                    else None,
                },
                "memberships": [
                    {"workspace": name, "role": role, "since": _at(since)} for name, role, since in memberships
                ],
                "sessions": [
                    {
                        "since": _at(row.created_ms),
                        "last_seen": _at(row.last_seen_ms),
                        "address": row.address,
                        "user_agent": row.user_agent,
                    }
                    for row in sessions
                ],
                "api_tokens": [
                    {
                        "name": row.name,
                        "prefix": row.prefix,
                        "scope": row.scope,
                        "since": _at(row.created_ms),
                        "last_used": _at(row.last_used_ms),
                        "last_used_from": row.last_used_from,
                    }
                    for row in tokens
                ],
                "incident_steps": [{"at": _at(row.at_ms), "action": row.action, "text": row.text} for row in said],
                "audit_log": [as_document(entry_of(row)) for row in log],
            }


def _at(ms: int | None) -> str | None:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z") if ms is not None else None
