"""The dead-man's switch: an address outside that hears from us every minute in which all is well.

Whoever listens there (healthchecks.io, Dead Man's Snitch, a cron job of yours) tells people when it hears nothing: that
is how a process that is dead, or a machine that is off, is noticed.
"""

from __future__ import annotations

import structlog

from cliffwatch.errors import CliffwatchError
from cliffwatch.notify.outbound import check_url, request

log = structlog.get_logger(__name__)

EVERY_MS = 60_000
TIMEOUT_SECONDS = 10.0


class Ping:
    """Pings an address of the operator's, which may be a private one. An empty address: nothing is pinged."""

    def __init__(self, url: str) -> None:
        if url:
            check_url("CLIFFWATCH_HEARTBEAT_URL", url)
        self._url = url
        self._pinged_ms = 0
        self._failing = False

    def __call__(self, now: int) -> bool:
        """Ping, when it is time to; whether that succeeded. What fails is tried again in a minute and logged once."""
        if not self._url or now - self._pinged_ms < EVERY_MS:
            return False
        self._pinged_ms = now
        try:
            answer = request("GET", self._url, allow_private=True, timeout_seconds=TIMEOUT_SECONDS)
        except CliffwatchError as error:
            self._failed(str(error))
            return False
        if not 200 <= answer.status < 300:
            self._failed(f"HTTP {answer.status}")
            return False
        self._failing = False
        return True

    def _failed(self, why: str) -> None:
        if not self._failing:
            log.warning("heartbeat_ping_failed", why=why)
        self._failing = True
