"""Incidents that people put together or take apart by hand, and how that is taken back.

Everything happens in the caller's transaction, together with what follows from it (whose threads the messages go to).
Anomalies move with their series, so that one series is told by one incident; what comes later joins where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, or_, select, update
from sqlalchemy.orm import Session, aliased

from cliffwatch.db import Database, owned, unknown
from cliffwatch.db.incidents import AnomalyRow, IncidentMoveRow, IncidentRow
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.incidents import writing
from cliffwatch.incidents.model import Anomaly, Incident, IncidentState, Transition, TransitionKind
from cliffwatch.incidents.regroup import absorb, carve, mergeable, remain, swallowed
from cliffwatch.incidents.rows import ANOMALY_COLUMNS, INCIDENT_COLUMNS, anomaly_of, incident_columns, incident_of
from cliffwatch.incidents.take import chunks, names

if TYPE_CHECKING:
    from cliffwatch.incidents.store import Actor

MERGE, SPLIT = "merge", "split"


@dataclass(frozen=True, slots=True)
class Move:
    """A merge or a split, as it is told: `other` is the incident at its other end."""

    id: int
    kind: str  # merge, split
    came: bool  # whether the anomalies came here, or left
    other: int  # number of the other incident
    other_headline: str
    person: str | None
    at_ms: int
    undone_ms: int | None


@dataclass(frozen=True, slots=True)
class _Held:
    """An incident under the lock of its workspace."""

    row: Row[Any]
    incident: Incident
    anomalies: tuple[Anomaly, ...]

    @property
    def told(self) -> tuple[Anomaly, ...]:
        """Those that were not withdrawn."""
        return tuple(one for one in self.anomalies if one.withdrawn_ms is None)


class Moves:
    """Merge, split, and undo."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, incident: Incident) -> list[Move]:
        """What was merged into the incident or split off from it, and where it comes from; the newest first."""
        here, there = aliased(IncidentRow), aliased(IncidentRow)
        query = (
            select(IncidentMoveRow, here, there, PersonRow.name)
            .join(here, here.id == IncidentMoveRow.from_id)
            .join(there, there.id == IncidentMoveRow.to_id)
            .outerjoin(PersonRow, PersonRow.id == IncidentMoveRow.person_id)
            .where(or_(IncidentMoveRow.from_id == incident.id, IncidentMoveRow.to_id == incident.id))
            .order_by(IncidentMoveRow.id.desc())
        )
        with self._database.read() as session:
            found = []
            for row, from_, to, person in session.execute(query):
                came = row.to_id == incident.id
                other = from_ if came else to
                found.append(
                    Move(row.id, row.kind, came, other.number, other.headline, person, row.at_ms, row.undone_ms)
                )
            return found

    def merge(
        self, session: Session, workspace_id: int, number: int, into: int, person: Actor, now: int
    ) -> list[Transition]:
        """Make incident `number` part of incident `into`. Raises NotFound, InvalidInput or Conflict."""
        zone = _lock(session, workspace_id)
        source, target = _held(session, workspace_id, number), _held(session, workspace_id, into)
        transitions = self._merge(session, zone, source, target, person, now)
        self._remember(session, MERGE, source, target, [one.id for one in source.anomalies], person, now)
        return transitions

    def split(
        self, session: Session, workspace_id: int, number: int, anomaly_ids: Sequence[int], person: Actor, now: int
    ) -> tuple[Incident, list[Transition]]:
        """Take anomalies, with the rest of their series, out of an incident into a new one.

        Raises NotFound, Conflict, or InvalidInput when nothing is chosen or nothing would be left.
        """
        zone = _lock(session, workspace_id)
        source = _held(session, workspace_id, number)
        if source.incident.state is IncidentState.MERGED:
            raise Conflict(f"incident {number}", f"is part of #{source.incident.merged_into}.", "Split that one.")
        chosen, rest = _parted(source, anomaly_ids)
        told = [one for one in chosen if one.withdrawn_ms is None]
        bare, opening = carve(source.incident, writing.next_number(session, workspace_id), told, zone, now, person.name)
        new = writing.add(session, bare)
        _hand_over(session, [one.id for one in chosen], new.id)
        note = f"{person.name} split #{new.number} off from it."
        left = [one for one in rest if one.withdrawn_ms is None]
        after, step = remain(source.incident, left, zone, now, TransitionKind.SPLIT, note)
        writing.save(session, after)
        _line(session, new.id, now, TransitionKind.OPENED, None, new.headline)
        _line(session, new.id, now, TransitionKind.SPLIT, person, f"Split off from #{number}.")
        _line(session, after.id, now, TransitionKind.SPLIT, person, f"#{new.number}: {new.headline}")
        _line_if_over(session, step, now)
        moved = _Held(row=source.row, incident=new, anomalies=tuple(chosen))
        self._remember(session, SPLIT, source, moved, [one.id for one in chosen], person, now)
        return new, [replace(opening, incident=new), step]

    def undo(self, session: Session, workspace_id: int, move_id: int, person: Actor, now: int) -> list[Transition]:
        """Take a merge or a split back. Raises NotFound, or Conflict when it was, or cannot be any more."""
        zone = _lock(session, workspace_id)
        row = owned(session, IncidentMoveRow, workspace_id, move_id)
        if row.undone_ms is not None:
            raise Conflict(f"This {row.kind}", "was taken back already.")
        from_, to = _held_by_id(session, row.from_id), _held_by_id(session, row.to_id)
        if to.incident.state is IncidentState.MERGED:
            raise Conflict(
                f"incident {to.incident.number}",
                f"is itself part of #{to.incident.merged_into} now.",
                "Take that back first.",
            )
        if row.kind == MERGE and not row.before:
            raise Conflict("This merge", "does not say what was before it.", "Take series out with a split instead.")
        row.undone_ms = now
        if row.kind == SPLIT:
            return self._merge(session, zone, to, from_, person, now)
        return self._separate(session, zone, row, from_, to, person, now)

    def _merge(
        self, session: Session, zone: ZoneInfo, source: _Held, target: _Held, person: Actor, now: int
    ) -> list[Transition]:
        mergeable(source.incident, target.incident)
        if not source.anomalies or not target.anomalies:
            raise Conflict("merge", "joins incidents of anomalies; one of these has none.", "Keep them apart.")
        members = target.told + source.told
        if members:
            after, step = absorb(target.incident, source.incident, members, zone, now, person.name)
        else:  # late events took everything back: nothing is left to tell
            after = replace(target.incident, revision=target.incident.revision + 1)
            step = Transition(TransitionKind.MERGED, after, significant=False)
        gone = swallowed(source.incident, target.incident, now)
        _hand_over(session, [one.id for one in source.anomalies], after.id)
        writing.save(session, after)
        writing.save(session, gone)
        number, headline = source.incident.number, source.incident.headline
        _line(session, after.id, now, TransitionKind.MERGED, person, f"#{number}: {headline}")
        _line(session, gone.id, now, TransitionKind.MERGED, person, f"Into #{after.number}: {after.headline}")
        _line_if_over(session, step, now)
        said = f"{person.name} made it part of #{after.number}: {after.headline}"
        return [Transition(TransitionKind.MERGED, gone, significant=True, note=said), step]

    def _separate(
        self,
        session: Session,
        zone: ZoneInfo,
        row: IncidentMoveRow,
        from_: _Held,
        to: _Held,
        person: Actor,
        now: int,
    ) -> list[Transition]:
        moved = set(row.anomaly_ids)
        series = {one.series for one in to.anomalies if one.id in moved}
        kept = {one.series for one in to.anomalies if one.id in set(row.before["target_anomalies"])}
        back = [one for one in to.anomalies if one.id in moved or one.series in series - kept]
        ids = {one.id for one in back}
        _hand_over(session, [one.id for one in back], from_.incident.id)
        session.execute(update(IncidentRow).where(IncidentRow.id == from_.incident.id).values(**row.before["source"]))
        session.flush()
        again = _held_by_id(session, row.from_id)
        restored = replace(again.incident, revision=from_.incident.revision + 1)
        number = from_.incident.number
        note = f"{person.name} took it out of #{to.incident.number} again."
        apart, first = remain(restored, again.told, zone, now, TransitionKind.SEPARATED, note)
        theirs = set(from_.incident.monitors) - set(row.before["monitors"])
        about = {tuple(sorted(one.items())) for one in row.before["also_about"]}
        bare = replace(
            to.incident,
            monitors=tuple(one for one in to.incident.monitors if one not in theirs),
            also_about=tuple(one for one in to.incident.also_about if one in about),
        )
        left = [one for one in to.told if one.id not in ids]
        note = f"{person.name} took #{number} out of it again."
        after, second = remain(bare, left, zone, now, TransitionKind.SEPARATED, note)
        writing.save(session, apart)
        writing.save(session, after)
        _line(session, apart.id, now, TransitionKind.SEPARATED, person, f"Out of #{after.number} again.")
        _line(session, after.id, now, TransitionKind.SEPARATED, person, f"#{number} is on its own again.")
        for step in (first, second):
            _line_if_over(session, step, now)
        apart_step = Transition(TransitionKind.SEPARATED, apart, significant=False, note=first.note)
        return [apart_step, *([first] if first.kind is not TransitionKind.SEPARATED else []), second]

    @staticmethod
    def _remember(
        session: Session, kind: str, from_: _Held, to: _Held, ids: list[int], person: Actor, now: int
    ) -> None:
        source = incident_columns(from_.incident) | {"acknowledged_by": from_.row.acknowledged_by}
        before = {
            "source": source,
            "monitors": list(to.incident.monitors),
            "also_about": [dict(one) for one in to.incident.also_about],
            "target_anomalies": [one.id for one in to.anomalies],
        }
        session.add(
            IncidentMoveRow(
                workspace_id=from_.incident.workspace_id,
                kind=kind,
                from_id=from_.incident.id,
                to_id=to.incident.id,
                anomaly_ids=ids,
                before=before if kind == MERGE else {},
                person_id=person.id,
                at_ms=now,
            )
        )
        session.flush()


