"""Counts of verdicts, kept in memory until they are written: nothing that arrives vanishes without one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from cliffwatch.spec.verdict import Verdict

HOUR_MS = 3_600_000
Hourly = Mapping[tuple[int, int, Verdict], int]
"""(source, hour, verdict) -> messages."""


def hour_of(ms: int) -> int:
    """The beginning of the hour that a moment lies in, both Unix milliseconds."""
    return ms - ms % HOUR_MS


class Tally:
    """Verdicts since the start, and those that are not yet in the database. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[Verdict] = Counter()
        self._pending: Counter[tuple[int, int, Verdict]] = Counter()

    def add(self, source_id: int | None, verdict: Verdict, received_ms: int, count: int = 1) -> None:
        """`source_id` None is a request whose source is not known."""
        with self._lock:
            self._totals[verdict] += count
            if source_id is not None:
                self._pending[source_id, hour_of(received_ms), verdict] += count

    def add_hourly(self, counts: Hourly) -> None:
        """Counts that were made elsewhere."""
        with self._lock:
            self._pending.update(counts)
            for (_, _, verdict), count in counts.items():
                self._totals[verdict] += count

    def take_pending(self) -> Hourly:
        """What has not been written yet; the caller writes it, or puts it back."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
            return dict(pending)

    def put_back(self, pending: Hourly) -> None:
        with self._lock:
            self._pending.update(pending)

    def totals(self) -> dict[str, int]:
        with self._lock:
            return {str(verdict): count for verdict, count in self._totals.items()}
