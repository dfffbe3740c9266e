"""The newest messages of each source, in memory, for people who watch them come in."""

from __future__ import annotations

import itertools
import json
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cliffwatch.ingest.model import RecentEvent
from cliffwatch.spec.accept import Rejection
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import Event
from cliffwatch.spec.verdict import Verdict

KEPT = 500
"""Messages per source, as many as Segment's own debugger shows."""
KEPT_BYTES = 4_000_000
"""Per source, of messages as JSON: 120 of the largest that are taken, and 500 of any usual size."""
SOURCES = 100
ALL_BYTES = 64_000_000
"""Of all sources together; beyond it, or beyond `SOURCES`, the source that was quiet longest is forgotten first."""


class _Ring:
    """The newest messages of a source: what became of each, without its fields, and those as JSON, which takes a part
    of the memory. The newest one stays, however large."""

    def __init__(self) -> None:
        self.entries: deque[tuple[RecentEvent, bytes]] = deque()
        self.bytes = 0

    def add(self, event: RecentEvent, fields: bytes) -> None:
        self.entries.append((event, fields))
        self.bytes += len(fields)
        while len(self.entries) > KEPT or (self.bytes > KEPT_BYTES and len(self.entries) > 1):
            self.bytes -= len(self.entries.popleft()[1])


class Recent:
    """A ring of messages per source. Any thread may add or look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: OrderedDict[int, _Ring] = OrderedDict()
        self._sequence = itertools.count(1)

    def add(self, source_id: int, items: Iterable[tuple[int, Event | Rejection]]) -> None:
        """(received_ms, what became of it), oldest first."""
        with self._lock:
            ring = self._rings.setdefault(source_id, _Ring())
            self._rings.move_to_end(source_id)
            for received_ms, item in items:
                ring.add(*_apart(next(self._sequence), source_id, received_ms, item))
            while len(self._rings) > SOURCES or (self.bytes > ALL_BYTES and len(self._rings) > 1):
                self._rings.popitem(last=False)

    @property
    def bytes(self) -> int:
        """What is remembered of all sources."""
        return sum(ring.bytes for ring in self._rings.values())

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Take a person's messages out of view; returns how many."""
        gone = 0
        with self._lock:
            for source_id in source_ids:
                ring = self._rings.get(source_id)
                if ring is not None:
                    kept = _Ring()
                    for event, fields in ring.entries:
                        if not _is_of(fields, user_ids, anonymous_ids):
                            kept.add(event, fields)
                    gone += len(ring.entries) - len(kept.entries)
                    self._rings[source_id] = kept
        return gone

    def list(self, source_id: int, limit: int = 100, after: int = 0) -> list[RecentEvent]:
        """Newest first, only those with a sequence above `after`."""
        with self._lock:
            ring = self._rings.get(source_id)
            entries = [*ring.entries] if ring is not None else []
        newer = ((event, fields) for event, fields in reversed(entries) if event.sequence > after)
        return [replace(event, fields=decode_json(fields)) for event, fields in itertools.islice(newer, limit)]


def _is_of(fields: bytes, user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> bool:
    message = decode_json(fields)
    if not isinstance(message, dict):
        return False
    return message.get("userId") in user_ids or message.get("anonymousId") in anonymous_ids


def _apart(sequence: int, source_id: int, received_ms: int, item: Event | Rejection) -> tuple[RecentEvent, bytes]:
    """What became of a message, without its fields; and those as JSON."""
    if isinstance(item, Event):
        user = item.user_id or item.anonymous_id or ""
        told = (Verdict.ACCEPTED, str(item.kind), item.name, item.message_id, user)
        return RecentEvent(sequence, source_id, received_ms, *told, fields=None), item.body
    message = item.message if isinstance(item.message, dict) else {}
    shown = {name: value for name, value in message.items() if name != "writeKey"} if message else item.message
    told = (
        item.verdict,
        str(message.get("type", "")),
        str(message.get("event") or message.get("name") or ""),
        str(message.get("messageId") or ""),
        str(message.get("userId") or message.get("anonymousId") or ""),
    )
    return RecentEvent(sequence, source_id, received_ms, *told, fields=None), json.dumps(shown).encode()
