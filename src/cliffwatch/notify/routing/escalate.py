"""Whom a step of an incident concerns, and how far each incident has come in its policies.

    opened      the first step of each policy of the monitors that let it through; everybody where none was chosen
    later       whoever was told already, and the first step of policies that joined
    unanswered  the next step, when nobody has acknowledged in time

Writes `escalations`, in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import ChannelRow, DeliveryRow, IncidentRow, MonitorRow
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.db.routing import EscalationRow, PolicyRow
from cliffwatch.incidents.headline import duration
from cliffwatch.incidents.model import Incident, IncidentState, Transition, TransitionKind
from cliffwatch.incidents.moves import family
from cliffwatch.notify.routing.clock import quiet_until
from cliffwatch.notify.routing.model import Policy
from cliffwatch.notify.routing.plan import Reach, Recipient, everybody, recipients, wait_ms
from cliffwatch.notify.routing.store import policy_of, reach_of

log = structlog.get_logger(__name__)

ENDINGS = (TransitionKind.RESOLVED, TransitionKind.RETRACTED)


@dataclass(frozen=True, slots=True)
class Told:
    """A channel that hears of it. `urgent` messages do not wait for quiet hours."""

    channel_id: int
    not_before_ms: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An incident that nobody has acknowledged in time, and who is next."""

    incident_id: int
    step: int
    told: tuple[Told, ...]
    note: str


def concerned(session: Session, transition: Transition, now: int) -> list[Told]:
    """Who hears of a significant step of an incident."""
    incident, kind = transition.incident, transition.kind
    reach = _reach(session, incident.workspace_id)
    told: dict[int, Told] = {}
    for channel_id, urgent in _told_already(session, incident.id).items():
        if channel_id in reach.quiet:
            held = None if urgent else quiet_until(reach.quiet[channel_id], reach.time_zone, now)
            told[channel_id] = Told(channel_id, held or now, urgent)
    wanted = _policies(session, incident)
    if kind not in ENDINGS:
        for one in _begin(session, incident, wanted, reach, now, again=kind is TransitionKind.REOPENED):
            told.setdefault(one.channel_id, one)
    if None in wanted or not told:  # nothing is lost because a policy leads to nobody
        for recipient in everybody(reach, now, _shared(session, incident.workspace_id)):
            told.setdefault(recipient.channel_id, _told(recipient, urgent=False))
    return list(told.values())


def unanswered(session: Session, now: int) -> list[Unanswered]:
    """Incidents whose next step is due; moves each on to it. What somebody took on, or is over, needs no more steps."""
    due = (
        select(
            EscalationRow,
            IncidentRow.workspace_id,
            IncidentRow.number,
        )
        .join(IncidentRow, IncidentRow.id == EscalationRow.incident_id)
        .where(EscalationRow.due_ms <= now)
        .order_by(EscalationRow.id)
        .with_for_update(of=EscalationRow)
    )
    found = []
    for row, workspace_id, number in session.execute(due).all():
        about = _surviving(session, workspace_id, number)
        if about.id != row.incident_id and _has_begun(session, about.id, row.policy_id):
            row.due_ms = None
            continue
        state = about.state
        if state == IncidentState.SNOOZED.value:
            row.due_ms = max(about.snoozed_until_ms or 0, now + 60_000)
        elif state != IncidentState.OPEN.value:
            row.due_ms = None
        else:
            policy = policy_of(session.get_one(PolicyRow, row.policy_id))
            told = _advance(row, policy, _reach(session, workspace_id), now)
            note = f"Nobody has acknowledged it for {duration(now - about.opened_ms)}."
            if told:
                found.append(Unanswered(about.id, row.step, told, note))
    return found


