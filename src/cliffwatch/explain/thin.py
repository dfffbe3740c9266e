"""Find the slices that moved among thin leaves: few events each, so that counting is most of the noise.

The noise needs not be read off the leaves, it is known: a sum of events of mean size `event_size` varies as a count of
`amount / event_size` events does. Each slice is weighed by the log likelihood ratio of "its amount changed by one
factor" against "it stayed", for a negative binomial whose dispersion allows a forecast to be a few percent off
(McCullagh & Nelder, Generalized Linear Models, section 6.2). The cost of naming one slice out of all is taken off
(minimum description length), the surest slice is named, its leaves are taken out, and the rest is weighed again.
"""

from __future__ import annotations

import math

import numpy as np

from cliffwatch.explain.cube import Cube, Rows
from cliffwatch.explain.model import Codes, Floats, Limits
from cliffwatch.explain.noise import estimate
from cliffwatch.explain.search import Found
from cliffwatch.explain.settle import ALIKE, STAYED, SURE

THIN = 20.0  # leaves are thin when half of them are expected to have fewer events, ...
PLENTY, THIN_OF_PLENTY = 1_000, 8.0  # ... or than this many, where so many leaves show their noise better
OFF = 0.06  # a slice's forecast may be off by about this fraction
FLOOR = 0.02  # events that are to be expected of a leaf that was never seen, ...
FLOORS = 0.05  # ... but not more of all such leaves than this fraction of what is expected at all
HALF = 0.5  # the rest moved alike when its factor is at least the slice's to this power
REST = 0.1  # fraction of what is expected that must have stayed for slices to stand out from an even change
IN_DOUBT = 2.0  # a noise that is read off L leaves may be larger by this over the root of L
DOUBT = 2.0  # log odds before any evidence, beyond the cost of naming a slice, that it stayed


def counts_of_thin_leaves(actual: Floats, expected: Floats) -> bool:
    """Whether these are whole numbers, few per leaf: then they are counts of events."""
    if not len(actual) or (actual < 0).any() or (expected < 0).any() or (actual != np.rint(actual)).any():
        return False
    return few_events(np.maximum(actual, expected))


def few_events(events: Floats) -> bool:
    """Whether half of the leaves have few."""
    return float(np.median(events)) < (THIN if len(events) < PLENTY else THIN_OF_PLENTY)


def thin_search(
    codes: Codes, sizes: tuple[int, ...], actual: Floats, expected: Floats, event_size: float, limits: Limits
) -> list[Found]:
    """The slices whose amount changed, surest first; the empty slice when everything changed evenly.

    `codes` is (L, D), `actual` and `expected` are (L,) and not negative. The sizes of dimensions with one value are 1.
    """
    dims = [d for d, size in enumerate(sizes) if size > 1]
    if len(codes) < 2 or not dims:
        return []
    cube = Cube(codes[:, dims], tuple(sizes[d] for d in dims), limits.max_depth)
    floor = min(FLOOR, FLOORS * float(expected.sum()) / event_size / len(codes)) if expected.any() else FLOOR
    events = np.stack([np.maximum(actual / event_size, 0.0), np.maximum(expected / event_size, floor)])
    events = np.vstack([np.ones(len(codes)), events])  # the first column lets a cube forget empty slices
    cost = np.concatenate([np.full(cube.cells(c), math.log(len(cube.cuboids) * cube.cells(c))) for c in cube.cuboids])
    off = off_by(events) if len(dims) == 1 else OFF
    found = picked(cube, events, cost, limits, off, even=True)
    if found and found[0].codes and rest_moved_alike(cube, events, found[0].rows):
        everything = np.arange(len(codes))
        found = [Found({}, everything, everything, found[0].odds)]
    if found and not found[0].codes:
        apart = picked(cube, events, cost, limits, off, even=False)
        if stands_out(apart, found[0].odds, events):
            found = apart
    return [Found({dims[d]: code for d, code in f.codes.items()}, f.members, f.rows, f.odds) for f in found]


def off_by(events: Floats) -> float:
    """The fraction by which leaves' forecasts are off, where each leaf is a slice by itself and shows it."""
    _, actual, expected = events
    noise = estimate(actual - expected, expected, np.maximum(actual, expected), 1.0)
    return max(OFF, noise.relative * (1 + IN_DOUBT / math.sqrt(len(actual))))


def picked(cube: Cube, events: Floats, cost: Floats, limits: Limits, off: float, *, even: bool) -> list[Found]:
    """The surest slice, then the surest of what is left, and so on; `even` allows the whole to be one of them."""
    sums = cube.sums(events)
    total = cube.number({})
    alive = np.ones(cube.leaves, bool)
    found: list[Found] = []
    for _ in range(limits.max_causes):
        odds = changed(sums[1], sums[2], off) - cost - DOUBT
        if not even:
            odds[total] = -math.inf
        best = int(np.argmax(odds))
        if odds[best] <= 0:
            break
        place = cube.where(best)
        members = cube.members(place)
        rows = members[alive[members]]
        found.append(Found(place, members, rows, float(odds[best])))
        alive[rows] = False
        if not place or not alive.any():
            break
        cube.remove(sums, events, rows)
    return found


def stands_out(found: list[Found], whole: float, events: Floats) -> bool:
    """Whether slices tell more together than "everything moved", with odds `whole`, because the rest stayed.

    Two slices in which failures appear are each less sure than their sum, and yet nothing happened elsewhere.
    """
    if sum(f.odds for f in found) <= whole:
        return False
    rest = np.ones(events.shape[1], bool)
    for f in found:
        rest[f.rows] = False
    (actual, expected), (left, left_expected) = events[1:].sum(axis=1), events[1:, rest].sum(axis=1)
    move = (actual - expected) / max(actual, expected)
    stayed = (left - left_expected) / max(left, left_expected, 1e-300)
    return bool(left_expected >= REST * expected and stayed * np.sign(move) < ALIKE * abs(move))


def rest_moved_alike(cube: Cube, events: Floats, rows: Rows) -> bool:
    """Whether all that is outside a slice moved as it did: then the slice is but the part that by chance moved most."""
    rest = np.ones(cube.leaves, bool)
    rest[rows] = False
    (actual, expected), (left, left_expected) = events[1:, rows].sum(axis=1), events[1:, rest].sum(axis=1)
    if left_expected < REST * (expected + left_expected):
        return False
    level, own = left / left_expected, actual / expected
    if (level - 1) * (own - 1) <= 0 or abs(math.log(max(level, 1e-9))) < HALF * abs(math.log(max(own, 1e-9))):
        return False
    for column, size in zip(cube.columns, cube.sizes, strict=True):
        parts, wanted = (np.bincount(column[rest], events[row, rest], size) for row in (1, 2))
        alike = wanted * level
        doubt = SURE * np.sqrt(alike + wanted + (OFF * wanted) ** 2)
        stayed = (np.abs(parts - wanted) < np.abs(parts - alike)) & (np.abs(parts - alike) > doubt)
        if wanted[stayed].sum() > STAYED * left_expected:
            return False
    return True


def changed(actual: Floats, expected: Floats, off: float) -> Floats:
    """Log likelihood ratio of a changed level against the expected one, whose forecast may be off by a fraction.

    All arrays are events, (M,).
    """
    k = off * off
    seen = np.maximum(actual, 1e-12)
    wanted = np.maximum(expected, 1e-12)
    value = seen * np.log(seen / wanted) - (seen + 1 / k) * np.log1p(k * (seen - wanted) / (1 + k * wanted))
    result: Floats = np.where(expected > 0, np.maximum(value, 0.0), 0.0)
    return result
