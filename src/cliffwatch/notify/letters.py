"""The outbox's writing side: which letters a step of an incident makes, in the transaction of the step.

One row per (incident, revision, channel, target) under a unique key, complete with its message and chart, so that each
attempt sends the same. What waits for the end of quiet hours is not sent at all when its incident is over by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import ChannelRow, DeliveryRow, IncidentRow
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.errors import NotFound
from cliffwatch.incidents.model import Incident, IncidentState, Transition, TransitionKind
from cliffwatch.incidents.moves import family
from cliffwatch.incidents.rows import INCIDENT_COLUMNS, incident_of
from cliffwatch.notify.channels import kind_named
from cliffwatch.notify.chart import ChartData
from cliffwatch.notify.links import Links
from cliffwatch.notify.message import PURPOSES, Message, Purpose, about, dump, trial
from cliffwatch.notify.routing import Told, concerned, resume, unanswered
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
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """How a message goes to a channel that is about no incident. `key` makes it leave once; messages of one `thread`
    stay together, which `begins` with the first. Targets in `without` get none. Of what is `subscribed` to, a mail says
    how to get it no more."""

    key: str
    thread: str
    begins: bool = True
    not_before_ms: int = 0
    urgent: bool = False
    without: frozenset[str] = frozenset()
    subscribed: bool = False


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
        said = verdicts or {}
        written = 0
        for step in transitions:
            if step.kind is TransitionKind.MERGED:
                if step.incident.merged_into is not None:
                    written += self._merge_threads(session, step, now)
            elif step.kind is TransitionKind.SEPARATED:
                _separate_threads(session, step.incident)
                resume(session, step.incident, now)
            elif step.significant and step.kind in PURPOSES:
                written += self._tell(
                    session, step, concerned(session, step, now), now, verdict=said.get(step.incident.id)
                )
        return written

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
            stop = ""
            if post.subscribed and channel.kind == "email":
                stop = self._links.unsubscribing(session, channel.workspace_id, target)
            slip = Slip(f"{post.key}:{target}", target, thread, post.begins, None, held, post.urgent, unsubscribe=stop)
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
        threads = _threads(session, incident.id)
        message = about(
            transition,
            workspace_name=workspace.name,
            time_zone=workspace.time_zone,
            subject=threads.subject,
            base_url=self._base_url,
            now=now,
            chart=self._charts(incident, workspace.time_zone) if self._charts else None,
            verdict=threads.verdict if verdict is None else verdict,
        )
        ids = [one.channel_id for one in told]
        channels = {
            row.id: channel_of(row) for row in session.scalars(select(ChannelRow).where(ChannelRow.id.in_(ids)))
        }
        written = 0
        for one in told:
            channel = channels[one.channel_id]
            for target in kind_named(channel.kind).targets(channel.settings):
                key = f"{incident.id}:{incident.revision}:{channel.id}:{target}{suffix}"
                begun = threads.begun.get((channel.id, target))
                fresh = _token(self._base_url, incident.id, incident.opened_ms, channel.id, target), None
                thread, subject = begun or fresh
                actions = self._actions(session, incident, channel, target, now)
                slip = Slip(key, target, thread, begun is None, incident.id, one.not_before_ms, one.urgent, actions)
                said = replace(message, subject=subject or message.subject)
                written += self._write(session, channel, said, slip, now)
        return written

    def _merge_threads(self, session: Session, step: Transition, now: int) -> int:
        """What was told of an incident belongs to the one that it became part of.

        Where people heard of both, the thread that ends says where the story goes on, and what still waits to leave
        of it is dropped; where they heard only of this one, its thread goes on with the news of the other.
        """
        gone = step.incident
        target_id = session.scalar(
            select(IncidentRow.id).where(
                IncidentRow.workspace_id == gone.workspace_id, IncidentRow.number == gone.merged_into
            )
        )
        if target_id is None:
            raise NotFound(f"incident {gone.merged_into}", "does not exist.")
        workspace = session.get_one(WorkspaceRow, gone.workspace_id)
        both = {(row.channel_id, row.target) for row in _lines(session, target_id)}
        last: dict[tuple[int, str], Row[Any]] = {}
        for row in _lines(session, gone.id):
            if (row.channel_id, row.target) in both and row.state == PENDING and row.attempts == 0:
                said = f"Not needed: it is part of #{gone.merged_into}, of which this channel was told."
                drop = update(DeliveryRow).where(DeliveryRow.id == row.id, DeliveryRow.attempts == 0)
                session.execute(drop.values(state=SKIPPED, answer=said))
            elif (row.channel_id, row.target) in both:
                last[row.channel_id, row.target] = row
        written = 0
        for (channel_id, target), row in last.items():
            if Purpose(row.purpose).ends:
                continue
            channel = channel_of(session.get_one(ChannelRow, channel_id))
            message = about(
                replace(step, incident=replace(gone, headline=step.note)),
                workspace_name=workspace.name,
                time_zone=workspace.time_zone,
                subject=row.subject,
                base_url=self._base_url,
                now=now,
                chart=None,
            )
            message = replace(message, note="", url=f"{self._base_url}/incidents/{gone.merged_into}")
            key = f"{gone.id}:{gone.revision}:{channel_id}:{target}"
            slip = Slip(key, target, row.thread, False, gone.id, now)
            written += self._write(session, channel, message, slip, now)
        session.execute(update(DeliveryRow).where(DeliveryRow.incident_id == gone.id).values(incident_id=target_id))
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
        key = slip.key if len(slip.key) <= 200 else _shortened(slip.key)
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
            "unsubscribe": slip.unsubscribe,
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


@dataclass(frozen=True, slots=True)
class Threads:
    """Where an incident was told. `subject` is what it was first told under: mail programs keep a thread by it.

    `begun` has the thread of each channel and target: its own, else one that the incident took on, with that one's
    subject. It is the one that was begun, not one that could be worked out: its name holds the address of the
    installation, which may be another one by now, or that of another process.
    """

    subject: str | None
    verdict: str  # that was told last
    begun: Mapping[tuple[int, str], tuple[str, str | None]]


def _threads(session: Session, incident_id: int) -> Threads:
    rows = _lines(session, incident_id)
    own = [row for row in rows if row.key.startswith(f"{incident_id}:")]
    begun: dict[tuple[int, str], tuple[str, str | None]] = {}
    for row in own:
        begun.setdefault((row.channel_id, row.target), (row.thread, None))
    for row in rows:
        begun.setdefault((row.channel_id, row.target), (row.thread, row.subject))
    subject = own[0].subject if own else None
    verdict = (rows[-1].verdict or "") if rows else ""
    return Threads(subject, verdict, begun)


def _lines(session: Session, incident_id: int) -> Sequence[Row[Any]]:
    """What was told of an incident, in order, without what was dropped."""
    query = (
        select(
            DeliveryRow.id,
            DeliveryRow.key,
            DeliveryRow.channel_id,
            DeliveryRow.state,
            DeliveryRow.attempts,
            DeliveryRow.purpose,
            TARGET.label("target"),
            THREAD.label("thread"),
            SUBJECT.label("subject"),
            VERDICT.label("verdict"),
        )
        .where(DeliveryRow.incident_id == incident_id, DeliveryRow.state != SKIPPED)
        .order_by(DeliveryRow.id)
    )
    return session.execute(query).all()


def _separate_threads(session: Session, incident: Incident) -> None:
    """An incident that is on its own again has its letters back: their keys say whose they are."""
    for one in family(session, incident.workspace_id, incident.number):
        theirs = (DeliveryRow.key >= f"{one}:", DeliveryRow.key < f"{one};")  # ";" follows ":"
        session.execute(update(DeliveryRow).where(*theirs).values(incident_id=incident.id))


def _shortened(key: str) -> str:
    """A key that is too long for its column: it still begins with the incident's id."""
    return f"{key.split(':', 1)[0]}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _token(*parts: object) -> str:
    """An id for the world outside: letters and digits, the same for the same parts."""
    return "cw" + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:30]
