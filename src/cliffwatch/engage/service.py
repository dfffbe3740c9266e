"""The room's service: audiences and computed traits over the services below, and the threads that keep them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import structlog

from cliffwatch.clock import Clock
from cliffwatch.db import Database
from cliffwatch.engage.blocks import BLOCK, TraitValue, unpack_mask, unpack_values
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.language.model import And, Definition, Not, Or, Reduce, compares, reduces
from cliffwatch.engage.model import DEFAULT_EVERY_MINUTES, Computation, ComputationKind, Mode, Sync, Told
from cliffwatch.engage.passes import LEASE_MS, Passes
from cliffwatch.engage.plan import edges
from cliffwatch.engage.retention import tidy
from cliffwatch.engage.sender import Sender
from cliffwatch.engage.sizes import Sizes
from cliffwatch.engage.space import Spaces
from cliffwatch.engage.store import Computations, definition_of
from cliffwatch.engage.syncs import Syncs
from cliffwatch.errors import Conflict, InvalidInput, Unavailable
from cliffwatch.ingest import Ingest, Sources
from cliffwatch.loops import Loops
from cliffwatch.names import MOST
from cliffwatch.pipeline import Previews
from cliffwatch.pipeline.preview import Tell
from cliffwatch.store import EventStore
from cliffwatch.store.trails import Identifier
from cliffwatch.streams import Streams
from cliffwatch.streams.labels import label_path

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
TIDY_MS = 3_600_000
SAMPLE = 8
LANES = 3
"""Syncs at once; one more thread is for those whose last attempt was in vain."""
PREVIEW_PATIENCE_SECONDS = 600.0
"""How long a preview waits while audiences are being computed, unless it is given up before."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a computation: number, ids, and the value of a trait (True in an audience)."""

    person: int
    ids: tuple[Identifier, ...]
    value: Told

    @property
    def label(self) -> str:
        """How a person is named on a page: the user id, else another id."""
        for kind in ("user_id", "email", "anonymous_id"):
            for identifier in self.ids:
                if identifier.kind == kind:
                    return identifier.id
        return self.ids[0].id if self.ids else f"person {self.person}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that is not saved."""

    workspace_id: int
    kind: ComputationKind
    query: str
    anonymous: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        return (self.workspace_id, self.kind, self.query, self.anonymous)


@dataclass(frozen=True, slots=True)
class Preview:
    """How many people a query has at this moment, of how many, and some of them."""

    size: int
    everybody: int
    sample: tuple[Member, ...]
    took_ms: int


