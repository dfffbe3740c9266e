"""The outbox: what people are to be told, written with the incident's step and sent from there, once.

    enqueue   in the transaction of the step: one row per (incident, revision, channel, target), under a unique key
    claim     lease and fence, oldest first per incident and target, so that news arrives in order
    send      outside any transaction; a thread per letter, so that one receiver that hangs delays no other
    settle    sent, tried again later, or given up, if the fence still holds; each attempt is logged

A process that dies between send and settle leaves a row that another sends again, with the same Message-ID or
webhook-id. That is the only way in which anything leaves twice.
"""

from __future__ import annotations

import random as randomness
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from cliffwatch.db import Database, owned
from cliffwatch.db.incidents import ChannelRow, DeliveryAttemptRow, DeliveryRow
from cliffwatch.errors import Conflict
from cliffwatch.incidents.model import Transition
from cliffwatch.notify.channels import kind_named
from cliffwatch.notify.channels.contract import Answer, Letter, MailSettings, Transports
from cliffwatch.notify.letters import FAILED, PENDING, SENT, SUBJECT, TARGET, THREAD, Charts, Letters, Post
from cliffwatch.notify.links import Links
from cliffwatch.notify.message import Message, Purpose, load
from cliffwatch.notify.store import Channel, channel_of

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 10
FIRST_WAIT_MS = 30_000
LONGEST_WAIT_MS = 2 * 3_600_000
THREADS = 8
MAX_BATCH = 4 * THREADS
"""Even if every receiver hangs until its timeout, a batch is settled well within its lease."""
LEASE_MS = 120_000


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round of deliveries came to."""

    sent: int
    failed: int
    retried: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One line of the delivery log."""

    id: int
    incident_id: int | None
    channel_id: int
    channel_name: str
    channel_kind: str
    target: str
    purpose: str
    subject: str
    state: str  # pending, sent, failed, skipped
    attempts: int
    next_attempt_ms: int
    created_ms: int
    sent_ms: int | None
    answer: str


