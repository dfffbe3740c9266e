"""Who wants a backup of a running installation asks it by a job: the embedded store belongs to its process."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select, update

from cliffwatch.db import Database
from cliffwatch.db.streams import JobRow
from cliffwatch.errors import CliffwatchError
from cliffwatch.jobs import Job, Jobs, LeaseLost
from cliffwatch.operations.backup.make import make_backup
from cliffwatch.services import Services

log = structlog.get_logger(__name__)

KIND = "backup"
LEASE_MS = 300_000
LOOK_SECONDS = 1.0
RENEW = 0.01
"""The share of progress that is worth writing down."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a backup that was asked for is doing."""

    state: str  # queued, done, failed
    progress: float
    what: str
    error: str


class BackupRequests:
    """Asks, and looks how it goes; from any process that reaches the metadata."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = Jobs(database)

    def ask(self, folder: Path, now: int) -> str:
        """Ask for a backup in `folder`, as the service sees it; returns the key to look it up with."""
        key = f"backup:{uuid.uuid4().hex}"
        with self._database.write() as session:
            self._jobs.enqueue(session, KIND, key, {"folder": str(folder), "what": ""}, now, now)
        return key

    def look(self, key: str) -> Asked:
        with self._database.read() as session:
            row = session.scalars(select(JobRow).where(JobRow.key == key)).one()
            return Asked(row.state, row.progress, str(row.payload.get("what", "")), row.error)

    def withdraw(self, key: str, now: int) -> bool:
        """Take back what nobody began; False when it is under way or over."""
        statement = (
            update(JobRow)
            .where(JobRow.key == key, JobRow.state == "queued", JobRow.attempts == 0)
            .values(state="failed", finished_ms=now, error="withdrawn")
        )
        with self._database.write() as session:
            return bool(getattr(session.execute(statement), "rowcount", 0))


class BackupWorker:
    """A thread of the service that makes the backups that are asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="cliffwatch-backup", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 20.0) -> None:
        """One that is under way is given up: nothing of it is left, and whoever asked hears so."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.work()
            except Exception:  # the thread must outlive a dead database; the cause is logged and it looks again
                log.exception("backup_pass_failed")

    def work(self) -> bool:
        """Make one backup that was asked for; whether there was any."""
        services = self._services
        jobs, now = services.jobs, services.clock()
        if not jobs.has_due([KIND], now):
            return False
        for job in jobs.claim([KIND], now, LEASE_MS):
            try:
                self._make(job)
            except LeaseLost:
                log.info("job_taken_over", key=job.key)
            except CliffwatchError as error:
                log.warning("backup_failed", folder=job.payload["folder"], error=str(error))
                self._end(job, "failed", str(error))
        return True

    def _make(self, job: Job) -> None:
        services, told = self._services, -1.0

        def progress(share: float, what: str) -> None:
            nonlocal told
            if self._stop.is_set():
                raise CliffwatchError("backup", "was interrupted: Cliffwatch is stopping.", "Take it again.")
            if share - told >= RENEW:
                told = share
                payload: dict[str, Any] = {**job.payload, "what": what}
                services.jobs.renew(job, services.clock(), LEASE_MS, progress=share)
                with services.database.write() as session:
                    services.jobs.save(session, job, payload)

        manifest = make_backup(services, Path(job.payload["folder"]), progress)
        log.info("backup_made", folder=job.payload["folder"], bytes=manifest.size)
        self._end(job, "done", "")

    def _end(self, job: Job, state: str, error: str) -> None:
        """A backup is not tried again: whoever asked is there, and decides."""
        values = {"state": state, "error": error[:2000], "finished_ms": self._services.clock(), "lease_until_ms": 0}
        with self._services.database.write() as session:
            session.execute(update(JobRow).where(JobRow.id == job.id, JobRow.fence == job.fence).values(**values))
