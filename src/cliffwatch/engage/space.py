"""The trails of a workspace: which there are, how far they are filled, and who is who. The only writer of these rows.

    needs of all computations -> trails that are missing -> identities -> fill -> layout

Events are followed by their arrival. What arrived shortly before the newest that was seen is looked at again, since
events are written in groups; a trail never holds an event twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from cliffwatch.db import Database
from cliffwatch.db.engage import EngageTrailRow
from cliffwatch.engage.language.model import Definition
from cliffwatch.engage.plan import Path, TrailKey, needs
from cliffwatch.engage.store import held
from cliffwatch.store.trails import Trail, Trails

SLICE = 300_000
"""Events that are filled in at once, about: what bounds the memory and the time that the store is held."""
IDENTITIES_ONLY = 4 * SLICE
"""The same where no trail is filled yet, so that only ids are read: each look at all ids costs the same."""
OVERLAP_MS = 10 * 60_000
_HOUR_MS = 3_600_000

Report = Callable[[float], None]
"""Told how far it is, 0 to 1; raises when the work is to stop."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The trails that there are now, and the number of the pass that brought them here."""

    trails: Mapping[TrailKey, Trail]
    number: int
    rows: int
    merged: int


class Spaces:
    """Trails per workspace."""

    def __init__(self, database: Database, trails: Trails) -> None:
        self._database = database
        self._trails = trails

    def bring_up(
        self,
        workspace_id: int,
        fence: int,
        source_ids: Sequence[int],
        definitions: Sequence[Definition],
        computed: Collection[str],
        report: Report,
        now: int,
    ) -> Layout:
        """Fill in what arrived since the last time, and whole trails that are new. Raises LeaseLost, Unavailable."""
        with self._database.write() as session:
            space = held(session, workspace_id, fence)
            mark, number = space.identified_ms, space.pass_number + 1
        ready, missing = self._plan(workspace_id, definitions, computed)
        sources = tuple(source_ids)
        trails = {key: _trail(row, sources) for key, row in ready.items()}
        new = {key: _trail(row, sources) for key, row in missing.items()}
        start = max(min(mark, now) - OVERLAP_MS, 0)  # what comes after the clock stepped back arrives before the mark
        fresh = self._trails.arrivals(sources, start)
        old = self._trails.arrivals(sources, 0) if new else []
        end = max([mark, *(newest + 1 for _, _, newest in fresh)])
        most = SLICE if trails else IDENTITIES_ONLY
        recent = slices(fresh, start, end, most) or [
            (start, start + 1)
        ]  # also where nothing came: people are forgotten
        todo = [(part, False) for part in recent] + [(part, True) for part in slices(old, 0, end)]
        nobody = Trail(0, workspace_id, sources, "", None, ())
        rows = merged = 0
        for done, ((from_ms, to_ms), whole) in enumerate(todo):
            report(done / len(todo))
            some = list(new.values()) if whole else [nobody, *trails.values()]
            filled = self._trails.fill(some, from_ms, to_ms, number, identify=not whole, again=True)
            rows, merged = rows + filled.rows, merged + filled.merged
        trails |= new
        with self._database.write() as session:
            space = held(session, workspace_id, fence)
            space.identified_ms, space.pass_number = min(end, now), number
            if space.learn_ms is not None and space.learn_ms <= now:
                space.learn_ms = None
            kept = [trail.id for trail in trails.values()]
            of = (EngageTrailRow.workspace_id == workspace_id, EngageTrailRow.id.in_(kept))
            session.execute(update(EngageTrailRow).where(*of).values(filled_ms=end, ready=True))
            others = (EngageTrailRow.workspace_id == workspace_id, EngageTrailRow.id.not_in(kept))
            dropped = list(session.scalars(select(EngageTrailRow.id).where(*others)))
            session.execute(delete(EngageTrailRow).where(*others))
        for trail_id in dropped:
            self._trails.drop(trail_id)
        return Layout(trails, number, rows, merged)

    def _plan(
        self, workspace_id: int, definitions: Sequence[Definition], computed: Collection[str]
    ) -> tuple[dict[TrailKey, EngageTrailRow], dict[TrailKey, EngageTrailRow]]:
        """Trails that can go on, and those that have to be filled from the beginning; the latter are written down."""
        wanted: dict[TrailKey, set[Path]] = {}
        for definition in definitions:
            for key, paths in needs(definition, computed).items():
                wanted.setdefault(key, set()).update(paths)
        ready: dict[TrailKey, EngageTrailRow] = {}
        missing: dict[TrailKey, EngageTrailRow] = {}
        with self._database.write() as session:
            query = select(EngageTrailRow).where(EngageTrailRow.workspace_id == workspace_id)
            rows = [*session.scalars(query.order_by(EngageTrailRow.id))]
            for key, needed in wanted.items():
                known = [row for row in rows if (row.kind, row.name) == key]
                fits = [row for row in known if needed <= {tuple(path) for path in row.paths}]
                done = [row for row in fits if row.ready]
                if done:
                    ready[key] = done[-1]
                elif fits:
                    missing[key] = fits[-1]
                else:
                    names = [list(path) for path in sorted(needed)]
                    row = EngageTrailRow(
                        workspace_id=workspace_id, kind=key[0], name=key[1], paths=names, filled_ms=0, ready=False
                    )
                    session.add(row)
                    session.flush()
                    missing[key] = row
        return ready, missing


def slices(
    arrivals: Sequence[tuple[int, int, int]], from_ms: int, to_ms: int, most: int = SLICE
) -> list[tuple[int, int]]:
    """Stretches of time that tile what arrived in [from_ms, to_ms), each of about `most` events."""
    found: list[tuple[int, int]] = []
    start, held_events = from_ms, 0
    for hour, count, _ in arrivals:
        if held_events and held_events + count > most:
            found.append((start, max(hour, start)))
            start, held_events = max(hour, start), 0
        if count > most:
            parts = -(-count // most)
            cuts = [hour + _HOUR_MS * part // parts for part in range(1, parts)]
            for cut in (cut for cut in cuts if start < cut < to_ms):
                found.append((start, cut))
                start = cut
            held_events = 0
        held_events += count
    if arrivals and start < to_ms:
        found.append((start, to_ms))
    return [(a, b) for a, b in found if a < b]


def _trail(row: EngageTrailRow, sources: tuple[int, ...]) -> Trail:
    return Trail(row.id, row.workspace_id, sources, row.kind, row.name, tuple(tuple(path) for path in row.paths))
