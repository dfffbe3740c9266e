"""From the rows of a table to matrices on grids: spacing inferred per series, equal calendars batched. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect.calendar import local_offset_ms
from cliffwatch.detect.model import DAY_MS, WEEK_MS, Floats, Grid, Ints, Measure

SPARSE = 20  # windows per row above which a series is no longer laid on an even grid
NEAR = 0.05  # of a step: how far from its place on the grid a row may stand
EVEN = 0.95  # share of rows that must stand near their place


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a table: for each of its rows the window it fills, and the grid of those windows.

    `rows` are row numbers of the table in time order, without those that a later row replaces; `place` is the window of
    each of them; `start_ms` the starts of all windows.
    """

    rows: Ints
    place: Ints
    start_ms: Ints
    step_ms: int
    even: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Series that share a grid and a measure: their matrix, and where each value of the table stands in it."""

    values: Floats
    grid: Grid
    measure: Measure
    rows: tuple[Ints, ...]
    columns: tuple[Ints, ...]


def line(rows: Ints, time_ms: Ints, time_zone: str) -> Line:
    """Lay the rows of one series (row numbers and their times, in table order) on a grid; the last duplicate wins."""
    order = np.argsort(time_ms, kind="stable")
    times, rows = time_ms[order], rows[order]
    last = np.append(times[1:] != times[:-1], True)
    times, rows = times[last], rows[last]
    if len(times) < 2:
        return Line(rows, np.zeros(len(rows), np.int64), times, DAY_MS, even=True)
    gaps, counts = np.unique(np.diff(times), return_counts=True)
    step = int(gaps[np.argmax(counts)])
    # whole days keep their local midnight through clock changes, everything shorter counts elapsed time
    wall = times + local_offset_ms(times, time_zone) if step % DAY_MS == 0 else times
    distance = (wall - wall[0]) / step
    place = np.rint(distance).astype(np.int64)
    near = np.mean(np.abs(distance - place) <= NEAR)
    if near < EVEN or place[-1] > SPARSE * len(times) or np.any(np.diff(place) == 0):
        return Line(rows, np.arange(len(rows)), times, step, even=False)
    start = wall[0] + np.arange(place[-1] + 1) * step
    if step % DAY_MS == 0:
        start = to_utc(start, time_zone)
    return Line(rows, place, start, step, even=True)


def to_utc(wall_ms: Ints, time_zone: str) -> Ints:
    """The instants of wall-clock times; one that a clock change skips or repeats takes the offset before it."""
    guess = wall_ms - local_offset_ms(wall_ms, time_zone)
    result: Ints = wall_ms - local_offset_ms(guess, time_zone)
    return result


def guess_measure(values: Floats, *, even: bool) -> Measure:
    """Whole numbers from zero up on an even grid are counts; anything else is taken as an average."""
    whole = even and bool(np.all(values >= 0)) and bool(np.all(values == np.floor(values)))
    return Measure.COUNT if whole else Measure.MEAN


def batches(
    lines: list[Line], values: Floats, measure: Measure | None, time_zone: str, country: str | None
) -> Iterator[Batch]:
    """Group series whose windows stand alike in the week into one matrix each.

    In UTC without holidays a whole number of weeks changes nothing in the calendar, so series that start in different
    weeks share a matrix; elsewhere only equal grids do. Missing windows are NaN.
    """
    movable = time_zone == "UTC" and country is None
    groups: dict[tuple[object, ...], list[Line]] = defaultdict(list)
    for each in lines:
        kind = measure or guess_measure(values[each.rows], even=each.even)
        first = int(each.start_ms[0])
        if each.even and movable and WEEK_MS % each.step_ms == 0:
            key: tuple[object, ...] = (kind, each.step_ms, first % each.step_ms)
        else:
            key = (kind, each.step_ms, each.start_ms.tobytes())
        groups[key].append(each)
    for key, members in groups.items():
        yield _batch(members, values, Measure(str(key[0])), time_zone, country)


def _batch(members: list[Line], values: Floats, measure: Measure, time_zone: str, country: str | None) -> Batch:
    step = members[0].step_ms
    if len(members) == 1:
        leads = [0]
        start = members[0].start_ms
    else:
        firsts = [int(m.start_ms[0]) for m in members]
        # bring every start into the week of the first one; only then do positions in the week agree
        base = firsts[0] - firsts[0] % WEEK_MS
        leads = [(first - base) % WEEK_MS // step for first in firsts]
        width = max(lead + len(m.start_ms) for lead, m in zip(leads, members, strict=True))
        start = base + firsts[0] % step + np.arange(width) * step
        if len({m.start_ms.tobytes() for m in members}) == 1:
            leads, start = [0] * len(members), members[0].start_ms
    end = start + step
    end[:-1] = np.minimum(end[:-1], start[1:]) if members[0].step_ms % DAY_MS or not members[0].even else start[1:]
    # series of different weeks share a grid in UTC, so their windows have an hour and a weekday but no date
    grid = Grid(start, end, time_zone, country, months=time_zone != "UTC" or country is not None)
    matrix = np.full((len(members), len(start)), np.nan)
    columns = tuple(m.place + lead for m, lead in zip(members, leads, strict=True))
    for i, (m, column) in enumerate(zip(members, columns, strict=True)):
        matrix[i, column] = values[m.rows]
    return Batch(matrix, grid, measure, tuple(m.rows for m in members), columns)
