"""What to do with an event on its way to a destination, and with the answer that came. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cliffwatch.connections.delivery.filters import Passed, Sieve, sieve
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.model import Destination
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import compile_filter

FIRST_RETRY_MS = 1_000
LONGEST_RETRY_MS = 15 * 60_000

Takes = Callable[[Mapping[str, Any]], bool]


class Reaction(enum.Enum):
    """What an answer means."""

    DONE = enum.auto()
    AGAIN = enum.auto()  # later: nothing is lost
    REFUSED = enum.auto()  # the other side does not want this request; again would change nothing


def gate(destination: Destination) -> Sieve:
    """The way through the event's own `integrations`, then the destination's filters (segment-spec, 4.3)."""
    kind = KINDS[destination.kind]
    names = {kind.name, destination.name}
    sift = sieve(destination.filters)

    def passes(event: Mapping[str, Any]) -> Passed:
        wanted = event.get("integrations")
        if isinstance(wanted, Mapping):
            own = [wanted[name] for name in names if name in wanted]
            if any(value is False for value in own) or (not own and wanted.get("All") is False):
                return Passed(event, "integrations_off")
        return sift(event)

    return passes


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to a destination: a mapping with its own address and trigger. `destination` has this mapping alone."""

    key: str
    destination: Destination
    takes: Takes


def lanes(destination: Destination) -> Sequence[Lane]:
    """Each enabled mapping of a webhook is a way of its own, and an event goes every way whose trigger is true. Other
    kinds have one address: an event goes there once, when any enabled mapping takes it, or when there is none at all.
    """
    enabled = [mapping for mapping in destination.mappings if mapping.get("enabled", True)]
    if destination.kind == "webhook":
        return [Lane(str(one["id"]), replace(destination, mappings=[one]), _trigger(one)) for one in enabled]
    if not destination.mappings:
        return [Lane("", destination, lambda _: True)]
    triggers = [_trigger(one) for one in enabled]
    return [Lane("", destination, lambda event: any(takes(event) for takes in triggers))]


def _trigger(mapping: Mapping[str, Any]) -> Takes:
    try:
        return compile_filter(str(mapping.get("trigger", "")))
    except InvalidInput:
        return lambda _: False  # as with a filter: what a broken trigger might have stopped is not sent


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
