"""Back-fill: a new or changed stream's facts, made from the archive with the same projection that live events take.

It goes through the archive page by page and remembers where it is, so that a crash costs one page. Events that arrive
meanwhile are projected live; where the two overlap, a message still counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import update

from cliffwatch.db import Database
from cliffwatch.db.streams import StreamRow
from cliffwatch.spec.hashing import actor_hash
from cliffwatch.spec.model import Event, JsonValue, Kind
from cliffwatch.store import ArchiveBatch, ArchiveQuery, EventStore
from cliffwatch.streams.model import Stream
from cliffwatch.streams.projection import project

PAGE = 20_000
FOREVER_MS = 1 << 60


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a back-fill is: the last archive row read, and how many messages were read."""

    after: tuple[int, int] | None = None
    done: int = 0

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Cursor:
        after = payload.get("after")
        return cls((after[0], after[1]) if after else None, payload.get("done", 0))


def fill(store: EventStore, database: Database, stream: Stream, cursor: Cursor, save: Callable[[Cursor], None]) -> None:
    """Write the stream's facts from the archive, from `cursor` on; `save` is called after each page is durable."""
    query = query_of(stream)
    total = store.count_archive(query)
    while True:
        page = store.read_archive(ArchiveQuery(**{**_fields(query), "after": cursor.after}))
        if len(page):
            store.write(None, project(stream, events_of(page)))
            cursor = Cursor((int(page.received_at_ms[-1]), int(page.message_hash[-1])), cursor.done + len(page))
        with database.write() as session:
            session.execute(
                update(StreamRow)
                .where(StreamRow.id == stream.id)
                .values(backfill_done=cursor.done, backfill_total=max(total, cursor.done))
            )
        save(cursor)
        if len(page) < query.limit:
            return


def query_of(stream: Stream) -> ArchiveQuery:
    """The archived events that a stream selects by kind and name."""
    return ArchiveQuery(
        source_id=stream.source_id,
        start_ms=-FOREVER_MS,
        end_ms=FOREVER_MS,
        kinds=(stream.definition.spec_type.kind.value,),
        names=stream.definition.events,
        limit=PAGE,
    )


def events_of(page: ArchiveBatch) -> list[Event]:
    """Archive rows as the events that they were."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    events = []
    rows = zip(
        page.source_id.tolist(),
        page.kind,
        page.name,
        page.ts_ms.tolist(),
        page.received_at_ms.tolist(),
        page.message_hash.tolist(),
        page.user_id,
        page.anonymous_id,
        page.body,
        strict=True,
    )
    for source, kind, name, ts, received, message, user, anonymous, body in rows:
        fields: Mapping[str, JsonValue] = decode(body)
        group = fields.get("groupId") if kind == Kind.GROUP.value else None
        events.append(
            Event(
                source_id=source,
                kind=Kind(kind),
                name=name,
                ts_ms=ts,
                received_at_ms=received,
                message_id=str(fields.get("messageId", "")),
                message_hash=message,
                actor_hash=actor_hash(user, anonymous, group if isinstance(group, str) else None),
                user_id=user or None,
                anonymous_id=anonymous or None,
                fields=fields,
            )
        )
    return events


def _fields(query: ArchiveQuery) -> dict[str, Any]:
    return {name: getattr(query, name) for name in ArchiveQuery.__dataclass_fields__}
