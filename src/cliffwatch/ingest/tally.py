"""Counts of verdicts, kept in memory until they are written: nothing that arrives vanishes without one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from cliffwatch.spec.sender import NOBODY, Sender
from cliffwatch.spec.verdict import Verdict

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
Counts = Mapping[tuple[int, int, Verdict, Sender], int]
"""(source, minute, verdict, what sent it) -> messages."""


def minute_of(ms: int) -> int:
    """The beginning of the minute that a moment lies in, both Unix milliseconds."""
    return ms - ms % MINUTE_MS


def hour_of(ms: int) -> int:
    """The beginning of the hour that a moment lies in, both Unix milliseconds."""
    return ms - ms % HOUR_MS


class Tally:
    """Verdicts since the start, and those that are not yet in the database. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[Verdict] = Counter()
        self._pending: Counter[tuple[int, int, Verdict, Sender]] = Counter()

    def add(self, source_id: int | None, verdict: Verdict, received_ms: int, count: int = 1) -> None:
        """`source_id` None is a request whose source is not known."""
        with self._lock:
            self._totals[verdict] += count
            if source_id is not None:
                self._pending[source_id, minute_of(received_ms), verdict, NOBODY] += count

    def add_counts(self, counts: Counts) -> None:
        """Counts that were made elsewhere."""
        with self._lock:
            self._pending.update(counts)
            for (_, _, verdict, _), count in counts.items():
                self._totals[verdict] += count

    def take_pending(self) -> Counts:
        """What has not been written yet; the caller writes it, or puts it back."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
            return dict(pending)

    def put_back(self, pending: Counts) -> None:
        with self._lock:
            self._pending.update(pending)

    def totals(self) -> dict[str, int]:
        with self._lock:
            return {str(verdict): count for verdict, count in self._totals.items()}
