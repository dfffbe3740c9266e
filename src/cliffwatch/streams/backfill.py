"""Back-fill: a new or changed stream's facts, made from the archive with the same projection that live events take.

It goes through the archive page by page in the order of arrival and remembers where it is, so that a crash costs one
page. Events that arrive meanwhile are projected live; where the two overlap, a message still counts once. What was
on its way into the archive when the stream was made, and so was projected without it, is read again at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import update

from cliffwatch.db import Database
from cliffwatch.db.streams import StreamRow
from cliffwatch.store import ArchiveBatch, ArchiveQuery, EventStore
from cliffwatch.streams.labels import NO_LABELS, Labels
from cliffwatch.streams.model import Stream
from cliffwatch.streams.projection import PageProjector

Ints = NDArray[np.int64]
Value = TypeVar("Value")

PAGE = 25_000
FOREVER_MS = 1 << 60
ON_ITS_WAY_MS = 60_000
"""An event may have arrived so long before it is in the archive ..."""
FLOWING_MS = 5_000
"""... and while events flow, as in these last seconds, one group of them is between projection and archive ..."""
GROUP_SECONDS = 2.0
"""... for so long at most."""
_LEAST = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a back-fill is: the last archive row read, and how many messages were read.

    `asked_ms` is when it was asked for; `retires` are the facts of earlier definitions, which go when the new ones
    are there.
    """

    after: tuple[int, int] | None = None
    done: int = 0
    asked_ms: int = 0
    retires: tuple[int, ...] = ()

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Cursor:
        after = payload.get("after")
        return cls(
            (after[0], after[1]) if after else None,
            payload.get("done", 0),
            payload.get("asked_ms", 0),
            tuple(payload.get("retires", ())),
        )


def fill(
    store: EventStore,
    database: Database,
    stream: Stream,
    cursor: Cursor,
    save: Callable[[Cursor], None],
    labels: Labels = NO_LABELS,
) -> None:
    """Write the stream's facts from the archive, from `cursor` on; `save` is called after each page is durable."""
    query = query_of(stream)
    total = store.count_archive(query)
    projector = PageProjector(stream, labels)
    recent: list[Ints] = []
    flowing = False
    _tell(database, stream, cursor.done, total)
    for page in _pages(store, query, cursor.after):
        store.write(None, projector.project(page))
        cursor = replace(cursor, after=_end_of(page), done=cursor.done + len(page))
        recent.append(page.message_hash[page.received_at_ms >= cursor.asked_ms - ON_ITS_WAY_MS])
        flowing = flowing or _end_of(page)[0] >= cursor.asked_ms - FLOWING_MS
        _tell(database, stream, cursor.done, total)
        save(cursor)
    if flowing:
        time.sleep(GROUP_SECONDS)
    for page in _pages(store, query, (cursor.asked_ms - ON_ITS_WAY_MS, _LEAST)):
        store.write(None, projector.project(_without(page, recent)))
    for facts_id in cursor.retires:
        store.delete_facts(facts_id)
    _tell(database, stream, total, total)


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


def _pages(store: EventStore, query: ArchiveQuery, after: tuple[int, int] | None) -> Iterator[ArchiveBatch]:
    """The pages after a row. The next one is read while the last one is worked on."""
    with ThreadPoolExecutor(1, "cliffwatch-archive") as reader:
        coming = reader.submit(store.read_archive, replace(query, after=after))
        while len(page := coming.result()) == query.limit:
            coming = reader.submit(store.read_archive, replace(query, after=_end_of(page)))
            yield page
        if len(page):
            yield page


def _without(page: ArchiveBatch, known: Sequence[Ints]) -> ArchiveBatch:
    """The rows whose messages are not known already."""
    keep = np.flatnonzero(~np.isin(page.message_hash, np.concatenate([*known, np.empty(0, np.int64)])))

    def only(column: Sequence[Value]) -> list[Value]:
        return [column[row] for row in keep.tolist()]

    return ArchiveBatch(
        source_id=page.source_id[keep],
        kind=only(page.kind),
        name=only(page.name),
        ts_ms=page.ts_ms[keep],
        received_at_ms=page.received_at_ms[keep],
        message_hash=page.message_hash[keep],
        user_id=only(page.user_id),
        anonymous_id=only(page.anonymous_id),
        body=only(page.body),
    )


def _end_of(page: ArchiveBatch) -> tuple[int, int]:
    return int(page.received_at_ms[-1]), int(page.message_hash[-1])


def _tell(database: Database, stream: Stream, done: int, total: int) -> None:
    with database.write() as session:
        session.execute(
            update(StreamRow)
            .where(StreamRow.id == stream.id)
            .values(backfill_done=min(done, total), backfill_total=total)
        )
