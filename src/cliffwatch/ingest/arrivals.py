"""When a source's events arrive, and how long after they happened: counts per minute, and a histogram of lateness.

Lateness is what `sentAt`, `originalTimestamp` and the time of receipt leave when the device's clock is corrected: the
time that an event waited on its way. From it streams learn how long a window must wait for stragglers. The counts per
minute tell a source from which nothing arrives from an event that nobody triggers.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.sources import ArrivalRow, LatenessRow
from cliffwatch.db.upsert import upsert
from cliffwatch.spec.events import Events

Ints = NDArray[np.int64]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
FIRST_BUCKET_MS = 100
PER_OCTAVE = 4
"""Buckets per doubling: a quantile is known to a fifth of itself."""
IMPORTED_MS = DAY_MS
"""What is older when it arrives is history that somebody brings in; nobody waits for it."""
HISTORY_MS = 10 * MINUTE_MS
"""So long after mostly imported events a source is taken to bring history in: the newest day of it comes last."""
STRAGGLER_MS = 60 * MINUTE_MS
"""What waited longer than this while a source brings history in is a part of the history."""
STRAGGLING_SHARE = 0.95
"""What arrives within the time that such a share of a source's events needs may have happened before."""
LEARNED_DAYS = 7
KEPT_MINUTES_MS = 40 * DAY_MS
CACHE_SECONDS = 60.0


