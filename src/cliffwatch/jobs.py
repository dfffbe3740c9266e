"""Durable jobs: due-ness, claims and leases are rows of the metadata database.

A job exists once per key. A worker claims it for a lease and gets a fencing number; whoever commits an effect passes
the job along, and the commit fails when another worker has claimed it since. So an effect and "done" are one
transaction, and a job whose worker died is claimed again when its lease runs out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.streams import JobRow
from cliffwatch.errors import CliffwatchError, Unavailable

MAX_ATTEMPTS = 12
FIRST_RETRY_MS = 2_000
LONGEST_RETRY_MS = 15 * 60_000
PATIENT_RETRY_MS = 10_000
LONGEST_ERROR = 2_000


class LeaseLost(CliffwatchError):
    """Another worker has the job now; what this one was about to commit is dropped."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `fence` tells this claim from later ones."""

    id: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    attempts: int
    fence: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job is doing: `state` is queued (also while it is worked on), done or failed; `progress` from 0 to 1."""

    state: str
    progress: float
    payload: Mapping[str, Any]
    error: str


def worked_on(now: int) -> ColumnElement[bool]:
    """Of a row: somebody works on the job."""
    return and_(JobRow.state == "queued", JobRow.lease_until_ms > now)


class Jobs:
    """Puts work into the table, hands it out, and takes it back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(self, session: Session, kind: str, key: str, payload: Mapping[str, Any], due_ms: int, now: int) -> bool:
        """Add a job in the caller's transaction; False when one with this key exists already."""
        return bool(self.enqueue_all(session, kind, {key: payload}, due_ms, now))

    def enqueue_all(
        self, session: Session, kind: str, payloads: Mapping[str, Mapping[str, Any]], due_ms: int, now: int
    ) -> set[str]:
        """Add jobs (key -> payload) in the caller's transaction; returns the keys that did not exist yet."""
        insert = sqlite_insert if self._database.is_sqlite else postgresql_insert
        statement = insert(JobRow).on_conflict_do_nothing(index_elements=["key"]).returning(JobRow.key)
        rows = [
            {
                "kind": kind,
                "key": key,
                "payload": dict(payload),
                "state": "queued",
                "due_ms": due_ms,
                "lease_until_ms": 0,
                "fence": 0,
                "attempts": 0,
                "progress": 0.0,
                "error": "",
                "created_ms": now,
            }
            for key, payload in payloads.items()
        ]
        return set(session.scalars(statement, rows)) if rows else set()

    def claim(self, kinds: Sequence[str], now: int, lease_ms: int, limit: int = 1) -> list[Job]:
        """Claim due jobs, the oldest first. Their leases end at `now + lease_ms` unless renewed.

        A job whose workers died every time they had it is given up instead.
        """
        due = (
            select(JobRow)
            .where(JobRow.state == "queued", JobRow.kind.in_(kinds), JobRow.due_ms <= now, JobRow.lease_until_ms <= now)
            .order_by(JobRow.due_ms, JobRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as session:
            claimed = []
            for row in session.scalars(due):
                if row.attempts >= MAX_ATTEMPTS:
                    row.state, row.finished_ms = "failed", now
                    row.error = row.error or f"The worker died {row.attempts} times while it had this job."
                    continue
                row.lease_until_ms = now + lease_ms
                row.fence += 1
                row.attempts += 1
                claimed.append(Job(row.id, row.kind, row.key, row.payload, row.attempts, row.fence))
            return claimed

    def has_due(self, kinds: Sequence[str], now: int) -> bool:
        """Whether a claim would find something; cheaper than a claim, because it takes no lock."""
        query = select(JobRow.id).where(
            JobRow.state == "queued", JobRow.kind.in_(kinds), JobRow.due_ms <= now, JobRow.lease_until_ms <= now
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def finish(self, session: Session, job: Job, now: int) -> None:
        """Mark the job done in the transaction of its effect. Raises LeaseLost, which rolls the effect back."""
        self._change(session, job, state="done", finished_ms=now, progress=1.0, error="")

    def look(self, key: str) -> Standing:
        """How the job with this key is doing."""
        with self._database.read() as session:
            row = session.scalars(select(JobRow).where(JobRow.key == key)).one()
            return Standing(row.state, row.progress, row.payload, row.error)

    def withdraw(self, key: str, now: int) -> bool:
        """Take back a job that nobody has claimed yet; False when one has."""
        untouched = (JobRow.key == key, JobRow.state == "queued", JobRow.attempts == 0)
        with self._database.write() as session:
            result = session.execute(update(JobRow).where(*untouched).values(**_failed("withdrawn", now)))
            assert isinstance(result, CursorResult)
            return result.rowcount == 1

    def renew(
        self,
        job: Job,
        now: int,
        lease_ms: int,
        *,
        progress: float | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a long job, and say how far it is (0 to 1) and what is to be known of it. Raises LeaseLost."""
        values: dict[str, Any] = {"lease_until_ms": now + lease_ms}
        if progress is not None:
            values["progress"] = progress
        if payload is not None:
            values["payload"] = dict(payload)
        with self._database.write() as session:
            self._change(session, job, **values)

    def save(self, session: Session, job: Job, payload: Mapping[str, Any], lease_until_ms: int) -> None:
        """Remember where a long job is, so that it goes on there after a crash, and keep it. Raises LeaseLost."""
        self._change(session, job, payload=dict(payload), lease_until_ms=lease_until_ms)

    def give_way(self, session: Session, job: Job, payload: Mapping[str, Any], due_ms: int) -> None:
        """Let go of a job that has got somewhere: whoever is free takes its next step, after the jobs that were due
        before. Such a step is no failed attempt. Raises LeaseLost."""
        self._change(session, job, payload=dict(payload), lease_until_ms=0, due_ms=due_ms, attempts=0, error="")

    def wake(self, session: Session, key: str, now: int) -> None:
        """Make a job that waits due."""
        session.execute(update(JobRow).where(JobRow.key == key, JobRow.state == "queued").values(due_ms=now))

    @contextmanager
    def held(self, job: Job, clock: Callable[[], int], lease_ms: int) -> Iterator[None]:
        """Keep the lease for as long as this lasts; when it is lost all the same, the job's end is refused."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(lease_ms / 4_000):
                try:
                    self.renew(job, clock(), lease_ms)
                except LeaseLost:
                    return
                except Unavailable:
                    continue

        thread = threading.Thread(target=renew, name="cliffwatch-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def under_way(self, prefixes: Sequence[str], now: int, but: Job) -> bool:
        """Whether another job is worked on whose key begins with one of these texts."""
        query = select(JobRow.id).where(
            worked_on(now),
            JobRow.id != but.id,
            or_(*(JobRow.key.startswith(prefix, autoescape=True) for prefix in prefixes)),
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def payloads(self, prefix: str) -> list[Mapping[str, Any]]:
        """What is to be known of the jobs whose key begins so."""
        query = select(JobRow.payload).where(JobRow.key.startswith(prefix, autoescape=True)).order_by(JobRow.id)
        with self._database.read() as session:
            return [*session.scalars(query)]

    def left(self, session: Session, prefix: str) -> dict[str, int]:
        """How many jobs whose key begins so are `queued` (also those that are worked on) and `failed`."""
        query = (
            select(JobRow.state, func.count())
            .where(JobRow.state.in_(("queued", "failed")), JobRow.key.startswith(prefix, autoescape=True))
            .group_by(JobRow.state)
        )
        return {state: count for state, count in session.execute(query)}  # noqa: C416

    def fail(self, job: Job, error: str, now: int, *, patient: bool = False) -> bool:
        """Give the job back with its cause of failure; True when it will not be tried again.

        `patient` says that the job is not at fault, as when a store is away: it is tried every ten seconds for as long
        as that lasts, and never given up.
        """
        if not patient and job.attempts >= MAX_ATTEMPTS:
            self.give_up(job, error, now)
            return True
        wait = PATIENT_RETRY_MS if patient else min(FIRST_RETRY_MS * 2 ** (job.attempts - 1), LONGEST_RETRY_MS)
        attempts = max(job.attempts - patient, 0)
        with self._database.write() as session:
            self._change(
                session, job, error=error[:LONGEST_ERROR], lease_until_ms=0, due_ms=now + wait, attempts=attempts
            )
        return False

    def give_up(self, job: Job, error: str, now: int) -> None:
        """End a job that will not be tried again, with its cause of failure. Raises LeaseLost."""
        with self._database.write() as session:
            self._change(session, job, lease_until_ms=0, **_failed(error, now))

    def forget(self, before_ms: int) -> int:
        """Delete jobs that were done before `before_ms`; returns how many."""
        statement = delete(JobRow).where(JobRow.state == "done", JobRow.finished_ms < before_ms)
        with self._database.write() as session:
            result = session.execute(statement)
            assert isinstance(result, CursorResult)
            return result.rowcount

    def _change(self, session: Session, job: Job, **values: Any) -> None:
        statement = (
            update(JobRow)
            .where(JobRow.id == job.id, JobRow.fence == job.fence, JobRow.state == "queued")
            .values(**values)
        )
        result = session.execute(statement)
        assert isinstance(result, CursorResult)
        if result.rowcount != 1:
            raise LeaseLost(f"job {job.key}", "was taken over by another worker.", "Nothing is lost; it goes on there.")


def _failed(error: str, now: int) -> dict[str, Any]:
    return {"state": "failed", "finished_ms": now, "error": error[:LONGEST_ERROR]}
