"""From the journal into the store: judge each message, project it, and write group and position in one transaction.

One thread does it all, in this order:

    journal -> unpack -> decode -> accept (spec) -> project (streams) -> quarantine -> store.write(rows, position)
            -> catalogue, counters, live view -> forget the segments that are absorbed

A crash anywhere before `store.write` returns repeats the group; after it, the group is done: each message once.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import structlog
from sqlalchemy.exc import SQLAlchemyError

from cliffwatch.db import Database
from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.ingest.catalogue import Catalogue
from cliffwatch.ingest.journal import Journal
from cliffwatch.ingest.model import Projector
from cliffwatch.ingest.quarantine import Quarantine, Rejected
from cliffwatch.ingest.recent import Recent
from cliffwatch.ingest.record import Mark, Record, unpack
from cliffwatch.ingest.sources import Sources
from cliffwatch.ingest.tally import Tally
from cliffwatch.spec.accept import MESSAGE_LIMIT, Arrival, Envelope, Rejection, accept_all, open_envelope
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import Event
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store.contract import ArchiveBatch, EventStore, FactBatch, Position

log = structlog.get_logger(__name__)

GROUP_BYTES = 6_000_000
"""A group of this size costs the store about 8 us an event; one of a tenth costs several times that."""
GATHER_SECONDS = 0.1
"""How long a small group waits for company: people who watch see an event within 200 ms."""
HOUSEKEEPING_SECONDS = 1.0
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

_encode = msgspec.json.encode


@dataclass(slots=True)
class Group:
    """What one pass over the journal found, in order."""

    events: list[Event] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rejections: list[tuple[int, int, Rejection]] = field(default_factory=list)  # source, received, what


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    context: Any = None
    integrations: Any = None
    sentAt: Any = None  # noqa: N815 - the wire's own name


_split_batch = msgspec.json.Decoder(_Batch).decode


def judge(journal_name: str, records: Sequence[tuple[int, bytes]]) -> Group:
    """Every message of these journal records as an event or a rejection."""
    group = Group()
    for offset, payload in records:
        record = unpack(payload)
        stem = f"{journal_name}-{offset}"
        try:
            outcomes = list(_outcomes(record, stem))
        except Exception:  # one request that meets a fault of ours must not stop all others
            log.exception("request_not_judged", offset=offset)
            outcomes = [Rejection(Verdict.INTERNAL_ERROR, None)]
        for outcome in outcomes:
            if outcome.__class__ is Event:
                group.events.append(outcome)
            else:
                _note_rejection(group, record, outcome)  # type: ignore[arg-type]
    return group


def _outcomes(record: Record, stem: str) -> Iterator[Event | Rejection]:
    arrival = Arrival(
        record.source_id,
        record.received_ms,
        stem,
        record.spec_type,
        bool(record.marks & Mark.FROM_BROWSER),
        record.ip,
        record.user_agent,
    )
    if record.marks & Mark.OVERSIZED_ITEM:
        envelope, oversized = _open_oversized(record.body)
        yield from oversized
    else:
        try:
            opened = open_envelope(decode_json(record.body))
        except InvalidInput:
            opened = Rejection(Verdict.BAD_REQUEST, None)
        if isinstance(opened, Rejection):
            yield opened
            return
        envelope = opened
    yield from accept_all(envelope, arrival)


def _open_oversized(body: bytes) -> tuple[Envelope, list[Rejection]]:
    """A batch with at least one message beyond the limit: those are rejected unread, the others go on."""
    batch = _split_batch(body)
    messages, oversized = [], []
    for raw in batch.batch:
        data = bytes(raw)
        if len(data) > MESSAGE_LIMIT:
            oversized.append(Rejection(Verdict.MESSAGE_TOO_LARGE, data))
        else:
            messages.append(decode_json(data))
    opened = open_envelope(
        {"batch": messages, "context": batch.context, "integrations": batch.integrations, "sentAt": batch.sentAt}
    )
    return (opened, oversized) if isinstance(opened, Envelope) else (Envelope([]), oversized)


def _note_rejection(group: Group, record: Record, rejection: Rejection) -> None:
    message = rejection.message
    if message is None:
        body = record.body
    else:
        body = message if isinstance(message, bytes) else _encode(message)
        if isinstance(message, bytes):
            rejection = Rejection(rejection.verdict, {"size": len(message)})
    group.rejected.append(Rejected(record.source_id, record.received_ms, rejection.verdict, body))
    group.rejections.append((record.source_id, record.received_ms, rejection))


def archive_of(events: Sequence[Event]) -> ArchiveBatch | None:
    """The archive's columns of these events; None without events."""
    if not events:
        return None
    return ArchiveBatch(
        source_id=np.array([event.source_id for event in events], dtype=np.int64),
        kind=[event.kind.value for event in events],
        name=[event.name for event in events],
        ts_ms=np.array([event.ts_ms for event in events], dtype=np.int64),
        received_at_ms=np.array([event.received_at_ms for event in events], dtype=np.int64),
        message_hash=np.array([event.message_hash for event in events], dtype=np.int64),
        user_id=[event.user_id or "" for event in events],
        anonymous_id=[event.anonymous_id or "" for event in events],
        body=[_encode(event.fields).decode() for event in events],
    )


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
        quarantine: Quarantine,
        projector: Projector,
        tally: Tally,
        recent: Recent,
        clock: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._database = database
        self._store = store
        self._sources = sources
        self._catalogue = catalogue
        self._quarantine = quarantine
        self._projector = projector
        self._tally = tally
        self._recent = recent
        self._clock = clock
        self._wake = threading.Event()
        self._hurry = threading.Event()  # somebody waits for what is there: no gathering
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._refused_lock = threading.Lock()
        self._refused: list[Rejected] = []
        self._spans: dict[int, tuple[int, int]] = {}
        self._last_housekeeping_ms = 0
        self._unflushed = False
        self.position = store.position(journal.name)
        self.absorbed_events = 0
        self.error = ""
        journal.continue_from(self.position)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="absorber", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Absorb what is there, for `timeout` seconds at most; the rest waits in the journal for the next start."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def wait_absorbed(self, timeout: float) -> bool:
        """Wait until everything durable now is in the store and counted; False when that took too long."""
        target = self._journal.end
        self._hurry.set()
        self._wake.set()
        with self._changed:
            return self._changed.wait_for(lambda: self.position >= target and not self._unflushed, timeout)

    def refuse(self, source_id: int, received_ms: int, verdict: Verdict, body: bytes) -> None:
        """Keep a request that the door answered with an error for people to look at; best effort."""
        with self._refused_lock:
            if len(self._refused) < 1_000:
                self._refused.append(Rejected(source_id, received_ms, verdict, body))
                self._unflushed = True

    def _run(self) -> None:
        failures = 0
        while True:
            stopping = self._stopping.is_set()
            if self._journal.end <= self.position and stopping:
                break
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
                self._hurry.wait(GATHER_SECONDS)

    def _absorb_group(self) -> None:
        chunk = self._journal.read(self.position, GROUP_BYTES)
        group = judge(self._journal.name, chunk.records)
        facts = self._project(group)
        self._quarantine.keep(group.rejected)
        archived = [event for event in group.events if self._archives(event.source_id)]
        self._store.write(archive_of(archived), facts, Position(self._journal.name, chunk.next_offset))
        self._unflushed = True
        self.absorbed_events += len(group.events)
        self._remember(group)
        self._journal.forget(chunk.next_offset)
        with self._changed:
            self.position = chunk.next_offset
            self._changed.notify_all()

    def _project(self, group: Group) -> FactBatch | None:
        """The facts of a group. When one event cannot be measured, the others still are, and it is quarantined."""
        if not group.events:
            return None
        try:
            return self._projector.project(group.events)
        except Unavailable:
            raise
        except Exception:  # an event that a stream cannot measure must not stop all others
            log.exception("projection_failed")
        parts: list[FactBatch] = []
        for event in group.events:
            try:
                part = self._projector.project([event])
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - as above, one by one
                rejection = Rejection(Verdict.PROJECTION_FAILED, dict(event.fields))
                body = _encode(event.fields)
                group.rejected.append(Rejected(event.source_id, event.received_at_ms, rejection.verdict, body))
                group.rejections.append((event.source_id, event.received_at_ms, rejection))
                continue
            if part is not None:
                parts.append(part)
        return _joined(parts)

    def _archives(self, source_id: int) -> bool:
        source = self._sources.find(source_id)
        return source is not None and source.archive_days > 0

    def _remember(self, group: Group) -> None:
        by_source: dict[int, list[tuple[int, Event | Rejection]]] = defaultdict(list)
        counts: dict[tuple[int, int], int] = defaultdict(int)
        for event in group.events:
            by_source[event.source_id].append((event.received_at_ms, event))
        for source_id, items in by_source.items():
            first_ms, last_ms = items[0][0], items[-1][0]
            known = self._spans.get(source_id, (first_ms, last_ms))
            self._spans[source_id] = min(known[0], first_ms), max(known[1], last_ms)
            for received_ms, _ in items:
                counts[source_id, received_ms] += 1
        for (source_id, received_ms), count in counts.items():
            self._tally.add(source_id, Verdict.ACCEPTED, received_ms, count)
        for source_id, received_ms, rejection in group.rejections:
            self._tally.add(source_id, rejection.verdict, received_ms)
            by_source[source_id].append((received_ms, rejection))
        for source_id, items in by_source.items():
            self._recent.add(source_id, items)
        self._catalogue.observe(group.events)

    def _keep_house(self) -> None:
        """Once a second, or as soon as there is nothing else to do: write counts, see what other processes changed."""
        now = self._clock()
        idle = self._journal.end <= self.position
        due = abs(now - self._last_housekeeping_ms) >= HOUSEKEEPING_SECONDS * 1000
        if not due and not (idle and self._unflushed):
            return
        if due:
            self._last_housekeeping_ms = now
            self._sources.refresh()
        self._flush()

    def _flush(self) -> None:
        with self._refused_lock:
            refused, self._refused = self._refused, []
        observed, verdicts, spans = self._catalogue.take(), self._tally.take_pending(), self._spans
        self._spans = {}
        try:
            self._quarantine.keep(refused)
            if observed or verdicts or spans:
                with self._database.write() as session:
                    self._catalogue.write(session, observed, verdicts)
                    self._sources.saw_events(session, spans)
        except (SQLAlchemyError, Unavailable) as error:
            self._catalogue.put_back(observed)
            self._tally.put_back(verdicts)
            self._spans = spans | self._spans
            log.warning("counts_not_written", error=str(error))
            return
        with self._changed:
            self._unflushed = False
            if not self._stopping.is_set():
                self._hurry.clear()
            self._changed.notify_all()


def _joined(parts: Sequence[FactBatch]) -> FactBatch | None:
    if not parts:
        return None
    return FactBatch(
        stream_id=np.concatenate([part.stream_id for part in parts]),
        ts_ms=np.concatenate([part.ts_ms for part in parts]),
        message_hash=np.concatenate([part.message_hash for part in parts]),
        actor_hash=np.concatenate([part.actor_hash for part in parts]),
        dims=[dims for part in parts for dims in part.dims],
        nums=[nums for part in parts for nums in part.nums],
    )


def _expected(error: Exception) -> bool:
    return isinstance(error, (Unavailable, SQLAlchemyError))
