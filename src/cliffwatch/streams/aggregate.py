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

LOOK_BACK_MS = 28 * 24 * 3_600_000
"""A dimension's top values are those of the last four weeks."""


@dataclass(frozen=True, slots=True)
class Collected:
    """S series over W windows. `values` and `weights` are (S, W); NaN = missing.

    A weight is the number of events (or the denominator) under an average, ratio, extreme or percentile.
    """

    series: tuple[SeriesKey, ...]
    windows: tuple[Window, ...]
    values: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class Columns:
    """The aggregate columns of one measure: its value, or numerator and denominator."""

    measure: Measure
    first: Aggregate
    second: Aggregate | None  # denominator, or number of events under the value
    divides: bool  # the value is first / second

    @property
    def has_rest(self) -> bool:
        """Whether `(other)` follows from the total and the parts."""
        return self.divides or self.measure.aggregation.additive


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
    if measure.aggregation in (Aggregation.COUNT, Aggregation.USERS, Aggregation.SUM):
        return Columns(measure, value, None, divides=False)
    events = Aggregate(Function.COUNT, value.number, event=measure.event)
    return Columns(measure, value, events, divides=measure.aggregation is Aggregation.AVERAGE)


def monitored(store: EventStore, stream: Stream, until_ms: int) -> dict[str, tuple[str, ...]]:
    """Dimension path -> its values with a series of their own: the `top` most frequent of the last four weeks."""
    chosen = {}
    for index, dimension in enumerate(stream.definition.dimensions, start=1):
        query = AggregateQuery(
            stream.facts_id, [until_ms - LOOK_BACK_MS, until_ms], [Aggregate(Function.COUNT)], [index]
        )
        table = store.aggregate(query)
        counts = sorted(zip(-table.values[0], table.groups[0], strict=True))
        chosen[dimension.path] = tuple(value for _, value in counts[: dimension.top])
    return chosen


def collect(
    store: EventStore, stream: Stream, windows: Sequence[Window], values: Mapping[str, Sequence[str]]
) -> Collected:
    """All series of a stream over windows that tile time. `values` are the monitored ones of each dimension.

    A window without facts is 0 for counts, sums and unique users, and missing for everything else.
    """
    definition = stream.definition
    plans = [columns_of(definition, measure) for measure in definition.measures]
    asked = [column for plan in plans for column in (plan.first, plan.second) if column is not None]
    edges = [window.start_ms for window in windows] + [windows[-1].end_ms]
    totals = _cells(store.aggregate(AggregateQuery(stream.facts_id, edges, asked)), len(windows), asked)[()]
    by_dimension = {}
    for index, dimension in enumerate(definition.dimensions, start=1):
        if values.get(dimension.path):
            table = store.aggregate(AggregateQuery(stream.facts_id, edges, asked, [index]))
            by_dimension[dimension.path] = _cells(table, len(windows), asked)
    series: list[SeriesKey] = []
    rows: list[tuple[Floats, Floats]] = []
    position = 0
    for plan in plans:
        span = slice(position, position + (1 if plan.second is None else 2))
        position = span.stop
        key = plan.measure.key
        series.append((key, TOTAL))
        rows.append(_finish(plan, totals[span]))
        for path, cells in by_dimension.items():
            kept = [(value, cells.get((value,), _empty(asked, len(windows)))[span]) for value in values[path]]
            for value, cell in kept:
                series.append((key, make_slice({path: value})))
                rows.append(_finish(plan, cell))
            if plan.has_rest and any(group[0] not in values[path] for group in cells):
                rest = totals[span] - sum(cell for _, cell in kept)
                series.append((key, make_slice({path: OTHER})))
                rows.append(_finish(plan, np.asarray(rest)))
    return Collected(
        tuple(series),
        tuple(windows),
        np.array([value for value, _ in rows]),
        np.array([weight for _, weight in rows]),
    )


def _cells(table: AggregateTable, width: int, asked: Sequence[Aggregate]) -> dict[tuple[str, ...], Floats]:
    """Group -> (columns, windows), with the value of an empty set where there is no row."""
    cells: dict[tuple[str, ...], Floats] = {}
    if not table.groups:
        cells[()] = _empty(asked, width)
    groups = list(zip(*table.groups, strict=True)) if table.groups else [()] * len(table.window)
    order: dict[tuple[str, ...], list[int]] = {}
    for row, group in enumerate(groups):
        order.setdefault(group, []).append(row)
    for group, found in order.items():
        cell = cells.setdefault(group, _empty(asked, width))
        where = table.window[found]
        for column, numbers in enumerate(table.values):
            cell[column, where] = numbers[found]
    return cells


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
    return np.where(weight > 0, first, np.nan), weight
