"""The outbox's writing side: which letters a step of an incident makes, in the transaction of the step.

One row per (incident, revision, channel, target) under a unique key, complete with its message and chart, so that each
attempt sends the same. What waits for the end of quiet hours is not sent at all when its incident is over by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import ChannelRow, DeliveryRow, IncidentRow
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.errors import NotFound
from cliffwatch.incidents.model import Incident, IncidentState, Transition, TransitionKind
from cliffwatch.incidents.rows import INCIDENT_COLUMNS, incident_of
from cliffwatch.notify.channels import kind_named
from cliffwatch.notify.chart import ChartData
from cliffwatch.notify.links import Links
from cliffwatch.notify.message import PURPOSES, Message, about, dump, trial
from cliffwatch.notify.routing import Told, concerned, unanswered
from cliffwatch.notify.store import Channel, channel_of

PENDING, SENT, FAILED, SKIPPED = "pending", "sent", "failed", "skipped"

TARGET = DeliveryRow.payload["target"].as_string()
THREAD = DeliveryRow.payload["thread"].as_string()
SUBJECT = DeliveryRow.payload[("message", "subject")].as_string()
VERDICT = DeliveryRow.payload[("message", "verdict")].as_string()
"""Read by the database: a payload holds a whole chart, and most readers want one word of it."""

Charts = Callable[[Incident, str], ChartData | None]
"""Gives the chart of an incident, in a time zone; None where there is none."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What a letter's row holds beside its message."""

    key: str
    target: str
    thread: str
    begins: bool
    incident_id: int | None
    not_before_ms: int
    urgent: bool = False
    actions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """How a message goes to a channel that is about no incident. `key` makes it leave once; messages of one `thread`
    stay together, which `begins` with the first. Targets in `without` get none."""

    key: str
    thread: str
    begins: bool = True
    not_before_ms: int = 0
    urgent: bool = False
    without: frozenset[str] = frozenset()


