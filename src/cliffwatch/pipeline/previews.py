"""Previews that people wait for: a few at a time, one per person, kept for a while. In memory of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

import structlog

from cliffwatch.clock import Clock
from cliffwatch.errors import CliffwatchError
from cliffwatch.pipeline.preview import Cancelled, Tell

log = structlog.get_logger(__name__)

AT_ONCE = 2
KEPT = 32
FRESH_MS = 5 * 60_000
"""A preview older than this is made again: events have come meanwhile."""


class Keyed(Protocol):
    """What a preview is asked for."""

    @property
    def key(self) -> tuple[object, ...]:
        """Two requests with the same key have the same answer at the same time."""
        ...


R = TypeVar("R", bound=Keyed)
P = TypeVar("P")


class Waiting(Generic[R, P]):
    """One preview: how far it is, then what came of it."""

    def __init__(self, request: R, asked_ms: int) -> None:
        self.request = request
        self.asked_ms = asked_ms
        self.done = 0
        self.total = 0
        self.result: P | None = None
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


class Previews(Generic[R, P]):
    """Starts previews and remembers them. Whoever asks for another one gives up the one before.

    `make` gives the preview of a request, and says meanwhile how far it is, which raises once nobody waits for it.
    """

    def __init__(self, make: Callable[[R, Tell], P], clock: Clock) -> None:
        self._preview = make
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[object, ...], Waiting[R, P]] = OrderedDict()
        self._current: dict[str, Waiting[R, P]] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, "cliffwatch-preview")

    def ask(self, who: str, request: R) -> Waiting[R, P]:
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

    def _make(self, waiting: Waiting[R, P]) -> None:
        try:
            waiting.tell(0, 0)
            waiting.result = self._preview(waiting.request, waiting.tell)
        except CliffwatchError as error:
            waiting.error = str(error)
        except Exception as error:  # the person who waits must hear of any fault; the log tells the cause
            log.exception("preview_failed")
            waiting.error = f"The preview failed: {type(error).__name__}. The server's log tells more."
        finally:
            waiting.finished.set()
