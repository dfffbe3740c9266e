"""Engine-independent planning of aggregate queries: even stretches of windows, and rows mapped back. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.errors import InvalidInput
from cliffwatch.store.contract import AggregateQuery, AggregateTable, Function


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows of equal length, so that a window's number is a division: (ts - start_ms) // length_ms."""

    first_window: int
    start_ms: int
    end_ms: int
    length_ms: int


def check(query: AggregateQuery) -> None:
    """Refuse a query that has no meaning. Raises InvalidInput."""
    edges = np.asarray(query.edges_ms, dtype=np.int64)
    if len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise InvalidInput("aggregate query", "needs at least two ascending edges.")
    for aggregate in query.aggregates:
        needs_number = aggregate.function not in (Function.COUNT, Function.USERS)
        if needs_number and aggregate.number is None:
            raise InvalidInput(f"aggregate {aggregate.function.value}", "needs the index of a number.")
        if aggregate.function is Function.QUANTILE and not 0 < (aggregate.quantile or 0) < 1:
            raise InvalidInput("aggregate quantile", "lies between 0 and 1.")


def stretches(edges_ms: Sequence[int]) -> list[Stretch]:
    """The fewest even stretches that tile the same windows: one, and two more around each clock change."""
    edges = np.asarray(edges_ms, dtype=np.int64)
    lengths = np.diff(edges)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(lengths)) + 1, [len(lengths)]))
    return [Stretch(a, int(edges[a]), int(edges[b]), int(lengths[a])) for a, b in itertools.pairwise(starts.tolist())]


def join(tables: Sequence[AggregateTable], query: AggregateQuery) -> AggregateTable:
    """The tables of all stretches as one, in order of window, then group."""
    if len(tables) == 1:
        return tables[0]
    return AggregateTable(
        window=np.concatenate([table.window for table in tables]),
        groups=[
            [value for table in tables for value in table.groups[position]] for position in range(len(query.group_by))
        ],
        values=[
            np.concatenate([table.values[position] for table in tables]) for position in range(len(query.aggregates))
        ],
    )
