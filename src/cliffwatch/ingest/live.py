"""The live view over several processes: what each takes in of a source that somebody looks at is shown to all.

    page: somebody looks at source 7 ──> live_watches (for half a minute at a time)
    every process, once a second:        its newest messages of watched sources ──> live_events
    page:                                live_events, newest first

Nothing is written while nobody looks, and what was written is gone soon after the last one has left. It is bounded as
in memory, by messages and by bytes.
"""

from __future__ import annotations

import builtins
import itertools
import json
import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, and_, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.together import LiveEventRow, LiveWatchRow
from cliffwatch.ingest.model import RecentEvent
from cliffwatch.ingest.recent import ALL_BYTES, KEPT, KEPT_BYTES, Recent
from cliffwatch.spec.verdict import Verdict

WATCH_MS = 30_000
"""How long a look lasts that is not repeated."""
RENEW_MS = 10_000
MOST_AT_ONCE = 200
MOST_BYTES_AT_ONCE = 1_000_000
"""Messages of a source that a process shows in a second, and their size as JSON; of more, the newest."""
_ORDER = text("SELECT pg_advisory_xact_lock(4203)")  # ids become visible in their order, so that none is passed over


class LiveEvents:
    """One per process, over PostgreSQL. The only writer of `live_watches` and `live_events`."""

    def __init__(self, database: Database, recent: Recent) -> None:
        self._database = database
        self._recent = recent
        self._lock = threading.Lock()
        self._renewed: dict[int, int] = {}
        self._shown: dict[int, tuple[int, int]] = {}
        """Source -> (beginning of the watch, number of the newest message of this process that was shown)."""

    def watch(self, source_id: int, now: int) -> None:
        """Somebody looks at this source now; cheap enough for every look."""
        with self._lock:
            if now - self._renewed.get(source_id, -RENEW_MS) < RENEW_MS:
                return
            self._renewed[source_id] = now
        with self._database.write() as session:
            known = session.get(LiveWatchRow, source_id, with_for_update=True)
            if known is not None and known.until_ms >= now:
                known.until_ms = now + WATCH_MS
                return
            session.execute(delete(LiveEventRow).where(LiveEventRow.source_id == source_id))
            fresh = {"since_ms": now, "until_ms": now + WATCH_MS}
            statement = insert(LiveWatchRow).values(source_id=source_id, **fresh)
            session.execute(statement.on_conflict_do_update(index_elements=["source_id"], set_=fresh))

    def show(self, now: int) -> None:
        """Once a second: show what came in through this process, and clear away what nobody looks at any more."""
        with self._lock:
            with self._database.read() as session:
                watches = {row.source_id: row for row in session.scalars(select(LiveWatchRow))}
            over = [source_id for source_id, row in watches.items() if row.until_ms < now]
            watched = {source_id: row.since_ms for source_id, row in watches.items() if row.until_ms >= now}
            fresh = {source_id: self._fresh(source_id, since_ms) for source_id, since_ms in watched.items()}
            self._shown = {source_id: known for source_id, known in self._shown.items() if source_id in watches}
            if not over and not any(fresh.values()):
                return
            with self._database.write() as session:
                session.execute(_ORDER)
                self._forget(session, over, now)
                for source_id, events in fresh.items():
                    session.add_all(_row(event, text) for event, text in events)
                    session.flush()
                    if events:
                        self._trim(session, source_id)
                self._trim_all(session)
            for source_id, events in fresh.items():
                if events:
                    self._shown[source_id] = watched[source_id], events[-1][0].sequence

    def list(self, source_id: int, limit: int, after: int) -> builtins.list[RecentEvent]:
        """Newest first, only those with a sequence above `after`."""
        query = select(LiveEventRow).where(LiveEventRow.source_id == source_id, LiveEventRow.id > after)
        with self._database.read() as session:
            found = [_event(row) for row in session.scalars(query.order_by(LiveEventRow.id.desc()).limit(limit))]
        return sorted(found, key=lambda event: (event.received_at_ms, event.sequence), reverse=True)

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Forget what is shown of these sources, whoever's it is; returns how many messages went."""
        del user_ids, anonymous_ids
        with self._database.write() as session:
            gone = session.execute(delete(LiveEventRow).where(LiveEventRow.source_id.in_(source_ids)))
            assert isinstance(gone, CursorResult)
            return gone.rowcount

    def _fresh(self, source_id: int, since_ms: int) -> builtins.list[tuple[RecentEvent, str]]:
        """The messages of this process that are not shown yet, oldest first, each with what is shown of it as JSON.
        With a new watch those are all it knows."""
        began, newest = self._shown.get(source_id, (since_ms, 0))
        found: builtins.list[tuple[RecentEvent, str]] = []
        held = 0
        for event in self._recent.list(source_id, MOST_AT_ONCE, newest if began == since_ms else 0):
            text = _shown(event)
            held += len(text)
            if found and held > MOST_BYTES_AT_ONCE:
                break
            found.append((event, text))
        return found[::-1]

    def _forget(self, session: Session, source_ids: Sequence[int], now: int) -> None:
        if not source_ids:
            return
        still_over = (LiveWatchRow.source_id.in_(source_ids), LiveWatchRow.until_ms < now)
        gone = session.scalars(delete(LiveWatchRow).where(*still_over).returning(LiveWatchRow.source_id)).all()
        session.execute(delete(LiveEventRow).where(LiveEventRow.source_id.in_(gone)))

    def _trim(self, session: Session, source_id: int) -> None:
        """Of a source the newest stay, as in memory: so many, and so many bytes; the newest one however large."""
        mine = LiveEventRow.source_id == source_id
        newest_first = LiveEventRow.id.desc()
        place = func.row_number().over(order_by=newest_first)
        held = func.sum(LiveEventRow.bytes).over(order_by=newest_first)
        rows = select(LiveEventRow.id, place.label("place"), held.label("held")).where(mine).subquery()
        beyond = or_(rows.c.place > KEPT, and_(rows.c.held > KEPT_BYTES, rows.c.place > 1))
        newest_to_go = select(func.max(rows.c.id)).where(beyond).scalar_subquery()
        session.execute(delete(LiveEventRow).where(mine, LiveEventRow.id <= newest_to_go))

    def _trim_all(self, session: Session) -> None:
        """Of all sources so many bytes stay; beyond them, the source that was quiet longest is forgotten first."""
        held, newest = func.sum(LiveEventRow.bytes), func.max(LiveEventRow.id)
        totals = session.execute(
            select(LiveEventRow.source_id, held).group_by(LiveEventRow.source_id).order_by(newest.desc())
        )
        sources = [(source_id, int(size)) for source_id, size in totals]
        up_to = itertools.accumulate(size for _, size in sources)
        gone = [source_id for (source_id, _), total in zip(sources[1:], [*up_to][1:], strict=True) if total > ALL_BYTES]
        if gone:
            session.execute(delete(LiveEventRow).where(LiveEventRow.source_id.in_(gone)))


def _shown(event: RecentEvent) -> str:
    shown = {
        "verdict": event.verdict.value,
        "kind": event.kind,
        "name": event.name,
        "message_id": event.message_id,
        "user": event.user,
        "fields": event.fields,
    }
    return json.dumps(shown, default=str)


def _row(event: RecentEvent, text: str) -> LiveEventRow:
    received_ms = event.received_at_ms
    return LiveEventRow(source_id=event.source_id, received_ms=received_ms, bytes=len(text), shown=json.loads(text))


def _event(row: LiveEventRow) -> RecentEvent:
    shown: dict[str, Any] = row.shown
    return RecentEvent(
        row.id,
        row.source_id,
        row.received_ms,
        Verdict(shown["verdict"]),
        shown["kind"],
        shown["name"],
        shown["message_id"],
        shown["user"],
        shown["fields"],
    )
