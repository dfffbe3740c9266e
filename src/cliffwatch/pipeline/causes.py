"""Why a measure differs in a stretch of time: leaves from the event store, expectations from comparable periods.

base line   the periods to compare with (see `periods`)
values      the measure's own value now, and what was expected: the forecast where there is one
driver      what the leaves of the measure are made of (see `drivers`)
leaves      the facts of all periods, cut along all dimensions at once
explain     the few slices that moved; unique users are counted again in each
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.explain import (
    Explanation,
    Leaves,
    Limits,
    Reason,
    expected_leaves,
    expected_ratio_leaves,
    explain,
    restated,
    to_json,
    words_of,
)
from cliffwatch.explain import sentence as sentence_of
from cliffwatch.incidents.numbers import compared, shown_unit
from cliffwatch.pipeline.drivers import Driver, DriverKind, driver_of
from cliffwatch.pipeline.leaves import Cut, cut_leaves, own_values
from cliffwatch.pipeline.periods import Base, base_windows
from cliffwatch.store import EventStore
from cliffwatch.streams.model import Aggregation, Measure, Slice, Stream, Window, make_slice

Floats = NDArray[np.float64]

EVENT_SPREAD = 2.0
NAMED = Limits(min_share=0.05)
"""A slice that brings about less than a twentieth of the change is no answer to "why", however sure."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be explained: a measure of a stream within a slice, over [start_ms, end_ms), and against what."""

    stream: Stream
    measure: Measure
    slice: Slice
    start_ms: int
    end_ms: int
    base: Base = Base.WEEKS
    chosen: Window | None = None  # the base line's period where a person chose one

    @property
    def window(self) -> Window:
        return Window(self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What detection saw and expected of the series: sums over the windows where the measure is additive, means over
    them otherwise."""

    actual: float
    expected: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An explanation with the measure's own values over the stretch, and with what it was compared.

    `explanation` may speak of the driver's amounts (the share of events above a percentile); `actual` and `expected`
    are in the measure's unit, NaN where there was nothing to measure.
    """

    explanation: Explanation
    driver: Driver | None
    actual: float
    expected: float
    periods: tuple[Window, ...]


def explain_stretch(store: EventStore, stretch: Stretch, forecast: Forecast | None = None) -> Answer:
    """The root cause of a stretch. Without a `forecast` the base line is what was expected. Raises InvalidInput."""
    stream, measure = stretch.stream, stretch.measure
    span = store.fact_span(stream.facts_id)
    since = span[0] if span else stretch.end_ms
    schedule = stream.definition.schedule
    periods = base_windows(schedule, stretch.window, since, stretch.base, stretch.chosen)
    values = own_values(store, stream, measure, stretch.slice, stretch.window, periods)
    actual, usual = float(values[0]), middle(values[1:])
    expected = expectation(measure, actual, usual, forecast)
    driver = driver_of(stream.definition, measure, expected)
    if not periods or driver is None:
        nothing = Explanation((), finite(actual), finite(expected), 1.0, reason=Reason.NO_HISTORY)
        return Answer(nothing, driver, actual, expected, periods)
    cut = cut_leaves(store, stream, measure, driver, stretch.slice, stretch.window, periods)
    explanation = explain_cut(measure, driver, cut, expected, actual)
    if driver.kind is DriverKind.USERS and explanation.causes:
        explanation = counted_again(store, stretch, explanation, periods, actual, expected, usual)
    return Answer(explanation, driver, actual, expected, periods)


def expectation(measure: Measure, actual: float, usual: float, forecast: Forecast | None) -> float:
    """What the measure should have been over the whole stretch.

    A forecast of windows adds up for amounts that do. For any other measure its relative change is what carries over:
    the users of a day are fewer than the sum of its hours' users, and more than their mean.
    """
    if forecast is None or not math.isfinite(forecast.expected):
        return usual
    if measure.aggregation.additive:
        return forecast.expected
    if math.isfinite(actual) and actual and math.isfinite(forecast.actual) and forecast.actual:
        return actual * forecast.expected / forecast.actual
    return usual


def explain_cut(measure: Measure, driver: Driver, cut: Cut, expected: float, actual: float) -> Explanation:
    """The slices that explain the leaves. `expected` and `actual` are the measure's own values, NaN = unknown."""
    if not driver.rate:
        total = expected_total(driver, cut, expected, actual)
        amount, events = float(cut.past.sum()), float(cut.past_weight.sum())
        event = amount / events if amount > 0 and events > 0 else None
        wanted = expected_leaves(cut.codes, cut.past, total, event=event)
        leaves = Leaves(cut.dimensions, cut.codes, cut.values, cut.now, wanted)
        return explain(leaves, limits=NAMED, event_size=event_size(measure, cut))
    value = expected if driver.kind is DriverKind.OWN and math.isfinite(expected) else None
    wanted, weights = expected_ratio_leaves(cut.codes, cut.past, cut.past_weight, None, value)
    leaves = Leaves(cut.dimensions, cut.codes, cut.values, cut.now, wanted, cut.now_weight, weights)
    return explain(leaves, limits=NAMED)


def expected_total(driver: Driver, cut: Cut, expected: float, actual: float) -> float | None:
    """What the leaves should add up to; None leaves it to their history.

    People who are in several leaves count in each: the sum over leaves is larger than the number of people, now as
    ever, and should be so in the same proportion.
    """
    if driver.kind is DriverKind.OWN and math.isfinite(expected):
        return expected
    if driver.kind is DriverKind.USERS and math.isfinite(expected) and actual > 0:
        return expected * float(cut.now.sum()) / actual
    return None


def event_size(measure: Measure, cut: Cut) -> float | None:
    """The variance per unit of a sum of events: 1 for counts; for sums what their mean event and its spread give.

    The spread of single events is not stored; that of an exponential distribution (twice the square of the mean) is
    between that of prices and that of heavy tails. The expectation's own noise, seen on few periods, is added.
    """
    periods = cut.past.shape[1]
    of_expectation = 1.0 + 1.0 / periods if periods else 2.0
    if measure.aggregation is not Aggregation.SUM:
        return of_expectation
    amount, events = cut.now.sum() + cut.past.sum(), cut.now_weight.sum() + cut.past_weight.sum()
    return EVENT_SPREAD * float(amount / events) * of_expectation if amount > 0 and events > 0 else None


def counted_again(
    store: EventStore,
    stretch: Stretch,
    explanation: Explanation,
    periods: tuple[Window, ...],
    actual: float,
    expected: float,
    usual: float,
) -> Explanation:
    """The explanation of unique users with the people that each cause's slice really has and had."""
    growth = expected / usual if usual > 0 and math.isfinite(expected) else 1.0
    of_causes = []
    for cause in explanation.causes:
        slice_ = make_slice([*cause.slice_items, *stretch.slice])
        values = own_values(store, stretch.stream, stretch.measure, slice_, stretch.window, periods)
        of_causes.append((float(values[0]), middle(values[1:]) * growth))
    return restated(explanation, actual, expected, of_causes)


def middle(values: Floats) -> float:
    """The median of what there is; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def to_document(answer: Answer, stretch: Stretch, names: Mapping[str, str]) -> dict[str, object]:
    """An answer as it is kept with an incident and drawn on its page; `names` maps paths to what people read.

    `driver` says of what the causes' numbers speak where that is not the measure itself.
    """
    driver = answer.driver
    document: dict[str, object] = {
        **to_json(answer.explanation, words_of(stretch.slice, names)),
        "names": dict(names),
        "actual": finite(answer.actual),
        "expected": finite(answer.expected),
        "base": {
            "kind": str(stretch.base),
            "periods": [{"start_ms": period.start_ms, "end_ms": period.end_ms} for period in answer.periods],
        },
    }
    if driver is not None and driver.kind in (DriverKind.ABOVE, DriverKind.BELOW):
        document["driver"] = {
            "kind": str(driver.kind),
            "threshold": driver.threshold,
            "rate": driver.rate,
            "actual": answer.explanation.actual_value,
            "expected": answer.explanation.expected_value,
        }
    return document


def to_sentence(
    answer: Answer, stretch: Stretch, names: Mapping[str, str], explanation: Explanation | None = None
) -> str:
    """The answer in one plain sentence; `explanation` may name the causes more fully than the answer's own."""
    measure = stretch.measure.name
    head = compared(measure, answer.actual, answer.expected, shown_unit(stretch.measure.key, stretch.measure.unit))
    told = explanation or answer.explanation
    return sentence_of(told, measure=measure, names=names, head=head, within=stretch.slice)
