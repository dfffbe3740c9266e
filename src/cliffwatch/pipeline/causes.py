"""Why a series moved in a stretch of time: leaves from the event store, expectations from comparable weeks.

The facts of the stretch are cut along all dimensions at once. The same stretch of earlier weeks (same local weekday and
hours) gives each leaf its history; `explain` shrinks it where it is thin and makes it add up to the forecast.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain import Explanation, Leaves, expected_leaves, expected_ratio_leaves, explain, to_json
from cliffwatch.store import Aggregate, AggregateQuery, EventStore, Function
from cliffwatch.streams.aggregate import columns_of
from cliffwatch.streams.model import Aggregation, Measure, Slice, Stream

Floats = NDArray[np.float64]

WEEKS_BACK = 6
EVENT_SPREAD = 2.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be explained: a measure of a stream within a slice, over [start_ms, end_ms)."""

    stream: Stream
    measure: Measure
    slice: Slice
    start_ms: int
    end_ms: int


def explain_stretch(
    store: EventStore, stretch: Stretch, *, expected: float | None, expected_weight: float | None = None
) -> Explanation:
    """The root cause of a stretch. `expected` is the forecast of the measure over it: a sum, or a ratio's value."""
    cut = cut_leaves(store, stretch)
    if stretch.measure.aggregation.additive or stretch.measure.aggregation is Aggregation.USERS:
        wanted = expected_leaves(cut.codes, cut.past, expected)
        leaves = Leaves(cut.dimensions, cut.codes, cut.values, cut.now, wanted)
        return explain(leaves, event_size=event_size(stretch.measure, cut))
    wanted, weights = expected_ratio_leaves(cut.codes, cut.past, cut.past_weight, expected_weight, expected)
    return explain(Leaves(cut.dimensions, cut.codes, cut.values, cut.now, wanted, cut.now_weight, weights))


def event_size(measure: Measure, cut: Cut) -> float | None:
    """The variance per unit of a sum of events: 1 for counts; for sums what their mean event and its spread give.

    The spread of single events is not stored; that of an exponential distribution (twice the square of the mean) is
    between that of prices and that of heavy tails. The expectation's own noise, seen on few weeks, is added.
    """
    weeks = cut.past.shape[1]
    of_expectation = 1.0 + 1.0 / weeks if weeks else 2.0
    if measure.aggregation is not Aggregation.SUM:
        return of_expectation
    amount, events = cut.now.sum() + cut.past.sum(), cut.now_weight.sum() + cut.past_weight.sum()
    return EVENT_SPREAD * float(amount / events) * of_expectation if amount > 0 and events > 0 else None


@dataclass(frozen=True, slots=True)
class Cut:
    """Leaves of now and of comparable weeks, coded alike: now is (L,), past is (L, weeks)."""

    dimensions: tuple[str, ...]
    codes: NDArray[np.int32]
    values: tuple[tuple[str, ...], ...]
    now: Floats
    now_weight: Floats
    past: Floats
    past_weight: Floats


def cut_leaves(store: EventStore, stretch: Stretch) -> Cut:
    """Every combination of dimension values that occurred in the stretch or in a comparable week."""
    definition = stretch.stream.definition
    fixed = dict(stretch.slice)
    free = [(i + 1, d.path) for i, d in enumerate(definition.dimensions) if d.path not in fixed]
    if len(definition.events) > 1 and not _event_bound(stretch.measure):
        free.insert(0, (0, "event"))
    where = [(i + 1, fixed[d.path]) for i, d in enumerate(definition.dimensions) if d.path in fixed]
    numerator, denominator = leaf_aggregates(stretch.stream, stretch.measure)
    periods = [(stretch.start_ms, stretch.end_ms), *comparable_weeks(stretch, _first_fact(store, stretch))]
    rows: list[tuple[tuple[str, ...], int, float, float]] = []
    for period, (start, end) in enumerate(periods):
        table = store.aggregate(
            AggregateQuery(stretch.stream.facts_id, [start, end], [numerator, denominator], [i for i, _ in free], where)
        )
        keys = zip(*table.groups, strict=True) if free else [()] * len(table.window)
        amounts, weights = (np.nan_to_num(column).tolist() for column in table.values)
        rows += [(key, period, a, w) for key, a, w in zip(keys, amounts, weights, strict=True)]
    return _fold(tuple(path for _, path in free), rows, len(periods))


def leaf_aggregates(stream: Stream, measure: Measure) -> tuple[Aggregate, Aggregate]:
    """(numerator, denominator) of a measure as sums over leaves; an additive measure's denominator is its count."""
    columns = columns_of(stream.definition, measure)
    count = Aggregate(Function.COUNT, columns.first.number, event=measure.event)
    if columns.second is not None and not columns.divides:  # a percentile or an extreme is explained by its mean
        return Aggregate(Function.SUM, columns.first.number, event=measure.event), count
    return columns.first, columns.second or count


def comparable_weeks(stretch: Stretch, first_ms: int) -> list[tuple[int, int]]:
    """The same local weekdays and hours of up to six earlier weeks that lie wholly in the stream's history."""
    zone = ZoneInfo(stretch.stream.definition.schedule.time_zone)
    length = stretch.end_ms - stretch.start_ms
    start = dt.datetime.fromtimestamp(stretch.start_ms / 1000, zone)
    weeks = []
    step = max(1, -(-length // (7 * 24 * 3_600_000)))  # a stretch longer than a week steps back by its whole length
    for back in range(1, WEEKS_BACK + 1):
        then = (start - dt.timedelta(weeks=back * step)).timestamp() * 1000
        if then < first_ms:
            break
        weeks.append((int(then), int(then) + length))
    return weeks


def to_document(explanation: Explanation, names: Mapping[str, str]) -> dict[str, object]:
    """An explanation as it is kept with an incident and drawn on its page; `names` maps paths to what people read."""
    return {**to_json(explanation), "names": dict(names), "note": explanation.note}


def _first_fact(store: EventStore, stretch: Stretch) -> int:
    span = store.fact_span(stretch.stream.facts_id)
    return span[0] if span else stretch.start_ms


def _event_bound(measure: Measure) -> bool:
    return measure.event is not None or measure.aggregation is Aggregation.RATIO


def _fold(dimensions: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], int, float, float]], periods: int) -> Cut:
    leaves: dict[tuple[str, ...], int] = {}
    for key, *_ in rows:
        leaves.setdefault(key, len(leaves))
    amount, weight = np.zeros((len(leaves), periods)), np.zeros((len(leaves), periods))
    for key, period, value, count in rows:
        amount[leaves[key], period] = value
        weight[leaves[key], period] = count
    codes = np.zeros((len(leaves), len(dimensions)), np.int32)
    vocabulary = []
    for axis in range(len(dimensions)):
        known = {value: code for code, value in enumerate(sorted({key[axis] for key in leaves}))}
        codes[:, axis] = [known[key[axis]] for key in leaves]
        vocabulary.append(tuple(known))
    return Cut(
        dimensions=dimensions,
        codes=codes,
        values=tuple(vocabulary),
        now=amount[:, 0].copy(),
        now_weight=weight[:, 0].copy(),
        past=amount[:, 1:].copy(),
        past_weight=weight[:, 1:].copy(),
    )
