"""Rows of the people tables into frozen values."""

from __future__ import annotations

from cliffwatch.accounts.model import ApiToken, AuditEntry, Person, Scope, Workspace
from cliffwatch.db.people import ApiTokenRow, AuditRow, PersonRow, WorkspaceRow


def workspace_of(row: WorkspaceRow) -> Workspace:
    return Workspace(row.id, row.name, row.slug, row.time_zone, row.country, row.created_ms)


def person_of(row: PersonRow) -> Person:
    return Person(row.id, row.email, row.name)


def token_of(row: ApiTokenRow) -> ApiToken:
    return ApiToken(
        id=row.id,
        workspace_id=row.workspace_id,
        person_id=row.person_id,
        name=row.name,
        prefix=row.prefix,
        scope=Scope(row.scope),
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        last_used_ms=row.last_used_ms,
        last_used_from=row.last_used_from,
        revoked=row.revoked,
    )


def entry_of(row: AuditRow) -> AuditEntry:
    return AuditEntry(row.id, row.at_ms, row.actor, row.action, row.subject, row.detail, row.address)
