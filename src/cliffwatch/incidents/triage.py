"""One step over several incidents at once, and how it is taken back. The only writer of `incident_triage`.

Each incident takes the step or refuses it by its own state; what the others do is no matter. Undo brings back what
nobody has touched since, and leaves the rest as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import IncidentRow, TriageRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.incidents import lifecycle, writing
from cliffwatch.incidents.model import Incident, IncidentState, Transition
from cliffwatch.incidents.rows import INCIDENT_COLUMNS, incident_columns, incident_of
from cliffwatch.incidents.take import names

if TYPE_CHECKING:
    from cliffwatch.accounts import Person

MOST = 2_000
"""So many in one step: they are one transaction, and one undo."""
Step = Callable[[Incident], Transition]


@dataclass(frozen=True, slots=True)
class Triaged:
    """What came of a step: which incidents took it, and why others did not."""

    id: int  # to take it back by
    done: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]
    transitions: tuple[Transition, ...]


class Triage:
    """Acknowledge, snooze, resolve or mark several incidents, in the caller's transaction."""

    def act(
        self,
        session: Session,
        workspace_id: int,
        numbers: Sequence[int],
        action: str,
        person: Person,
        now: int,
        until_ms: int | None = None,
    ) -> Triaged:
        """Take the step with each. Raises InvalidInput for an unknown step, none or too many incidents."""
        step = self._step(action, person, now, until_ms)
        wanted = list(dict.fromkeys(numbers))
        if not 1 <= len(wanted) <= MOST:
            raise InvalidInput("incidents", f"must be between 1 and {MOST}.", "Choose some.")
        writing.lock(session, workspace_id)
        rows = _rows(session, workspace_id, wanted)
        people = names(session, rows)
        before, changes, refused, transitions = [], [], [], []
        for row in rows:
            incident = incident_of(row, people)
            try:
                if incident.state is IncidentState.MERGED:
                    raise Conflict(f"incident {row.number}", f"is part of #{incident.merged_into}.")
                transition = step(incident)
            except Conflict as error:
                refused.append((row.number, str(error)))
                continue
            by = person.id if action == "acknowledge" else row.acknowledged_by
            was = incident_columns(incident) | {"acknowledged_by": row.acknowledged_by}
            after = incident_columns(transition.incident) | {"acknowledged_by": by}
            changed = [name for name in was if was[name] != after[name]]
            columns = {name: was[name] for name in changed}
            before.append({"id": row.id, "revision": transition.incident.revision, "columns": columns})
            changes.append({"id": row.id, **{name: after[name] for name in changed}})
            transitions.append(transition)
        writing.save_changes(session, changes)
        entries = [(one.incident.id, one.kind.value, one.note) for one in transitions]
        writing.lines(session, entries, now, person.id)
        kept = TriageRow(workspace_id=workspace_id, person_id=person.id, action=action, before=before, at_ms=now)
        session.add(kept)
        session.flush()
        done = tuple(one.incident.number for one in transitions)
        return Triaged(kept.id, done, tuple(refused), tuple(transitions))

    def undo(
        self, session: Session, workspace_id: int, triage_id: int, person: Person, now: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Take a step of one's own back: (numbers that are as before, numbers that somebody touched since).

        Raises NotFound, or Conflict when it was taken back already.
        """
        kept = session.get(TriageRow, triage_id)
        if kept is None or kept.workspace_id != workspace_id or kept.person_id != person.id:
            raise NotFound(f"step {triage_id}", "is not one of yours.")
        if kept.undone_ms is not None:
            raise Conflict("This step", "was taken back already.")
        kept.undone_ms = now
        stood = {item["id"]: item for item in kept.before}
        query = select(IncidentRow.id, IncidentRow.number, IncidentRow.revision).where(IncidentRow.id.in_(stood))
        rows = session.execute(query.order_by(IncidentRow.number)).all()
        back = [row for row in rows if row.revision == stood[row.id]["revision"]]
        writing.save_changes(
            session, [{**stood[row.id]["columns"], "id": row.id, "revision": row.revision + 1} for row in back]
        )
        writing.lines(session, [(row.id, "undone", "") for row in back], now, person.id)
        touched = tuple(row.number for row in rows if row.revision != stood[row.id]["revision"])
        return tuple(row.number for row in back), touched

    @staticmethod
    def _step(action: str, person: Person, now: int, until_ms: int | None) -> Step:
        def snooze(incident: Incident) -> Transition:
            return lifecycle.snooze(incident, now, until_ms or now + 4 * 3_600_000)

        steps: Mapping[str, Step] = {
            "acknowledge": lambda incident: lifecycle.acknowledge(incident, now, person.name),
            "snooze": snooze,
            "resolve": lambda incident: lifecycle.resolve(incident, now, person.name),
            "false-alarm": lambda incident: lifecycle.false_alarm(incident, now),
            "expected": lambda incident: lifecycle.expected(incident, now),
        }
        if action not in steps:
            raise InvalidInput(f"step {action!r}", "is not known.", f"Choose one of {', '.join(steps)}.")
        return steps[action]


def _rows(session: Session, workspace_id: int, numbers: Sequence[int]) -> list[Row[Any]]:
    query = select(*INCIDENT_COLUMNS).where(IncidentRow.workspace_id == workspace_id, IncidentRow.number.in_(numbers))
    return list(session.execute(query.order_by(IncidentRow.number)))
