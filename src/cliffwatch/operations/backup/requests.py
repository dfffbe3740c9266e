"""Who wants a backup of a running installation asks it by a job: the embedded store belongs to its process."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path

import structlog

from cliffwatch.db import Database
from cliffwatch.errors import CliffwatchError
from cliffwatch.jobs import Job, Jobs, LeaseLost
from cliffwatch.loops import Loops
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
        found = self._jobs.look(key)
        return Asked(found.state, found.progress, str(found.payload.get("what", "")), found.error)

    def withdraw(self, key: str, now: int) -> bool:
        """Take back what nobody began; False when it is under way or over."""
        return self._jobs.withdraw(key, now)


class BackupWorker:
    """A thread of the service that makes the backups that are asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._loops = Loops({"backup": self.work}, LOOK_SECONDS, "backup_pass_failed")

    def start(self) -> None:
        self._loops.start()

    def stop(self, timeout: float = 20.0) -> None:
        """One that is under way is given up: nothing of it is left, and whoever asked hears so."""
        self._loops.stop(timeout)

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
                with contextlib.suppress(LeaseLost):  # another process makes it now
                    jobs.give_up(job, str(error), services.clock())  # whoever asked is there, and decides
        return True

    def _make(self, job: Job) -> None:
        services, told = self._services, -1.0

        def progress(share: float, what: str) -> None:
            nonlocal told
            if self._loops.stopping.is_set():
                raise CliffwatchError("backup", "was interrupted: Cliffwatch is stopping.", "Take it again.")
            if share - told >= RENEW:
                told = share
                payload = {**job.payload, "what": what}
                services.jobs.renew(job, services.clock(), LEASE_MS, progress=share, payload=payload)

        manifest = make_backup(services, Path(job.payload["folder"]), progress)
        log.info("backup_made", folder=job.payload["folder"], bytes=manifest.size)
        with services.database.write() as session:
            services.jobs.finish(session, job, services.clock())
