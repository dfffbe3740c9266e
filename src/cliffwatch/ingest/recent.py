"""The newest messages of each source, in memory, for people who watch them come in."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence

from cliffwatch.ingest.model import RecentEvent
from cliffwatch.spec.accept import Rejection
from cliffwatch.spec.model import Event
from cliffwatch.spec.verdict import Verdict

KEPT = 500
"""Messages per source, as many as Segment's own debugger shows."""
SOURCES = 100
"""Sources that are remembered; the one that was quiet longest is forgotten first."""


class Recent:
    """A ring of messages per source. Any thread may add or look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: OrderedDict[int, deque[tuple[int, int, Event | Rejection]]] = OrderedDict()
        self._sequence = itertools.count(1)

    def add(self, source_id: int, items: Iterable[tuple[int, Event | Rejection]]) -> None:
        """(received_ms, what became of it), oldest first."""
        with self._lock:
            ring = self._rings.setdefault(source_id, deque(maxlen=KEPT))
            self._rings.move_to_end(source_id)
            ring.extend((next(self._sequence), received_ms, item) for received_ms, item in items)
            while len(self._rings) > SOURCES:
                self._rings.popitem(last=False)

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Take a person's messages out of view; returns how many."""
        gone = 0
        with self._lock:
            for source_id in source_ids:
                ring = self._rings.get(source_id)
                if ring is not None:
                    kept = [entry for entry in ring if not _is_of(entry[2], user_ids, anonymous_ids)]
                    gone += len(ring) - len(kept)
                    self._rings[source_id] = deque(kept, maxlen=KEPT)
        return gone

    def list(self, source_id: int, limit: int = 100, after: int = 0) -> list[RecentEvent]:
        """Newest first, only those with a sequence above `after`."""
        with self._lock:
            ring = list(self._rings.get(source_id, ()))
        newer = (entry for entry in reversed(ring) if entry[0] > after)
        return [_recent(entry[0], source_id, entry[1], entry[2]) for entry in itertools.islice(newer, limit)]


def _is_of(item: Event | Rejection, user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> bool:
    fields = item.fields if isinstance(item, Event) else item.message
    if not isinstance(fields, dict):
        return False
    return fields.get("userId") in user_ids or fields.get("anonymousId") in anonymous_ids


def _recent(sequence: int, source_id: int, received_ms: int, item: Event | Rejection) -> RecentEvent:
    if isinstance(item, Event):
        user = item.user_id or item.anonymous_id or ""
        return RecentEvent(
            sequence,
            source_id,
            received_ms,
            Verdict.ACCEPTED,
            str(item.kind),
            item.name,
            item.message_id,
            user,
            item.fields,
        )
    message = item.message if isinstance(item.message, dict) else {}
    user = message.get("userId") or message.get("anonymousId") or ""
    return RecentEvent(
        sequence,
        source_id,
        received_ms,
        item.verdict,
        str(message.get("type", "")),
        str(message.get("event") or message.get("name") or ""),
        str(message.get("messageId") or ""),
        str(user),
        item.message,
    )
