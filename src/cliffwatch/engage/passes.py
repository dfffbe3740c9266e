"""An evaluation pass of a workspace: bring the trails up to date, ask what is due, and commit what changed.

    claim -> trails -> for each computation that is due: questions -> differences -> commit (one transaction each)

A pass that dies anywhere is done again by whoever claims next: what it had committed is there, the rest is not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from cliffwatch.clock import Clock
from cliffwatch.engage.blocks import (
    BLOCK,
    TraitValue,
    blocks_of,
    pack_mask,
    pack_values,
    whole_mask,
    whole_values,
)
from cliffwatch.engage.evaluate import Evaluator, changed
from cliffwatch.engage.language.model import Definition, Reduce, traits
from cliffwatch.engage.model import MINUTE_MS, RETRY_MS, Computation, Pass
from cliffwatch.engage.plan import Planner, edges, is_incremental
from cliffwatch.engage.space import Layout, Report, Spaces
from cliffwatch.engage.store import Computations, definition_of
from cliffwatch.errors import CliffwatchError
from cliffwatch.ingest import Sources
from cliffwatch.jobs import LeaseLost
from cliffwatch.store.contract import Ints
from cliffwatch.store.trails import Mask, Trails

log = structlog.get_logger(__name__)

LEASE_MS = 180_000
SOON_MS = 20_000
"""How often what follows events is looked at."""
QUIET_MS = 600_000
"""An evaluation in which nothing changed is noted this often."""
COMPLETE_EVERY_MS = 86_400_000
KNOWN_KINDS = ("user_id", "email", "android.idfa", "ios.idfa")
"""Who has one of these counts, unless a computation takes anonymous people too."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an evaluation found: blocks that changed, who changed and to what, and sizes."""

    blocks: Mapping[int, bytes]
    changes: Sequence[Mapping[str, Any]]
    size: int
    entered: int
    left: int
    looked_at: int