@dataclass
class Seen:
    """What arrived in some groups of events: (source, minute) and (source, day, bucket) -> events.

    `imported` are those of `minutes` that were history when they came.
    """

    minutes: Counter[tuple[int, int]] = field(default_factory=Counter)
    imported: Counter[tuple[int, int]] = field(default_factory=Counter)
    lateness: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def add(self, events: Events) -> None:
        """Note accepted events."""
        received = np.asarray(events.received_at_ms, dtype=np.int64)
        late = received - np.asarray(events.ts_ms, dtype=np.int64)
        source = np.asarray(events.source_id, dtype=np.int64)
        bucket = np.where(late < IMPORTED_MS, bucket_of(late), -1)
        # One number of all three sorts ten times as fast as three: 26 bits of minutes reach to 2097, a bucket has 7.
        keys = (source << 34) | (received // MINUTE_MS << 8) | (bucket + 1)
        distinct, counts = np.unique(keys, return_counts=True)
        for key, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            source_id, minute_ms, place = key >> 34, (key >> 8 & 0x3FFFFFF) * MINUTE_MS, (key & 0xFF) - 1
            self.minutes[source_id, minute_ms] += count
            if place >= 0:
                self.lateness[source_id, minute_ms - minute_ms % DAY_MS, place] += count
            else:
                self.imported[source_id, minute_ms] += count

    def absorb(self, other: Seen) -> None:
        self.minutes.update(other.minutes)
        self.imported.update(other.imported)
        self.lateness.update(other.lateness)

    def __bool__(self) -> bool:
        return bool(self.minutes)

    def without_history(self, until_ms: dict[int, int]) -> Seen:
        """Without the lateness of what belongs to a history that is being brought in.

        `until_ms` says of a source up to which minute that goes on; it is brought up to date.
        """
        for (source_id, minute_ms), count in self.imported.items():
            if 2 * count > self.minutes[source_id, minute_ms]:
                until_ms[source_id] = max(minute_ms + HISTORY_MS, until_ms.get(source_id, 0))
        bringing = {source_id for source_id, minute_ms in self.minutes if minute_ms <= until_ms.get(source_id, -1)}
        if not bringing:
            return self
        longest = int(bucket_of(np.array([STRAGGLER_MS]))[0])
        kept = {key: n for key, n in self.lateness.items() if key[0] not in bringing or key[2] <= longest}
        return Seen(self.minutes, self.imported, Counter(kept))


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late a source's events were in the last week. `counts` maps buckets to events."""

    counts: Mapping[int, int]

    @property
    def events(self) -> int:
        return sum(self.counts.values())

    def quantile_ms(self, share: float) -> int:
        """Within this many milliseconds such a share of the events arrived, rounded up to its bucket's end."""
        wanted, seen = share * self.events, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return end_of_bucket_ms(bucket)
        return 0


class Arrivals:
    """The only writer of arrivals and lateness. Any thread may add; readers may be in other processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending = Seen()
        self._cleaned_day = 0
        self._history_until_ms: dict[int, int] = {}
        self._known: dict[int, tuple[float, Lateness]] = {}

    def add(self, seen: Seen) -> None:
        """Keep what was seen until `take`, or what could not be written for the next time."""
        with self._lock:
            self._pending.absorb(seen.without_history(self._history_until_ms))

    def take(self) -> Seen:
        """What was seen since the last time; the caller writes it, or adds it again."""
        with self._lock:
            pending, self._pending = self._pending, Seen()
            return pending

    def write(self, session: Session, seen: Seen) -> None:
        """Add counts, within the caller's transaction; once a day, forget old ones."""
        came = [{"source_id": s, "minute_ms": minute, "events": n} for (s, minute), n in seen.minutes.items()]
        late = [
            {"source_id": s, "day_ms": day, "bucket": bucket, "events": n}
            for (s, day, bucket), n in seen.lateness.items()
        ]
        upsert(session, ArrivalRow, came, keys=("source_id", "minute_ms"), add=("events",))
        upsert(session, LatenessRow, late, keys=("source_id", "day_ms", "bucket"), add=("events",))
        if came:
            self._forget(session, max(minute for _, minute in seen.minutes))

    def lateness(self, source_id: int) -> Lateness:
        """How late the source's events were in the week before its newest one; read anew once a minute."""
        known = self._known.get(source_id)
        if known is not None and time.monotonic() - known[0] < CACHE_SECONDS:
            return known[1]
        with self._database.read() as session:
            newest = session.scalar(select(func.max(LatenessRow.day_ms)).where(LatenessRow.source_id == source_id))
            rows = session.execute(
                select(LatenessRow.bucket, func.sum(LatenessRow.events))
                .where(LatenessRow.source_id == source_id)
                .where(LatenessRow.day_ms > (newest or 0) - LEARNED_DAYS * DAY_MS)
                .group_by(LatenessRow.bucket)
            )
            found = Lateness({bucket: int(events) for bucket, events in rows})
        self._known[source_id] = (time.monotonic(), found)
        return found

    def lateness_around(self, source_id: int, moment_ms: int) -> tuple[Lateness, Lateness]:
        """How late the source's events were on the day (UTC) of a moment, and in the week before that day."""
        day_ms = moment_ms - moment_ms % DAY_MS
        with self._database.read() as session:
            rows = session.execute(
                select(LatenessRow.day_ms, LatenessRow.bucket, LatenessRow.events).where(
                    LatenessRow.source_id == source_id,
                    LatenessRow.day_ms >= day_ms - LEARNED_DAYS * DAY_MS,
                    LatenessRow.day_ms <= day_ms,
                )
            ).all()
        today, before = Counter[int](), Counter[int]()
        for day, bucket, events in rows:
            (today if day == day_ms else before)[bucket] += int(events)
        return Lateness(today), Lateness(before)

    def between(self, source_id: int, start_ms: int, end_ms: int) -> int:
        """How many events arrived in the whole minutes that lie in [start_ms, end_ms)."""
        with self._database.read() as session:
            found = session.scalar(
                select(func.sum(ArrivalRow.events)).where(
                    ArrivalRow.source_id == source_id,
                    ArrivalRow.minute_ms >= start_ms,
                    ArrivalRow.minute_ms + MINUTE_MS <= end_ms,
                )
            )
        return int(found or 0)

    def heard(self, source_id: int, start_ms: int, end_ms: int) -> int | None:
        """How many events of a source arrived from a moment to another, without stragglers from before the first.

        None when that cannot be told: arrivals were not counted yet, or only stragglers can have come so far.
        """
        known_ms = self.counts_since(source_id)
        if known_ms is None or known_ms > start_ms:
            return None
        straggled_ms = start_ms + self.lateness(source_id).quantile_ms(STRAGGLING_SHARE)
        first_ms = -(-straggled_ms // MINUTE_MS) * MINUTE_MS  # arrivals are counted by whole minutes
        return None if first_ms > end_ms else self.between(source_id, first_ms, end_ms + MINUTE_MS)

    def counts_since(self, source_id: int) -> int | None:
        """The first minute of which arrivals are known; None when there is none."""
        with self._database.read() as session:
            return session.scalar(select(func.min(ArrivalRow.minute_ms)).where(ArrivalRow.source_id == source_id))

    def _forget(self, session: Session, now: int) -> None:
        day = now // DAY_MS
        if day == self._cleaned_day:
            return
        self._cleaned_day = day
        session.execute(delete(ArrivalRow).where(ArrivalRow.minute_ms < now - KEPT_MINUTES_MS))
        session.execute(delete(LatenessRow).where(LatenessRow.day_ms < now - 2 * LEARNED_DAYS * DAY_MS))


def bucket_of(late_ms: Ints) -> Ints:
    """Bucket 0 holds everything up to FIRST_BUCKET_MS, also what seems to come from the future."""
    size = np.maximum(late_ms, FIRST_BUCKET_MS) / FIRST_BUCKET_MS
    bucket: Ints = np.ceil(PER_OCTAVE * np.log2(size) - 1e-9).astype(np.int64)
    return bucket


def end_of_bucket_ms(bucket: int) -> int:
    return int(np.rint(FIRST_BUCKET_MS * np.exp2(bucket / PER_OCTAVE)))
