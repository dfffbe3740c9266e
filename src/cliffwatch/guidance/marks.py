"""What the marks of incidents teach: read from the incidents themselves; the only writer of what was undone.

An incident that is a false alarm, expected or a new normal is the mark: there is no second place that says so. Its
anomalies say of which series. A mark ends when the incident is reopened, and can be undone without that.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.db import Database, unknown
from cliffwatch.db.guidance import UndoneMarkRow
from cliffwatch.db.incidents import AnomalyRow, IncidentRow
from cliffwatch.errors import Conflict
from cliffwatch.guidance.model import Mark, MarkKind
from cliffwatch.streams.model import parse_slice_key

Found = list[Mark]
_KINDS = [kind.value for kind in MarkKind]


class Marks:
    """List, undo and renew what marks teach."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_stream(self, stream_id: int) -> Found:
        """One per marked incident and series of the stream, in order of time. Undone ones are among them."""
        return self.of_streams([stream_id]).get(stream_id, [])

    def of_streams(self, stream_ids: Sequence[int]) -> dict[int, Found]:
        """Stream id -> its marks as `of_stream` gives them; streams without any are left out."""
        marked = IncidentRow.resolved_ms
        query = (
            select(AnomalyRow, IncidentRow.number, IncidentRow.state, marked, UndoneMarkRow.undone_ms)
            .join(IncidentRow, IncidentRow.id == AnomalyRow.incident_id)
            .outerjoin(UndoneMarkRow, UndoneMarkRow.incident_id == IncidentRow.id)
            .where(
                AnomalyRow.stream_id.in_(stream_ids),
                IncidentRow.state.in_(_KINDS),
                # what was taken back before it was marked was not what the mark speaks of
                AnomalyRow.withdrawn_ms.is_(None) | (AnomalyRow.withdrawn_ms >= marked),
            )
            .order_by(AnomalyRow.start_ms, AnomalyRow.id)
        )
        found: dict[int, Found] = {}
        with self._database.read() as session:
            for row, number, state, marked_ms, undone_ms in session.execute(query):
                mark = Mark(
                    incident_id=row.incident_id or 0,
                    incident=number,
                    kind=MarkKind(state),
                    measure=row.measure,
                    slice=parse_slice_key(row.slice),
                    start_ms=row.start_ms,
                    end_ms=row.end_ms,
                    score=row.score,
                    actual=row.actual,
                    expected=row.expected,
                    marked_ms=marked_ms or row.detected_ms,
                    undone=undone_ms is not None,
                )
                found.setdefault(row.stream_id, []).append(mark)
        return found

    def undo(self, workspace_id: int, number: int, by: str, now: int) -> None:
        """The incident keeps its mark and teaches nothing any more. Raises NotFound, Conflict."""
        with self._database.write() as session:
            incident = _marked(session, workspace_id, number)
            if session.get(UndoneMarkRow, incident.id) is not None:
                raise Conflict(f"The mark of incident {number}", "is undone already.")
            session.add(UndoneMarkRow(incident_id=incident.id, undone_ms=now, undone_by=by))

    def renew(self, workspace_id: int, number: int) -> None:
        """An undone mark teaches again. Raises NotFound, Conflict."""
        with self._database.write() as session:
            row = session.get(UndoneMarkRow, _marked(session, workspace_id, number).id)
            if row is None:
                raise Conflict(f"The mark of incident {number}", "was not undone.")
            session.delete(row)


def _marked(session: Session, workspace_id: int, number: int) -> IncidentRow:
    query = select(IncidentRow).where(IncidentRow.workspace_id == workspace_id, IncidentRow.number == number)
    incident = session.scalar(query)
    if incident is None:
        raise unknown(IncidentRow, number)
    if incident.state not in _KINDS:
        raise Conflict(f"Incident {number}", "is not marked as a false alarm, expected or the new normal.")
    return incident