class Letters:
    """Writes what people are to be told."""

    def __init__(self, base_url: str, charts: Charts | None, links: Links) -> None:
        self._base_url = base_url.rstrip("/")
        self._charts = charts
        self._links = links

    def enqueue(
        self, session: Session, transitions: Sequence[Transition], now: int, verdicts: Mapping[int, str] | None = None
    ) -> int:
        """Write a row per significant transition, concerned channel and target, in the caller's transaction.

        Returns how many are new; what is there already (a repeated step) is left alone. `verdicts` says of incidents
        (by id) whether tracking broke or business fell; where it says nothing, what was told last still holds.
        """
        session.flush()
        told = [t for t in transitions if t.significant and t.kind in PURPOSES]
        said = verdicts or {}
        return sum(
            self._tell(session, t, concerned(session, t, now), now, verdict=said.get(t.incident.id)) for t in told
        )

    def escalate(self, session: Session, now: int) -> int:
        """Letters to whoever is next, for incidents that nobody has acknowledged in time; how many are new."""
        written = 0
        for item in unanswered(session, now):
            row = session.execute(select(*INCIDENT_COLUMNS).where(IncidentRow.id == item.incident_id)).one()
            step = Transition(TransitionKind.UPDATED, incident_of(row, {}), True, item.note)
            written += self._tell(session, step, item.told, now, suffix=f":step{item.step}")
        return written

    def enqueue_test(self, session: Session, channel: Channel, now: int) -> int:
        """A test message to a channel; returns how many letters that makes."""
        workspace = session.get_one(WorkspaceRow, channel.workspace_id)
        message = trial(
            channel.name,
            workspace_name=workspace.name,
            time_zone=workspace.time_zone,
            base_url=self._base_url,
            now=now,
        )
        key = f"test:{channel.id}:{now}"
        return self.post(session, channel, message, Post(key, key, urgent=True), now)

    def post(self, session: Session, channel: Channel, message: Message, post: Post, now: int) -> int:
        """A message about no incident to each target of a channel; how many letters are new."""
        written = 0
        for target in kind_named(channel.kind).targets(channel.settings):
            if target.lower() in post.without:
                continue
            thread = _token(self._base_url, post.thread, channel.id, target)
            held = max(post.not_before_ms, now)
            slip = Slip(f"{post.key}:{target}", target, thread, post.begins, None, held, post.urgent)
            written += self._write(session, channel, message, slip, now)
        return written

    def _tell(
        self,
        session: Session,
        transition: Transition,
        told: Sequence[Told],
        now: int,
        *,
        suffix: str = "",
        verdict: str | None = None,
    ) -> int:
        incident = transition.incident
        workspace = session.get(WorkspaceRow, incident.workspace_id)
        if workspace is None:
            raise NotFound(f"workspace {incident.workspace_id}", "does not exist.")
        if not told:
            return 0
        if PURPOSES[transition.kind].ends:
            _skip_held(session, incident.id, now)
        subject, threads, last = _told_before(session, incident.id)
        message = about(
            transition,
            workspace_name=workspace.name,
            time_zone=workspace.time_zone,
            subject=subject,
            base_url=self._base_url,
            now=now,
            chart=self._charts(incident, workspace.time_zone) if self._charts else None,
            verdict=last if verdict is None else verdict,
        )
        ids = [one.channel_id for one in told]
        channels = {
            row.id: channel_of(row) for row in session.scalars(select(ChannelRow).where(ChannelRow.id.in_(ids)))
        }
        written = 0
        for one in told:
            channel = channels[one.channel_id]
            for target in kind_named(channel.kind).targets(channel.settings):
                thread = _token(self._base_url, incident.id, incident.opened_ms, channel.id, target)
                key = f"{incident.id}:{incident.revision}:{channel.id}:{target}{suffix}"
                begins = thread not in threads
                actions = self._actions(session, incident, channel, target, now)
                slip = Slip(key, target, thread, begins, incident.id, one.not_before_ms, one.urgent, actions)
                written += self._write(session, channel, message, slip, now)
        return written

    def _actions(
        self, session: Session, incident: Incident, channel: Channel, target: str, now: int
    ) -> tuple[tuple[str, str], ...]:
        """Links of what may be done while it goes on, in the name of the member whose address the target is."""
        if not incident.state.live or incident.state is IncidentState.ACKNOWLEDGED:
            return ()
        member = (
            select(PersonRow.id)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(
                MembershipRow.workspace_id == incident.workspace_id,
                MembershipRow.role != "viewer",
                PersonRow.email == target.lower(),
            )
        )
        return self._links.urls(
            session,
            workspace_id=incident.workspace_id,
            number=incident.number,
            person_id=session.scalar(member) if channel.kind == "email" else channel.person_id,
            channel=channel.name,
            now=now,
        )

    def _write(self, session: Session, channel: Channel, message: Message, slip: Slip, now: int) -> int:
        key = slip.key if len(slip.key) <= 200 else f"sha256:{hashlib.sha256(slip.key.encode()).hexdigest()}"
        if session.scalar(select(DeliveryRow.id).where(DeliveryRow.key == key)) is not None:
            return 0
        payload = {
            "message": dump(message),
            "target": slip.target,
            "thread": slip.thread,
            "id": slip.thread if slip.begins else _token(slip.thread, key),
            "begins_thread": slip.begins,
            "urgent": slip.urgent,
            "actions": [list(one) for one in slip.actions],
        }
        session.execute(
            insert(DeliveryRow).values(
                workspace_id=channel.workspace_id,
                incident_id=slip.incident_id,
                channel_id=channel.id,
                key=key,
                purpose=message.purpose.value,
                payload=payload,
                state=PENDING,
                next_attempt_ms=max(slip.not_before_ms, now),
                created_ms=now,
                answer="" if slip.not_before_ms <= now else "Waits for the end of the channel's quiet hours.",
            )
        )
        return 1


def _skip_held(session: Session, incident_id: int, now: int) -> None:
    """Nobody wants to wake up to an alarm and its all-clear: one message says both."""
    held = (
        DeliveryRow.incident_id == incident_id,
        DeliveryRow.state == PENDING,
        DeliveryRow.attempts == 0,
        DeliveryRow.next_attempt_ms > now,
    )
    said = "Not needed: it was over before the channel's quiet hours were."
    session.execute(update(DeliveryRow).where(*held).values(state=SKIPPED, answer=said))


def _told_before(session: Session, incident_id: int) -> tuple[str | None, set[str], str]:
    """The subject under which the incident was first told (mail programs keep a thread by it), its threads, and the
    verdict that was told last."""
    query = (
        select(SUBJECT, THREAD, VERDICT)
        .where(DeliveryRow.incident_id == incident_id, DeliveryRow.state != SKIPPED)
        .order_by(DeliveryRow.id)
    )
    rows = list(session.execute(query))
    if not rows:
        return None, set(), ""
    return rows[0][0], {thread for _, thread, _ in rows}, rows[-1][2] or ""


def _token(*parts: object) -> str:
    """An id for the world outside: letters and digits, the same for the same parts."""
    return "cw" + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:30]
