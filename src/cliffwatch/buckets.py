"""Rate limits that hold for all processes together: each decides from memory, and tells the database once a second.

    process: 0, 1, 2 ... requests of an asker ── once a second ──> rate_buckets: what is left for all of them
             <────────────── what is left ─────────────────────────┘

Whatever a process lets through is taken from the common bucket, below zero if need be, so the average over some seconds
is the rate, however many processes there are. Between two tellings a process may let through what it saw left at the
last one: at most a burst each.
"""

from __future__ import annotations

import hashlib
import threading
from functools import partial

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert

from cliffwatch.db import Database
from cliffwatch.db.together import BucketRow
from cliffwatch.limits import Limiter, Rate

FORGET_MS = 3_600_000
"""A bucket that nobody took from for so long is full; its row goes."""
TIDY_MS = 60_000


class Buckets:
    """Makes limiters. The only writer of `rate_buckets`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._tidied_ms = 0

    def limiter(self, name: str, rate: Rate) -> Limiter:
        """A limiter whose askers are counted under this name. With SQLite there is one process, which tells nobody."""
        return Limiter(rate) if self._database.is_sqlite else Limiter(rate, partial(self.exchange, name, rate))

    def exchange(self, name: str, rate: Rate, asker: str, taken: int, now: int) -> float:
        """Take from the common bucket what was let through since the last time; what is left. Raises Unavailable."""
        key = hashlib.sha256(f"{name} {asker}".encode()).hexdigest()
        fresh = insert(BucketRow).values(key_hash=key, remaining=rate.burst - taken, at_ms=now)
        gained = func.greatest(now - BucketRow.at_ms, 0) * (rate.per_second / 1_000)
        left = func.least(BucketRow.remaining + gained - taken, rate.burst)
        statement = fresh.on_conflict_do_update(
            index_elements=["key_hash"],
            set_={"remaining": func.greatest(left, -rate.burst), "at_ms": func.greatest(BucketRow.at_ms, now)},
        ).returning(BucketRow.remaining)
        with self._database.write() as session:
            remaining: float = session.scalars(statement).one()
            if self._is_untidy(now):
                session.execute(delete(BucketRow).where(BucketRow.at_ms < now - FORGET_MS))
        return remaining

    def _is_untidy(self, now: int) -> bool:
        with self._lock:
            if now - self._tidied_ms < TIDY_MS:
                return False
            self._tidied_ms = now
            return True