def family(session: Session, workspace_id: int, number: int) -> list[int]:
    """Ids of an incident and of all that are part of it."""
    numbers, found = [number], list[int]()
    while numbers:
        of_number = IncidentRow.number.in_(numbers) if not found else IncidentRow.merged_into.in_(numbers)
        rows = list(
            session.execute(
                select(IncidentRow.id, IncidentRow.number).where(IncidentRow.workspace_id == workspace_id, of_number)
            )
        )
        numbers = [row.number for row in rows]
        found += [row.id for row in rows]
    return found


def _lock(session: Session, workspace_id: int) -> ZoneInfo:
    """As runs take it; returns the workspace's zone."""
    return ZoneInfo(writing.lock(session, workspace_id))


def _held(session: Session, workspace_id: int, number: int) -> _Held:
    query = select(IncidentRow.id).where(IncidentRow.workspace_id == workspace_id, IncidentRow.number == number)
    found = session.scalar(query)
    if found is None:
        raise unknown(IncidentRow, number)
    return _held_by_id(session, found)


def _held_by_id(session: Session, incident_id: int) -> _Held:
    row = session.execute(select(*INCIDENT_COLUMNS).where(IncidentRow.id == incident_id)).one()
    anomalies = session.execute(select(*ANOMALY_COLUMNS).where(AnomalyRow.incident_id == incident_id))
    return _Held(row, incident_of(row, names(session, [row])), tuple(anomaly_of(one) for one in anomalies))


