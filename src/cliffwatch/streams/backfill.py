"""Back-fill: a new or changed stream's facts, made from the archive with the same projection that live events take.

The archive is cut into parts by time of arrival, which may be read at the same time, by several processes. Each goes
through its part page by page and remembers where it is, so that a crash costs one page. Events that arrive meanwhile
are projected live; where the two overlap, a message still counts once. What was on its way into the archive when the
stream was made, and so was projected without it, is read again at the end.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from cliffwatch.db.streams import StreamRow
from cliffwatch.store import ArchiveBatch, ArchiveQuery, EventStore
from cliffwatch.streams.labels import NO_LABELS, Labels
from cliffwatch.streams.model import Stream, StreamState
from cliffwatch.streams.projection import PageProjector

PAGE = 25_000
PART = 100_000
"""Messages of a part, unless there are more than of the most parts."""
MOST_PARTS = 8
"""Of a back-fill that several processes work on."""
FOREVER_MS = 1 << 60
ON_ITS_WAY_MS = 60_000
"""An event may have arrived so long before it is in the archive; clocks of two processes differ by less."""
FLOWING_MS = 5_000
"""While events flow, as in these last seconds, one group of them is between projection and archive ..."""
GROUP_SECONDS = 2.0
"""... for so long at most."""
_MOST = (1 << 63) - 1
"""The highest hash, and what sums of them are kept within."""

Sighting = tuple[int, int]
"""Of some messages, each once: how many, and the sum of their hashes."""


@dataclass(frozen=True, slots=True)
class Part:
    """What arrived in a stretch of time, and how far it is read: `after` is the last row, `done` counts messages.

    `newest` are those among them that arrived around the moment when the back-fill was asked for. `is_over` says that
    nothing is left to read.
    """

    after: tuple[int, int] | None = None
    before_ms: int | None = None
    done: int = 0
    newest: Sighting = (0, 0)
    is_over: bool = False

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Part:
        """From the payload of its job."""
        after, newest = payload.get("after"), payload.get("newest", (0, 0))
        return cls(
            (after[0], after[1]) if after else None,
            payload.get("before_ms"),
            payload.get("done", 0),
            (newest[0], newest[1]),
            payload.get("is_over", False),
        )

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "after": self.after,
            "before_ms": self.before_ms,
            "done": self.done,
            "newest": self.newest,
            "is_over": self.is_over,
        }


def cut(store: EventStore, stream: Stream, total: int, most: int) -> list[Part]:
    """The parts of an archive with `total` messages of the stream, `most` at most; of nothing there is none."""
    query = query_of(stream)
    if not total:
        return []
    cuts = store.archive_cuts(query, min(-(-total // PART), most))
    return [Part(None if low is None else (low - 1, _MOST), high) for low, high in pairwise([None, *cuts, None])]


def fill(
    store: EventStore, stream: Stream, part: Part, asked_ms: int, pages: int, labels: Labels = NO_LABELS
) -> Generator[Part]:
    """Write the stream's facts of some pages of a part; gives how far it is after each page that is durable."""
    query = replace(query_of(stream), before_ms=part.before_ms)
    projector = PageProjector(stream, labels)
    for page in _pages(store, query, part.after, pages):
        store.write(None, projector.project(page))
        part = replace(
            part,
            after=_end_of(page) if len(page) else part.after,
            done=part.done + len(page),
            newest=both(part.newest, _sighting(page, asked_ms)),
            is_over=len(page) < query.limit,
        )
        yield part


def fill_again(store: EventStore, stream: Stream, newest: Sighting, asked_ms: int, labels: Labels = NO_LABELS) -> None:
    """Look once more at what arrived around the moment when the back-fill was asked for, and take it if there is more
    than the parts have seen: that was projected without the stream, or is there already, and counts once."""
    query = replace(query_of(stream), before_ms=asked_ms + ON_ITS_WAY_MS)
    since = (asked_ms - ON_ITS_WAY_MS - 1, _MOST)
    flowing = replace(query, after=(asked_ms - FLOWING_MS - 1, _MOST), limit=1)
    if len(store.read_archive(flowing)):
        time.sleep(GROUP_SECONDS)
    seen: Sighting = (0, 0)
    for page in _pages(store, query, since):
        seen = both(seen, _sighting(page, asked_ms))
    if seen != newest:
        projector = PageProjector(stream, labels)
        for page in _pages(store, query, since):
            store.write(None, projector.project(page))


def begun(session: Session, stream: Stream, total: int) -> bool:
    """Note how many messages there are to read; False when the stream is another meanwhile. Keeps it as it is until
    the end of the transaction."""
    return _note(session, stream, {"backfill_done": 0, "backfill_total": total})


def advanced(session: Session, stream: Stream, count: int) -> bool:
    """Note that so many more messages are read; False when the stream is another meanwhile."""
    return _note(session, stream, {"backfill_done": StreamRow.backfill_done + count})


def completed(session: Session, stream: Stream) -> bool:
    """Note that all is read; False when the stream is another meanwhile. Keeps it as it is until the end of the
    transaction."""
    return _note(session, stream, {"backfill_done": StreamRow.backfill_total})


def alone(session: Session, stream_id: int) -> None:
    """Let the ends of a stream's parts come one after the other, until the end of the transaction."""
    session.execute(select(StreamRow.id).where(StreamRow.id == stream_id).with_for_update())


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


def _note(session: Session, stream: Stream, values: Mapping[str, Any]) -> bool:
    same = (
        StreamRow.id == stream.id,
        StreamRow.revision == stream.revision,
        StreamRow.state != StreamState.DELETED.value,
    )
    result = session.execute(update(StreamRow).where(*same).values(**values))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def _pages(
    store: EventStore, query: ArchiveQuery, after: tuple[int, int] | None, most: int = FOREVER_MS
) -> Iterator[ArchiveBatch]:
    """The pages after a row, `most` of them; the last of all is not full. The next one is read while the last one is
    worked on."""
    with ThreadPoolExecutor(1, "cliffwatch-archive") as reader:
        coming = reader.submit(store.read_archive, replace(query, after=after))
        for number in range(1, most + 1):
            page = coming.result()
            goes_on = len(page) == query.limit
            if goes_on and number < most:
                coming = reader.submit(store.read_archive, replace(query, after=_end_of(page)))
            yield page
            if not goes_on:
                return


def _end_of(page: ArchiveBatch) -> tuple[int, int]:
    return int(page.received_at_ms[-1]), int(page.message_hash[-1])


def _sighting(page: ArchiveBatch, asked_ms: int) -> Sighting:
    received = page.received_at_ms
    near = (received >= asked_ms - ON_ITS_WAY_MS) & (received < asked_ms + ON_ITS_WAY_MS)
    return int(near.sum()), sum(page.message_hash[near].tolist()) & _MOST


def both(one: Sighting, other: Sighting) -> Sighting:
    """Of two sets of messages that share none."""
    return one[0] + other[0], (one[1] + other[1]) & _MOST