_LINE: tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...] = (
    DeliveryRow.id,
    DeliveryRow.incident_id,
    DeliveryRow.channel_id,
    ChannelRow.name,
    ChannelRow.kind,
    TARGET,
    DeliveryRow.purpose,
    SUBJECT,
    DeliveryRow.state,
    DeliveryRow.attempts,
    DeliveryRow.next_attempt_ms,
    DeliveryRow.created_ms,
    DeliveryRow.sent_ms,
    DeliveryRow.answer,
)
"""The fields of `Delivery`, in their order."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery and what the other side said."""

    at_ms: int
    ok: bool
    answer: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until its lease ends."""

    id: int
    fence: int
    attempt: int  # 1 for the first
    channel: Channel
    letter: Letter
    enabled: bool


class Outbox:
    """Writes what is to be told and delivers it."""

    def __init__(
        self,
        database: Database,
        *,
        mail: MailSettings,
        base_url: str,
        allow_private_urls: bool = False,
        charts: Charts | None = None,
        timeout_seconds: float = 15.0,
        apprise: bool = False,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._database = database
        self._transports = Transports(mail, allow_private_urls, timeout_seconds, apprise)
        self._letters = Letters(base_url, charts, Links(database, base_url))
        self._random = random

    @property
    def can_mail(self) -> bool:
        """Whether the installation has a mail server."""
        return bool(self._transports.mail.host)

    def enqueue(
        self, session: Session, transitions: Sequence[Transition], now: int, verdicts: Mapping[int, str] | None = None
    ) -> int:
        """Write the letters of significant transitions, in the caller's transaction; how many are new.

        `verdicts`: incident id -> whether tracking broke or business fell, where that is clear.
        """
        return self._letters.enqueue(session, transitions, now, verdicts)

    def enqueue_test(self, channel: Channel, now: int) -> int:
        """A test message to a channel, also one that is switched off; returns how many letters that makes."""
        with self._database.write() as session:
            return self._letters.enqueue_test(session, channel, now)

    def post(self, session: Session, channel: Channel, message: Message, post: Post, now: int) -> int:
        """Write a message about no incident to a channel, in the caller's transaction; how many letters are new."""
        return self._letters.post(session, channel, message, post, now)

    def escalate(self, session: Session, now: int) -> int:
        """Tell whoever is next of incidents that nobody has acknowledged in time; how many letters that makes."""
        return self._letters.escalate(session, now)

    def deliver_due(self, now: int, limit: int = 100) -> Delivered:
        """Claim what is due (at most a batch), make one attempt each, and settle it.

        Any number of processes may do this at once. Call it again while it returns something.
        """
        claimed = self._claim(now, min(limit, MAX_BATCH))
        if not claimed:
            return Delivered(0, 0, 0)
        with ThreadPoolExecutor(min(THREADS, len(claimed)), thread_name_prefix="delivery") as threads:
            states = list(threads.map(lambda item: self._attempt(item, now), claimed))
        return Delivered(states.count(SENT), states.count(FAILED), states.count(PENDING))

    def _claim(self, now: int, limit: int) -> list[Claimed]:
        with self._database.read() as session:  # most times there is nothing: ask without the write lock
            if session.scalar(select(DeliveryRow.id).where(_is_due(now)).limit(1)) is None:
                return []
        due = (
            select(DeliveryRow, ChannelRow)
            .join(ChannelRow, ChannelRow.id == DeliveryRow.channel_id)
            .where(_is_due(now))
            .order_by(DeliveryRow.id)
            .limit(limit)
            .with_for_update(of=DeliveryRow, skip_locked=True)
        )
        with self._database.write() as session:
            claimed = []
            for row, channel in session.execute(due):
                row.lease_until_ms = now + LEASE_MS
                row.fence += 1
                row.attempts += 1
                claimed.append(_claimed(row, channel, _reference(session, row), now))
        return claimed

    def _attempt(self, item: Claimed, now: int) -> str:
        if not item.enabled and item.letter.message.purpose is not Purpose.TEST:
            return self._settle(item, Answer.never("The channel was switched off."), 0, now)
        began = time.perf_counter()
        try:
            answer = kind_named(item.channel.kind).send(item.channel.settings, item.letter, self._transports)
        except Exception as error:  # a fault in one kind of channel must not stop the others; it is logged and retried
            log.exception("delivery_broke", delivery=item.id, channel=item.channel.kind)
            answer = Answer.later(f"The channel broke: {type(error).__name__}: {error}")
        return self._settle(item, answer, round((time.perf_counter() - began) * 1000), now)

    def _settle(self, item: Claimed, answer: Answer, duration_ms: int, now: int) -> str:
        """Write what came of an attempt. Whoever lost the lease only adds to the log."""
        state = SENT if answer.ok else PENDING if answer.retry and item.attempt < MAX_ATTEMPTS else FAILED
        values: dict[str, Any] = {"state": state, "answer": answer.text, "lease_until_ms": 0}
        if state == SENT:
            values |= {"sent_ms": now, "reference": answer.reference[:200]}
        elif state == PENDING:
            values["next_attempt_ms"] = now + self._wait_ms(item.attempt, answer.retry_after_ms)
        with self._database.write() as session:
            ours = (DeliveryRow.id == item.id) & (DeliveryRow.fence == item.fence)
            session.execute(update(DeliveryRow).where(ours).values(**values))
            session.execute(
                insert(DeliveryAttemptRow).values(
                    delivery_id=item.id, at_ms=now, ok=answer.ok, answer=answer.text, duration_ms=duration_ms
                )
            )
        if state == FAILED:
            log.error("delivery_given_up", delivery=item.id, channel=item.channel.name, answer=answer.text)
        return state

    def _wait_ms(self, attempt: int, asked_ms: int | None) -> int:
        """Twice as long each time, with a quarter of jitter both ways; never sooner than the other side asked."""
        wait = min(FIRST_WAIT_MS * 2.0 ** (attempt - 1), LONGEST_WAIT_MS)
        return max(round(wait * (0.75 + self._random() / 2)), asked_ms or 0)

    def log(self, workspace_id: int, incident_id: int | None = None, limit: int = 100) -> list[Delivery]:
        """The delivery log, the newest first."""
        query = (
            select(*_LINE)
            .join(ChannelRow, ChannelRow.id == DeliveryRow.channel_id)
            .where(DeliveryRow.workspace_id == workspace_id)
            .order_by(DeliveryRow.id.desc())
            .limit(limit)
        )
        if incident_id is not None:
            query = query.where(DeliveryRow.incident_id == incident_id)
        with self._database.read() as session:
            return [Delivery(*row) for row in session.execute(query)]

    def attempts(self, workspace_id: int, delivery_id: int) -> list[Attempt]:
        """Each attempt of a delivery, the oldest first. Raises NotFound."""
        query = (
            select(DeliveryAttemptRow)
            .where(DeliveryAttemptRow.delivery_id == delivery_id)
            .order_by(DeliveryAttemptRow.id)
        )
        with self._database.read() as session:
            owned(session, DeliveryRow, workspace_id, delivery_id)
            return [Attempt(row.at_ms, row.ok, row.answer, row.duration_ms) for row in session.scalars(query)]

    def retry(self, workspace_id: int, delivery_id: int, now: int) -> None:
        """Try a delivery again that was given up. Raises NotFound, or Conflict when it was not."""
        with self._database.write() as session:
            row = owned(session, DeliveryRow, workspace_id, delivery_id)
            if row.state != FAILED:
                raise Conflict(f"delivery {delivery_id}", f"is {row.state}; only failed ones can be tried again.")
            row.state, row.attempts, row.next_attempt_ms, row.lease_until_ms = PENDING, 0, now, 0

    def waiting(self) -> int:
        """How many letters wait to leave, for health pages."""
        with self._database.read() as session:
            return int(session.scalar(select(func.count()).where(DeliveryRow.state == PENDING)) or 0)


