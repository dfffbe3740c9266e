"""Facts -> series: the values of a stream's measures per window, for the total and for each monitored slice.

An average is kept as sum and count, a ratio as its two parts: so the rest beside a dimension's top values, `(other)`,
is exact for them as it is for counts and sums. Unique users, percentiles and extremes of the rest cannot be had from
those of the parts, so these measures have no `(other)` series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store import Aggregate, AggregateQuery, AggregateTable, EventStore, Function
from cliffwatch.streams.model import (
    OTHER,
    TOTAL,
    Aggregation,
    Definition,
    Measure,
    Part,
    Slice,
    Stream,
    Window,
    make_slice,
)
from cliffwatch.streams.projection import numeric_paths

Floats = NDArray[np.float64]
SeriesKey = tuple[str, Slice]

DAY_MS = 24 * 3_600_000
LOOK_BACK_MS = 28 * DAY_MS
"""A dimension's top values are those of the last four weeks ..."""
LOOK_BACK_WINDOWS = 8
"""... or of this many windows, where these are longer."""
_ADD_UP = (Function.COUNT, Function.SUM)
_ROUNDING = 1e-9
"""What is left of a total after its parts, relative to them, when nothing is left."""


@dataclass(frozen=True, slots=True)
class Collected:
    """S series over W windows. `values` and `weights` are (S, W); NaN = missing.

    A weight is the number of events under a sum, average, extreme or percentile, and the denominator of a ratio.
    """

    series: tuple[SeriesKey, ...]
    windows: tuple[Window, ...]
    values: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class Columns:
    """The aggregate columns of one measure: its value and the events under it, or numerator and denominator."""

    measure: Measure
    first: Aggregate
    second: Aggregate | None  # denominator, or number of events under the value
    divides: bool  # the value is first / second

    @property
    def has_rest(self) -> bool:
        """Whether `(other)` follows from the total and the parts: every column adds up over disjoint slices."""
        columns = [self.first, self.second] if self.divides else [self.first]
        return all(column is not None and column.function in _ADD_UP for column in columns)


def columns_of(definition: Definition, measure: Measure) -> Columns:
    """What to ask the event store for a measure."""
    paths = numeric_paths(definition)

    def simple(part: Part | Measure) -> Aggregate:
        number = paths.index(part.path) if part.path else None
        match part.aggregation:
            case Aggregation.COUNT:
                return Aggregate(Function.COUNT, number, event=part.event)
            case Aggregation.USERS:
                return Aggregate(Function.USERS, event=part.event)
            case Aggregation.SUM | Aggregation.AVERAGE:
                return Aggregate(Function.SUM, number, event=part.event)
            case Aggregation.MIN:
                return Aggregate(Function.MIN, number, event=part.event)
            case Aggregation.MAX:
                return Aggregate(Function.MAX, number, event=part.event)
            case aggregation:
                return Aggregate(Function.QUANTILE, number, aggregation.quantile, part.event)

    if measure.aggregation is Aggregation.RATIO:
        assert measure.numerator is not None
        assert measure.denominator is not None
        return Columns(measure, simple(measure.numerator), simple(measure.denominator), divides=True)
    value = simple(measure)
    if measure.aggregation in (Aggregation.COUNT, Aggregation.USERS):
        return Columns(measure, value, None, divides=False)
    events = Aggregate(Function.COUNT, value.number, event=measure.event)
    return Columns(measure, value, events, divides=measure.aggregation is Aggregation.AVERAGE)


def monitored(store: EventStore, stream: Stream, until_ms: int) -> Mapping[str, tuple[str, ...]]:
    """Dimension path -> its values with a series of their own, the most frequent first; `OTHER` last if there are more.

    They are the `top` most frequent of the last four weeks before the day of `until_ms` (UTC), so that they stay the
    same all day and are counted once a day; of a stream that has not seen a whole day yet, of all that there is.
    """
    midnight = until_ms - until_ms % DAY_MS
    today = _of_today.setdefault(store, {})
    known = today.get(stream.facts_id)
    asked = (midnight, stream.definition)
    if known is None or known[0] != asked:
        chosen, steady = _ranked(store, stream, until_ms, midnight)
        known = (asked, chosen)
        if steady:
            today[stream.facts_id] = known
    return known[1]


_Values = dict[str, tuple[str, ...]]
_of_today: WeakKeyDictionary[EventStore, dict[int, tuple[tuple[int, Definition], _Values]]] = WeakKeyDictionary()
"""Per store and facts_id: the monitored values of a day (its first moment) under a definition."""


def _ranked(store: EventStore, stream: Stream, until_ms: int, midnight: int) -> tuple[_Values, bool]:
    """The monitored values, and whether they hold all day."""
    definition = stream.definition
    look_back_ms = max(LOOK_BACK_MS, LOOK_BACK_WINDOWS * definition.schedule.frequency_minutes * 60_000)
    chosen: _Values = {}
    steady = True
    for index, dimension in enumerate(definition.dimensions, start=1):
        counts = _counts(store, stream, index, [midnight - look_back_ms, midnight - DAY_MS, midnight])
        if counts is None:
            steady = False
            counts = _counts(store, stream, index, [until_ms - look_back_ms, until_ms]) or {}
        ranked = sorted(counts, key=lambda value: (-counts[value], value))
        top = [value for value in ranked[: dimension.top] if value != OTHER]
        chosen[dimension.path] = (*top, OTHER) if len(top) < len(ranked) else tuple(top)
    return chosen, steady


