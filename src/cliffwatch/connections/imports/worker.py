"""The importer: one thread that reads what is due, chunk by chunk, into the ingest journal.

    reader -> chunk of messages -> journal (durable) -> cursor

A crash between the last two repeats a chunk; message ids make every event count once. It waits while the store is
behind, so live events keep their place.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from cliffwatch.clock import Clock
from cliffwatch.connections.imports.files import CsvFile, WarehouseFiles
from cliffwatch.connections.imports.model import Import, Reader
from cliffwatch.connections.imports.postgresql import PostgresWarehouse
from cliffwatch.connections.imports.shape import CsvColumns
from cliffwatch.connections.imports.store import JOB, Imports
from cliffwatch.db import Database
from cliffwatch.errors import CliffwatchError, InvalidInput, Unavailable
from cliffwatch.ingest import Ingest
from cliffwatch.jobs import Job, Jobs, LeaseLost
from cliffwatch.loops import Loops

log = structlog.get_logger(__name__)

LEASE_MS = 120_000
IDLE_SECONDS = 0.5
BEHIND_BYTES = 40_000_000
"""So much may wait for the store; beyond it the import rests."""


class Importer:
    """Runs imports while it runs. `work` makes one pass, for tests and for whoever cannot wait."""

    def __init__(
        self,
        imports: Imports,
        jobs: Jobs,
        database: Database,
        ingest: Ingest,
        clock: Clock,
        *,
        uploads: Path,
        exports: Path,
        allow_private: bool,
    ) -> None:
        """`uploads` holds files that people uploaded, `exports` those that the operator laid down."""
        self._imports = imports
        self._jobs = jobs
        self._database = database
        self._ingest = ingest
        self._clock = clock
        self.uploads = uploads
        self.exports = exports
        self._allow_private = allow_private
        self._loops = Loops({"imports": self.work}, IDLE_SECONDS, "import_pass_failed")
        self._stop = self._loops.stopping

    def start(self) -> None:
        self._loops.start()

    def stop(self, timeout: float = 15.0) -> None:
        """Stop after the chunk under way; the next start goes on behind it."""
        self._loops.stop(timeout)

    def open(self, found: Import, secret: str) -> Reader:
        """The reader of an import. Raises InvalidInput, Unavailable."""
        if found.kind == "csv":
            return CsvFile(self.uploads / str(found.settings["file"]), CsvColumns.of(found.settings))
        if found.kind == "files":
            return WarehouseFiles(self.folder(str(found.settings["folder"])))
        return PostgresWarehouse(secret, str(found.settings["schema"]), allow_private=self._allow_private)

    def folder(self, name: str) -> Path:
        """A folder of exports by its name. Raises InvalidInput for one that is not below them."""
        root = self.exports.resolve()
        folder = (root / name).resolve()
        if not folder.is_dir() or not folder.is_relative_to(root):
            raise InvalidInput("Folder", f"“{name[:80]}” is not among the exports.", f"Put the files below {root}.")
        return folder

    def folders(self) -> list[str]:
        """The folders that hold exports, the root as "."."""
        if not self.exports.is_dir():
            return []
        found = [path.name for path in sorted(self.exports.iterdir()) if path.is_dir()]
        return [".", *found] if any(path.is_file() for path in self.exports.iterdir()) else found

    def work(self) -> bool:
        """Do one import that is due; whether there was one."""
        if not self._jobs.has_due([JOB], self._clock()):
            return False
        for job in self._jobs.claim([JOB], self._clock(), LEASE_MS):
            self._do(job)
        return True

    def _do(self, job: Job) -> None:
        known = self._imports.by_id(job.payload["import_id"])
        if known is None:
            self._end(job, None, "done", "")
            return
        found, secret = known
        try:
            if self._read(job, found, secret):
                self._end(job, found, "done", "")
        except LeaseLost:
            log.info("job_taken_over", key=job.key)
        except InvalidInput as error:  # trying again would not help: a person has to do something
            self._end(job, found, "failed", str(error))
        except CliffwatchError as error:
            over = self._jobs.fail(job, str(error), self._clock())
            log.warning("import_failed", key=job.key, error=str(error), over=over)
            if over:
                with self._database.write() as session:
                    self._imports.finish(session, found.id, "failed", str(error), self._clock())

    def _read(self, job: Job, found: Import, secret: str) -> bool:
        """Whether it came to its end; False when it was stopped, and goes on with the next start."""
        reader = self.open(found, secret)
        try:
            self._imports.begin(found.id, reader.count(), self._clock())
            for chunk in reader.chunks(found.cursor):
                self._wait_for_store(job)
                if chunk.messages:
                    self._ingest.take(found.source_id, chunk.messages)
                self._jobs.renew(job, self._clock(), LEASE_MS)
                if not self._imports.advance(found.id, chunk.cursor, chunk.rows, chunk.rows - len(chunk.messages)):
                    return True  # paused: the job ends, `start` makes another
                if self._stop.is_set():
                    self._jobs.renew(job, self._clock(), 0)
                    return False
            return True
        finally:
            reader.close()

    def _wait_for_store(self, job: Job) -> None:
        """Raises Unavailable when the store takes nothing for a minute."""
        for waited in range(300):
            if self._ingest.stats().backlog_bytes < BEHIND_BYTES:
                return
            if waited % 50 == 49:
                self._jobs.renew(job, self._clock(), LEASE_MS)
            self._stop.wait(0.2)
        raise Unavailable("The store", "does not keep up.", "The import goes on when it does.")

    def _end(self, job: Job, found: Import | None, state: str, error: str) -> None:
        with self._database.write() as session:
            now = self._clock()
            if found is not None:
                self._imports.finish(session, found.id, state, error, now)
            self._jobs.finish(session, job, now)
        if found is not None and found.kind == "csv":
            self._let_go_of_file(found)

    def _let_go_of_file(self, found: Import) -> None:
        """Delete an uploaded file whose events are stored: people can be deleted from the store, not from a file."""
        now_known = self._imports.by_id(found.id)
        if now_known is not None and now_known[0].state == "done":
            (self.uploads / str(found.settings["file"])).unlink(missing_ok=True)