def _is_due(now: int) -> ColumnElement[bool]:
    """Whether a row may be claimed: its time has come, nobody holds it, nothing of its thread is before it."""
    earlier = aliased(DeliveryRow)
    waits = (
        exists()
        .where(
            earlier.state == PENDING,
            earlier.incident_id.is_not_distinct_from(DeliveryRow.incident_id),
            earlier.channel_id == DeliveryRow.channel_id,
            earlier.id < DeliveryRow.id,
            earlier.payload["thread"].as_string() == THREAD,
        )
        .correlate(DeliveryRow)
    )
    return and_(
        DeliveryRow.state == PENDING, DeliveryRow.next_attempt_ms <= now, DeliveryRow.lease_until_ms <= now, ~waits
    )


def _reference(session: Session, row: DeliveryRow) -> str:
    """What the other side calls the first message of this thread that it took."""
    if row.payload["begins_thread"]:
        return ""
    query = (
        select(DeliveryRow.reference)
        .where(
            DeliveryRow.incident_id == row.incident_id,
            DeliveryRow.channel_id == row.channel_id,
            DeliveryRow.reference != "",
            row.payload["thread"] == THREAD,
        )
        .order_by(DeliveryRow.id)
        .limit(1)
    )
    return session.scalar(query) or ""


def _claimed(row: DeliveryRow, channel: ChannelRow, reference: str, now: int) -> Claimed:
    payload = row.payload
    letter = Letter(
        message=load(payload["message"]),
        target=payload["target"],
        id=payload["id"],
        thread=payload["thread"],
        begins_thread=payload["begins_thread"],
        attempt_ms=now,
        reference=reference,
        actions=tuple((label, url) for label, url in payload.get("actions", ())),
        unsubscribe=payload.get("unsubscribe", ""),
    )
    return Claimed(row.id, row.fence, row.attempts, channel_of(channel), letter, channel.enabled)
