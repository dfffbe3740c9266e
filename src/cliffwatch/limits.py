"""How often one token may ask: a token bucket per asker, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

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


class Limiter:
    """The buckets of everybody who asked lately; whoever asked longest ago is forgotten first."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_ms(self, asker: str, now: int) -> int:
        """0 when the request may go on, else how long to wait."""
        with self._lock:
            bucket = self._buckets.get(asker, Bucket(self._rate.burst, now))
            self._buckets[asker], wait = take(bucket, self._rate, now)
            self._buckets.move_to_end(asker)
            if len(self._buckets) > MAX_ASKERS:
                self._buckets.popitem(last=False)
            return wait
