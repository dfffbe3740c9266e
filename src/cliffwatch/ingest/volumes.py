"""How many events of each name came per hour: what the delivery overview breaks down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.volumes import VolumeRow
from cliffwatch.ingest.catalogue import Observed
from cliffwatch.ingest.tally import HOUR_MS, hour_of
from cliffwatch.spec.model import Kind

KEPT_MS = 62 * 24 * HOUR_MS
"""Two months: the longest period of the overview, and the one before it to compare with."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Messages of one (kind, name) in a period, repeats included."""

    kind: Kind
    name: str
    count: int


class Volumes:
    """The only writer of the table of volumes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._trimmed_hour = 0

    def write(self, session: Session, observed: Observed) -> None:
        """Add what was observed, within the caller's transaction; an event counts in the hour in which it came."""
        counts: Counter[tuple[int, int, str, str]] = Counter()
        for (source_id, kind, name), found in observed.items():
            counts[source_id, hour_of(found.last_ms), kind.value, name] += found.count
        if not counts:
            return
        insert = sqlite_insert if self._database.is_sqlite else postgresql_insert
        statement = insert(VolumeRow)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["source_id", "hour_ms", "kind", "name"],
                set_={"count": VolumeRow.count + statement.excluded.count},
            ),
            [
                {"source_id": source_id, "hour_ms": hour_ms, "kind": kind, "name": name, "count": count}
                for (source_id, hour_ms, kind, name), count in counts.items()
            ],
        )
        self._trim(session, max(hour_ms for _, hour_ms, _, _ in counts))

    def list(self, source_id: int, start_ms: int, end_ms: int) -> list[Volume]:
        """What came in the hours of [start_ms, end_ms), the most frequent first."""
        total = func.sum(VolumeRow.count)
        with self._database.read() as session:
            rows = session.execute(
                select(VolumeRow.kind, VolumeRow.name, total)
                .where(VolumeRow.source_id == source_id, VolumeRow.hour_ms >= hour_of(start_ms))
                .where(VolumeRow.hour_ms < end_ms)
                .group_by(VolumeRow.kind, VolumeRow.name)
                .order_by(total.desc(), VolumeRow.name)
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

    def _trim(self, session: Session, hour_ms: int) -> None:
        """Once an hour, forget what no period reaches any more."""
        if hour_ms > self._trimmed_hour:
            session.execute(delete(VolumeRow).where(VolumeRow.hour_ms < hour_ms - KEPT_MS))
            self._trimmed_hour = hour_ms
