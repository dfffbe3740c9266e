"""Where deliveries begin: events of sources that have a destination, written down before the store has them.

The absorber projects every accepted event before it commits the position of its own journal. The tap stands in that
way: what a destination must get is durable in the delivery journal first, so a crash repeats events and loses none;
the other side knows repeats by their messageId.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from cliffwatch.ingest import Projector
from cliffwatch.ingest.journal import Journal, frame
from cliffwatch.spec.events import Events
from cliffwatch.spec.model import Event
from cliffwatch.store.contract import FactBatch

_SOURCE = struct.Struct("<q")
_encode = msgspec.json.encode


class Tap:
    """A projector that also writes down what destinations want."""

    def __init__(
        self, inner: Projector, journal: Journal, wanted: Callable[[], frozenset[int]], wake: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._journal = journal
        self._wanted = wanted
        self._wake = wake

    def refresh(self) -> None:
        self._inner.refresh()

    def project(self, events: Events) -> FactBatch | None:
        """The inner projector's facts. Raises Unavailable when the delivery journal cannot be written."""
        wanted = self._wanted()
        taken = [pack(event) for event in events if event.source_id in wanted] if wanted else []
        if taken:
            self._journal.append(taken)
            self._wake()
        return self._inner.project(events)

    def stored(self) -> None:
        self._inner.stored()


def pack(event: Event) -> bytes:
    """The framed bytes of an event, with its source in front."""
    return frame(_SOURCE.pack(event.source_id), _encode({**event.fields, "projectId": str(event.source_id)}))


def nothing(length: int) -> bytes:
    """A payload of this length that belongs to no source: in the place of an event that must not stay."""
    return _SOURCE.pack(0) + b"{}" + b" " * (length - _SOURCE.size - 2)


def unpack(payload: bytes | memoryview) -> tuple[int, bytes]:
    """(source, JSON of the event); inverse of `pack`."""
    return _SOURCE.unpack_from(payload)[0], bytes(payload[_SOURCE.size :])
