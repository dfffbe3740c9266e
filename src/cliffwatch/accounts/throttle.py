"""Slows down who guesses passwords, without locking out whom they guess at.

Failures are counted under three keys: this e-mail from this address (strict), this e-mail from anywhere (mild, at most
a minute, so that nobody is locked out by another), and this address for any e-mail. After a few free failures each
further one doubles the wait. The counts lie in the database, so that all processes share them and a restart does not
forget them; under hashes, because people type passwords where an e-mail belongs. Their number is bounded.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from cliffwatch.accounts.model import TooManyAttempts
from cliffwatch.db import Database
from cliffwatch.db.together import FailureRow

MAX_KEYS = 20_000
FORGET_MS = 60 * 60_000
"""An hour without a failure clears the slate."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` failures cost nothing; then 1 s, 2 s, 4 s ... up to `longest_ms`."""

    free: int
    longest_ms: int

    def wait_ms(self, failures: int) -> int:
        over = failures - self.free
        return 0 if over <= 0 else min(1_000 * 2 ** min(over - 1, 30), self.longest_ms)


PAIR = Rule(free=5, longest_ms=15 * 60_000)
EMAIL = Rule(free=20, longest_ms=60_000)
ADDRESS = Rule(free=40, longest_ms=15 * 60_000)


@dataclass(frozen=True, slots=True)
class Failures:
    count: int
    last_ms: int


class Throttle:
    """Counts sign-ins that failed, for all processes. An attempt counts as failed until it is told that it succeeded,
    so that many attempts at once are no way around the wait. The only writer of `sign_in_failures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attempt(self, email: str, address: str, now: int) -> None:
        """Raises TooManyAttempts while a wait is on; such a refused attempt does not lengthen it."""
        keys = _keys(email, address)
        with self._alone() as session:
            known = _known(session, [key for key, _ in keys], now)
            wait_ms = max(_wait_ms(known.get(key), rule, now) for key, rule in keys)
            if wait_ms > 0:
                seconds = -(-wait_ms // 1_000)
                raise TooManyAttempts(
                    "Sign-in", "failed too often.", f"Try again in {_readable(seconds)}.", retry_after_s=seconds
                )
            for key, _ in keys:
                count = known[key].count if key in known else 0
                session.merge(FailureRow(key_hash=key, count=count + 1, last_ms=now))
            _tidy(session, now)

    def succeeded(self, email: str, address: str) -> None:
        """The attempt was right: forget the e-mail's failures. The address keeps those of its other attempts."""
        (pair, _), (anywhere, _), (here, _) = _keys(email, address)
        with self._alone() as session:
            session.execute(delete(FailureRow).where(FailureRow.key_hash.in_((pair, anywhere))))
            there = (FailureRow.key_hash == here, FailureRow.count > 0)
            session.execute(update(FailureRow).where(*there).values(count=FailureRow.count - 1))

    @contextmanager
    def _alone(self) -> Iterator[Session]:
        """One attempt is counted at a time, by whichever process: two must not see the same count."""
        with self._database.write() as session:
            if not self._database.is_sqlite:
                session.execute(text("SELECT pg_advisory_xact_lock(4202)"))
            yield session


def _known(session: Session, keys: Sequence[str], now: int) -> dict[str, Failures]:
    fresh = (FailureRow.key_hash.in_(keys), FailureRow.last_ms >= now - FORGET_MS)
    return {row.key_hash: Failures(row.count, row.last_ms) for row in session.scalars(select(FailureRow).where(*fresh))}


def _wait_ms(known: Failures | None, rule: Rule, now: int) -> int:
    return known.last_ms + rule.wait_ms(known.count) - now if known is not None and known.count else 0


def _tidy(session: Session, now: int) -> None:
    """Bounded whatever a flood of addresses does: what is an hour old goes; of too many, who failed least."""
    session.execute(delete(FailureRow).where(FailureRow.last_ms < now - FORGET_MS))
    count = session.scalar(select(func.count()).select_from(FailureRow)) or 0
    if count > MAX_KEYS:
        least = select(FailureRow.key_hash).order_by(FailureRow.count, FailureRow.last_ms).limit(count - MAX_KEYS)
        session.execute(delete(FailureRow).where(FailureRow.key_hash.in_(least)))


def _keys(email: str, address: str) -> tuple[tuple[str, Rule], ...]:
    place = _place(address)
    parts = (("pair", email, place), PAIR), (("email", email, ""), EMAIL), (("address", "", place), ADDRESS)
    return tuple((hashlib.sha256("\n".join(part).encode()).hexdigest(), rule) for part, rule in parts)


def _place(address: str) -> str:
    """One IPv6 customer has a whole /64, so that counts as one address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _readable(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    minutes = -(-seconds // 60)
    return f"{minutes} minute{'s' if minutes != 1 else ''}"
