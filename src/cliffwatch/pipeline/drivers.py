"""What the leaves of a measure are made of: amounts that add up over leaves, so that slices can be weighed. Pure.

count, sum      are their own amounts
unique users    the distinct people of each leaf; who is in several counts in each, so slices are counted again
average, ratio  numerators and denominators: what each leaf did (rate) is told from who came (mix)
percentile      of each leaf's events, the share above the expected percentile: 5 % of them for a p95 that is as
                expected. A slice that became slow pushes its events over that line, however the mean moves
max, min        how many events lie beyond the expected extreme
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from cliffwatch.store import Aggregate, Function
from cliffwatch.streams.aggregate import columns_of
from cliffwatch.streams.model import Aggregation, Definition, Measure


class DriverKind(enum.StrEnum):
    OWN = "own"
    USERS = "users"
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Driver:
    """The two columns of each leaf. `rate`: leaves are compared by numerator per denominator, else by numerator; the
    denominator is then the number of events. `threshold` is that of ABOVE and BELOW, in the measure's unit."""

    kind: DriverKind
    numerator: Aggregate
    denominator: Aggregate
    rate: bool
    threshold: float | None = None


def needs_threshold(measure: Measure) -> bool:
    """Whether the measure's driver is what lies beyond its expected value."""
    return measure.aggregation.quantile is not None or measure.aggregation in (Aggregation.MIN, Aggregation.MAX)


def driver_of(definition: Definition, measure: Measure, threshold: float) -> Driver | None:
    """The driver of a measure; None where it needs a threshold and there is none (NaN)."""
    columns = columns_of(definition, measure)
    count = Aggregate(Function.COUNT, columns.first.number, event=measure.event)
    if not needs_threshold(measure):
        kind = DriverKind.USERS if measure.aggregation is Aggregation.USERS else DriverKind.OWN
        return Driver(kind, columns.first, columns.second or count, columns.divides)
    if not math.isfinite(threshold):
        return None
    beyond = Aggregate(Function.ABOVE, columns.first.number, event=measure.event, threshold=threshold)
    kind = DriverKind.BELOW if measure.aggregation is Aggregation.MIN else DriverKind.ABOVE
    return Driver(kind, beyond, count, measure.aggregation.quantile is not None, threshold)
