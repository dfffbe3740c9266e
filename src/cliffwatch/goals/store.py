"""The service of goals: the only writer of their table."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database, owned, unknown
from cliffwatch.db.goals import GoalRow
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.goals.model import Aim, Goal, GoalGiven, Pace, Repeat
from cliffwatch.goals.period import LONGEST_DAYS, span_of
from cliffwatch.streams.model import Stream, parse_slice_key, slice_key

MOST = 100
LARGEST = 1e15
Found = list[Goal]


class Goals:
    """Create, change, list, delete and bring back goals, and keep what was found of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, stream: Stream, given: GoalGiven, zone: ZoneInfo, *, by: str, now: int) -> Goal:
        """A new goal, followed from its current period on. Raises InvalidInput naming the field, or Conflict."""
        given = checked(given, stream)
        with self._database.write() as session:
            here = select(func.count()).where(GoalRow.workspace_id == stream.workspace_id, GoalRow.deleted_ms.is_(None))
            if session.scalars(here).one() >= MOST:
                raise Conflict("goals", f"are {MOST} already.", "Delete one that nobody looks at.")
            row = GoalRow(
                workspace_id=stream.workspace_id,
                made_by=by,
                created_ms=now,
                period_start_ms=span_of(given, now, zone).start_ms,
                incident_id=None,
                pace=None,
                looked_ms=0,
                revision=1,
                deleted_ms=None,
                **_columns(given),
            )
            session.add(row)
            session.flush()
            return goal_of(row)

    def change(self, stream: Stream, goal_id: int, given: GoalGiven, zone: ZoneInfo, now: int) -> Goal:
        """Ask for something else, from the current period on; what was said of it so far is looked at anew.

        Raises NotFound or InvalidInput.
        """
        given = checked(given, stream)
        with self._database.write() as session:
            row = _row(session, stream.workspace_id, goal_id)
            start_ms = span_of(given, now, zone).start_ms
            if start_ms != row.period_start_ms or given.stream_id != row.stream_id:
                row.incident_id = None
            for name, value in _columns(given).items():
                setattr(row, name, value)
            row.period_start_ms, row.pace, row.looked_ms = start_ms, None, 0
            row.revision += 1
            session.flush()
            return goal_of(row)

    def list(self, workspace_id: int) -> Found:
        """The workspace's goals, the oldest first."""
        query = select(GoalRow).where(GoalRow.workspace_id == workspace_id, GoalRow.deleted_ms.is_(None))
        with self._database.read() as session:
            return [goal_of(row) for row in session.scalars(query.order_by(GoalRow.id))]

    def every(self) -> Found:
        """All goals of the installation."""
        with self._database.read() as session:
            query = select(GoalRow).where(GoalRow.deleted_ms.is_(None)).order_by(GoalRow.id)
            return [goal_of(row) for row in session.scalars(query)]

    def get(self, workspace_id: int, goal_id: int) -> Goal:
        """Raises NotFound."""
        with self._database.read() as session:
            return goal_of(_row(session, workspace_id, goal_id))

    def delete(self, workspace_id: int, goal_id: int, now: int) -> Goal:
        """Raises NotFound."""
        with self._database.write() as session:
            row = _row(session, workspace_id, goal_id)
            row.deleted_ms = now
            return goal_of(row)

    def restore(self, workspace_id: int, goal_id: int) -> Goal:
        """Bring a deleted one back. Raises NotFound."""
        with self._database.write() as session:
            row = _row(session, workspace_id, goal_id, deleted=True)
            row.deleted_ms = None
            row.looked_ms = 0
            return goal_of(row)

    def locked(self, session: Session, goal: Goal) -> Goal | None:
        """The goal as it is now, held for the caller's transaction; None when it was changed or deleted since, or when
        another of its periods is followed."""
        row = session.get(GoalRow, goal.id, with_for_update=True, populate_existing=True)
        if row is None or row.deleted_ms is not None or row.revision != goal.revision:
            return None
        return goal_of(row) if row.period_start_ms == goal.period_start_ms else None

    def keep(self, session: Session, goal: Goal, pace: Pace, incident_id: int | None, following_ms: int) -> None:
        """Keep what was found of a locked goal. `following_ms` begins the period that is followed from now on; the
        warning stays with the period that it speaks of."""
        row = session.get_one(GoalRow, goal.id)
        row.pace, row.looked_ms = pace.dump(), pace.until_ms
        row.incident_id = incident_id if following_ms == row.period_start_ms else None
        row.period_start_ms = following_ms


