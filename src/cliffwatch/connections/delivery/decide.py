"""What to do with an event on its way to a destination, and with the answer that came. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.model import Destination
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import compile_filter

FIRST_RETRY_MS = 1_000
LONGEST_RETRY_MS = 15 * 60_000

Passes = Callable[[Mapping[str, Any]], str]
"""Gives "" for an event that is to be delivered, else why not."""


class Reaction(enum.Enum):
    """What an answer means."""

    DONE = enum.auto()
    AGAIN = enum.auto()  # later: nothing is lost
    REFUSED = enum.auto()  # the other side does not want this request; again would change nothing


def gate(destination: Destination) -> Passes:
    """The way through the event's own `integrations`, then the destination's filter (segment-spec, 4.3)."""
    kind = KINDS[destination.kind]
    names = {kind.name, destination.name}
    try:
        keeps = compile_filter(destination.filter)
    except InvalidInput:
        return lambda _: "invalid_filter"  # an event that a broken filter might have stopped is not sent

    def passes(event: Mapping[str, Any]) -> str:
        wanted = event.get("integrations")
        if isinstance(wanted, Mapping):
            own = [wanted[name] for name in names if name in wanted]
            if any(value is False for value in own) or (not own and wanted.get("All") is False):
                return "integrations_off"
        return "" if keeps(event) else "destination_filter"

    return passes


def reaction(status: int) -> Reaction:
    """Only what speaks of the request itself is final; a wrong key or a missing address may be put right."""
    if 200 <= status < 300:
        return Reaction.DONE
    if status in (400, 413, 415, 422, 501):
        return Reaction.REFUSED
    return Reaction.AGAIN


def wait_ms(attempts: int, retry_after: str) -> int:
    """How long until the next attempt, after `attempts` that failed; `retry_after` is in seconds, "" for none."""
    asked = int(retry_after) * 1000 if retry_after.isdigit() and len(retry_after) < 6 else 0
    return min(max(asked, FIRST_RETRY_MS << min(attempts - 1, 20)), LONGEST_RETRY_MS)
