"""Whole events do not outlive the days that their source keeps them; what streams measured of them stays."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cliffwatch.clock import Clock
from cliffwatch.errors import CliffwatchError
from cliffwatch.ingest.sources import Sources
from cliffwatch.store.contract import ArchiveQuery, EventStore

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
EVERY_SECONDS = 3_600.0
FIRST_SECONDS = 60.0
_BEGINNING_MS, _END_MS = -62_135_596_800_000, 253_402_300_799_000  # the years that the store knows


def cutoff_ms(archive_days: int, now: int) -> int:
    """Whole events that happened before this time go: whole days in UTC, so that there is work once a day."""
    return now // DAY_MS * DAY_MS - archive_days * DAY_MS if archive_days else _END_MS


class Retention:
    """A thread that deletes once an hour what is older than its source keeps it."""

    def __init__(self, store: EventStore, sources: Sources, clock: Clock) -> None:
        self._store = store
        self._sources = sources
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def would_go(self, source_id: int, archive_days: int) -> int:
        """How many whole events are older than so many days."""
        before = cutoff_ms(archive_days, self._clock())
        return self._store.count_archive(ArchiveQuery(source_id, _BEGINNING_MS, before))

    def enforce(self) -> int:
        """Delete what is too old of every source; returns how many whole events went."""
        gone = 0
        for source in self._sources.all():
            count = self._store.delete_archive(source.id, cutoff_ms(source.archive_days, self._clock()))
            if count:
                log.info("events_outlived", source_id=source.id, archive_days=source.archive_days, events=count)
            gone += count
        return gone

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        wait = FIRST_SECONDS
        while not self._stopping.wait(wait):
            wait = EVERY_SECONDS
            try:
                self.enforce()
            except (CliffwatchError, SQLAlchemyError) as error:
                log.warning("retention_waits", error=str(error))
