"""Histories in a real store, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tests.engage.naive import Happened, Person, World

from cliffwatch.engage.evaluate import Evaluator
from cliffwatch.engage.language.model import Definition
from cliffwatch.engage.plan import Planner, TrailKey, needs
from cliffwatch.store import ArchiveBatch, EventStore
from cliffwatch.store.trails import Trail

KINDS = {"page": "pageview", "screen": "screenview"}


def archive(store: EventStore, history: Sequence[Happened], shift: int = 0) -> None:
    """Write the history as whole events; `shift` moves its sources away from those of others."""
    if not history:
        return
    store.write(
        ArchiveBatch(
            source_id=np.array([event.source + shift for event in history]),
            kind=[KINDS.get(event.type, event.type) for event in history],
            name=[event.name for event in history],
            ts_ms=np.array([event.ts for event in history]),
            received_at_ms=np.array([event.arrived for event in history]),
            message_hash=np.array([event.order for event in history]),
            user_id=[event.user_id for event in history],
            anonymous_id=[event.anonymous_id for event in history],
            body=[event.body for event in history],
        ),
        None,
    )


def layout_of(definition: Definition, workspace: int, sources: tuple[int, ...]) -> dict[TrailKey, Trail]:
    """The trails that a definition needs, with numbers of their own for each workspace."""
    return {
        key: Trail(workspace * 100 + place, workspace, sources, *key, tuple(sorted(paths)))
        for place, (key, paths) in enumerate(sorted(needs(definition).items(), key=str))
    }


def evaluator(store: EventStore, layout: dict[TrailKey, Trail], workspace: int, now: int, shift: int = 0) -> Evaluator:
    universe = np.zeros(store.trails.population(workspace), np.bool_)
    universe[store.trails.everybody(workspace)] = True
    planner = Planner(layout, now, {"1": 1 + shift, "2": 2 + shift})
    return Evaluator(store.trails, planner, universe, lambda _: None)


def numbers(store: EventStore, workspace: int, world: World) -> dict[Person, int]:
    """The number of each person; all of somebody's ids must have one and the same."""
    found = {}
    for person in world.everybody():
        of = {store.trails.find(workspace, kind, [id_])[id_] for kind, id_ in person.ids}
        assert len(of) == 1, (person.ids, of)
        found[person] = of.pop()
    assert len(set(found.values())) == len(found)
    return found