class Engage:
    """One per process. `start` begins to compute and to send, `stop` ends it."""

    def __init__(
        self,
        *,
        database: Database,
        store: EventStore,
        sources: Sources,
        streams: Streams,
        ingest: Ingest,
        clock: Clock,
        allow_private: bool,
    ) -> None:
        self._database = database
        self._store = store
        self._sources = sources
        self._streams = streams
        self._clock = clock
        self.computations = Computations(database)
        self.syncs = Syncs(database)
        self.spaces = Spaces(database, store.trails)
        self.passes = Passes(self.computations, self.spaces, store.trails, sources, clock)
        self.sender = Sender(self.computations, self.syncs, store.trails, ingest, clock, allow_private=allow_private)
        self.sizes = Sizes(database, self.computations, sources, streams, ingest)
        sending = partial(self.sender.step, failing=False)
        self.lanes: Mapping[str, Callable[[], bool]] = {
            **{f"sync-{n}": sending for n in range(1, LANES + 1)},
            "sync-again": partial(self.sender.step, failing=True),
        }
        self._loops = Loops({"compute": self.compute, **self.lanes}, IDLE_SECONDS, "engage_pass_failed")
        self._tidied_ms = 0
        self.previews = Previews(self.preview, clock)

    def start(self) -> None:
        self._loops.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Finish what is under way. Call it before ingest stops, which takes what is sent to sources."""
        self._loops.stop(timeout)

    def compute(self) -> bool:
        """One pass over every workspace with something due; whether any was computed."""
        now = self._clock()
        if abs(now - self._tidied_ms) > TIDY_MS:
            self._tidied_ms = now
            tidy(self._database, now)
        done = [self.passes.run(workspace_id) for workspace_id in self.computations.workspaces_due(now)]
        self.sizes.tell(now)
        return any(done)

    def step(self) -> bool:
        """Compute what is due, then send until nothing is left to send now; for tests and whoever cannot wait."""
        done = self.compute()
        while self.sender.step():
            done = True
        return done

    def create(
        self,
        workspace_id: int,
        kind: ComputationKind,
        name: str,
        query: str,
        now: int,
        *,
        anonymous: bool = False,
        every_minutes: int | None = None,
        watched: bool = True,
    ) -> Computation:
        """`every_minutes` None: as soon as events come where nothing expires, else every two hours. `watched` measures
        its size in the workspace's data stream of sizes. Raises InvalidInput, InvalidQuery, Conflict."""
        every = default_schedule(definition_of(kind, query)) if every_minutes is None else every_minutes
        made = self.computations.create(workspace_id, kind, name, query, now, anonymous=anonymous, every_minutes=every)
        if watched:
            self.sizes.watch(workspace_id, now)
        return made

    def delete(self, workspace_id: int, computation_id: int, now: int) -> None:
        """It is computed and sent no more, and can be brought back for a week. Raises NotFound, and Conflict while a
        data stream is split by it: that stream would go on with nobody in it."""
        one = self.computations.get(workspace_id, computation_id)
        path = label_path(one.key)
        split = [
            stream.name
            for stream in self._streams.list(workspace_id)
            if path in (dimension.path for dimension in stream.definition.dimensions)
        ]
        if split:
            names = ", ".join(f"“{name}”" for name in split)
            raise Conflict(f"“{one.name}”", f"is a dimension of {names}.", "Take it out of there, then delete it.")
        self.computations.delete(workspace_id, computation_id, now)

    def send_to(
        self,
        computation: Computation,
        kind: str,
        settings: Mapping[str, Any],
        mode: Mode,
        now: int,
        *,
        name: str | None = None,
        per_second: int = 1_000,
        paused: bool = False,
    ) -> Sync:
        """Begin to send a computation somewhere: first everybody in it. Without a name it gets one that says what is
        sent where. Raises InvalidInput, NotFound."""
        if kind == "cliffwatch":
            where = self._sources.get(computation.workspace_id, KINDS[kind].check(settings)["source"]).name
        else:
            where = urlsplit(str(settings.get("endpoint") or settings.get("url", ""))).netloc.rpartition("@")[2]
        if name is None:
            name = self._free_name(computation, f"{computation.name} to {where}")
        return self.syncs.create(computation.id, name, kind, settings, mode, now, per_second=per_second, paused=paused)

    def _free_name(self, computation: Computation, name: str) -> str:
        taken, name = {sync.name for sync in self.syncs.of_workspace(computation.workspace_id)}, name[: MOST - 5]
        return next(each for n in itertools.count(1) if (each := name if n == 1 else f"{name} {n}") not in taken)

    def preview(self, asked: Asked, tell: Tell) -> Preview:
        """Size and sample of a query that is not saved; `tell` hears how far the reading of events is, in thousandths.
        Raises InvalidQuery, Unavailable while others compute, Cancelled."""
        definition, now, started = definition_of(asked.kind, asked.query), self._clock(), time.perf_counter()
        workspace_id = asked.workspace_id
        fence = self._claim(workspace_id, tell)
        try:
            evaluator = self.passes.evaluator(
                workspace_id,
                fence,
                [definition],
                now,
                anonymous=asked.anonymous,
                report=lambda progress: tell(int(1000 * progress), 1000),
            )
            everybody = int(evaluator.universe.sum())
            if isinstance(definition, Reduce):
                table = evaluator.values(definition)
                values: dict[int, Told] = dict(zip(table.person.tolist(), table.value, strict=True))
                size, some = len(values), table.person[:SAMPLE].tolist()
            else:
                mask = evaluator.members(definition)
                size, some = int(mask.sum()), np.flatnonzero(mask)[:SAMPLE].tolist()
                values = dict.fromkeys(some, True)
        finally:
            self.computations.renew(workspace_id, fence, 0)
        sample = self._with_ids(workspace_id, {person: values[person] for person in some})
        return Preview(size, everybody, tuple(sample), int(1000 * (time.perf_counter() - started)))

    def members(self, computation: Computation, limit: int = 50, after: int = -1) -> list[Member]:
        """People in a computation in the order of their numbers, those above `after`."""
        found: dict[int, Told] = {}
        for block, data in self.computations.blocks(computation.id).items():
            if (block + 1) * BLOCK <= after + 1:
                continue
            start = block * BLOCK
            inside: Mapping[int, TraitValue | bool] = (
                dict.fromkeys(np.flatnonzero(unpack_mask(data)).tolist(), True)
                if computation.is_audience
                else unpack_values(data)
            )
            found |= {start + place: value for place, value in sorted(inside.items()) if start + place > after}
            if len(found) >= limit:
                break
        some = dict(sorted(found.items())[:limit])
        return self._with_ids(computation.workspace_id, some)

    def value_of(self, computation: Computation, person: int) -> Told:
        """What a person has in a computation: True or False in an audience, the value of a trait or None."""
        block = person // BLOCK
        data = self.computations.blocks(computation.id, only=[block]).get(block)
        if computation.is_audience:
            return bool(unpack_mask(data)[person % BLOCK]) if data is not None else False
        return unpack_values(data).get(person % BLOCK) if data is not None else None

    def people(self, workspace_id: int, values: Mapping[int, Told]) -> list[Member]:
        """These people with their ids."""
        return self._with_ids(workspace_id, values)

    def _with_ids(self, workspace_id: int, values: Mapping[int, Told]) -> list[Member]:
        ids: dict[int, list[Identifier]] = {}
        for identifier in self._store.trails.identifiers(workspace_id, np.array(list(values), np.int64)):
            ids.setdefault(identifier.person, []).append(identifier)
        return [Member(person, tuple(ids.get(person, ())), value) for person, value in values.items()]

    def _claim(self, workspace_id: int, tell: Tell) -> int:
        until = time.monotonic() + PREVIEW_PATIENCE_SECONDS
        while True:
            fence = self.computations.claim(workspace_id, self._clock(), LEASE_MS)
            if fence is not None:
                return fence
            if time.monotonic() > until:
                raise Unavailable("preview", "has to wait: audiences are being computed.", "Try again in a moment.")
            tell(0, 0)
            time.sleep(0.1)


def default_schedule(definition: Definition) -> int:
    """Minutes between two evaluations, 0 for as soon as events come: where only events change what holds."""
    if edges(definition) or any(_is_funnel(reduce) for reduce in reduces(definition)):
        return DEFAULT_EVERY_MINUTES
    return 0


def _is_funnel(reduce: Reduce) -> bool:
    where = reduce.events.where
    return isinstance(where, (And, Or, Not)) and any(isinstance(compare.value, Reduce) for compare in compares(where))


def computation_kind(text: str) -> ComputationKind:
    """Raises InvalidInput."""
    try:
        return ComputationKind(text)
    except ValueError as error:
        kinds: Sequence[str] = [kind.value for kind in ComputationKind]
        raise InvalidInput("kind", f"is one of {', '.join(kinds)}.") from error
