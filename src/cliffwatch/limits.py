"""How often one token may ask: a token bucket per asker, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cliffwatch.errors import Unavailable

MAX_ASKERS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, then `per_second` on average."""

    per_second: float = 10.0
    burst: int = 120


@dataclass(frozen=True, slots=True)
class Bucket:
    """What an asker has left, and when that was counted."""

    left: float
    at_ms: int


def take(bucket: Bucket, rate: Rate, now: int) -> tuple[Bucket, int]:
    """Take one request; returns what is left, and how many ms to wait (0: go on; nothing was taken otherwise)."""
    left = min(rate.burst, bucket.left + max(0, now - bucket.at_ms) * rate.per_second / 1_000)
    if left >= 1:
        return Bucket(left - 1, now), 0
    return Bucket(left, now), max(1, round((1 - left) * 1_000 / rate.per_second))


EXCHANGE_MS = 1_000
"""How often a process tells the others what it let through: for so long it may not know of theirs."""

Exchange = Callable[[str, int, int], float]
"""(asker, requests let through since the last time, now) -> what is left of the bucket that all processes share."""


class Limiter:
    """The buckets of everybody who asked lately; whoever asked longest ago is forgotten first."""

    def __init__(self, rate: Rate, exchange: Exchange | None = None) -> None:
        """Without `exchange` the limit is this process's own."""
        self._rate = rate
        self._exchange = exchange
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._told: dict[str, tuple[int, int]] = {}  # asker -> when, let through since

    def wait_ms(self, asker: str, now: int) -> int:
        """0 when the request may go on, else how long to wait."""
        self._hear(asker, now)
        with self._lock:
            bucket = self._buckets.get(asker, Bucket(self._rate.burst, now))
            self._buckets[asker], wait = take(bucket, self._rate, now)
            self._buckets.move_to_end(asker)
            if self._exchange is not None:
                at_ms, taken = self._told.get(asker, (now, 0))
                self._told[asker] = at_ms, taken + (wait == 0)
            if len(self._buckets) > MAX_ASKERS:
                forgotten, _ = self._buckets.popitem(last=False)
                self._told.pop(forgotten, None)
            return wait

    def _hear(self, asker: str, now: int) -> None:
        """Once a second: tell what was let through, and go on with what is left for all. A database that is away
        limits nobody more than this process does."""
        if self._exchange is None:
            return
        with self._lock:
            at_ms, taken = self._told.get(asker, (now - EXCHANGE_MS, 0))
            if now - at_ms < EXCHANGE_MS:
                return
            self._told[asker] = now, 0
        try:
            left = self._exchange(asker, taken, now)
        except Unavailable:
            with self._lock:
                self._told[asker] = now, self._told.get(asker, (now, 0))[1] + taken
            return
        with self._lock:
            since = self._told.get(asker, (now, 0))[1]
            self._buckets[asker] = Bucket(left - since, now)
