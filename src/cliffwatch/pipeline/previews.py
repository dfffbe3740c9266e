"""Previews that people wait for: a few at a time, one per person, kept for a while. In memory of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import structlog

from cliffwatch.clock import Clock
from cliffwatch.errors import CliffwatchError
from cliffwatch.pipeline.preview import Cancelled, Preview, Request, preview
from cliffwatch.store import EventStore
from cliffwatch.streams.labels import NO_LABELS, Labels

log = structlog.get_logger(__name__)

AT_ONCE = 2
KEPT = 32
FRESH_MS = 5 * 60_000
"""A preview older than this is made again: events have come meanwhile."""


class Waiting:
    """One preview: how far it is, then what came of it."""

    def __init__(self, request: Request, asked_ms: int) -> None:
        self.request = request
        self.asked_ms = asked_ms
        self.done = 0
        self.total = 0
        self.result: Preview | None = None
        self.error = ""
        self.finished = threading.Event()
        self._unwanted = threading.Event()

    def cancel(self) -> None:
        """Give it up, unless it is done."""
        if not self.finished.is_set():
            self._unwanted.set()

    @property
    def is_wanted(self) -> bool:
        return not self._unwanted.is_set()

    def tell(self, done: int, total: int) -> None:
        """Called by the work; raises Cancelled when nobody waits for it."""
        self.done, self.total = done, total
        if self._unwanted.is_set():
            raise Cancelled


class Previews:
    """Starts previews and remembers them. Whoever asks for another one gives up the one before."""

    def __init__(self, store: EventStore, clock: Clock, labels: Labels = NO_LABELS) -> None:
        self._store = store
        self._clock = clock
        self._labels = labels
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[object, ...], Waiting] = OrderedDict()
        self._current: dict[str, Waiting] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, "cliffwatch-preview")

    def ask(self, who: str, request: Request) -> Waiting:
        """The preview of this request: a fresh one that is known, or one that begins now. Returns at once."""
        now = self._clock()
        with self._lock:
            known = self._known.get(request.key)
            if known is None or not known.is_wanted or known.error or now - known.asked_ms > FRESH_MS:
                known = self._known[request.key] = Waiting(request, now)
                self._threads.submit(self._make, known)
            self._known.move_to_end(request.key)
            before = self._current.get(who)
            self._current[who] = known
            if before is not None and before not in self._current.values():
                before.cancel()
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return known

    def close(self) -> None:
        """Give up what is under way."""
        with self._lock:
            for waiting in self._known.values():
                waiting.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _make(self, waiting: Waiting) -> None:
        try:
            waiting.tell(0, 0)
            waiting.result = preview(self._store, waiting.request, self._clock(), waiting.tell, self._labels)
        except CliffwatchError as error:
            waiting.error = str(error)
        except Exception as error:  # the person who waits must hear of any fault; the log tells the cause
            log.exception("preview_failed")
            waiting.error = f"The preview failed: {type(error).__name__}. The server's log tells more."
        finally:
            waiting.finished.set()