def checked(given: GoalGiven, stream: Stream) -> GoalGiven:
    """The goal in its canonical form. Raises InvalidInput naming the field."""
    given = replace(given, name=names.checked("name", given.name, "Name the goal."))
    measure = stream.definition.find_measure(given.measure)
    if measure is None:
        known = ", ".join(one.key for one in stream.definition.measures)
        raise InvalidInput("measure", "is not one of this stream.", f"It has: {known}")
    if not measure.aggregation.additive:
        raise InvalidInput("measure", "does not add up over time.", "A goal is a count or a sum.")
    if not 0 < given.target <= LARGEST:
        raise InvalidInput("target", "is more than 0 and at most 10^15.")
    if not 0.01 <= given.warn_below <= 0.95:
        raise InvalidInput("warn_below", "is a share between 0.01 and 0.95.", "0.5 warns when a miss is likelier.")
    paths = {dimension.path for dimension in stream.definition.dimensions}
    for path, value in given.slice:
        if path not in paths or len(given.slice) > 1:
            raise InvalidInput("slice", "names one dimension of the stream and its value.", _known(paths))
        if not value or len(value) > names.MOST:
            raise InvalidInput("slice", f"has a value of 1 to {names.MOST} characters.")
    if given.repeat is not Repeat.ONCE:
        return replace(given, first="", last="")
    try:
        first, last = date.fromisoformat(given.first), date.fromisoformat(given.last)
    except ValueError as error:
        raise InvalidInput("first", "and last are days such as 2026-11-01.", "Give both.") from error
    if not 0 <= (last - first).days < LONGEST_DAYS or not 1971 <= first.year <= 2095:
        raise InvalidInput("last", f"is not before the first day, and within {LONGEST_DAYS} days of it.")
    return replace(given, first=first.isoformat(), last=last.isoformat())


def _known(paths: set[str]) -> str:
    return f"It has: {', '.join(sorted(paths))}" if paths else "It has no dimensions."


def _columns(given: GoalGiven) -> dict[str, Any]:
    columns = asdict(given)
    columns["first_day"], columns["last_day"] = columns.pop("first"), columns.pop("last")
    return columns | {"slice": slice_key(given.slice), "aim": given.aim.value, "repeat": given.repeat.value}


def _row(session: Session, workspace_id: int, goal_id: int, *, deleted: bool = False) -> GoalRow:
    row = owned(session, GoalRow, workspace_id, goal_id)
    if (row.deleted_ms is not None) != deleted:
        raise unknown(GoalRow, goal_id)
    return row


def goal_of(row: GoalRow) -> Goal:
    return Goal(
        id=row.id,
        workspace_id=row.workspace_id,
        given=GoalGiven(
            name=row.name,
            stream_id=row.stream_id,
            measure=row.measure,
            target=row.target,
            aim=Aim(row.aim),
            slice=parse_slice_key(row.slice),
            repeat=Repeat(row.repeat),
            first=row.first_day,
            last=row.last_day,
            warn_below=row.warn_below,
        ),
        made_by=row.made_by,
        created_ms=row.created_ms,
        period_start_ms=row.period_start_ms,
        incident_id=row.incident_id,
        pace=Pace.load(row.pace) if row.pace is not None else None,
        looked_ms=row.looked_ms,
        revision=row.revision,
        deleted=row.deleted_ms is not None,
    )
