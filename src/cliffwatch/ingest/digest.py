"""One pass over the journal, turned into columns: what the store, the quarantine and the counters need of it.

Events are taken in slices and let go: ten thousand decoded messages at once would cost three times the time in memory
management alone.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from cliffwatch.errors import Unavailable
from cliffwatch.ingest.arrivals import Seen
from cliffwatch.ingest.catalogue import Observed
from cliffwatch.ingest.judge import judge_all
from cliffwatch.ingest.model import Projector
from cliffwatch.ingest.quarantine import Rejected
from cliffwatch.ingest.recent import KEPT
from cliffwatch.ingest.record import Record, source_of, unpack
from cliffwatch.ingest.screen import Screen
from cliffwatch.ingest.tally import MINUTE_MS, minute_of
from cliffwatch.spec.accept import Rejection
from cliffwatch.spec.events import Events
from cliffwatch.spec.model import Event
from cliffwatch.spec.sender import Sender
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store import arrow
from cliffwatch.store.contract import ArchiveBatch, FactBatch, Ints
from cliffwatch.store.lists import Texts, joined_rows

log = structlog.get_logger(__name__)

SLICE = 2_000
"""Events that are in memory as events at a time."""

TAIL_BYTES = 400_000
"""Of each source and pass, the newest requests of this size reach the live view: some 500 messages."""

_encode = msgspec.json.encode


class Digest:
    """What was found in some records, in order. `take` adds records; the other attributes are the result."""

    def __init__(self, projector: Projector, screen: Screen) -> None:
        """`screen` decides what is left out, and what whole events are kept as."""
        self._projector = projector
        self._screen = screen
        self._columns = Columns()
        self._parts: list[FactBatch] = []
        self.rejected: list[Rejected] = []
        self.observed: Observed = {}
        self.seen = Seen()
        self.verdicts: Counter[tuple[int, int, Verdict, Sender]] = Counter()
        self._hashes = array("q")
        self._counted: list[tuple[tuple[int, int, Sender], int]] = []  # of the hashes in order: where, and how many
        self.spans: dict[int, tuple[int, int]] = {}
        self.tails: dict[int, deque[tuple[int, Event | Rejection]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.events = 0
        self._told = False

    @property
    def archive(self) -> ArchiveBatch | None:
        return self._columns.batch()

    @property
    def facts(self) -> FactBatch | None:
        return joined(self._parts)

    def take(self, journal_name: str, records: Sequence[tuple[int, memoryview]]) -> None:
        """Judge and project the messages of journal records (offset, payload)."""
        parts: list[Events] = []
        count, place, newest = 0, 0, newest_of(records)
        requests = ((unpack(payload), f"{journal_name}-{offset}") for offset, payload in records)
        for judged, found in judge_all(requests):
            outcomes = self._screen.screened(judged[0], found)
            accepted = outcomes if isinstance(outcomes, Events) else _accepted(outcomes)
            if accepted:
                parts.append(accepted)
                count += len(accepted)
            of = judged if len(judged) == len(outcomes) else [judged[0]] * len(outcomes)  # the record of each
            if len(accepted) < len(outcomes):
                self._reject(of, outcomes)
            offsets = [offset for offset, _ in records[place : place + len(judged)]]
            place += len(judged)
            if offsets[-1] in newest:
                shown = KEPT if len(judged) == 1 else sum(offset in newest for offset in offsets)
                tail = zip(of[-shown:], outcomes[-shown:], strict=True)
                self.tails[judged[0].source_id].extend((record.received_ms, _shown(item)) for record, item in tail)
            if count >= SLICE:
                self._digest(Events.joined(parts))
                parts, count = [], 0
        self._digest(Events.joined(parts))

    def _count(self, events: Events) -> None:
        self.events += len(events)
        self._hashes += events.message_hash
        source, received = (np.asarray(column, dtype=np.int64) for column in (events.source_id, events.received_at_ms))
        minutes = (received - received % MINUTE_MS).tolist()
        for place, same in groupby(zip(events.source_id, minutes, events.sender, strict=True)):
            self._counted.append((place, len([*same])))
        for source_id in {*events.source_id}:
            its = received[source == source_id]
            first_ms, last_ms = int(its.min()), int(its.max())
            known = self.spans.get(source_id, (first_ms, last_ms))
            self.spans[source_id] = min(known[0], first_ms), max(known[1], last_ms)

    def count_accepted(self, stored_before: Ints | None) -> None:
        """Count the events, now that the store says which of them it had before (message hashes, None if unknown)."""
        hashes = np.asarray(self._hashes, dtype=np.int64)
        repeated = np.zeros(len(hashes), dtype=np.bool_)
        ordered = np.sort(hashes)
        if np.any(ordered[1:] == ordered[:-1]):  # looked for first: it is rare, and the places cost four times as much
            repeated[:] = True
            repeated[np.unique(hashes, return_index=True)[1]] = False
        if stored_before is not None and len(stored_before):
            repeated |= np.isin(hashes, stored_before)
        counted: Counter[tuple[int, int, Sender]] = Counter()
        for place, count in self._counted:
            counted[place] += count
        at = np.flatnonzero(repeated)
        ends = np.cumsum([count for _, count in self._counted], dtype=np.int64)
        for run in np.searchsorted(ends, at, side="right").tolist():
            source_id, minute, sender = place = self._counted[run][0]
            counted[place] -= 1
            self.verdicts[source_id, minute, Verdict.DUPLICATE, sender] += 1
        for (source_id, minute, sender), count in counted.items():
            if count:
                self.verdicts[source_id, minute, Verdict.ACCEPTED, sender] += count

    def _reject(self, records: Sequence[Record], outcomes: Sequence[Event | Rejection]) -> None:
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Rejection):
                body = _rejected_body(record, outcome)
                self._keep(record.source_id, record.received_ms, outcome.verdict, outcome.sender, body)

    def _keep(self, source_id: int, received_ms: int, verdict: Verdict, sender: Sender, body: bytes) -> None:
        self.verdicts[source_id, minute_of(received_ms), verdict, sender] += 1
        if verdict.filtered:
            return
        self.rejected.append(Rejected(source_id, received_ms, verdict, body))

    def _digest(self, events: Events) -> None:
        if not events:
            return
        self._count(events)
        self._columns.add(self._screen.archived(events))
        self._parts += self._project(events)
        self._screen.observe(events, self.observed)
        self.seen.add(events)

    def _project(self, events: Events) -> list[FactBatch]:
        """The facts of some events. When one cannot be measured, the others still are, and it is quarantined."""
        try:
            part = self._projector.project(events)
        except Unavailable:
            raise
        except Exception:  # an event that a stream cannot measure must not stop all others
            if len(events) > 1:
                half = len(events) // 2
                return self._project(events[:half]) + self._project(events[half:])
            event = events[0]
            if not self._told:  # once a pass: a stream that fails on every event must not drown the log
                log.exception("projection_failed", message_id=event.message_id)
                self._told = True
            self._keep(event.source_id, event.received_at_ms, Verdict.PROJECTION_FAILED, event.sender, event.body)
            return []
        return [] if part is None else [part]


def _accepted(outcomes: Sequence[Event | Rejection]) -> Events:
    return Events.of(outcome for outcome in outcomes if isinstance(outcome, Event))


def newest_of(records: Sequence[tuple[int, memoryview]]) -> set[int]:
    """Offsets of the last records of each source, about TAIL_BYTES of them: what the live view will show. Keeping every
    event in reach of it would cost a third more."""
    newest: set[int] = set()
    room: dict[int, int] = {}
    for offset, payload in reversed(records):
        source_id = source_of(payload)
        left = room.get(source_id, TAIL_BYTES)
        if left > 0:
            newest.add(offset)
            room[source_id] = left - len(payload)
    return newest


def _rejected_body(record: Record, rejection: Rejection) -> bytes:
    message = rejection.message
    if message is None:
        return record.body
    return message if isinstance(message, bytes) else _encode(message)  # bytes: too large to be read


def _shown(outcome: Event | Rejection) -> Event | Rejection:
    """What the live view keeps of a message: not the bulk of one that was rejected for its size."""
    if isinstance(outcome, Event):
        return outcome
    message = outcome.message
    return outcome if isinstance(message, dict) and "batch" not in message else Rejection(outcome.verdict, {})


class Columns:
    """The archive's columns while they grow: what is added lies in columns at once, so that its events can go."""

    def __init__(self) -> None:
        self._parts: list[tuple[tuple[Ints, ...], tuple[pa.StringArray, ...]]] = []

    def add(self, events: Events) -> None:
        if not events:
            return
        numbers = (events.source_id, events.ts_ms, events.received_at_ms, events.message_hash)
        texts: tuple[Sequence[str | bytes], ...] = (
            events.kind,
            events.name,
            [user_id or "" for user_id in events.user_id],
            [anonymous_id or "" for anonymous_id in events.anonymous_id],
            events.body,
        )
        columns = tuple(np.asarray(column, dtype=np.int64) for column in numbers)
        self._parts.append((columns, tuple(arrow.texts(column) for column in texts)))

    def batch(self) -> ArchiveBatch | None:
        """The columns so far; None without rows."""
        if not self._parts:
            return None
        numbers, texts = zip(*self._parts, strict=True)
        source, ts, received, message_hash = map(np.concatenate, zip(*numbers, strict=True))
        kind, name, user, anonymous, body = map(Texts, zip(*texts, strict=True))
        return ArchiveBatch(source, kind, name, ts, received, message_hash, user, anonymous, body)


def joined(parts: Sequence[FactBatch]) -> FactBatch | None:
    """Facts of several slices as one batch; None without facts."""
    if not parts:
        return None
    return FactBatch(
        stream_id=np.concatenate([part.stream_id for part in parts]),
        ts_ms=np.concatenate([part.ts_ms for part in parts]),
        message_hash=np.concatenate([part.message_hash for part in parts]),
        actor_hash=np.concatenate([part.actor_hash for part in parts]),
        dims=joined_rows([part.dims for part in parts]),
        nums=joined_rows([part.nums for part in parts]),
    )
