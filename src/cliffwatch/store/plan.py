"""What every engine plans before it asks: even stretches of windows, each message once, rows mapped back. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.errors import InvalidInput
from cliffwatch.store.contract import (
    Aggregate,
    AggregateQuery,
    AggregateTable,
    Floats,
    Function,
    Ints,
    SliceQuery,
    SliceTable,
    TopQuery,
)

Flags = NDArray[np.bool_]

_SPREAD = np.int64(0x1E3779B97F4A7C15)
_WORTH_A_CUT_MS = 600_000
_MOST_RANGES = 8
_DIGITS = 14
_MOST_UNEVEN = 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows of equal length, so that a window's number is a division: (ts - start_ms) // length_ms."""

    first_window: int
    start_ms: int
    end_ms: int
    length_ms: int


SMALLEST_SHARE = 1 / 20_000


def check(query: AggregateQuery) -> None:
    """Refuse a query that has no meaning. Raises InvalidInput."""
    _check_measures(query.edges_ms, query.aggregates)
    _check_dimensions([*query.group_by, *(index for index, _ in query.where)])


def shares(parts: int) -> list[float]:
    """Where a whole is cut into so many parts of one size."""
    return [part / parts for part in range(1, parts)]


def check_slices(query: SliceQuery) -> None:
    """Refuse a query that has no meaning. Raises InvalidInput."""
    _check_measures(query.edges_ms, query.aggregates)
    _check_dimensions([index for _, index, _ in query.chosen])
    if len(set(query.chosen)) != len(query.chosen):
        raise InvalidInput("slice query", "chooses each slice once.")


def check_top(query: TopQuery) -> None:
    """Refuse a query that has no meaning. Raises InvalidInput."""
    _check_dimensions([query.dimension])
    if query.limit < 1 or not SMALLEST_SHARE <= query.minimum_share <= 1:
        raise InvalidInput("top values", f"are at least one, each of a share from {SMALLEST_SHARE:g} to 1.")


def _check_dimensions(indices: Sequence[int]) -> None:
    if any(index < 0 for index in indices):
        raise InvalidInput("aggregate query", "names dimensions by their index, from 0 on.")


def _check_measures(edges_ms: Sequence[int], aggregates: Sequence[Aggregate]) -> None:
    edges = np.asarray(edges_ms, dtype=np.int64)
    if len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise InvalidInput("aggregate query", "needs at least two ascending edges.")
    if not aggregates:
        raise InvalidInput("aggregate query", "needs at least one aggregate.")
    for aggregate in aggregates:
        needs_number = aggregate.function not in (Function.COUNT, Function.USERS)
        if needs_number and aggregate.number is None:
            raise InvalidInput(f"aggregate {aggregate.function.value}", "needs the index of a number.")
        if aggregate.number is not None and aggregate.number < 0:
            raise InvalidInput(f"aggregate {aggregate.function.value}", "names its number by an index, from 0 on.")
        if aggregate.function is Function.QUANTILE and not 0 < (aggregate.quantile or 0) < 1:
            raise InvalidInput("aggregate quantile", "lies between 0 and 1.")
        threshold = np.nan if aggregate.threshold is None else aggregate.threshold
        if aggregate.function is Function.ABOVE and not np.isfinite(threshold):
            raise InvalidInput("aggregate above", "needs a finite threshold.")


def stretches(edges_ms: Sequence[int]) -> list[Stretch]:
    """The fewest even stretches that tile the same windows: one, and two more around each clock change."""
    edges = np.asarray(edges_ms, dtype=np.int64)
    lengths = np.diff(edges)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(lengths)) + 1, [len(lengths)]))
    return [Stretch(a, int(edges[a]), int(edges[b]), int(lengths[a])) for a, b in itertools.pairwise(starts.tolist())]


def few_stretches(edges_ms: Sequence[int]) -> list[Stretch]:
    """The stretches to ask for when asking is what costs: a few uneven windows are told apart in one question.

    Such a stretch has no length.
    """
    even = stretches(edges_ms)
    if len(even) == 1 or len(edges_ms) > _MOST_UNEVEN:
        return even
    return [Stretch(0, edges_ms[0], edges_ms[-1], 0)]


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


def join_slices(tables: Sequence[SliceTable]) -> SliceTable:
    """The tables of all stretches as one, in order of stream, window and slice."""
    if len(tables) == 1:
        return tables[0]
    stream, window, chosen = (
        np.concatenate([getattr(table, name) for table in tables]) for name in ("stream_id", "window", "chosen")
    )
    order = np.lexsort((chosen, window, stream))
    columns = [np.concatenate([table.values[i] for table in tables])[order] for i in range(len(tables[0].values))]
    return SliceTable(stream[order], window[order], chosen[order], columns)


def steady(values: Floats) -> Floats:
    """Numbers to 14 significant digits; whole numbers stay as they are.

    Engines add numbers up in parallel, in a different order each time, so the last bits of a sum differ from one query
    to the next. A value that is asked for twice must not look changed.
    """
    whole = values == np.rint(values)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = _DIGITS - 1 - np.floor(np.log10(np.abs(values)))
        usable = ~whole & np.isfinite(values) & (np.abs(places) < 300)
        scale = 10.0 ** np.where(usable, np.abs(places), 0)
        rounded = np.where(places >= 0, np.rint(values * scale) / scale, np.rint(values / scale) * scale)
    return np.where(usable & np.isfinite(rounded), rounded, values)


def first_of_each(owner: Ints, message_hash: Ints, *earliest: Ints) -> NDArray[np.intp]:
    """Of rows with the same owner and message, the index of the one that comes first by `earliest`; ascending."""
    ordered = np.sort(message_hash ^ (owner * _SPREAD))  # equal for rows with the same owner and message
    if not np.any(ordered[1:] == ordered[:-1]):  # nearly always, and eight times as quick as the full order
        return np.arange(len(message_hash))
    order = np.lexsort((*reversed(earliest), message_hash, owner))
    owners, hashes = owner[order], message_hash[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (owners[1:] != owners[:-1]) | (hashes[1:] != hashes[:-1])
    return np.sort(order[first])


def time_ranges(ts_ms: Ints, reach_ms: int) -> list[tuple[int, int]]:
    """Closed ranges, apart from one another, that hold every time with `reach_ms` around it.

    Most events are of this minute and a few are days late: one range from the latest to the newest would make an
    engine read all that lies between.
    """
    ordered = np.sort(ts_ms)
    gaps = np.diff(ordered)
    widest = np.argsort(gaps)[::-1][: _MOST_RANGES - 1]
    cuts = np.sort(widest[gaps[widest] > _WORTH_A_CUT_MS + 2 * reach_ms])
    lows = ordered[np.concatenate(([0], cuts + 1))] - reach_ms
    highs = ordered[np.concatenate((cuts, [-1]))] + reach_ms
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def repeats(ts_ms: Ints, met_row: Ints, met_ts_ms: Ints) -> tuple[Flags, Flags]:
    """Which incoming rows are repeats of stored ones, and which stored ones give way to an earlier time.

    `ts_ms` (N) are the times of incoming rows; M encounters of incoming row `met_row` with a stored row of the same
    message at `met_ts_ms`. Returns (N,) incoming rows to leave out, and (M,) stored rows to remove.
    """
    left_out = np.zeros(len(ts_ms), dtype=np.bool_)
    left_out[met_row[met_ts_ms <= ts_ms[met_row]]] = True
    return left_out, ~left_out[met_row]
