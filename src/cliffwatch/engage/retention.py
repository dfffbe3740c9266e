"""What is let go of: people of what was deleted long ago, and old transitions and evaluations.

An event that is older than the oldest transition that is kept is labelled as of that moment.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select

from cliffwatch.db import Database
from cliffwatch.db.engage import ComputationBlockRow, ComputationChangeRow, ComputationPassRow, ComputationRow

UNDO_MS = 7 * 86_400_000
"""For so long what was deleted can be brought back."""
KEPT_MS = 400 * 86_400_000
"""For so long transitions and evaluations are kept ..."""
KEPT_CHANGES = 1_000_000
"""... and of each computation so many transitions at most, the newest."""
_AT_ONCE = 5_000
"""Rows of one transaction: others write in between."""


def tidy(database: Database, now: int) -> None:
    """Let go of what is over; keys of what was deleted stay taken."""
    old = select(ComputationRow.id).where(ComputationRow.deleted_ms < now - UNDO_MS)
    with database.write() as session:
        for table in (ComputationBlockRow, ComputationChangeRow, ComputationPassRow):
            session.execute(delete(table).where(table.computation_id.in_(old)))
        newest = select(func.max(ComputationPassRow.id)).group_by(ComputationPassRow.computation_id)
        passes = delete(ComputationPassRow).where(ComputationPassRow.at_ms < now - KEPT_MS)
        session.execute(passes.where(ComputationPassRow.id.not_in(newest)))  # syncs go by the newest
        computations = [*session.scalars(select(ComputationRow.id))]
    for computation_id in computations:
        _forget_changes(database, computation_id, now - KEPT_MS)


def _forget_changes(database: Database, computation_id: int, before_ms: int) -> None:
    row = ComputationChangeRow
    own = row.computation_id == computation_id
    with database.read() as session:
        newest = select(row.id).where(own).order_by(row.id.desc())
        surplus = session.scalar(newest.offset(KEPT_CHANGES).limit(1)) or 0
    while True:
        with database.write() as session:
            oldest = session.execute(select(row.id, row.at_ms).where(own).order_by(row.id).limit(_AT_ONCE)).all()
            gone = [id_ for id_, at_ms in oldest if at_ms < before_ms or id_ <= surplus]
            session.execute(delete(row).where(row.id.in_(gone)))
        if len(gone) < _AT_ONCE:
            return