def resume(session: Session, incident: Incident, now: int) -> None:
    """Go on with the policies of an incident that is on its own again, each after its next wait."""
    if incident.state is not IncidentState.OPEN:
        return
    for row in session.scalars(
        select(EscalationRow).where(EscalationRow.incident_id == incident.id, EscalationRow.due_ms.is_(None))
    ):
        policy = policy_of(session.get_one(PolicyRow, row.policy_id))
        if policy.step(row.step + 1) is not None:
            row.due_ms = now + wait_ms(policy, row.step + 1)


def _surviving(session: Session, workspace_id: int, number: int) -> IncidentRow:
    """The incident that another one became part of, however often that happened."""
    while True:
        row = session.scalars(
            select(IncidentRow).where(IncidentRow.workspace_id == workspace_id, IncidentRow.number == number)
        ).one()
        if row.merged_into is None:
            return row
        number = row.merged_into


def _has_begun(session: Session, incident_id: int, policy_id: int) -> bool:
    own = select(EscalationRow.id).where(EscalationRow.incident_id == incident_id, EscalationRow.policy_id == policy_id)
    return session.scalar(own) is not None


def _policies(session: Session, incident: Incident) -> set[int | None]:
    """Policies of the monitors that let it through; None among them: everybody at once."""
    chosen = select(MonitorRow.policy_id).where(MonitorRow.id.in_(incident.monitors))
    return set(session.scalars(chosen)) or {None}


def _begin(
    session: Session, incident: Incident, wanted: set[int | None], reach: Reach, now: int, *, again: bool
) -> list[Told]:
    """Begin with the first step of each policy that has not begun, or of all `again`."""
    if again:
        session.execute(delete(EscalationRow).where(EscalationRow.incident_id == incident.id))
    kin = family(session, incident.workspace_id, incident.number)
    begun = set(session.scalars(select(EscalationRow.policy_id).where(EscalationRow.incident_id.in_(kin))))
    told: list[Told] = []
    for policy_id in sorted(one for one in wanted if one is not None and one not in begun):
        row = EscalationRow(incident_id=incident.id, policy_id=policy_id, step=-1, due_ms=None)
        session.add(row)
        told += _advance(row, policy_of(session.get_one(PolicyRow, policy_id)), reach, now)
    return told


def _shared(session: Session, workspace_id: int) -> tuple[int, ...]:
    """Enabled channels that are nobody's own."""
    shared = select(ChannelRow.id).where(
        ChannelRow.workspace_id == workspace_id, ChannelRow.enabled, ChannelRow.person_id.is_(None)
    )
    return tuple(session.scalars(shared.order_by(ChannelRow.id)))


def _advance(row: EscalationRow, policy: Policy, reach: Reach, now: int) -> tuple[Told, ...]:
    """The next step that reaches somebody; a step that leads to nobody is passed over at once."""
    while (step := policy.step(row.step + 1)) is not None:
        row.step += 1
        found, nobody = recipients(step, reach, now)
        if nobody:
            log.warning("escalation_step_incomplete", policy=policy.name, step=row.step, why=list(nobody))
        if found:
            following = policy.step(row.step + 1)
            row.due_ms = now + wait_ms(policy, row.step + 1) if following is not None else None
            return tuple(_told(recipient, urgent=step.urgent) for recipient in found)
    row.due_ms = None
    return ()


def _told(recipient: Recipient, *, urgent: bool) -> Told:
    return Told(recipient.channel_id, recipient.not_before_ms, urgent)


def _told_already(session: Session, incident_id: int) -> dict[int, bool]:
    """Channel -> whether it was told as urgent."""
    urgent = DeliveryRow.payload["urgent"].as_boolean()
    rows = session.execute(
        select(DeliveryRow.channel_id, urgent).where(DeliveryRow.incident_id == incident_id).order_by(DeliveryRow.id)
    )
    told: dict[int, bool] = {}
    for channel_id, pressing in rows:
        told[channel_id] = told.get(channel_id, False) or bool(pressing)
    return told


def _reach(session: Session, workspace_id: int) -> Reach:
    return reach_of(session, workspace_id, session.get_one(WorkspaceRow, workspace_id).time_zone)
