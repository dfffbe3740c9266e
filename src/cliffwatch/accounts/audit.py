"""The audit log: who did what, when, from where, and what it changed; never changed itself.

The database itself refuses to change or delete a line (triggers of migration 0014).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from cliffwatch.accounts.model import AuditEntry
from cliffwatch.accounts.rows import entry_of
from cliffwatch.db import Database
from cliffwatch.db.changes import taken
from cliffwatch.db.people import AuditRow

SYSTEM = "system"
"""The actor of what nobody asked for over the network: the command line, a schedule."""

EXPORT_BATCH = 1_000
COLUMNS = ("id", "at", "actor", "action", "subject", "address", "detail")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines are wanted; "" and None stand for all. `action` and `subject` match from their beginning."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    from_ms: int | None = None
    until_ms: int | None = None


class AuditLog:
    """Reads the log of a workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(
        self, workspace_id: int, wanted: AuditFilter, *, before_id: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The newest first; older than `before_id` for the next page."""
        query = _filtered(workspace_id, wanted)
        if before_id is not None:
            query = query.where(AuditRow.id < before_id)
        with self._database.read() as session:
            return [entry_of(row) for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))]

    def things(self, workspace_id: int) -> list[str]:
        """What the actions of the log are about, such as "stream", in alphabetical order."""
        query = select(AuditRow.action).where(AuditRow.workspace_id == workspace_id).distinct()
        with self._database.read() as session:
            return sorted({action.partition(".")[0] for action in session.scalars(query)})

    def csv(self, workspace_id: int, wanted: AuditFilter) -> Iterator[str]:
        """The lines as CSV, the oldest first, in pieces. No cell is a formula to a spreadsheet."""
        yield _csv_line(COLUMNS)
        for entry in self._all(workspace_id, wanted):
            shown = as_document(entry)
            yield _csv_line(
                tuple(safe_cell(json.dumps(cell) if isinstance(cell, dict) else str(cell)) for cell in shown.values())
            )

    def json_lines(self, workspace_id: int, wanted: AuditFilter) -> Iterator[str]:
        """One JSON object a line, the oldest first."""
        for entry in self._all(workspace_id, wanted):
            yield json.dumps(as_document(entry), ensure_ascii=False) + "\n"

    def _all(self, workspace_id: int, wanted: AuditFilter) -> Iterator[AuditEntry]:
        after = 0
        while True:
            query = _filtered(workspace_id, wanted).where(AuditRow.id > after).order_by(AuditRow.id)
            with self._database.read() as session:
                found = [entry_of(row) for row in session.scalars(query.limit(EXPORT_BATCH))]
            yield from found
            if len(found) < EXPORT_BATCH:
                return
            after = found[-1].id


def as_document(entry: AuditEntry) -> dict[str, Any]:
    """An entry as JSON values, in the order of `COLUMNS`."""
    return {
        "id": entry.id,
        "at": datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "address": entry.address,
        "detail": dict(entry.detail),
    }


def safe_cell(text: str) -> str:
    """The text as a spreadsheet shows it and never runs it: OWASP, CSV Injection."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


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
    """One line. `action` is "thing.verb", `subject` "thing:id"; `detail` holds no secrets.

    In a watched request `before` and `after` are those of the rows that it has changed, unless `detail` has its own;
    what they tell is not said twice.
    """
    told = taken(session)
    more = {name: value for name, value in detail.items() if name not in told.get("after", {})}
    session.add(
        AuditRow(
            workspace_id=workspace_id,
            at_ms=now,
            actor=actor[:200],
            action=action[:200],
            subject=subject[:200],
            detail=told | more,
            address=address[:64],
        )
    )


def read(session: Session, workspace_id: int, before_id: int | None, limit: int) -> list[AuditEntry]:
    """The newest first; those older than `before_id` when it is given."""
    query = select(AuditRow).where(AuditRow.workspace_id == workspace_id)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    return [entry_of(row) for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))]


def _filtered(workspace_id: int, wanted: AuditFilter) -> Select[AuditRow]:
    query = select(AuditRow).where(AuditRow.workspace_id == workspace_id)
    if wanted.actor:
        query = query.where(AuditRow.actor.icontains(wanted.actor, autoescape=True))
    if wanted.action:
        query = query.where(AuditRow.action.startswith(wanted.action, autoescape=True))
    if wanted.subject:
        query = query.where(AuditRow.subject.startswith(wanted.subject, autoescape=True))
    if wanted.from_ms is not None:
        query = query.where(AuditRow.at_ms >= wanted.from_ms)
    if wanted.until_ms is not None:
        query = query.where(AuditRow.at_ms < wanted.until_ms)
    return query


def _csv_line(cells: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue()
