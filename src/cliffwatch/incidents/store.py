"""The service of incidents: the only writer of incidents, anomalies, their timeline, and monitors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database, unknown
from cliffwatch.db.incidents import AnomalyRow, IncidentRow, MonitorRow, TimelineRow
from cliffwatch.db.people import MembershipRow, PersonRow
from cliffwatch.errors import InvalidInput
from cliffwatch.incidents import lifecycle, writing
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.maintenance import maintenance_since
from cliffwatch.incidents.model import (
    Anomaly,
    AnomalyReport,
    Cause,
    Incident,
    IncidentState,
    Monitor,
    TimelineEntry,
    Transition,
)
from cliffwatch.incidents.monitors import monitors_of
from cliffwatch.incidents.rows import (
    ANOMALY_COLUMNS,
    INCIDENT_COLUMNS,
    anomaly_of,
    incident_of,
    monitor_of,
)
from cliffwatch.incidents.rule import DEFAULT_RULE, dump_rule
from cliffwatch.incidents.take import Take, may_change, names

if TYPE_CHECKING:
    from cliffwatch.accounts import Workspace

MAINTENANCE_REACH_MS = 32 * 24 * 3_600_000  # the longest window of a stream, and what is late beyond it


class Actor(Protocol):
    """Who does something: a person, or whoever used a link in a message (without an id)."""

    @property
    def id(self) -> int | None: ...
    @property
    def name(self) -> str: ...


Enqueue = Callable[[Session, Sequence[Transition], int], object]
Acted = tuple[Incident, list[Transition]]
Transitions = list[Transition]
Found = list[Incident]
Entries = list[TimelineEntry]
Anomalies = list[Anomaly]
Monitors = list[Monitor]
States = list[IncidentState]
Numbers = list[int]


class Incidents:
    """Anomalies in, incidents out, and what people do with them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._enqueue: Enqueue | None = None

    def tells(self, enqueue: Enqueue) -> None:
        """Whoever writes messages does so in the transaction of each step of a person: neither is there without the
        other."""
        self._enqueue = enqueue

    def take(
        self,
        session: Session,
        workspace: Workspace,
        reports: Sequence[AnomalyReport],
        explain: Callable[[AnomalyReport], Cause | None],
        now: int,
        *,
        stream_id: int,
        window_end_ms: int,
        rescored_from_ms: int | None = None,
    ) -> Transitions:
        """What one run of one stream found, into anomalies and incidents, in the caller's write transaction.

        `reports` are the stream's anomalies as of the window that ends at `window_end_ms`: all that go on, and those
        that changed. One that was ongoing and is not reported is over. `rescored_from_ms` is the start of the oldest
        window that the run scored again: stored anomalies that begin there or later and are not reported are withdrawn.
        `explain` is asked only for headlines. Taking the same again changes nothing and returns no transitions.
        """
        if not reports and not may_change(session, stream_id, window_end_ms, rescored_from_ms):
            return []  # of most runs there is nothing to tell, and nothing that could be over
        take = self._begin(session, workspace, reports, explain, now, stream_id, window_end_ms)
        return take.run(reports, rescored_from_ms)

    def take_live(
        self,
        session: Session,
        workspace: Workspace,
        reports: Sequence[AnomalyReport],
        explain: Callable[[AnomalyReport], Cause | None],
        now: int,
        *,
        stream_id: int,
        over: Sequence[int] = (),
    ) -> Transitions:
        """Provisional anomalies of one stream's open window, in the caller's write transaction.

        Those that are known go on, the others begin; the run of the window confirms or withdraws them. `over` are ids
        of provisional anomalies whose window has closed and that are not seen any more: they are withdrawn.
        """
        take = self._begin(session, workspace, reports, explain, now, stream_id, now)
        return take.run_live(reports) + (take.let_go(over) if over else [])

    def ongoing(self, stream_ids: Sequence[int]) -> dict[int, Anomalies]:
        """Stream id -> its anomalies that go on."""
        found: dict[int, Anomalies] = {}
        query = select(*ANOMALY_COLUMNS).where(AnomalyRow.ongoing, AnomalyRow.withdrawn_ms.is_(None))
        wanted = set(stream_ids)
        with self._database.read() as session:
            for row in session.execute(query):
                if row.stream_id in wanted:
                    found.setdefault(row.stream_id, []).append(anomaly_of(row))
        return found

    def _begin(
        self,
        session: Session,
        workspace: Workspace,
        reports: Sequence[AnomalyReport],
        explain: Callable[[AnomalyReport], Cause | None],
        now: int,
        stream_id: int,
        window_end_ms: int,
    ) -> Take:
        for report in reports:
            if report.stream_id != stream_id or report.workspace_id != workspace.id:
                raise InvalidInput(f"anomaly of {report.stream_name}", "belongs to another stream or workspace.")
        writing.lock(session, workspace.id)
        return Take(
            session,
            workspace.id,
            ZoneInfo(workspace.time_zone),
            self._rules(session, workspace.id, now),
            writing.next_number(session, workspace.id),
            explain,
            now,
            stream_id,
            window_end_ms,
            maintenance_since(session, workspace.id, window_end_ms - MAINTENANCE_REACH_MS),
        )

    def wake(self, session: Session, now: int) -> Transitions:
        """Bring back snoozed incidents whose time has come, in the caller's write transaction. Call it every minute:
        a stream that runs once a day would let them sleep too long."""
        due = select(*INCIDENT_COLUMNS).where(
            IncidentRow.state == IncidentState.SNOOZED.value, IncidentRow.snoozed_until_ms <= now
        )
        rows = list(session.execute(due.with_for_update()))
        people = names(session, rows)
        return [self._step(session, lifecycle.wake(incident_of(row, people)), now) for row in rows]

    def stop_watching(self, session: Session, stream_id: int, now: int) -> Transitions:
        """Close what goes on in a stream that is paused or deleted: nobody would notice its end any more."""
        session.execute(
            update(AnomalyRow).where(AnomalyRow.stream_id == stream_id, AnomalyRow.ongoing).values(ongoing=False)
        )
        live = [state.value for state in IncidentState if state.live]
        goes_on = select(AnomalyRow.incident_id).where(
            AnomalyRow.ongoing, AnomalyRow.withdrawn_ms.is_(None), AnomalyRow.incident_id.is_not(None)
        )
        told_here = select(AnomalyRow.incident_id).where(
            AnomalyRow.stream_id == stream_id, AnomalyRow.incident_id.is_not(None)
        )
        left = select(*INCIDENT_COLUMNS).where(
            IncidentRow.state.in_(live), IncidentRow.id.in_(told_here), IncidentRow.id.not_in(goes_on)
        )
        rows = list(session.execute(left.with_for_update()))
        people = names(session, rows)
        return [self._step(session, lifecycle.stop_watching(incident_of(row, people), now), now) for row in rows]

    def list(
        self,
        workspace_id: int,
        states: Sequence[IncidentState] | None = None,
        stream_id: int | None = None,
        limit: int = 100,
        before: tuple[int, int] | None = None,
        owners: Sequence[int | None] | None = None,
    ) -> Found:
        """Incidents of a workspace, the newest first. `stream_id`: those with an anomaly in that stream. `owners`:
        those that belong to one of these people, None standing for nobody.

        `before` is (opened_ms, number) of the last one seen: what comes in meanwhile stands before it, so that nothing
        is shown twice. Without `states`: all but those that are part of another one.
        """
        conditions = _chosen(workspace_id, states, stream_id, owners)
        if before is not None:
            opened_ms, number = before
            older = and_(IncidentRow.opened_ms == opened_ms, IncidentRow.number < number)
            conditions.append(or_(IncidentRow.opened_ms < opened_ms, older))
        query = (
            select(*INCIDENT_COLUMNS)
            .where(*conditions)
            .order_by(IncidentRow.opened_ms.desc(), IncidentRow.number.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            rows = list(session.execute(query))
            people = names(session, rows)
        return [incident_of(row, people) for row in rows]

    def count(
        self,
        workspace_id: int,
        states: Sequence[IncidentState] | None = None,
        stream_id: int | None = None,
        owners: Sequence[int | None] | None = None,
    ) -> int:
        """How many incidents `list` would give without a limit."""
        query = select(func.count()).where(*_chosen(workspace_id, states, stream_id, owners))
        with self._database.read() as session:
            return session.scalar(query) or 0

    def numbers(
        self,
        workspace_id: int,
        states: Sequence[IncidentState] | None,
        stream_id: int | None,
        owners: Sequence[int | None] | None,
        *,
        opened_until_ms: int,
        limit: int,
    ) -> Numbers:
        """Numbers of the incidents that `list` gives, the newest first, without those that came in after a time."""
        conditions = [*_chosen(workspace_id, states, stream_id, owners), IncidentRow.opened_ms <= opened_until_ms]
        newest = (IncidentRow.opened_ms.desc(), IncidentRow.number.desc())
        with self._database.read() as session:
            return [*session.scalars(select(IncidentRow.number).where(*conditions).order_by(*newest).limit(limit))]

    def get(self, workspace_id: int, number: int) -> Incident:
        """One incident. Raises NotFound."""
        with self._database.read() as session:
            row = _row(session, workspace_id, number)
            return incident_of(row, names(session, [row]))

    def surviving(self, workspace_id: int, number: int) -> Incident:
        """The incident, or the one that it was made part of. Raises NotFound."""
        with self._database.read() as session:
            row = _surviving_row(session, workspace_id, number)
            return incident_of(row, names(session, [row]))

    def live_numbers(self, incident_ids: Sequence[int]) -> dict[int, int]:
        """Id -> number of those of these incidents that go on."""
        live = [state.value for state in IncidentState if state.live]
        query = select(IncidentRow.id, IncidentRow.number).where(
            IncidentRow.id.in_(incident_ids), IncidentRow.state.in_(live)
        )
        with self._database.read() as session:
            return {row.id: row.number for row in session.execute(query)}

    def open_count(self, workspace_id: int) -> int:
        """How many incidents wait for somebody: open ones, not those acknowledged or snoozed."""
        query = select(func.count()).where(
            IncidentRow.workspace_id == workspace_id, IncidentRow.state == IncidentState.OPEN.value
        )
        with self._database.read() as session:
            return session.scalar(query) or 0

    def timeline(self, incident_id: int) -> Entries:
        """What happened to the incident, the oldest first."""
        query = (
            select(TimelineRow.at_ms, TimelineRow.action, PersonRow.name, TimelineRow.text)
            .outerjoin(PersonRow, PersonRow.id == TimelineRow.person_id)
            .where(TimelineRow.incident_id == incident_id)
            .order_by(TimelineRow.id)
        )
        with self._database.read() as session:
            return [TimelineEntry(at, action, person, text) for at, action, person, text in session.execute(query)]

    def anomalies(self, incident_id: int) -> Anomalies:
        """The incident's anomalies: broad slices first, then the largest. Withdrawn ones are among them."""
        query = select(*ANOMALY_COLUMNS).where(AnomalyRow.incident_id == incident_id)
        with self._database.read() as session:
            found = [anomaly_of(row) for row in session.execute(query)]
        return sorted(found, key=lambda a: (a.withdrawn_ms is not None, len(a.slice), -abs(a.score), a.start_ms, a.id))

    def anomalies_of_stream(self, workspace_id: int, stream_id: int, since_ms: int, until_ms: int) -> Anomalies:
        """Anomalies of a stream that touch [since_ms, until_ms), in order of time, without withdrawn ones."""
        query = (
            select(*ANOMALY_COLUMNS)
            .where(
                AnomalyRow.workspace_id == workspace_id,
                AnomalyRow.stream_id == stream_id,
                AnomalyRow.start_ms < until_ms,
                AnomalyRow.end_ms > since_ms,
                AnomalyRow.withdrawn_ms.is_(None),
            )
            .order_by(AnomalyRow.start_ms, AnomalyRow.id)
        )
        with self._database.read() as session:
            return [anomaly_of(row) for row in session.execute(query)]

    def opened_states(self, stream_id: int, since_ms: int) -> States:
        """How the incidents told from the stream stand that were opened since then, but
        for warnings of goals, which no sensitivity changes."""
        query = select(IncidentRow.state).where(
            IncidentRow.stream_id == stream_id, IncidentRow.opened_ms >= since_ms, IncidentRow.kind != GOAL
        )
        with self._database.read() as session:
            return [IncidentState(state) for state in session.scalars(query)]

    def ongoing_since_of(self, stream_ids: Sequence[int]) -> dict[int, int]:
        """Stream id -> when its oldest anomaly that still goes on began, Unix ms; those without one are left out."""
        query = (
            select(AnomalyRow.stream_id, func.min(AnomalyRow.start_ms))
            .where(AnomalyRow.stream_id.in_(stream_ids), AnomalyRow.ongoing)
            .group_by(AnomalyRow.stream_id)
        )
        with self._database.read() as session:
            return {row[0]: row[1] for row in session.execute(query)}

    def ongoing_since(self, stream_id: int) -> int | None:
        """When the oldest anomaly of the stream that still goes on began, Unix ms; None when none does."""
        with self._database.read() as session:
            oldest = select(func.min(AnomalyRow.start_ms)).where(AnomalyRow.stream_id == stream_id, AnomalyRow.ongoing)
            return session.scalar(oldest)

    def acknowledge(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """Somebody has seen it and takes it on. Raises NotFound, or Conflict when it is not open or snoozed."""

        def step(incident: Incident) -> Transition:
            return lifecycle.acknowledge(incident, now, person.name)

        return self._act(workspace_id, number, person, now, step, acknowledged_by=person.id)

    def snooze(self, workspace_id: int, number: int, person: Actor, now: int, until_ms: int) -> Acted:
        """Quiet until a time. Raises NotFound, Conflict, or InvalidInput when the time is past."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.snooze(i, now, until_ms))

    def resolve(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """Over, in a person's judgement. Raises NotFound or Conflict."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.resolve(i, now, person.name))

    def false_alarm(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """Nothing had happened. Raises NotFound or Conflict."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.false_alarm(i, now))

    def expected(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """It happened, and was meant to. Raises NotFound or Conflict."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.expected(i, now))

    def new_normal(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """It happened, and it stays. Raises NotFound or Conflict."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.new_normal(i, now))

    def reopen(self, workspace_id: int, number: int, person: Actor, now: int) -> Acted:
        """Back to open. Raises NotFound or Conflict."""
        return self._act(workspace_id, number, person, now, lifecycle.reopen, acknowledged_by=None)

    def comment(self, workspace_id: int, number: int, person: Actor, now: int, text: str) -> Acted:
        """A remark in the timeline. Raises NotFound or InvalidInput."""
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.comment(i, text))

    def assign(self, workspace_id: int, number: int, person: Actor, now: int, owner_id: int | None) -> Acted:
        """Give it an owner among the workspace's members, or none. Raises NotFound or InvalidInput."""
        owner = self._member_name(workspace_id, owner_id) if owner_id is not None else None
        return self._act(workspace_id, number, person, now, lambda i: lifecycle.assign(i, owner_id, owner))

    def monitors(self, workspace_id: int) -> Monitors:
        """The workspace's monitors, the default one first."""
        with self._database.read() as session:
            return monitors_of(session, workspace_id)

    def ensure_default_monitor(self, workspace_id: int, now: int) -> Monitor:
        """The workspace's default monitor (everything, both directions), made when it is not there yet."""
        with self._database.write() as session:
            for monitor in monitors_of(session, workspace_id):
                if monitor.is_default:
                    return monitor
            return self._make_default(session, workspace_id, now)

    def _make_default(self, session: Session, workspace_id: int, now: int) -> Monitor:
        row = MonitorRow(
            workspace_id=workspace_id,
            name="Everything",
            rule=dump_rule(DEFAULT_RULE),
            is_default=True,
            enabled=True,
            created_ms=now,
        )
        session.add(row)
        session.flush()
        return monitor_of(row)

    def _rules(self, session: Session, workspace_id: int, now: int) -> Sequence[Monitor]:
        """The monitors; a workspace that never had one gets its default one now rather than losing anomalies."""
        return monitors_of(session, workspace_id) or [self._make_default(session, workspace_id, now)]

    def _act(
        self,
        workspace_id: int,
        number: int,
        person: Actor,
        now: int,
        step: Callable[[Incident], Transition],
        **extra: Any,
    ) -> Acted:
        with self._database.write() as session:
            row = _surviving_row(session, workspace_id, number, lock=True)
            transition = step(incident_of(row, names(session, [row])))
            if person.id is None and not transition.note:
                transition = replace(transition, note=f"{person.name}.")
            self._step(session, transition, now, person.id, **extra)
            if self._enqueue is not None:
                self._enqueue(session, [transition], now)
        return transition.incident, [transition]

    @staticmethod
    def _step(
        session: Session, transition: Transition, now: int, person_id: int | None = None, **extra: Any
    ) -> Transition:
        writing.save(session, transition.incident, **extra)
        writing.line(session, transition.incident.id, now, transition.kind.value, transition.note, person_id)
        return transition

    def _member_name(self, workspace_id: int, person_id: int) -> str:
        query = (
            select(PersonRow.name)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(MembershipRow.workspace_id == workspace_id, PersonRow.id == person_id)
        )
        with self._database.read() as session:
            name = session.scalar(query)
        if name is None:
            raise InvalidInput("owner", "must be a member of this workspace.", "Invite the person first.")
        return name


def _surviving_row(session: Session, workspace_id: int, number: int, *, lock: bool = False) -> Row[Any]:
    """What is done to an incident that is part of another one is done to that one: links of its messages still act."""
    row = _row(session, workspace_id, number, lock=lock)
    while row.merged_into is not None:
        row = _row(session, workspace_id, row.merged_into, lock=lock)
    return row


def _chosen(
    workspace_id: int,
    states: Sequence[IncidentState] | None,
    stream_id: int | None,
    owners: Sequence[int | None] | None,
) -> list[ColumnElement[bool]]:
    """What `Incidents.list` shows."""
    conditions: list[ColumnElement[bool]] = [IncidentRow.workspace_id == workspace_id]
    if states is not None:
        conditions.append(IncidentRow.state.in_([state.value for state in states]))
    else:
        conditions.append(IncidentRow.state != IncidentState.MERGED.value)
    if stream_id is not None:
        of_stream = select(AnomalyRow.incident_id).where(
            AnomalyRow.stream_id == stream_id, AnomalyRow.incident_id.is_not(None)
        )
        conditions.append((IncidentRow.stream_id == stream_id) | IncidentRow.id.in_(of_stream))
    if owners is not None:
        named = IncidentRow.owner_id.in_([one for one in owners if one is not None])
        conditions.append(or_(named, IncidentRow.owner_id.is_(None)) if None in owners else named)
    return conditions


def _row(session: Session, workspace_id: int, number: int, *, lock: bool = False) -> Row[Any]:
    query = select(*INCIDENT_COLUMNS).where(IncidentRow.workspace_id == workspace_id, IncidentRow.number == number)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise unknown(IncidentRow, number)
    return row
