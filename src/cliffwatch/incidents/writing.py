"""Incidents and their timelines as rows: the few statements that every way of changing them is made of.

All of it happens in the caller's write transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import IncidentRow, TimelineRow
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.errors import NotFound
from cliffwatch.incidents.model import Incident
from cliffwatch.incidents.rows import incident_columns


def lock(session: Session, workspace_id: int) -> str:
    """One change at a time per workspace: numbers and stories depend on it. Gives its time zone. Raises NotFound."""
    zone = session.scalar(select(WorkspaceRow.time_zone).where(WorkspaceRow.id == workspace_id).with_for_update())
    if zone is None:
        raise NotFound(f"workspace {workspace_id}", "does not exist.")
    return zone


def next_number(session: Session, workspace_id: int) -> int:
    """The number of a workspace's next incident; hold its `lock`."""
    highest = session.scalar(select(func.max(IncidentRow.number)).where(IncidentRow.workspace_id == workspace_id))
    return (highest or 0) + 1


def add(session: Session, bare: Incident) -> Incident:
    """A new incident, with its id."""
    row = IncidentRow(**incident_columns(bare))
    session.add(row)
    session.flush()
    return replace(bare, id=row.id)


def save(session: Session, incident: Incident, **more: Any) -> None:
    """What an incident is now; `more` are columns that it does not know of."""
    columns = {**incident_columns(incident), **more}
    session.execute(update(IncidentRow).where(IncidentRow.id == incident.id).values(**columns))


def save_changes(session: Session, changes: Sequence[dict[str, Any]]) -> None:
    """What changed of many incidents: each with its `id`."""
    if changes:
        session.execute(update(IncidentRow), changes)


def lines(session: Session, entries: Sequence[tuple[int, str, str]], now: int, person_id: int | None) -> None:
    """A line of the timeline of each of many incidents: (id, action, text)."""
    rows = [
        {"incident_id": incident_id, "at_ms": now, "action": action, "person_id": person_id, "text": text}
        for incident_id, action, text in entries
    ]
    if rows:
        session.execute(insert(TimelineRow), rows)


def line(session: Session, incident_id: int, now: int, action: str, text: str, person_id: int | None = None) -> None:
    """A line of an incident's timeline; `person_id` None: nobody did it."""
    session.add(TimelineRow(incident_id=incident_id, at_ms=now, action=action, person_id=person_id, text=text))
