"""Which streams got events for windows that are over, until they are quiet enough to be aggregated again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

QUIET_MS = 2_000
"""Late events are counted when none has come for so long ..."""
PATIENCE_MS = 15_000
"""... or at the latest after this."""


class Late:
    """Streams whose past windows changed, until they are quiet enough to be aggregated again."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[int, int, int]] = {}  # stream -> oldest fact, first heard, last heard

    def hear(self, spans: Mapping[int, tuple[int, int]], now: int) -> None:
        for stream_id, (oldest, _) in spans.items():
            known = self._since.get(stream_id)
            self._since[stream_id] = (min(oldest, known[0]), known[1], now) if known else (oldest, now, now)

    def ready(self, now: int) -> dict[int, int]:
        """Stream id -> time of its oldest new fact, for those that are quiet or have waited long enough."""
        return {
            stream_id: oldest
            for stream_id, (oldest, first, last) in self._since.items()
            if now - last >= QUIET_MS or now - first >= PATIENCE_MS
        }

    def planned(self, stream_id: int) -> None:
        """It is written down what is to be measured anew: not before that is it forgotten here."""
        del self._since[stream_id]
