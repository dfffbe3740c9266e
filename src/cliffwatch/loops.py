"""Threads that do the same work again and again until they are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)


class Loops:
    """One thread for each kind of work. A pass says whether it was busy; after one that was not, its thread rests.

    A loop outlives any fault of a pass: the cause is logged, and the next pass tries again.
    """

    def __init__(self, works: Mapping[str, Callable[[], bool]], idle_seconds: float, failed: str) -> None:
        """`works`: thread's name -> a pass. `failed` is the log event of a pass that raises."""
        self.stopping = threading.Event()
        """Set by `stop`; a long pass looks at it."""
        self._works = works
        self._idle_seconds = idle_seconds
        self._failed = failed
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self.stopping.clear()
        for name, work in self._works.items():
            thread = threading.Thread(target=self._run, args=(work,), name=f"cliffwatch-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout: float) -> None:
        """Finish the passes under way; `timeout` seconds for each thread."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout)
        self._threads.clear()

    def _run(self, work: Callable[[], bool]) -> None:
        while not self.stopping.is_set():
            try:
                busy = work()
            except Exception:  # the loop must outlive any fault of one pass
                log.exception(self._failed)
                busy = False
            if not busy:
                self.stopping.wait(self._idle_seconds)
