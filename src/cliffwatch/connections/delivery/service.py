"""Everything that goes out, in one place: the delivery journal, the destinations, and who carries."""

from __future__ import annotations

from pathlib import Path

from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.forward import Forwarder
from cliffwatch.connections.delivery.store import Destinations
from cliffwatch.connections.delivery.tap import Tap
from cliffwatch.db import Database
from cliffwatch.ingest import Projector
from cliffwatch.ingest.journal import Journal


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

    def start(self) -> None:
        self.forwarder.start()

    def stop(self) -> None:
        """Finish what is under way. Call it after ingest has stopped, which still writes down what goes out."""
        self.forwarder.stop()
        self._journal.close()
