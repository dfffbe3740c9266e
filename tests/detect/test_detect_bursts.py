"""Series of short windows that burst: a burst is compared with bursts; a calm series keeps its keen eye."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.detect import Measure, State, advance, begin, score

MINUTES = 5 * 60_000
DAY = 288


@pytest.fixture
def bursty() -> np.ndarray:
    """Mentions of a name, every five minutes: some 40, and often a burst of a few hundred."""
    rng = np.random.default_rng(31)
    values = rng.poisson(40.0, (8, 24 * DAY)).astype(float)
    return np.where(rng.random(values.shape) < 0.05, np.round(values * rng.uniform(3, 12, values.shape)), values)


def test_usual_bursts_are_not_told_once_they_are_known(bursty, even_grid) -> None:
    flagged = score(bursty, even_grid(24 * DAY, MINUTES), Measure.COUNT).flagged[:, 10 * DAY :]
    assert flagged.sum() <= 2


def test_a_burst_far_beyond_the_others_is_told(bursty, even_grid) -> None:
    bursty[:, 20 * DAY] = 9_000
    assert score(bursty, even_grid(24 * DAY, MINUTES), Measure.COUNT).flagged[:, 20 * DAY].all()


def test_silence_of_a_bursty_series_is_told(bursty, even_grid) -> None:
    bursty[:, 20 * DAY : 20 * DAY + 12] = 0
    assert (
        score(bursty, even_grid(24 * DAY, MINUTES), Measure.COUNT)
        .flagged[:, 20 * DAY : 20 * DAY + 12]
        .any(axis=1)
        .all()
    )


def test_a_spike_by_night_is_told_in_a_calm_series_although_the_day_is_busier(even_grid) -> None:
    rng = np.random.default_rng(32)
    t = np.arange(12 * DAY)
    values = rng.poisson(100 * np.exp(0.9 * np.sin(t * 2 * np.pi / DAY)), (8, len(t))).astype(float)
    night = 10 * DAY + 216
    values[:, night : night + 3] *= 2.5
    assert score(values, even_grid(len(t), MINUTES), Measure.COUNT).flagged[:, night : night + 3].any(axis=1).all()


def test_the_size_of_bursts_is_remembered_between_runs(bursty, even_grid) -> None:
    grid = even_grid(24 * DAY, MINUTES)
    whole = score(bursty, grid, Measure.COUNT).score
    state, at, parts = begin([Measure.COUNT] * 8, MINUTES), 0, []
    for to in (5 * DAY + 7, 5 * DAY + 72, 5 * DAY + 73, 24 * DAY):
        state, part = advance(State.from_bytes(state.to_bytes()), bursty[:, at:to], grid.cut(at, to))
        parts.append(part.score)
        at = to
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
