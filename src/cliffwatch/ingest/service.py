"""The running ingest: door, journal and absorber put together."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cliffwatch.clock import Clock
from cliffwatch.db import Database
from cliffwatch.errors import Unavailable
from cliffwatch.ingest.absorb import Absorber
from cliffwatch.ingest.arrivals import Arrivals
from cliffwatch.ingest.ask import Answered, ask, no_page
from cliffwatch.ingest.body import Budget
from cliffwatch.ingest.catalogue import Catalogue
from cliffwatch.ingest.commit import GroupCommit
from cliffwatch.ingest.delivered import DeliveryCounts
from cliffwatch.ingest.deliveries import Deliveries
from cliffwatch.ingest.deliveries.receive import Receiver
from cliffwatch.ingest.door import App, Door, DoorOptions
from cliffwatch.ingest.guard import Guard
from cliffwatch.ingest.journal import SEGMENT_BYTES, Journal
from cliffwatch.ingest.live import LiveEvents
from cliffwatch.ingest.model import IngestStats, NothingSelected, Projector, RecentEvent, Selection, Source
from cliffwatch.ingest.oauth import OauthKeys, TokenServer
from cliffwatch.ingest.pages import VENDOR, Scripts
from cliffwatch.ingest.privacy import Deletions, PropertyRules
from cliffwatch.ingest.quarantine import Quarantine
from cliffwatch.ingest.recent import Recent
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.ingest.replay import Replayed, again
from cliffwatch.ingest.retention import Retention
from cliffwatch.ingest.sources import Sources
from cliffwatch.ingest.tally import Tally
from cliffwatch.ingest.volumes import Volumes
from cliffwatch.spec.accept import MESSAGE_LIMIT
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store.contract import EventStore

STOP_SECONDS = 10.0
LEFT_SECONDS = 1.0
"""How often whoever takes over a journal looks whether the process has to stop."""
IMPORT_COUNT = 400
"""Messages of an import in one record: as many as are in memory as events at a time."""
SWITCH_SECONDS = 0.001
"""How long the absorber may hold the interpreter while a request waits for it. An answer passes it three times; with
Python's 5 ms one in a hundred took 130 to 150 ms at 10,000 events a second, with 1 ms 25 to 45 ms."""


