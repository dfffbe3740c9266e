"""Is what arrived until now what should have arrived by now? Clear breaks only, for many series at once. Pure.

The newest minutes are compared with the same minutes of earlier days and weeks, brought to today's level by the hours
just before. So the shape of the day, and traffic that comes in bursts on the hour, are in the expectation. A break must
be very unlikely for a count with the scatter that those earlier days had (negative binomial), be large, and go beyond
what any ordinary one of those days showed: what is merely unusual can wait until the window closes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect.tails import count_score, normal_quantile

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MINUTE_MS = 60_000
STRETCHES_MS = tuple(minutes * MINUTE_MS for minutes in (60, 40, 30, 24, 20, 16, 12, 8, 5, 2, 1))
"""How far back from now the newest minutes are added up, the longest first: quick for many, patient for few.

A silence fills one stretch after the other; close together, the first that is long enough is not waited for.
"""
BASE_MS = 6 * 60 * MINUTE_MS
"""Today's level is that of the hours before the longest stretch."""
LEAST_DAYS = 4
"""Earlier days and weeks without which nothing is said."""
FALSE_ALERTS_PER_WEEK = 0.002
"""Per stream, under the model; what it comes to is measured in bench/live.py."""
LOOKS_PER_WEEK = 10_080
SCATTER = 0.15
"""The rate of a stretch is never known better than to this share."""
LASTS_MS = 16 * MINUTE_MS
"""For so long a rate is taken to stay high or low."""
BURSTS = 0.3
"""Upwards even less: ordinary traffic has bursts, it has no holes."""
FALLS_TO, FALLS_TO_LASTING = 0.3, 0.5
"""A dip is clear when no more than this share is left, in up to five minutes and in longer stretches."""
RISES_TO = 2.5
LEAST_RISE = 12.0
BEYOND = 0.7
"""How far beyond the most extreme earlier day a break must go (of its remaining share; the inverse for spikes)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of S series in the stretches of STRETCHES_MS that end now, and the same on K earlier days.

    `now` is (S, H), `base` (S,), `then` (K, S, H), `then_base` (K, S); `there` (K, S) says which days a series has.
    """

    now: Floats
    base: Floats
    then: Floats
    then_base: Floats
    there: Bools


@dataclass(frozen=True, slots=True)
class Break:
    """A series broke: `stretch` is the index into STRETCHES_MS, `score` signed in standard-normal units."""

    series: int
    stretch: int
    direction: int
    count: float
    expected: float
    score: float
    newest: float  # events in the shortest stretch


def breaks(counts: Counts, series_of_stream: Floats | int) -> list[Break]:
    """The clear breaks, one per series at most: the most surprising of its stretches.

    `series_of_stream` (S,) is how many series the stream of each has: the budget of false alerts is the stream's.
    """
    days = counts.there.sum(axis=0)
    there = counts.there[:, :, None]
    then, then_base = np.where(there, counts.then, 0.0), np.where(counts.there, counts.then_base, 0.0)
    usual, level = then.sum(axis=0), then_base.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = counts.base[:, None] * usual / level[:, None]
        of_day = then_base[:, :, None] * (usual - then) / (level - then_base)[:, :, None]  # without the day itself
        excess = np.where(there, ((then - of_day) ** 2 - of_day) / of_day**2, np.nan)
        share = np.where(there & (of_day > 0), then / of_day, np.nan)
    watched = (days >= LEAST_DAYS)[:, None] & np.isfinite(expected) & (expected > 0)
    if not watched.any():
        return []
    with np.errstate(invalid="ignore"):
        enough = watched & (np.nan_to_num(expected) >= 1)
        scatter = np.where(enough, np.nansum(np.where(np.isfinite(excess), excess, 0.0), axis=0), 0.0)
        known = np.maximum(days, 1)[:, None]
        least = np.maximum(_within(then, of_day, there), SCATTER**2) * (1 + 2 / known)
        dispersion = np.maximum(scatter / known * (1 + 8 / known), least)
        dispersion += 1 / np.maximum(counts.base, 1)[:, None] + 1 / np.maximum(usual, 1)
        mean = np.where(watched, expected, 1.0)
        ratio = counts.now / mean
        bursts = np.where(ratio > 1, np.maximum(dispersion, BURSTS**2 * (1 + 2 / known)), dispersion)
        score = np.where(watched, count_score(counts.now, mean, bursts), 0.0)
    limit = _limit(series_of_stream)
    lowest, highest = _extremes(share)
    lengths = np.array(STRETCHES_MS)
    falls_to = np.where(lengths > 5 * MINUTE_MS, FALLS_TO_LASTING, FALLS_TO)
    falls = (score <= -limit) & (ratio <= falls_to) & (ratio <= BEYOND * lowest)
    rises = (score >= limit) & (ratio >= RISES_TO) & (counts.now - mean >= LEAST_RISE) & (ratio >= highest / BEYOND)
    surprise = np.where(watched & (falls | rises), np.abs(score), 0.0)
    found = []
    for row in np.flatnonzero(surprise.any(axis=1)).tolist():
        at = int(np.argmax(surprise[row]))
        direction = 1 if score[row, at] > 0 else -1
        found.append(
            Break(
                row,
                at,
                direction,
                float(counts.now[row, at]),
                float(mean[row, at]),
                float(score[row, at]),
                float(counts.now[row, -1]),
            )
        )
    return found


def _within(then: Floats, of_day: Floats, there: Bools) -> Floats:
    """(S, H): the scatter of the rate within the longest stretch, as each stretch has it.

    Six earlier days say little of how much one stretch scatters, and one in hundreds says far too little. The pieces
    between one stretch's beginning and the next one's, of all days, are ten times as many. A bunch of events lasts some
    minutes (`LASTS_MS`): what is longer has several, and their mean scatters less.
    """
    pieces, of_piece = (-np.diff(counts, axis=-1, append=0.0) for counts in (then, of_day))
    known = there & np.isfinite(of_piece)
    excess = np.where(known, (pieces - of_piece) ** 2 - of_piece, 0.0).sum(axis=(0, 2))
    square = np.where(known, of_piece, 0.0) ** 2
    share: Floats = np.maximum(excess, 0.0) / np.maximum(square.sum(axis=(0, 2)), 1.0)
    return share[:, None] * np.minimum(LASTS_MS / np.array(STRETCHES_MS), 1.0)


def _limit(series_of_stream: Floats | int) -> Floats:
    """(S, 1): the surprise from which a series is told of."""
    chance = FALSE_ALERTS_PER_WEEK / LOOKS_PER_WEEK / np.maximum(np.asarray(series_of_stream, np.float64), 1.0)
    return np.array([-normal_quantile(float(one)) for one in np.atleast_1d(chance)])[:, None]


def _extremes(share: Floats) -> tuple[Floats, Floats]:
    """(S, H): the second lowest and second highest share of their expectation that earlier days had.

    The most extreme one may have been a break itself.
    """
    ordered = np.sort(share, axis=0)  # NaN last
    known = np.isfinite(ordered).sum(axis=0)
    lowest = np.where(known >= 2, ordered[min(1, len(ordered) - 1)], 1.0)
    highest = np.take_along_axis(ordered, np.maximum(known - 2, 0)[None], axis=0)[0]
    return np.nan_to_num(lowest, nan=1.0), np.nan_to_num(np.where(known >= 2, highest, 1.0), nan=1.0)