class Passes:
    """Evaluates while it holds a workspace."""

    def __init__(
        self, computations: Computations, spaces: Spaces, trails: Trails, sources: Sources, clock: Clock
    ) -> None:
        self._computations = computations
        self._spaces = spaces
        self._trails = trails
        self._sources = sources
        self._clock = clock

    def run(self, workspace_id: int) -> bool:
        """One pass over what is due, if only learning who is who; False when another process is at it."""
        now = self._clock()
        fence = self._computations.claim(workspace_id, now, LEASE_MS)
        if fence is None:
            return False
        try:
            active = [one for one in self._computations.list(workspace_id) if one.enabled]
            due = [one for one in active if one.is_due(now)]
            self._evaluate_all(workspace_id, fence, active, due, now)
            self._computations.renew(workspace_id, fence, 0)
        except LeaseLost:
            log.info("engage_pass_taken_over", workspace=workspace_id)
        return True

    def _evaluate_all(
        self, workspace_id: int, fence: int, active: Sequence[Computation], due: Sequence[Computation], now: int
    ) -> None:
        keys = {one.key for one in active}
        definitions = {one.id: definition_of(one.kind, one.query) for one in active}
        waiting = [one for one in due if one.state == "preparing"]

        def report(progress: float) -> None:
            self._computations.renew(workspace_id, fence, self._clock() + LEASE_MS)
            for one in waiting:
                self._computations.progress(one.id, (workspace_id, fence), "preparing", progress)

        by_name = self._sources_of(workspace_id)
        layout = self._spaces.bring_up(
            workspace_id, fence, sorted(set(by_name.values())), list(definitions.values()), keys, report, now
        )
        universes: dict[bool, Mask] = {}
        referring = {one.id: keys & set(traits(definitions[one.id])) for one in due}
        for one in sorted(due, key=lambda one: len(referring[one.id])):  # what others refer to comes first
            if one.anonymous not in universes:
                universes[one.anonymous] = self._universe(workspace_id, anonymous=one.anonymous)
            planner = Planner(layout.trails, now, by_name)
            evaluator = Evaluator(self._trails, planner, universes[one.anonymous], self._known(active))
            self._guarded(one, definitions[one.id], evaluator, layout, keys, fence)

    def evaluator(
        self,
        workspace_id: int,
        fence: int,
        definitions: Sequence[Definition],
        now: int,
        *,
        anonymous: bool,
        report: Report,
    ) -> Evaluator:
        """An evaluator for definitions that are not saved; whoever calls it holds the workspace."""

        def reported(progress: float) -> None:
            self._computations.renew(workspace_id, fence, self._clock() + LEASE_MS)
            report(progress)

        active = [one for one in self._computations.list(workspace_id) if one.enabled]
        by_name = self._sources_of(workspace_id)
        layout = self._spaces.bring_up(
            workspace_id,
            fence,
            sorted(set(by_name.values())),
            [*definitions, *(definition_of(one.kind, one.query) for one in active)],
            {one.key for one in active},
            reported,
            now,
        )
        universe = self._universe(workspace_id, anonymous=anonymous)
        return Evaluator(self._trails, Planner(layout.trails, now, by_name), universe, self._known(active))

    def _sources_of(self, workspace_id: int) -> dict[str, int]:
        """Sources by what queries call them: their slug or their number."""
        sources = self._sources.list(workspace_id)
        return {source.slug: source.id for source in sources} | {str(source.id): source.id for source in sources}

    def _guarded(
        self,
        one: Computation,
        definition: Definition,
        evaluator: Evaluator,
        layout: Layout,
        keys: set[str],
        fence: int,
    ) -> None:
        here = (one.workspace_id, fence)
        self._computations.renew(*here, self._clock() + LEASE_MS)
        try:
            self.evaluate(one, definition, evaluator, layout, keys, here)
        except LeaseLost:
            raise
        except Exception as error:  # a fault of one definition must not keep the others from being computed
            known = isinstance(error, CliffwatchError)
            log.warning("computation_failed", computation=one.computation_id, error=str(error), exc_info=not known)
            self._computations.fail(one.id, here, str(error) or type(error).__name__, self._clock() + RETRY_MS)

    def evaluate(
        self,
        one: Computation,
        definition: Definition,
        evaluator: Evaluator,
        layout: Layout,
        keys: set[str],
        fence: tuple[int, int],
    ) -> None:
        """Evaluate one computation and commit what changed."""
        now, started = evaluator.planner.now, time.perf_counter()
        among: Ints | None = None
        complete = one.complete_ms is None or now - one.complete_ms >= COMPLETE_EVERY_MS
        complete = complete or now < (one.computed_ms or 0)  # the clock stepped back: ends of windows are ahead again
        if not complete and is_incremental(definition, keys) and one.computed_ms is not None:
            among = changed(self._trails, layout.trails, definition, one.pass_number, one.computed_ms, now)
        if one.state == "preparing":
            self._computations.progress(one.id, fence, "computing", 0.0)
        find = self._trait if isinstance(definition, Reduce) else self._audience
        found = find(one, definition, evaluator, among)
        took_ms = int(1000 * (time.perf_counter() - started))
        done = Pass(0, now, among is None, found.looked_at, found.size, found.entered, found.left, took_ms)
        wait = one.every_minutes * MINUTE_MS or SOON_MS
        changes = found.changes if one.computed_ms is not None else ()
        quiet = among is not None and not found.changes and one.computed_ms is not None
        quiet = quiet and (one.computed_ms or 0) // QUIET_MS == now // QUIET_MS
        self._computations.commit(
            one, fence, done, found.blocks, changes, pass_number=layout.number, next_due_ms=now + wait, noted=not quiet
        )

    def _audience(self, one: Computation, definition: Definition, evaluator: Evaluator, among: Ints | None) -> Found:
        assert not isinstance(definition, Reduce)
        before = whole_mask(self._computations.blocks(one.id), len(evaluator.universe))
        after = evaluator.members(definition, among)
        if among is not None:
            merged = before.copy()
            merged[among] = after[among]
            after = merged
        different = np.flatnonzero(before != after)
        blocks = {block: pack_mask(after[block * BLOCK : (block + 1) * BLOCK]) for block in blocks_of(different)}
        changes = [
            {"person": person, "value": bool(after[person]), "was": bool(before[person])}
            for person in different.tolist()
        ]
        entered = int(after[different].sum())
        looked_at = len(evaluator.universe) if among is None else len(among)
        return Found(blocks, changes, int(after.sum()), entered, len(different) - entered, looked_at)

    def _trait(self, one: Computation, definition: Definition, evaluator: Evaluator, among: Ints | None) -> Found:
        assert isinstance(definition, Reduce)
        before = whole_values(self._computations.blocks(one.id))
        table = evaluator.values(definition, among)
        after: dict[int, TraitValue] = dict(zip(table.person.tolist(), map(_steady, table.value), strict=True))
        if among is not None:
            looked = set(among.tolist())
            after = {person: value for person, value in before.items() if person not in looked} | after
        different = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
        touched = set(blocks_of(np.array(different, np.int64)))
        parts: dict[int, dict[int, TraitValue]] = {block: {} for block in touched}
        for person, value in after.items():
            if person // BLOCK in touched:
                parts[person // BLOCK][person % BLOCK] = value
        blocks = {block: pack_values(part) for block, part in parts.items()}
        changes = [{"person": person, "value": after.get(person), "was": before.get(person)} for person in different]
        entered = sum(person in after and person not in before for person in different)
        left = sum(person not in after for person in different)
        looked_at = len(evaluator.universe) if among is None else len(among)
        return Found(blocks, changes, len(after), entered, left, looked_at)

    def _universe(self, workspace_id: int, *, anonymous: bool) -> Mask:
        mask = np.zeros(self._trails.population(workspace_id), np.bool_)
        mask[self._trails.everybody(workspace_id, () if anonymous else KNOWN_KINDS)] = True
        return mask

    def _known(self, active: Sequence[Computation]) -> Any:
        by_key = {one.key: one for one in active}

        def known(key: str) -> tuple[dict[int, str], str] | None:
            one = by_key.get(key)
            if one is None:
                return None
            blocks = self._computations.blocks(one.id)
            if one.is_audience:
                top = (max(blocks, default=-1) + 1) * BLOCK
                return dict.fromkeys(np.flatnonzero(whole_mask(blocks, top)).tolist(), "true"), "false"
            return {person: text_of_value(value) for person, value in whole_values(blocks).items()}, ""

        return known


def next_edge_ms(definition: Definition) -> int | None:
    """The shortest time in which a window alone can change something; None when nothing expires."""
    return min((edge.age_ms for edge in edges(definition)), default=None)


def text_of_value(value: TraitValue) -> str:
    """A trait's value as text, as an event would bring it."""
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else repr(value).removesuffix(".0")


def _steady(value: float | str | list[str]) -> TraitValue:
    """Whole numbers without a fraction, and sums to 14 digits: the order of adding must not look like a change."""
    if isinstance(value, float):
        rounded = float(f"{value:.14g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return value
