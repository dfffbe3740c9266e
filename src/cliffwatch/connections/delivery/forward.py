"""The forwarder: from the delivery journal to each destination, in order, with a durable position per destination.

    journal -> events of the destination's source -> gate -> parcels -> HTTP -> position and counts

A parcel that fails stays where it is and is tried again, later each time; the destinations behind it do not wait, for
each has its own turn. What the other side refuses for itself is cut in half until the one event is found, and counted.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.decide import Lane, Reaction, gate, lanes, reaction, wait_ms
from cliffwatch.connections.delivery.filters import Sieve
from cliffwatch.connections.delivery.kinds import KINDS, Parcel
from cliffwatch.connections.delivery.store import CountKey, Destinations
from cliffwatch.connections.delivery.tap import unpack
from cliffwatch.connections.model import Destination, Outcome
from cliffwatch.errors import CliffwatchError
from cliffwatch.ingest.journal import Journal
from cliffwatch.notify.outbound import Blocked, Unreachable, request

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1_000_000
TIMEOUT_SECONDS = 10.0
IDLE_SECONDS = 1.0
AT_ONCE = 4
HELD_BYTES = 4_000_000_000
"""What a destination that cannot be reached may leave on the disk; beyond it, its oldest events are given up."""

_decode = msgspec.json.decode
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Item:
    """One event on its way; `after` is where the journal goes on behind it."""

    after: int
    body: bytes
    event: Any

    @property
    def label(self) -> tuple[str, str]:
        return str(self.event.get("type", "")), str(self.event.get("event") or self.event.get("name") or "")


class Failed(Exception):
    """A parcel that will be tried again."""

    def __init__(self, error: str, reason: str, retry_after: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.reason = reason
        self.retry_after = retry_after


class Forwarder:
    """Delivers while it runs. `step` makes one pass, for tests and for whoever cannot wait."""

    def __init__(
        self, destinations: Destinations, journal: Journal, clock: Clock, *, allow_private: bool, at_once: int = AT_ONCE
    ) -> None:
        self._destinations = destinations
        self._journal = journal
        self._clock = clock
        self._allow_private = allow_private
        self._at_once = at_once
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._positions: dict[int, int] = {}
        self._tidied_ms = 0
        self._ahead: dict[tuple[int, str], int] = {}
        """How far a lane is in front of its destination's position, while another lane has to wait."""

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="cliffwatch-forward", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 15.0) -> None:
        """Finish the requests under way; what is left lies in the journal for the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def step(self) -> bool:
        """One turn for each destination that is due; whether any moved on."""
        now = self._clock()
        due = [destination for destination in self._destinations.active() if destination.retry_ms <= now]
        moved = [self._turn(destination) for destination in due]
        return any(moved)

    def _run(self) -> None:
        turns: dict[int, Future[bool]] = {}
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="forward") as pool:
            while not self._stop.is_set():
                self._wake.clear()
                try:
                    busy = self._hand_out(pool, turns)
                    self._tidy()
                except Exception:  # the loop must outlive any fault of one pass; the cause is logged
                    log.exception("forwarding_pass_failed")
                    busy = False
                self._wake.wait(0.05 if busy else IDLE_SECONDS)

    def _hand_out(self, pool: ThreadPoolExecutor, turns: dict[int, Future[bool]]) -> bool:
        now = self._clock()
        for destination in self._destinations.active():
            under_way = turns.get(destination.id)
            if under_way is not None and not under_way.done():
                continue
            if destination.retry_ms <= now and self._position(destination) < self._journal.end:
                turns[destination.id] = pool.submit(self._turn, destination)
        return any(not turn.done() for turn in turns.values())

    def _tidy(self) -> None:
        """Let go of what every destination has, and of counts that are old."""
        active = self._destinations.active()
        floor = self._journal.end - HELD_BYTES
        self._journal.forget(max(min((self._position(one) for one in active), default=self._journal.end), floor))
        now = self._clock()
        if abs(now - self._tidied_ms) > 3_600_000:
            self._tidied_ms = now
            self._destinations.forget_counts(now)

    def _position(self, destination: Destination) -> int:
        """From memory, where it only grows; a destination that was switched on again is read anew."""
        stored = self._destinations.position(destination.id, self._journal.name)
        self._positions[destination.id] = stored
        return stored

    def _turn(self, destination: Destination) -> bool:
        """Deliver one chunk; whether the destination moved on."""
        try:
            chunk = self._journal.read(self._position(destination), CHUNK_BYTES)
            if not chunk.records:
                return False
            passes = gate(destination)
            counts: Counter[CountKey] = Counter()
            items: list[Item] = []
            for (_, payload), after in zip(chunk.records, _ends(chunk.records, chunk.next_offset), strict=True):
                source_id, body = unpack(payload)
                if source_id == destination.source_id:
                    self._sort(Item(after, body, _decode(body)), passes, items, counts)
            if not self._deliver_all(destination, items, counts):
                return False
            self._destinations.advance(
                destination.id, self._journal.name, chunk.next_offset, counts, False, self._clock()
            )
        except Exception:  # a fault of one destination must not stop the others; it is tried again
            log.exception("forwarding_failed", destination=destination.id)
            return False
        return True

    @staticmethod
    def _sort(item: Item, passes: Sieve, items: list[Item], counts: Counter[CountKey]) -> None:
        passed = passes(item.event)
        if passed.reason:
            counts[Outcome.FILTERED, *item.label, passed.reason] += 1
        elif passed.event is item.event:  # as it came, to the byte
            items.append(item)
        else:
            items.append(Item(item.after, _encode(passed.event), passed.event))

    def _deliver_all(self, destination: Destination, items: Sequence[Item], counts: Counter[CountKey]) -> bool:
        """Send the events every way that takes them; False when one has to wait."""
        ways = lanes(destination)
        for item in items:
            if not any(lane.takes(item.event) for lane in ways):
                counts[Outcome.FILTERED, *item.label, "no_mapping"] += 1
        if len(ways) == 1:
            return self._deliver(ways[0], [item for item in items if ways[0].takes(item.event)], counts)
        done = True
        for lane in ways:
            ahead = self._ahead.get((destination.id, lane.key), 0)
            left = [item for item in items if item.after > ahead and lane.takes(item.event)]
            done = self._deliver(lane, left, Counter(), beside=True, quiet=not done) and done
        if done:
            for lane in ways:
                self._ahead.pop((destination.id, lane.key), None)
        return done

    def _deliver(
        self, lane: Lane, items: Sequence[Item], counts: Counter[CountKey], *, beside: bool = False, quiet: bool = False
    ) -> bool:
        """Send the events parcel by parcel; False when one has to wait. `counts` of what came before go with the first
        parcel that arrives. `beside` other lanes only the last one moves the destination's position, in `_turn`;
        `quiet` is set when one of them has to wait, whose wait must stay."""
        destination = lane.destination
        left = list(items)
        while left:
            parcel = next(
                KINDS[destination.kind].parcels(destination, [item.body for item in left], self._clock()), None
            )
            if parcel is None:
                return True
            part, left = left[: parcel.count], left[parcel.count :]
            try:
                error = self._send(parcel)
            except Failed as failed:
                self._put_off(destination, part, failed)
                return False
            if error and len(part) > 1:
                half = len(part) // 2
                for some in (part[:half], part[half:]):
                    if not self._deliver(lane, some, counts, beside=beside, quiet=quiet):
                        return False
                continue
            now = self._clock()
            for item in part:
                counts[Outcome.FAILED if error else Outcome.DELIVERED, *item.label, error.partition(" ")[0]] += 1
            if error:
                self._destinations.note_error(destination.id, error.partition(" ")[2], now)
            if beside:
                self._ahead[destination.id, lane.key] = part[-1].after
            after = self._position(destination) if beside else part[-1].after
            self._destinations.advance(destination.id, self._journal.name, after, counts, not error and not quiet, now)
            counts.clear()
        return True

    def _send(self, parcel: Parcel) -> str:
        """ "" when it arrived; the reason and what was said when it is refused. Raises Failed."""
        try:
            answer = request(
                parcel.method,
                parcel.url,
                body=parcel.body,
                headers=parcel.headers,
                allow_private=self._allow_private,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except Unreachable as error:
            raise Failed(str(error), "ECONNREFUSED") from error
        except (Blocked, CliffwatchError) as error:
            raise Failed(str(error), "INVALID_SETTINGS") from error
        said = f"It answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
        match reaction(answer.status):
            case Reaction.DONE:
                return ""
            case Reaction.REFUSED:
                return f"{answer.status} {said}"
            case Reaction.AGAIN:
                raise Failed(said, str(answer.status), answer.headers.get("retry-after", ""))

    def _put_off(self, destination: Destination, part: Sequence[Item], failed: Failed) -> None:
        attempts, now = destination.attempts + 1, self._clock()
        counts: Counter[CountKey] = Counter()
        for item in part:
            counts[Outcome.RETRIED, *item.label, failed.reason] += 1
        retry_ms = now + wait_ms(attempts, failed.retry_after)
        self._destinations.put_off(destination, failed.error, attempts, retry_ms, counts, now)


def _ends(records: Sequence[tuple[int, memoryview]], end: int) -> list[int]:
    return [*(offset for offset, _ in records[1:]), end]
