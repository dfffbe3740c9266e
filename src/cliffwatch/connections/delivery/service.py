"""Everything that goes out, in one place: the delivery journal, the destinations, and who carries."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.forward import CHUNK_BYTES, Forwarder
from cliffwatch.connections.delivery.store import Destinations
from cliffwatch.connections.delivery.tap import Tap, nothing, unpack
from cliffwatch.db import Database
from cliffwatch.ingest import Projector
from cliffwatch.ingest.journal import Journal, frame


class _Ids(msgspec.Struct):
    userId: str | None = None  # noqa: N815 - the wire's own name
    anonymousId: str | None = None  # noqa: N815 - the wire's own name


_ids = msgspec.json.Decoder(_Ids).decode


class Outgoing:
    """One per process. It stands in front of ingest: what destinations want is written down while events come in."""

    def __init__(self, folder: Path, database: Database, clock: Clock, *, allow_private: bool) -> None:
        """`folder` is the delivery journal's own."""
        self._journal = Journal(folder)
        self.destinations = Destinations(database, lambda: (self._journal.name, self._journal.end))
        self.forwarder = Forwarder(self.destinations, self._journal, clock, allow_private=allow_private)

    def tapped(self, projector: Projector) -> Tap:
        """The projector through which events also reach destinations."""
        return Tap(projector, self._journal, self.destinations.wanted, self.forwarder.wake)

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Take a person's events out of the delivery journal, delivered or not; returns how many."""
        sources, users, visitors = frozenset(source_ids), frozenset(user_ids), frozenset(anonymous_ids)

        def is_theirs(payload: memoryview) -> bool:
            source_id, body = unpack(payload)
            if source_id not in sources:
                return False
            ids = _ids(body)
            return ids.userId in users if ids.userId else ids.anonymousId in visitors

        return self._journal.redact(is_theirs, nothing)

    def take_over(self, folder: Path) -> None:
        """Write down here what another process left in its delivery journal, and delete that. After a crash in between
        a destination may get some of it twice; it knows repeats by their messageId. Raises Conflict, Unavailable."""
        left = Journal(folder)
        try:
            active = self.destinations.active()
            after = min((self.destinations.position(one.id, left.name) for one in active), default=left.end)
            while (chunk := left.read(after, CHUNK_BYTES)).records:
                self._journal.append([frame(payload) for _, payload in chunk.records])
                after = chunk.next_offset
        finally:
            left.close()
        shutil.rmtree(folder)  # with its name: a journal that begins anew must not be taken for this one
        self.forwarder.wake()

    def start(self) -> None:
        self.forwarder.start()

    def stop(self) -> None:
        """Finish what is under way. Call it after ingest has stopped, which still writes down what goes out."""
        self.forwarder.stop()
        self._journal.close()
