"""Fulfils `streams.labels`: what a person had in an audience or computed trait at the moment of an event.

    ids -> person -> what is so now (blocks) -> undone by every transition after the event

So an event gets the same label when it comes, when it comes late, and when a stream is filled in from the archive.
Before the first evaluation nothing was known; what that one found stands for the time before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.clock import Clock, system_clock
from cliffwatch.db import Database
from cliffwatch.db.engage import ComputationBlockRow, ComputationChangeRow, ComputationRow
from cliffwatch.engage.blocks import BLOCK, unpack_mask, unpack_values
from cliffwatch.engage.received import Received
from cliffwatch.engage.store import CURRENT, LEARN_MS, Computations
from cliffwatch.spec.paths import as_dimension
from cliffwatch.store.trails import Trails
from cliffwatch.streams.labels import Named, Who

NOBODY = -1
_AT_ONCE = 5_000
_BLOCKS = 64
"""Blocks whose texts are remembered, by what is stored: a million people of one audience."""


class EngageLabels:
    """The labels of an installation."""

    def __init__(self, database: Database, trails: Trails, clock: Clock = system_clock) -> None:
        self._database = database
        self._trails = trails
        self._received = Received(trails)
        self._computations = Computations(database)
        self._clock = clock
        self._asked_ms: dict[int, int] = {}

    def read(self, workspace_id: int, keys: Sequence[str], who: Who) -> Sequence[Sequence[str]]:
        people = self._people(workspace_id, who)
        of = (ComputationRow.workspace_id == workspace_id, ComputationRow.key.in_(keys))
        query = select(ComputationRow).where(*of, ComputationRow.computed_ms.is_not(None))
        with self._database.read() as session:
            known = {row.key: row for row in session.scalars(query.where(ComputationRow.deleted_ms.is_(None)))}
            return [
                _column(session, known[key], people, who.ts_ms) if key in known else [""] * len(people) for key in keys
            ]

    def actors(self, workspace_id: int, messages: Sequence[Named]) -> Sequence[int]:
        now = self._clock()
        if abs(now - self._asked_ms.get(workspace_id, -LEARN_MS)) >= LEARN_MS:
            self._computations.learn_soon(workspace_id, now)
            self._asked_ms[workspace_id] = now
        return self._received.actors(workspace_id, messages)

    def _people(self, workspace_id: int, who: Who) -> list[int]:
        """The person of each event: by its user id, else its anonymous id."""
        pairs = [*zip(who.user_id, who.anonymous_id, strict=True)]
        users = self._trails.find(workspace_id, "user_id", [*{user for user, _ in pairs if user}])
        visitors = self._trails.find(workspace_id, "anonymous_id", [*{one for user, one in pairs if one and not user}])
        return [users.get(user, NOBODY) if user else visitors.get(one, NOBODY) for user, one in pairs]


def _column(session: Session, row: ComputationRow, people: Sequence[int], ts_ms: Sequence[int]) -> list[str]:
    # What is so now comes first: a transition that is committed in between is then undone, or not known yet.
    audience = row.kind == "audience"
    otherwise = as_dimension(False) if audience else ""
    wanted = sorted(set(people) - {NOBODY})
    now = _now(session, row.id, {person // BLOCK for person in wanted}, audience=audience)
    changes = _changes(session, row.id, wanted, min(ts_ms, default=0), audience=audience)
    column = []
    for person, ts in zip(people, ts_ms, strict=True):
        block = now.get(person // BLOCK)
        text = otherwise if person == NOBODY or block is None else block[person % BLOCK]
        if person in changes:
            times, before = changes[person]
            place = bisect_right(times, ts)
            text = before[place] if place < len(before) else text
        column.append(text)
    return column


def _now(session: Session, computation_id: int, blocks: Iterable[int], *, audience: bool) -> dict[int, Sequence[str]]:
    query = select(ComputationBlockRow.block, ComputationBlockRow.data).where(
        ComputationBlockRow.computation_id == computation_id,
        ComputationBlockRow.sync_id == CURRENT,
        ComputationBlockRow.block.in_(blocks),
    )
    return {block: _texts(data, audience=audience) for block, data in session.execute(query)}


@lru_cache(maxsize=_BLOCKS)
def _texts(data: bytes, *, audience: bool) -> Sequence[str]:
    """(BLOCK,) the text of each person."""
    if audience:
        return np.where(unpack_mask(data), "true", "false").tolist()  # type: ignore[no-any-return]
    texts = [""] * BLOCK
    for place, value in unpack_values(data).items():
        texts[place] = as_dimension(value)  # type: ignore[arg-type]
    return texts


def _changes(
    session: Session, computation_id: int, people: Sequence[int], after_ms: int, *, audience: bool
) -> dict[int, tuple[list[int], list[str]]]:
    """Person -> (when, what was so before), ascending; of the transitions after a moment."""
    found: dict[int, tuple[list[int], list[str]]] = defaultdict(lambda: ([], []))
    for person, at_ms, value, was in _changed(session, computation_id, people, after_ms):
        times, before = found[person]
        times.append(at_ms)
        before.append(as_dimension(not value if audience else was))
    return found


def _changed(
    session: Session, computation_id: int, people: Sequence[int], after_ms: int
) -> Iterator[tuple[int, int, Any, Any]]:
    row = ComputationChangeRow
    query = select(row.person, row.at_ms, row.value, row.was).where(
        row.computation_id == computation_id, row.at_ms > after_ms
    )
    for start in range(0, len(people), _AT_ONCE):  # a statement takes so many values at once
        some = query.where(row.person.in_(people[start : start + _AT_ONCE]))
        yield from (tuple(found) for found in session.execute(some.order_by(row.at_ms, row.id)))
