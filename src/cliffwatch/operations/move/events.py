"""Whole events, facts and points of an embedded store, on ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cliffwatch.errors import Conflict, Unavailable
from cliffwatch.progress import Progress
from cliffwatch.store import DuckDBStore, Position, arrow
from cliffwatch.store.chunks import LAYOUTS, Chunk, Chunked, Layout, Prints, Sum
from cliffwatch.store.plan import first_of_each

if TYPE_CHECKING:
    from cliffwatch.store.clickhouse import ClickHouseStore

_ROWS_OF_WRITE = 50_000
_COMPARING, _WRITING = 0.1, 0.8
"""Shares of the work; the rest is reading the servers again."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Table -> its rows here, and how many were written: those that were missing there."""

    rows: dict[str, int]
    written: dict[str, int]


@dataclass(slots=True)
class Plan:
    """What makes a table there the same as here. `write`: stretch -> owner -> prints of the rows, None for all."""

    layout: Layout
    here: Mapping[Chunk, Sum]
    write: dict[int, dict[int, Prints | None]] = field(default_factory=dict)
    delete: list[Chunk] = field(default_factory=list)
    rows: int = 0

    @property
    def is_nothing(self) -> bool:
        return not self.write and not self.delete

    def add(self, chunk: Chunk, rows: int, prints: Prints | None = None) -> None:
        self.write.setdefault(chunk.stretch, {})[chunk.owner] = prints
        self.rows += rows


def copy_events(source: DuckDBStore, target: ClickHouseStore, progress: Progress) -> Copied:
    """Make the target hold what the source holds, and read it again to make sure.

    Raises Conflict when the target holds another installation's events, Unavailable when a store fails or does not
    give back what was written; then do it again, what is there is not written twice.
    """
    _claim(source, target)
    plans = []
    for place, layout in enumerate(LAYOUTS):
        progress(_COMPARING * place / len(LAYOUTS), f"Comparing {layout.name}")
        plans.append(make_plan(layout, source.chunks, target.chunks, source.chunks.sums(layout)))
    total, done = max(sum(plan.rows for plan in plans), 1), 0
    for plan in plans:
        if plan.delete:
            progress(_COMPARING + _WRITING * done / total, f"Deleting {plan.layout.name} that are no longer here")
            target.chunks.delete(plan.layout, plan.delete)
        for table in _together(_rows(plan, source)):
            _write(target, plan.layout, table)
            done += len(table)
            progress(_COMPARING + _WRITING * done / total, f"Writing {plan.layout.name}")
    for place, plan in enumerate(plans):
        name = plan.layout.name
        share = _COMPARING + _WRITING + (1 - _COMPARING - _WRITING) * place / len(LAYOUTS)
        progress(share, f"Reading {name} again")
        if not plan.is_nothing and not make_plan(plan.layout, source.chunks, target.chunks, plan.here).is_nothing:
            raise Unavailable(f"event store {name}", "is not what was written.", "Move again; what is there is kept.")
    for position in source.chunks.positions():
        target.write(None, None, position)
    return Copied(
        {plan.layout.name: sum(one.rows for one in plan.here.values()) for plan in plans},
        {plan.layout.name: plan.rows for plan in plans},
    )


def make_plan(layout: Layout, source: Chunked, target: Chunked, here: Mapping[Chunk, Sum]) -> Plan:
    """Compare a table's chunks, of which the source's have the sums `here`; where they differ, their rows.

    Servers may hold a row twice, which counts once; so chunks of different sums may hold the same rows.
    """
    there = target.sums(layout)
    plan = Plan(layout, here)
    for chunk in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(chunk, Sum(0, 0)), there.get(chunk)
        if ours == theirs:
            continue
        if theirs is None:
            plan.add(chunk, ours.rows)
        elif not ours.rows:
            plan.delete.append(chunk)
        else:
            mine, found = source.printed(layout, chunk), target.printed(layout, chunk)
            missing = mine.row[~np.isin(mine.row, found.row)]
            if not np.isin(found.key, mine.key).all():
                plan.delete.append(chunk)
                plan.add(chunk, ours.rows)
            elif len(missing):
                plan.add(chunk, len(missing), missing)
    return plan


def _claim(source: DuckDBStore, target: ClickHouseStore) -> None:
    """Write down whose events these are, before the first one."""
    ours = [position.journal for position in source.chunks.positions()]
    if not any(target.knows(journal) for journal in ours):
        if any(target.chunks.sums(layout) for layout in LAYOUTS):
            raise Conflict(
                "event store",
                "holds events of another installation.",
                "Name an empty database of that server: clickhouse://host:9000/name.",
            )
        for journal in ours:
            target.write(None, None, Position(journal, 0))


def _rows(plan: Plan, source: DuckDBStore) -> Iterator[pa.Table]:
    for stretch, owners in sorted(plan.write.items()):
        only = {owner: prints for owner, prints in owners.items() if prints is not None}
        yield from source.chunks.rows(plan.layout, stretch, list(owners), only)


def _together(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: servers like large writes."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= _ROWS_OF_WRITE:
            yield pa.concat_tables(held)
            held = []
    if any(map(len, held)):
        yield pa.concat_tables(held)


def _write(target: ClickHouseStore, layout: Layout, table: pa.Table) -> None:
    match layout.name:
        case "archive":
            for rows in _each_message_once(table, layout):
                target.write(arrow.archive_batch(rows), None)
        case "facts":
            for rows in _each_message_once(table, layout):
                target.write(None, arrow.fact_batch(rows))
        case _:
            target.write_points(*arrow.point_batches(table).values())


def _each_message_once(table: pa.Table, layout: Layout) -> Iterator[pa.Table]:
    """The same rows, in parts that hold a message once: of what is written together, a store keeps the first copy only,
    while one that came long after another counts, too."""
    while len(table):
        first = first_of_each(*(table[name].to_numpy() for name in (layout.owner, "message_hash", layout.time)))
        yield table.take(first)
        table = table.take(np.setdiff1d(np.arange(len(table)), first))
