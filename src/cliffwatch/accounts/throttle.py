"""Slows down who guesses passwords, without locking out whom they guess at.

Failures are counted under three keys: this e-mail from this address (strict), this e-mail from anywhere (mild, at most
a minute, so that nobody is locked out by another), and this address for any e-mail. After a few free failures each
further one doubles the wait. The counts live in the memory of one process: a restart forgets them, and their number is
bounded.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

from cliffwatch.accounts.model import TooManyAttempts

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


Key = tuple[str, str, str]


class Throttle:
    """Counts sign-ins that failed. An attempt counts as failed until it is told that it succeeded, so that many
    attempts at once are no way around the wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[Key, Failures] = OrderedDict()

    def attempt(self, email: str, address: str, now: int) -> None:
        """Raises TooManyAttempts while a wait is on; such a refused attempt does not lengthen it."""
        with self._lock:
            keys = _keys(email, address)
            wait_ms = max(self._wait_ms(key, rule, now) for key, rule in keys)
            if wait_ms > 0:
                seconds = -(-wait_ms // 1_000)
                raise TooManyAttempts(
                    "Sign-in", "failed too often.", f"Try again in {_readable(seconds)}.", retry_after_s=seconds
                )
            for key, _ in keys:
                self._failures[key] = Failures(self._count(key, now) + 1, now)
                self._failures.move_to_end(key)
            while len(self._failures) > MAX_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, email: str, address: str) -> None:
        """The attempt was right: forget the e-mail's failures. The address keeps those of its other attempts."""
        with self._lock:
            (pair, _), (anywhere, _), (here, _) = _keys(email, address)
            self._failures.pop(pair, None)
            self._failures.pop(anywhere, None)
            there = self._failures.get(here)
            if there is not None:
                self._failures[here] = Failures(max(0, there.count - 1), there.last_ms)

    def _count(self, key: Key, now: int) -> int:
        there = self._failures.get(key)
        return 0 if there is None or now - there.last_ms > FORGET_MS else there.count

    def _wait_ms(self, key: Key, rule: Rule, now: int) -> int:
        count = self._count(key, now)
        return self._failures[key].last_ms + rule.wait_ms(count) - now if count else 0


def _keys(email: str, address: str) -> tuple[tuple[Key, Rule], ...]:
    place = _place(address)
    return (("pair", email, place), PAIR), (("email", email, ""), EMAIL), (("address", "", place), ADDRESS)


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
