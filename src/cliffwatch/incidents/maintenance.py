"""Maintenance windows: times in which surprises are expected and wake nobody. The only writer of their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database, owned
from cliffwatch.db.routing import MaintenanceRow
from cliffwatch.db.streams import StreamRow
from cliffwatch.errors import InvalidInput
from cliffwatch.incidents.model import AnomalyReport

Windows = list["Maintenance"]


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A time in which surprises are expected: [start_ms, end_ms), in some streams or in all (an empty tuple)."""

    id: int
    workspace_id: int
    title: str
    start_ms: int
    end_ms: int
    streams: tuple[int, ...]
    created_by: str


def in_maintenance(report: AnomalyReport, windows: Sequence[Maintenance]) -> bool:
    """Whether a maintenance window holds all of an anomaly. What outlasts it by more than one window of the stream is
    news: the work should have been over."""
    return any(
        window.start_ms < report.end_ms
        and window.start_ms <= report.start_ms + report.window_ms
        and report.end_ms <= window.end_ms + report.window_ms
        and (not window.streams or report.stream_id in window.streams)
        for window in windows
    )


class MaintenanceWindows:
    """Plan, list and end maintenance windows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, workspace_id: int, since_ms: int = 0) -> Windows:
        """Those that end after `since_ms`, in order of time."""
        with self._database.read() as session:
            return maintenance_since(session, workspace_id, since_ms)

    def plan(
        self, workspace_id: int, *, title: str, start_ms: int, end_ms: int, streams: Sequence[int], by: str, now: int
    ) -> Maintenance:
        """A new window. Raises InvalidInput naming the field."""
        title = names.checked("maintenance title", title, "Say what is done then.")
        if end_ms <= start_ms:
            raise InvalidInput("maintenance end", "must be after its start.")
        with self._database.write() as session:
            known = set(session.scalars(select(StreamRow.id).where(StreamRow.workspace_id == workspace_id)))
            if missing := sorted(set(streams) - known):
                raise InvalidInput(f"maintenance stream {missing[0]}", "does not exist in this workspace.")
            row = MaintenanceRow(
                workspace_id=workspace_id,
                title=title,
                start_ms=start_ms,
                end_ms=end_ms,
                streams=[*dict.fromkeys(streams)],
                created_by=by[:200],
                created_ms=now,
            )
            session.add(row)
            session.flush()
            return _maintenance_of(row)

    def end(self, workspace_id: int, maintenance_id: int, now: int) -> None:
        """Take back a window that has not begun, or end one that has. Raises NotFound."""
        with self._database.write() as session:
            row = owned(session, MaintenanceRow, workspace_id, maintenance_id)
            if row.start_ms >= now:
                session.delete(row)
            else:
                row.end_ms = min(row.end_ms, now)


def maintenance_since(session: Session, workspace_id: int, since_ms: int) -> list[Maintenance]:
    query = (
        select(MaintenanceRow)
        .where(MaintenanceRow.workspace_id == workspace_id, MaintenanceRow.end_ms > since_ms)
        .order_by(MaintenanceRow.start_ms, MaintenanceRow.id)
    )
    return [_maintenance_of(row) for row in session.scalars(query)]


def _maintenance_of(row: MaintenanceRow) -> Maintenance:
    return Maintenance(
        row.id, row.workspace_id, row.title, row.start_ms, row.end_ms, tuple(row.streams), row.created_by
    )
