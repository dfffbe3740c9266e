"""Facts -> series: the values of a stream's measures per window, for the total and for each monitored slice.

An average is kept as sum and count, a ratio as its two parts: so the rest beside a dimension's top values, `(other)`,
is exact for them as it is for counts and sums. Unique users, percentiles and extremes of the rest cannot be had from
those of the parts, so these measures have no `(other)` series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store import Aggregate, EventStore, Function, SliceQuery, SliceTable
from cliffwatch.streams.governor import saw_rest
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


def question(stream: Stream, windows: Sequence[Window], values: Mapping[str, Sequence[str]]) -> SliceQuery:
    """What `collect` asks the event store for: runs that are due together are asked for together."""
    definition = stream.definition
    columns: dict[Aggregate, None] = {Aggregate(Function.COUNT): None}
    for measure in definition.measures:
        plan = columns_of(definition, measure)
        columns |= {column: None for column in (plan.first, plan.second) if column is not None}
    return SliceQuery(
        stream_ids=(stream.facts_id,),
        edges_ms=(*(window.start_ms for window in windows), windows[-1].end_ms),
        aggregates=tuple(columns),
        chosen=tuple(
            (stream.facts_id, index, value)
            for index, dimension in enumerate(definition.dimensions, start=1)
            for value in values.get(dimension.path, ())
            if value != OTHER
        ),
    )


def collect(
    store: EventStore, stream: Stream, windows: Sequence[Window], values: Mapping[str, Sequence[str]]
) -> Collected:
    """All series of a stream over windows that tile time. `values` are the monitored ones (see `monitored`).

    A window without facts is 0 for counts, sums and unique users, and missing for everything else.
    """
    query = question(stream, windows, values)
    cells = _cells(store.aggregate_slices(query), query)
    parts = _parts(stream, query, cells, values)
    newest = float(cells[0, query.aggregates.index(Aggregate(Function.COUNT)), -1])
    saw_rest(store, stream, {path: part.rest_share for path, part in parts.items()}, newest)
    series: list[SeriesKey] = []
    rows: list[tuple[Floats, Floats]] = []

    def add(plan: Columns, slice_: Slice, columns: Floats) -> None:
        series.append((plan.measure.key, slice_))
        rows.append(_finish(plan, columns))

    for measure in stream.definition.measures:
        plan = columns_of(stream.definition, measure)
        span = [query.aggregates.index(column) for column in (plan.first, plan.second) if column is not None]
        total = cells[0][span]
        add(plan, TOTAL, total)
        for path, part in parts.items():
            of_measure = part.cells[:, span]
            for value, cell in zip(part.kept, of_measure, strict=True):
                add(plan, make_slice({path: value}), cell)
            if part.has_more and plan.has_rest:
                add(plan, make_slice({path: OTHER}), _rest(total, of_measure))
    return Collected(
        tuple(series),
        tuple(windows),
        np.array([value for value, _ in rows]),
        np.array([weight for _, weight in rows]),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One dimension: `cells` is (kept values, columns, windows)."""

    kept: list[str]
    cells: Floats
    has_more: bool  # other values occurred, now or before
    rest_share: float  # of the facts of the newest window


def _cells(table: SliceTable, query: SliceQuery) -> Floats:
    """(1 + chosen, columns, windows): the total first; the value of an empty set where there is no row."""
    empty = _empty(query.aggregates, len(query.edges_ms) - 1)
    cells = np.repeat(empty[None], 1 + len(query.chosen), axis=0)
    for column, numbers in enumerate(table.values):
        cells[table.chosen + 1, column, table.window] = numbers
    return cells


def _parts(stream: Stream, query: SliceQuery, cells: Floats, values: Mapping[str, Sequence[str]]) -> dict[str, _Part]:
    count = query.aggregates.index(Aggregate(Function.COUNT))
    parts = {}
    for index, dimension in enumerate(stream.definition.dimensions, start=1):
        places = [place for place, (_, where, _) in enumerate(query.chosen, start=1) if where == index]
        if places:
            rest = cells[0, count] - cells[places, count].sum(axis=0)
            newest = cells[0, count, -1]
            parts[dimension.path] = _Part(
                kept=[query.chosen[place - 1][2] for place in places],
                cells=cells[places],
                has_more=bool(rest.any()) or OTHER in values.get(dimension.path, ()),
                rest_share=float(rest[-1] / newest) if newest else 0.0,
            )
    return parts


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