def _parted(source: _Held, anomaly_ids: Sequence[int]) -> tuple[list[Anomaly], list[Anomaly]]:
    """(what goes, what stays): whole series go."""
    known = {one.id: one for one in source.anomalies}
    strange = [one for one in anomaly_ids if one not in known]
    if strange:
        raise InvalidInput("split", f"names anomaly {strange[0]}, which is not in incident {source.incident.number}.")
    series = {known[one].series for one in anomaly_ids}
    chosen = [one for one in source.anomalies if one.series in series]
    rest = [one for one in source.anomalies if one.series not in series]
    if not any(one.withdrawn_ms is None for one in chosen):
        raise InvalidInput("split", "needs at least one series to take out.", "Choose one.")
    if not any(one.withdrawn_ms is None for one in rest):
        raise InvalidInput("split", "must leave at least one series where it is.", "Choose fewer.")
    return chosen, rest


def _hand_over(session: Session, anomaly_ids: Sequence[int], incident_id: int) -> None:
    for ids in chunks(anomaly_ids):
        session.execute(update(AnomalyRow).where(AnomalyRow.id.in_(ids)).values(incident_id=incident_id))


def _line(session: Session, incident_id: int, now: int, kind: TransitionKind, person: Actor | None, text: str) -> None:
    writing.line(session, incident_id, now, kind.value, text, person.id if person is not None else None)


def _line_if_over(session: Session, step: Transition, now: int) -> None:
    if step.kind in (TransitionKind.RESOLVED, TransitionKind.RETRACTED):
        _line(session, step.incident.id, now, step.kind, None, step.incident.headline)