def _counts(store: EventStore, stream: Stream, dimension: int, edges: Sequence[int]) -> dict[str, float] | None:
    """Value -> number of facts between the outer edges; None when there are none before the second edge."""
    table = store.aggregate(AggregateQuery(stream.facts_id, edges, [Aggregate(Function.COUNT)], [dimension]))
    if not len(table.window) or table.window[0] > 0:
        return None
    counts: dict[str, float] = {}
    for value, count in zip(table.groups[0], table.values[0].tolist(), strict=True):
        counts[value] = counts.get(value, 0.0) + count
    return counts


def collect(
    store: EventStore, stream: Stream, windows: Sequence[Window], values: Mapping[str, Sequence[str]]
) -> Collected:
    """All series of a stream over windows that tile time. `values` are the monitored ones (see `monitored`).

    A window without facts is 0 for counts, sums and unique users, and missing for everything else.
    """
    definition = stream.definition
    plans = [columns_of(definition, measure) for measure in definition.measures]
    asked = [column for plan in plans for column in (plan.first, plan.second) if column is not None]
    edges = [window.start_ms for window in windows] + [windows[-1].end_ms]
    totals = _total(store.aggregate(AggregateQuery(stream.facts_id, edges, asked)), asked, len(windows))
    parts: dict[str, tuple[list[str], Floats, bool]] = {}
    for index, dimension in enumerate(definition.dimensions, start=1):
        chosen = values.get(dimension.path, ())
        kept = [value for value in chosen if value != OTHER]
        if kept:
            table = store.aggregate(AggregateQuery(stream.facts_id, edges, asked, [index]))
            cells, has_more = _cells(table, kept, asked, len(windows))
            parts[dimension.path] = (kept, cells, has_more or OTHER in chosen)
    series: list[SeriesKey] = []
    rows: list[tuple[Floats, Floats]] = []

    def add(plan: Columns, slice_: Slice, columns: Floats) -> None:
        series.append((plan.measure.key, slice_))
        rows.append(_finish(plan, columns))

    position = 0
    for plan in plans:
        span = slice(position, position + (1 if plan.second is None else 2))
        position = span.stop
        add(plan, TOTAL, totals[span])
        for path, (kept, cells, has_more) in parts.items():
            for value, cell in zip(kept, cells[:, span], strict=True):
                add(plan, make_slice({path: value}), cell)
            if has_more and plan.has_rest:
                add(plan, make_slice({path: OTHER}), _rest(totals[span], cells[:, span]))
    return Collected(
        tuple(series),
        tuple(windows),
        np.array([value for value, _ in rows]),
        np.array([weight for _, weight in rows]),
    )


def _total(table: AggregateTable, asked: Sequence[Aggregate], width: int) -> Floats:
    """(columns, windows), with the value of an empty set where there is no row."""
    cell = _empty(asked, width)
    cell[:, table.window] = table.values
    return cell


def _cells(table: AggregateTable, kept: Sequence[str], asked: Sequence[Aggregate], width: int) -> tuple[Floats, bool]:
    """(values, columns, windows) of the kept values of one dimension, and whether others occurred."""
    place = {value: row for row, value in enumerate(kept)}
    codes = np.array([place.get(value, -1) for value in table.groups[0]], dtype=np.int64)
    known = codes >= 0
    cells = np.repeat(_empty(asked, width)[None], len(kept), axis=0)
    for column, numbers in enumerate(table.values):
        cells[codes[known], column, table.window[known]] = numbers[known]
    return cells, not bool(known.all())


def _rest(total: Floats, cells: Floats) -> Floats:
    """What the total has beside these cells; a trace of rounding counts as nothing."""
    rest = total - cells.sum(axis=0)
    size = np.abs(total) + np.abs(cells).sum(axis=0)
    return np.where(np.abs(rest) <= _ROUNDING * size, 0.0, rest)


def _empty(asked: Sequence[Aggregate], width: int) -> Floats:
    cell = np.zeros((len(asked), width))
    for column, aggregate in enumerate(asked):
        if aggregate.function not in (Function.COUNT, Function.USERS, Function.SUM):
            cell[column] = np.nan
    return cell


def _finish(plan: Columns, cell: Floats) -> tuple[Floats, Floats]:
    """(values, weights) of one series from its columns."""
    first = cell[0]
    if plan.second is None:
        return first, np.full_like(first, np.nan)
    weight = cell[1]
    if plan.divides:
        return np.divide(first, weight, out=np.full_like(first, np.nan), where=weight > 0), weight
    if plan.measure.aggregation.additive:
        return first, weight
    return np.where(weight > 0, first, np.nan), weight
