"""How many messages of a source met each verdict, by what sent them, per minute and per hour: the delivery overview.

Each message is counted under one verdict, so that what was received is what was stored, came twice, was filtered, or
was rejected. Minutes are kept for some hours, hours for two months.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.upsert import upsert
from cliffwatch.db.volumes import MinuteVolumeRow, SenderCountRow, VolumeRow
from cliffwatch.ingest.tally import HOUR_MS, MINUTE_MS, Counts, hour_of
from cliffwatch.spec.sender import Sender
from cliffwatch.spec.verdict import Verdict

MINUTES_KEPT_MS = 9 * HOUR_MS
"""Twice the longest period that is counted in minutes, and an hour for those who look at it a while."""
IN_MINUTES_MS = 4 * HOUR_MS
"""A period up to this long is counted in minutes, as long as they are kept."""
HOURS_KEPT_MS = 62 * 24 * HOUR_MS
"""Two months: the longest period of the overview, and the one before it to compare with."""
SENDERS = 200
"""Distinct senders of a source that are told apart in an hour; the others are counted together."""
OTHERS = Sender("(others)", "(others)")


@dataclass(frozen=True, slots=True)
class Delivered:
    """Messages in [start_ms, start_ms + span_ms) of one verdict and one sender."""

    start_ms: int
    verdict: Verdict
    sender: Sender
    count: int


def span_of(start_ms: int, end_ms: int, now: int) -> int:
    """The finest span that a period can be counted in: that of a minute, or of an hour."""
    short = end_ms - start_ms <= IN_MINUTES_MS and start_ms >= now - MINUTES_KEPT_MS + MINUTE_MS
    return MINUTE_MS if short else HOUR_MS


class DeliveryCounts:
    """The only writer of the counts of the overview. One thread writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._senders: dict[int, tuple[int, set[Sender]]] = {}
        self._trimmed_minute = 0

    def write(self, session: Session, counts: Counts) -> None:
        """Add counts, within the caller's transaction."""
        if not counts:
            return
        found: Counter[tuple[int, int, int, Verdict, Sender]] = Counter()
        for (source_id, minute, verdict, said), count in counts.items():
            sender = self._bounded(session, source_id, hour_of(minute), said)
            found[source_id, MINUTE_MS, minute, verdict, sender] += count
            found[source_id, HOUR_MS, hour_of(minute), verdict, sender] += count
        values = [
            {
                "source_id": source_id,
                "span_ms": span,
                "start_ms": start,
                "verdict": str(verdict),
                "library": sender.library,
                "app_version": sender.app_version,
                "count": count,
            }
            for (source_id, span, start, verdict, sender), count in found.items()
        ]
        keys = ("source_id", "span_ms", "start_ms", "verdict", "library", "app_version")
        upsert(session, SenderCountRow, values, keys=keys, add=("count",))
        self._trim(session, max(minute for _, minute, _, _ in counts))

    def list(self, source_id: int, start_ms: int, end_ms: int, span_ms: int) -> list[Delivered]:
        """The counts of [start_ms, end_ms), which are multiples of the span, in order of time."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SenderCountRow)
                .where(SenderCountRow.source_id == source_id, SenderCountRow.span_ms == span_ms)
                .where(SenderCountRow.start_ms >= start_ms, SenderCountRow.start_ms < end_ms)
                .order_by(SenderCountRow.start_ms, SenderCountRow.id)
            )
            return [
                Delivered(row.start_ms, Verdict(row.verdict), Sender(row.library, row.app_version), row.count)
                for row in rows
            ]

    def _bounded(self, session: Session, source_id: int, hour: int, sender: Sender) -> Sender:
        """The sender, or that of all others when a source had too many in this hour already."""
        known_hour, known = self._senders.get(source_id, (-1, set()))
        if hour > known_hour:
            rows = session.execute(
                select(SenderCountRow.library, SenderCountRow.app_version)
                .where(SenderCountRow.source_id == source_id, SenderCountRow.span_ms == HOUR_MS)
                .where(SenderCountRow.start_ms == hour)
                .distinct()
            )
            known = {Sender(library, version) for library, version in rows}
            self._senders[source_id] = hour, known
        if sender not in known:
            if len(known) >= SENDERS:
                return OTHERS
            known.add(sender)
        return sender

    def _trim(self, session: Session, minute: int) -> None:
        """Once a minute, forget what no period reaches any more."""
        if minute <= self._trimmed_minute:
            return
        self._trimmed_minute = minute
        oldest = {MINUTE_MS: minute - MINUTES_KEPT_MS, HOUR_MS: minute - HOURS_KEPT_MS}
        for span, start in oldest.items():
            session.execute(
                delete(SenderCountRow).where(SenderCountRow.start_ms < start, SenderCountRow.span_ms == span)
            )
        session.execute(delete(MinuteVolumeRow).where(MinuteVolumeRow.minute_ms < oldest[MINUTE_MS]))
        session.execute(delete(VolumeRow).where(VolumeRow.hour_ms < oldest[HOUR_MS]))


def by_verdict(found: Mapping[Verdict, int]) -> dict[str, int]:
    """received, stored, repeated, filtered and rejected messages; the first is the sum of the others."""
    counts: dict[str, int] = defaultdict(int)
    for verdict, count in found.items():
        if verdict.counted_beside:
            continue
        counts["received"] += count
        if verdict is Verdict.ACCEPTED:
            counts["stored"] += count
        elif verdict is Verdict.DUPLICATE:
            counts["repeated"] += count
        else:
            counts["filtered" if verdict.filtered else "rejected"] += count
    return {name: counts[name] for name in ("received", "stored", "repeated", "filtered", "rejected")}