class Ingest:
    """Takes events in and brings them to the store. `start` begins to absorb, `stop` ends it; between the two, what
    `door` answers with 200 is durable, and in the store a moment later."""

    def __init__(
        self,
        folder: Path,
        *,
        database: Database,
        store: EventStore,
        sources: Sources,
        catalogue: Catalogue,
        projector: Projector,
        clock: Clock,
        selection: Selection | None = None,
        strict_auth: bool = True,
        arrivals: Arrivals | None = None,
        base_url: str = "",
        max_queue_bytes: int = 64_000_000,
        max_backlog_bytes: int = 8_000_000_000,
        segment_bytes: int = SEGMENT_BYTES,
        vendor_folder: Path = VENDOR,
    ) -> None:
        """`folder` is the journal's own. `selection` tells what connected sources keep; without it, nothing.
        `max_queue_bytes` bounds requests in memory, `max_backlog_bytes` what lies on disk while the store cannot take
        it; beyond either, clients are told to come back."""
        self.quarantine = Quarantine(database, sources)
        self.deliveries = Deliveries(database, sources)
        self.rules = PropertyRules(database, sources)
        self.oauth_keys = OauthKeys(database, sources)
        self.volumes = Volumes(database)
        self.delivered = DeliveryCounts(database)
        self.retention = Retention(store, sources, clock)
        self._clock = clock
        self._sources = sources
        self._switch_interval = sys.getswitchinterval()
        self._max_backlog = max_backlog_bytes
        self._journal = Journal(folder, segment_bytes=segment_bytes)
        self._budget = Budget(max_queue_bytes)
        self._tally = Tally()
        self._recent = Recent()
        self._live = None if database.is_sqlite else LiveEvents(database, self._recent)
        self.deletions = Deletions(
            database,
            store,
            self.rules,
            quarantine=self.quarantine,
            others=(self._recent, catalogue, *((self._live,) if self._live else ())),
            clock=clock,
        )
        self.guard = Guard(
            sources=sources,
            deliveries=self.deliveries,
            deletions=self.deletions,
            oauth_keys=self.oauth_keys,
            volumes=self.volumes,
            delivered=self.delivered,
            rules=self.rules,
            catalogue=catalogue,
            selection=selection or NothingSelected(),
        )
        self._absorber_of = partial(
            Absorber,
            database=database,
            store=store,
            sources=sources,
            catalogue=catalogue,
            arrivals=arrivals or Arrivals(database),
            quarantine=self.quarantine,
            guard=self.guard,
            projector=projector,
            tally=self._tally,
            recent=self._recent,
            show=self._live.show if self._live is not None else None,
            clock=clock,
        )
        self._absorber = self._absorber_of(journal=self._journal)
        self._commit = GroupCommit(self._journal, self._absorber.wake)
        self._door = Door(
            sources=sources,
            commit=self._commit,
            budget=self._budget,
            tally=self._tally,
            clock=clock,
            options=DoorOptions(strict_auth=strict_auth, base_url=base_url),
            has_room=self._has_room,
            refuse=self._refuse,
            rules=self.rules,
            receiver=Receiver(self.deliveries, sources),
            tokens=TokenServer(self.oauth_keys, clock),
            scripts=Scripts(vendor_folder),
        )

    def start(self, *, keeps_house: bool = True) -> None:
        """Begin to absorb, first of all what the last run left in the journal. `keeps_house`: also delete people who
        asked for it, and what is older than its source keeps it."""
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._absorber.start()
        if keeps_house:
            self.deletions.start(self.wait_absorbed, self._roll)
            self.retention.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Make durable what is under way, absorb for `timeout` seconds at most, and let go of the journal."""
        self._commit.close()
        self.deletions.stop(timeout)
        self.retention.stop(timeout)
        self._absorber.stop(timeout)
        self._let_go()
        self._journal.close()
        sys.setswitchinterval(self._switch_interval)

    def absorb_left(self, folder: Path, stopping: threading.Event) -> bool:
        """Bring to the store what another process left in its journal; whether all of it is there. Raises Conflict when
        that process runs, Unavailable when the folder cannot be read."""
        journal = Journal(folder)
        try:
            absorber = self._absorber_of(journal=journal)
            absorber.start()
            while not (done := absorber.wait_absorbed(LEFT_SECONDS)) and not stopping.is_set():
                pass
            absorber.stop(STOP_SECONDS)
            journal.forget(absorber.position)
            return done
        finally:
            journal.close()

    def door(self, app: App) -> App:
        """The ASGI application that answers the tracking API and leaves everything else to `app`."""
        return self._door.in_front_of(app)

    def wait_absorbed(self, timeout: float = 30.0) -> bool:
        """Wait until everything acknowledged so far is in the store and counted; False when that took too long."""
        return self._absorber.wait_absorbed(timeout)

    def replay(self, source_id: int, ids: Sequence[int]) -> Replayed:
        """Send quarantined messages through the rules again, as of when they came; what passes now is stored.

        Raises NotFound for an id that the source does not have, Unavailable when the journal cannot be written.
        """
        now = self._clock()
        accepted: list[int] = []
        refused: dict[int, Verdict] = {}
        source = self._sources.find(source_id)
        marks = Mark.DELIVERED if source and source.kind == "connected" else Mark.NONE
        for item in self.quarantine.get(source_id, ids):
            outcome = again(item, marks)
            if isinstance(outcome, Verdict):
                refused[item.id] = outcome
                continue
            self._journal.append([outcome.pack()])
            accepted.append(item.id)
        self.quarantine.mark_replayed(accepted, now)
        self._absorber.wake()
        return Replayed(tuple(accepted), refused)

    async def ask(self, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """POST a body to the door from within: for the event tester."""
        return await ask(self._door.in_front_of(no_page), path, headers, body)

    def take(self, source_id: int, messages: Sequence[bytes]) -> None:
        """Make the messages (JSON) of an import durable, in order; their times stay as they are.

        Raises Unavailable when there is no room, or the disk cannot be written; then none of them is there.
        """
        if not self._has_room():
            raise Unavailable("journal", "has no room.", "Go on when the store has caught up.")
        now, records = self._clock(), []
        for start in range(0, len(messages), IMPORT_COUNT):
            part = messages[start : start + IMPORT_COUNT]
            oversized = Mark.OVERSIZED_ITEM if max(map(len, part)) > MESSAGE_LIMIT else Mark.NONE
            body = b'{"batch":[' + b",".join(part) + b"]}"
            records.append(Record(now, source_id, None, Mark.DELIVERED | oversized, "", "", body).pack())
        self._journal.append(records)
        self._absorber.wake()

    def recent(self, source_id: int, limit: int = 100, after: int = 0) -> list[RecentEvent]:
        """The newest messages of a source that came in through this process, newest first, those above `after`."""
        return self._recent.list(source_id, limit, after)

    def live(self, source_id: int, limit: int = 100, after: int = 0) -> list[RecentEvent]:
        """The newest messages of a source, newest first, with a sequence above `after`, for somebody who looks at them
        now. Where several processes are possible: through whichever they came in, within two seconds of the first look.
        """
        if self._live is None:
            return self._recent.list(source_id, limit, after)
        self._live.watch(source_id, self._clock())
        return self._live.list(source_id, limit, after)

    def heard(self, source: Source) -> int | None:
        """When something came from a source last, Unix ms, as far as this process or the database knows."""
        newest = self._recent.list(source.id, 1)
        known = [source.last_event_ms, newest[0].received_at_ms if newest else None]
        return max((at for at in known if at is not None), default=None)

    def stats(self) -> IngestStats:
        """How the way from the door to the store is doing."""
        return IngestStats(
            waiting_bytes=self._budget.used,
            backlog_bytes=max(self._journal.end - self._absorber.position, 0),
            absorbed_events=self._absorber.absorbed_events,
            verdicts=self._tally.totals(),
            error=self._absorber.error,
        )

    def _refuse(self, source_id: int, received_ms: int, verdict: Verdict, body: bytes) -> None:
        """Keep a refused request for people to look at, as far as anything of its source may be kept."""
        self._absorber.refuse(source_id, received_ms, verdict, self.guard.reduced(source_id, body))

    def _let_go(self) -> None:
        """Delete from the journal what is absorbed."""
        self._journal.let_go(self._absorber.position)

    def _roll(self) -> None:
        """Delete from the journal what is absorbed, and let everything up to now be deleted once it is."""
        self._journal.roll()
        self._journal.forget(self._absorber.position)

    def _has_room(self) -> bool:
        return self._journal.end - self._absorber.position < self._max_backlog
