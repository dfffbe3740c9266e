"""How many events of each name came per hour and, lately, per minute: what the delivery overview breaks down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.upsert import upsert
from cliffwatch.db.volumes import MinuteVolumeRow, VolumeRow
from cliffwatch.ingest.catalogue import Observed
from cliffwatch.ingest.tally import HOUR_MS, MINUTE_MS, hour_of
from cliffwatch.spec.model import Kind

_Key = tuple[int, int, str, str]
"""(source, start, kind, name)."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Messages of one (kind, name) in a period, repeats included."""

    kind: Kind
    name: str
    count: int


class Volumes:
    """The only writer of the volumes; `DeliveryCounts` takes away what is too old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, session: Session, observed: Observed) -> None:
        """Add what was observed, within the caller's transaction; an event counts when it came."""
        minutes: Counter[_Key] = Counter()
        hours: Counter[_Key] = Counter()
        for (source_id, kind, name), found in observed.items():
            for minute, count in found.minutes.items():
                minutes[source_id, minute, kind.value, name] += count
                hours[source_id, hour_of(minute), kind.value, name] += count
        self._add(session, MinuteVolumeRow, "minute_ms", minutes)
        self._add(session, VolumeRow, "hour_ms", hours)

    def list(self, source_id: int, start_ms: int, end_ms: int, span_ms: int = HOUR_MS) -> list[Volume]:
        """What came in [start_ms, end_ms), times that are multiples of the span (a minute or an hour), the most
        frequent first. Minutes are known of the last hours."""
        row = MinuteVolumeRow if span_ms == MINUTE_MS else VolumeRow
        at = MinuteVolumeRow.minute_ms if span_ms == MINUTE_MS else VolumeRow.hour_ms
        total = func.sum(row.count)
        with self._database.read() as session:
            rows = session.execute(
                select(row.kind, row.name, total)
                .where(row.source_id == source_id, at >= start_ms, at < end_ms)
                .group_by(row.kind, row.name)
                .order_by(total.desc(), row.name)
            )
            return [Volume(Kind(kind), name, int(count)) for kind, name, count in rows]

    def hours(self, source_ids: Sequence[int], start_ms: int, end_ms: int) -> Iterator[tuple[int, Volume]]:
        """(hour, what came in it) of these sources together, in the hours of [start_ms, end_ms)."""
        total = func.sum(VolumeRow.count)
        with self._database.read() as session:
            rows = session.execute(
                select(VolumeRow.hour_ms, VolumeRow.kind, VolumeRow.name, total)
                .where(VolumeRow.source_id.in_(source_ids), VolumeRow.hour_ms >= hour_of(start_ms))
                .where(VolumeRow.hour_ms < end_ms)
                .group_by(VolumeRow.hour_ms, VolumeRow.kind, VolumeRow.name)
            ).all()
        return ((hour_ms, Volume(Kind(kind), name, int(count))) for hour_ms, kind, name, count in rows)

    def _add(
        self, session: Session, row: type[VolumeRow] | type[MinuteVolumeRow], at: str, counts: Counter[_Key]
    ) -> None:
        values = [
            {"source_id": source_id, at: start_ms, "kind": kind, "name": name, "count": count}
            for (source_id, start_ms, kind, name), count in counts.items()
        ]
        upsert(session, row, values, keys=("source_id", at, "kind", "name"), add=("count",))
