"""When Python looks for cycles among objects: between two groups of events, not in the middle of one.

A group is hundreds of thousands of small objects without a cycle, and the interpreter looks through the new ones again
and again as they become more: at full load a tenth of all work. While ingest runs, the absorber looks once a second,
when the last group has been let go; rarely, through everything. What was there at the start is left out for good.
"""

from __future__ import annotations

import gc
import time

SECONDS = 1.0
THOROUGH_SECONDS = 60.0


class Cycles:
    """The process's own search is off from `take_over` to `give_back`, and `search` does its work when it is due."""

    def __init__(self) -> None:
        self._taken = False
        self._last = self._last_thorough = 0.0

    def take_over(self) -> None:
        self._taken = gc.isenabled()
        if self._taken:
            gc.collect()
            gc.freeze()
            gc.disable()

    def give_back(self) -> None:
        if self._taken:
            self._taken = False
            gc.unfreeze()
            gc.enable()

    def search(self) -> None:
        """Look for cycles if it is time."""
        now = time.monotonic()
        if not self._taken or now - self._last < SECONDS:
            return
        self._last = now
        if now - self._last_thorough < THOROUGH_SECONDS:
            gc.collect(1)
        else:
            self._last_thorough = now
            gc.collect()
