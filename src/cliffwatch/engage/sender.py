"""The sender: differences between what is so and what a sync has told, chunk by chunk.

    current and told blocks -> the next people who differ -> fix -> request, or the journal of ingest -> settle

The first sync is the same as any other: nothing is told yet, so everybody who is in it differs. A chunk is as large as
one second of the rate, and the next waits until that second is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import structlog

from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.decide import Reaction, reaction, wait_ms
from cliffwatch.engage.blocks import BLOCK, TraitValue, pack_mask, pack_values, unpack_mask, unpack_values
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.messages import Item, messages
from cliffwatch.engage.model import Computation, Sync, Told
from cliffwatch.engage.store import Computations
from cliffwatch.engage.syncs import Syncs
from cliffwatch.errors import CliffwatchError
from cliffwatch.ingest import Ingest
from cliffwatch.jobs import LeaseLost
from cliffwatch.notify.outbound import request
from cliffwatch.store.trails import Trails

log = structlog.get_logger(__name__)

LEASE_MS = 60_000
CHUNK = 500
TIMEOUT_SECONDS = 10.0


class Sender:
    """Sends while it runs. `step` does one chunk, for tests and for whoever cannot wait."""

    def __init__(
        self,
        computations: Computations,
        syncs: Syncs,
        trails: Trails,
        ingest: Ingest,
        clock: Clock,
        *,
        allow_private: bool,
    ) -> None:
        self._computations = computations
        self._syncs = syncs
        self._trails = trails
        self._ingest = ingest
        self._clock = clock
        self._allow_private = allow_private

    def step(self, *, failing: bool | None = None) -> bool:
        """One chunk of the sync that has waited longest; whether there was one. `failing` takes only those whose last
        attempt was in vain, or only others: a server that hangs keeps the thread that waits for it."""
        claimed = self._syncs.claim(self._clock(), LEASE_MS, failing=failing)
        if claimed is None:
            return False
        sync, fence = claimed
        computation = self._computations.by_id(sync.computation_id)
        if computation is None:
            return False
        try:
            if sync.pending is None:
                fixed = self._fix(computation, sync, fence)
                if fixed is None:
                    return True
                sync = fixed
            self._send(computation, sync, fence)
        except LeaseLost:
            log.info("sync_taken_over", sync=sync.id)
        return True

    def _fix(self, computation: Computation, sync: Sync, fence: int) -> Sync | None:
        """Choose the next chunk and write it down; None when there is no difference left."""
        last_pass = self._computations.last_pass(computation.id)
        current = self._computations.blocks(computation.id)
        told = self._computations.blocks(computation.id, sync.id)
        blocks: dict[int, bytes] = {}
        chosen: list[tuple[int, Told]] = []
        total, most = 0, min(CHUNK, sync.per_second)
        for block in sorted(current.keys() | told.keys()):
            now_data, told_data = current.get(block), told.get(block)
            if now_data == told_data:
                continue
            differ = differences(computation, now_data, told_data)
            total += len(differ)
            part = list(differ.items())[: most - len(chosen)]
            if part:
                blocks[block] = with_told(computation, told_data, dict(part))
                chosen += [(block * BLOCK + place, value) for place, value in part]
        if not chosen:
            self._syncs.finish(sync, fence, last_pass, self._clock())
            return None
        items = self._addressed(computation, chosen)
        return self._syncs.fix(sync, fence, blocks, items, total, self._clock())

    def _addressed(self, computation: Computation, chosen: list[tuple[int, Told]]) -> list[Item]:
        """With the ids that receivers know. Of people who became part of others, only what those do not say is left."""
        workspace = computation.workspace_id
        kept = self._trails.kept(workspace, np.array([person for person, _ in chosen]))
        wanted = sorted({kept.get(person, person) for person, _ in chosen})
        ids: dict[int, dict[str, str]] = {}
        for identifier in self._trails.identifiers(workspace, np.array(wanted)):
            ids.setdefault(identifier.person, {})[identifier.kind] = identifier.id
        items = []
        for person, value in chosen:
            root = kept.get(person, person)
            known = ids.get(root, {})
            if not known.get("user_id") and not known.get("anonymous_id"):
                continue  # forgotten: there is nobody left to tell of
            if root != person and self._is_told_by(computation, root):
                continue
            user, anonymous = known.get("user_id", ""), known.get("anonymous_id", "")
            items.append(Item(person, value, user, "" if user else anonymous, known.get("email", "")))
        return items

    def _is_told_by(self, computation: Computation, person: int) -> bool:
        """Whether this person has something in the computation now, so that another one's end is no end."""
        data = self._computations.blocks(computation.id, only=[person // BLOCK]).get(person // BLOCK)
        if data is None:
            return False
        place = person % BLOCK
        return bool(unpack_mask(data)[place]) if computation.is_audience else place in unpack_values(data)

    def _send(self, computation: Computation, sync: Sync, fence: int) -> None:
        assert sync.pending is not None
        at_ms, saved = sync.pending
        items = [Item.load(item) for item in saved]
        bodies = messages(computation, sync, items, sync.chunk, at_ms)
        refused, error = 0, ""
        try:
            if sync.kind == "cliffwatch":
                if bodies:
                    self._ingest.take(int(sync.settings["source"]), bodies)
            else:
                refused, error = self._post(sync, bodies)
        except CliffwatchError as failure:
            self._put_off(sync, fence, str(failure), "")
            return
        except _Again as again:
            self._put_off(sync, fence, str(again), again.retry_after)
            return
        rest = 1000 * len(items) // sync.per_second
        self._syncs.settle(sync, fence, len(items), refused, rest, self._clock(), error)

    def _post(self, sync: Sync, bodies: list[bytes]) -> tuple[int, str]:
        """How many messages were refused for good, and what was said. Raises _Again, Unreachable."""
        settings: dict[str, Any] = {**sync.settings, **self._syncs.secret(sync.id)}
        refused, said = 0, ""
        for parcel in KINDS[sync.kind].parcels(settings, f"engage-{sync.id}-{sync.chunk}", bodies, self._clock()):
            answer = request(
                parcel.method,
                parcel.url,
                body=parcel.body,
                headers=parcel.headers,
                allow_private=self._allow_private,
                timeout_seconds=TIMEOUT_SECONDS,
            )
            text = f"It answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
            match reaction(answer.status):
                case Reaction.AGAIN:
                    raise _Again(text, answer.headers.get("retry-after", ""))
                case Reaction.REFUSED:
                    refused, said = refused + parcel.count, text
                case Reaction.DONE:
                    pass
        return refused, said

    def _put_off(self, sync: Sync, fence: int, error: str, retry_after: str) -> None:
        attempts = sync.attempts + 1
        self._syncs.put_off(sync, fence, error, attempts, self._clock() + wait_ms(attempts, retry_after))


class _Again(Exception):
    """The other side wants it later."""

    def __init__(self, said: str, retry_after: str) -> None:
        super().__init__(said)
        self.retry_after = retry_after


def differences(computation: Computation, now: bytes | None, told: bytes | None) -> Mapping[int, Told]:
    """Place within the block -> what is so now, for everybody of whom something else was told."""
    if computation.is_audience:
        nobody = np.zeros(BLOCK, np.bool_)
        after, before = (nobody if data is None else unpack_mask(data) for data in (now, told))
        return {place: bool(after[place]) for place in np.flatnonzero(after != before).tolist()}
    have: dict[int, TraitValue] = {} if now is None else unpack_values(now)
    had: dict[int, TraitValue] = {} if told is None else unpack_values(told)
    return {place: have.get(place) for place in sorted(_unlike(have, had))}


def with_told(computation: Computation, told: bytes | None, part: Mapping[int, Told]) -> bytes:
    """The told block after this part is told."""
    if computation.is_audience:
        mask = np.zeros(BLOCK, np.bool_) if told is None else unpack_mask(told)
        mask[list(part)] = list(part.values())
        return pack_mask(mask)
    values = {} if told is None else unpack_values(told)
    for place, value in part.items():
        if value is None:
            values.pop(place, None)
        else:
            values[place] = value
    return pack_values(values)


def _unlike(have: Mapping[int, TraitValue], had: Mapping[int, TraitValue]) -> Iterator[int]:
    for place in have.keys() | had.keys():
        if have.get(place) != had.get(place):
            yield place
