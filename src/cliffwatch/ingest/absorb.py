"""From the journal into the store: group by group, rows and position in one transaction.

One thread does it all, in this order:

    journal -> judge (decode, accept) -> project (streams) -> quarantine -> store.write(rows, position)
            -> catalogue, counters, live view -> forget the segments that are absorbed

A crash anywhere before `store.write` returns repeats the group; after it, the group is done: each message once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cliffwatch.db import Database
from cliffwatch.errors import Unavailable
from cliffwatch.ingest.arrivals import Arrivals
from cliffwatch.ingest.catalogue import Catalogue
from cliffwatch.ingest.cycles import Cycles
from cliffwatch.ingest.digest import Digest
from cliffwatch.ingest.guard import Guard
from cliffwatch.ingest.journal import Journal
from cliffwatch.ingest.model import Projector
from cliffwatch.ingest.quarantine import Quarantine, Rejected
from cliffwatch.ingest.recent import Recent
from cliffwatch.ingest.sources import Sources
from cliffwatch.ingest.tally import Tally
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store.contract import EventStore, Position

log = structlog.get_logger(__name__)

GROUP_BYTES = 20_000_000
"""Some 30,000 events: enough for the store to write whole row groups, which costs it half of what small groups do."""
GATHER_SECONDS = 0.1
"""How long a small group waits for company: people who watch see an event within 200 ms."""
BUSY_EVENTS = 2_000
BUSY_GATHER_SECONDS = 1.0
"""After a group of so many events the next may be late: large groups cost the store a third of what small ones do."""
WHOLE_GROUP_EVENTS = 22_000
"""With some more than a row group of the store, it writes columns at once: without its log, and without the checkpoint
of the log, which for a tenth of a second keeps everybody from the disk."""
WHOLE_GATHER_SECONDS = 2.6
"""How long a group waits that will have so many by then."""
HOUSEKEEPING_SECONDS = 1.0
LET_GO_MS = 60_000
"""How long the journal keeps what is absorbed when little arrives; a new segment costs a few milliseconds."""
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class Absorber:
    """The thread between the journal and the store."""

    def __init__(
        self,
        *,
        journal: Journal,
        database: Database,
        store: EventStore,
        sources: Sources,
        catalogue: Catalogue,
        arrivals: Arrivals,
        quarantine: Quarantine,
        guard: Guard,
        projector: Projector,
        tally: Tally,
        recent: Recent,
        clock: Callable[[], int],
        show: Callable[[int], None] | None = None,
    ) -> None:
        """`show` is called once a second, to show other processes what came in."""
        self._journal = journal
        self._database = database
        self._store = store
        self._sources = sources
        self._catalogue = catalogue
        self._arrivals = arrivals
        self._quarantine = quarantine
        self._guard = guard
        self._projector = projector
        self._tally = tally
        self._recent = recent
        self._show = show
        self._clock = clock
        self._wake = threading.Event()
        self._hurry = threading.Event()  # somebody waits for what is there: no gathering
        self._waiting = 0  # how many do; guarded by _changed
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._refused_lock = threading.Lock()
        self._refused: list[Rejected] = []  # not kept yet; the two counts are of all that there ever were
        self._refusals = self._refusals_kept = 0
        self._spans: dict[int, tuple[int, int]] = {}
        self._last_housekeeping_ms = 0
        self._cycles = Cycles()
        self._last_group = 0
        self._event_bytes = 0.0  # of the last group, in the journal
        self.position = store.position(journal.name)
        self._counted = self.position  # counts of all before it are written
        self.absorbed_events = 0
        self.error = ""
        journal.continue_from(self.position)

    def start(self) -> None:
        self._cycles.take_over()
        self._thread = threading.Thread(target=self._run, name="absorber", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Absorb what is there, for `timeout` seconds at most; the rest waits in the journal for the next start."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._cycles.give_back()

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def wait_absorbed(self, timeout: float) -> bool:
        """Wait until everything durable now is in the store and counted; False when that took too long."""
        target, refusals = self._journal.end, self._refusals
        with self._changed:
            self._waiting += 1
            self._hurry.set()
            self._wake.set()
            try:
                return self._changed.wait_for(
                    lambda: self._counted >= target and self._refusals_kept >= refusals, timeout
                )
            finally:
                self._waiting -= 1
                if not self._waiting and not self._stopping.is_set():
                    self._hurry.clear()

    def refuse(self, source_id: int, received_ms: int, verdict: Verdict, body: bytes) -> None:
        """Keep a request that the door answered with an error for people to look at; best effort."""
        with self._refused_lock:
            if len(self._refused) < 1_000:
                self._refused.append(Rejected(source_id, received_ms, verdict, body))
                self._refusals += 1

    def _run(self) -> None:
        failures = 0
        while True:
            stopping = self._stopping.is_set()
            if self._journal.end <= self.position and stopping:
                break
            self._cycles.search()
            try:
                if self._journal.end > self.position:
                    self._absorb_group()
                self._keep_house()
                failures, self.error = 0, ""
            except Exception as error:  # whatever stands in the way, events are safe in the journal
                self.error = str(error) or error.__class__.__name__
                log.warning("absorbing_stands_still", error=self.error, attempt=failures, exc_info=not _expected(error))
                if stopping:
                    break
                self._stopping.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                continue
            if self._journal.end <= self.position:
                self._wake.wait(HOUSEKEEPING_SECONDS)
                self._wake.clear()
            if 0 < self._journal.end - self.position < GROUP_BYTES:
                self._gather()

    def _gather(self) -> None:
        """Let more come before the next group, unless somebody waits for it."""
        if self._last_group < BUSY_EVENTS:
            self._hurry.wait(GATHER_SECONDS)
            return
        began_at, began = time.monotonic(), self._journal.end
        if self._hurry.wait(BUSY_GATHER_SECONDS):
            return
        wanted = min(WHOLE_GROUP_EVENTS * self._event_bytes, GROUP_BYTES)
        while (missing := wanted - (self._journal.end - self.position)) > 0:
            waited = time.monotonic() - began_at
            pace = (self._journal.end - began) / waited
            left = WHOLE_GATHER_SECONDS - waited
            if pace * left < missing or self._hurry.wait(min(missing / pace, left)):
                return

    def _absorb_group(self) -> None:
        chunk = self._journal.read(self.position, GROUP_BYTES)
        self._projector.refresh()
        screen = self._guard.screen()
        digest = Digest(self._projector, screen)
        digest.take(self._journal.name, chunk.records)
        self._quarantine.keep(digest.rejected)
        self._guard.keep(screen)
        position = Position(self._journal.name, chunk.next_offset)
        digest.count_accepted(self._store.write(digest.archive, digest.facts, position))
        self._projector.stored()
        self._remember(digest, chunk.next_offset - self.position)
        self._catalogue.add(screen.observed)
        self._journal.forget(chunk.next_offset)
        with self._changed:
            self.position = chunk.next_offset
            self._changed.notify_all()

    def _remember(self, digest: Digest, size: int) -> None:
        """Count and show what is now in the store."""
        self._last_group = digest.events
        if digest.events:
            self._event_bytes = size / digest.events
        self.absorbed_events += digest.events
        self._tally.add_counts(digest.verdicts)
        self._catalogue.add(digest.observed)
        self._arrivals.add(digest.seen)
        for source_id, (first_ms, last_ms) in digest.spans.items():
            known = self._spans.get(source_id, (first_ms, last_ms))
            self._spans[source_id] = min(known[0], first_ms), max(known[1], last_ms)
        for source_id, items in digest.tails.items():
            self._recent.add(source_id, items)

    def _keep_house(self) -> None:
        """Once a second, or when somebody waits for it: write counts, see what other processes changed."""
        now = self._clock()
        due = abs(now - self._last_housekeeping_ms) >= HOUSEKEEPING_SECONDS * 1000
        unwritten = self._counted < self.position or self._refusals_kept < self._refusals
        if due:
            if now // LET_GO_MS != self._last_housekeeping_ms // LET_GO_MS:
                self._journal.let_go(self.position)
            self._last_housekeeping_ms = now
            self._sources.refresh()
            self._guard.refresh()
            if self._show is not None:
                self._show(now)
        if due or (unwritten and self._hurry.is_set()):
            self._flush()

    def _flush(self) -> None:
        with self._refused_lock:
            refused, self._refused = self._refused, []
        observed, verdicts, spans = self._catalogue.take(), self._tally.take_pending(), self._spans
        seen = self._arrivals.take()
        self._spans = {}
        unkept = refused
        try:
            self._quarantine.keep(refused)
            unkept = []
            if observed or verdicts or spans:
                with self._database.write() as session:
                    self._catalogue.write(session, observed, verdicts)
                    self._guard.count(session, observed, verdicts)
                    self._sources.saw_events(session, spans)
                    self._arrivals.write(session, seen)
        except (SQLAlchemyError, Unavailable) as error:
            self._catalogue.add(observed)
            self._arrivals.add(seen)
            self._tally.put_back(verdicts)
            self._spans = spans | self._spans
            with self._refused_lock:
                self._refused = unkept + self._refused
            log.warning("counts_not_written", error=str(error))
            return
        with self._changed, self._refused_lock:
            self._counted, self._refusals_kept = self.position, self._refusals - len(self._refused)
            self._changed.notify_all()


def _expected(error: Exception) -> bool:
    return isinstance(error, (Unavailable, SQLAlchemyError))
