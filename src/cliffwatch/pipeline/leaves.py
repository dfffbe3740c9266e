"""Facts -> leaves: a stretch of time and the periods it is compared with, cut along all dimensions at once.

Columns all the way: group values come as codes, combinations of them become one number, and each leaf's past is a row
of a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.pipeline.drivers import Driver, DriverKind
from cliffwatch.store import Aggregate, AggregateQuery, AggregateTable, Coded, EventStore
from cliffwatch.streams.aggregate import columns_of
from cliffwatch.streams.model import Aggregation, Definition, Measure, Slice, Stream, Window

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]

EVENT = "event"
"""The dimension of a stream with several events, of which a measure counts all."""
_MOST_CELLS = 2**62


@dataclass(frozen=True, slots=True)
class Cut:
    """L leaves of now and of H past periods, coded alike; `codes` is (L, D), now is (L,), past is (L, H).

    Amounts of past periods that are longer or shorter than now are brought to its length.
    """

    dimensions: tuple[str, ...]
    codes: NDArray[np.int32]
    values: tuple[tuple[str, ...], ...]
    now: Floats
    now_weight: Floats
    past: Floats
    past_weight: Floats


def cut_leaves(
    store: EventStore,
    stream: Stream,
    measure: Measure,
    driver: Driver,
    slice_: Slice,
    now: Window,
    past: Sequence[Window],
) -> Cut:
    """Every combination of dimension values that occurred now or in a past period, within a slice."""
    definition = stream.definition
    fixed = {path for path, _ in slice_}
    free = [(i + 1, d.path) for i, d in enumerate(definition.dimensions) if d.path not in fixed]
    if len(definition.events) > 1 and EVENT not in fixed and not _event_bound(measure):
        free.insert(0, (0, EVENT))
    where = places(definition, slice_)
    asked = [driver.numerator, driver.denominator]
    tables = [
        store.aggregate(AggregateQuery(stream.facts_id, [p.start_ms, p.end_ms], asked, [i for i, _ in free], where))
        for p in (now, *past)
    ]
    scales = [1.0, *((now.end_ms - now.start_ms) / (p.end_ms - p.start_ms) for p in past)]
    return fold(tuple(path for _, path in free), tables, scales, below=driver.kind is DriverKind.BELOW)


def places(definition: Definition, slice_: Slice) -> list[tuple[int, str]]:
    """A slice as the event store asks for it: index into a fact's `dims`, and value."""
    index = {EVENT: 0, **{dimension.path: i for i, dimension in enumerate(definition.dimensions, start=1)}}
    return [(index[path], value) for path, value in slice_]


def fold(dimensions: tuple[str, ...], tables: Sequence[AggregateTable], scales: Sequence[float], *, below: bool) -> Cut:
    """Tables of (numerator, denominator) per group, of one window each, as one matrix of leaves by periods.

    `below`: the numerator counts what is above a line, and what is not above it is wanted.
    """
    period = np.repeat(np.arange(len(tables)), [len(table.window) for table in tables])
    columns = [[Coded.of(table.groups[axis]) for table in tables] for axis in range(len(dimensions))]
    key, cells = np.zeros(len(period), np.int64), 1
    vocabulary, coded = [], []
    for column in columns:
        known = sorted({value for part in column for value in part.values})
        place = {value: code for code, value in enumerate(known)}
        parts = [
            np.array([place[value] for value in part.values], np.int32)[part.codes] for part in column if len(part)
        ]
        codes = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        if cells * max(len(known), 1) >= _MOST_CELLS:
            there, key = np.unique(key, return_inverse=True)
            cells = len(there)
        key, cells = key * len(known) + codes, cells * max(len(known), 1)
        vocabulary.append(tuple(known))
        coded.append(codes)
    _, first, leaf = np.unique(key, return_index=True, return_inverse=True)
    amount, weight = np.zeros((len(first), len(tables))), np.zeros((len(first), len(tables)))
    amount[leaf, period] = np.concatenate([np.nan_to_num(table.values[0]) for table in tables])
    weight[leaf, period] = np.concatenate([np.nan_to_num(table.values[1]) for table in tables])
    if below:
        amount = weight - amount
    amount *= np.asarray(scales)
    weight *= np.asarray(scales)
    return Cut(
        dimensions=dimensions,
        codes=np.stack([codes[first] for codes in coded], axis=1) if coded else np.zeros((len(first), 0), np.int32),
        values=tuple(vocabulary),
        now=np.ascontiguousarray(amount[:, 0]),
        now_weight=np.ascontiguousarray(weight[:, 0]),
        past=amount[:, 1:],
        past_weight=weight[:, 1:],
    )


def own_values(
    store: EventStore, stream: Stream, measure: Measure, slice_: Slice, now: Window, past: Sequence[Window]
) -> Floats:
    """The measure's true value in a slice (1 + H,): now, then in each past period; NaN where there was nothing.

    What counts or adds up is brought to the length of now.
    """
    columns = columns_of(stream.definition, measure)
    asked = [columns.first] if columns.second is None else [columns.first, columns.second]
    found = totals(store, stream, asked, slice_, now, past)
    adds_up = measure.aggregation.additive or measure.aggregation is Aggregation.USERS
    if columns.divides:
        rate: Floats = np.divide(found[0], found[1], out=np.full_like(found[0], np.nan), where=found[1] != 0)
        return rate
    return lengthened(np.nan_to_num(found[0]), now, past) if adds_up else found[0]


def events_and_people(
    store: EventStore, stream: Stream, event: str | None, slice_: Slice, now: Window, past: Sequence[Window]
) -> Floats:
    """How many events there were in a slice, and how many people did them: (2, 1 + H), at the length of now."""
    kinds = (Aggregation.COUNT, Aggregation.USERS)
    asked = [columns_of(stream.definition, Measure(kind, event=event)).first for kind in kinds]
    return lengthened(np.nan_to_num(totals(store, stream, asked, slice_, now, past)), now, past)


def totals(
    store: EventStore, stream: Stream, asked: Sequence[Aggregate], slice_: Slice, now: Window, past: Sequence[Window]
) -> Floats:
    """(K, 1 + H): each of the K columns within a slice, now and in each past period; NaN where there was nothing."""
    found = np.full((len(asked), 1 + len(past)), np.nan)
    where = places(stream.definition, slice_)
    for i, period in enumerate((now, *past)):
        edges = [period.start_ms, period.end_ms]
        table = store.aggregate(AggregateQuery(stream.facts_id, edges, list(asked), (), where))
        if len(table.window):
            found[:, i] = [float(values[0]) for values in table.values]
    return found


def lengthened(amounts: Floats, now: Window, past: Sequence[Window]) -> Floats:
    """Amounts (..., 1 + H) of periods brought to the length of now."""
    length = now.end_ms - now.start_ms
    scaled: Floats = amounts * np.array([length / (period.end_ms - period.start_ms) for period in (now, *past)])
    return scaled


def _event_bound(measure: Measure) -> bool:
    return measure.event is not None or measure.aggregation is Aggregation.RATIO
