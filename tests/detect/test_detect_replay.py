"""Laws of the replay: causality, chunks, permutation, scaling, missing points."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.detect import Grid, Measure, State, advance, begin, score
from cliffwatch.errors import InvalidInput

HOUR = 3_600_000
START = 1_736_121_600_000  # Monday 2025-01-06T00:00Z


def hourly(windows: int, start: int = START, step: int = HOUR, time_zone: str = "UTC") -> Grid:
    starts = start + np.arange(windows, dtype=np.int64) * step
    return Grid(starts, starts + step, time_zone)


def rhythm(seed: int, series: int, windows: int, level: float = 200.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(windows)
    mean = level * np.exp(0.5 * np.sin(t * 2 * np.pi / 24) - 0.4 * ((t // 24) % 7 >= 5))
    return rng.poisson(np.tile(mean, (series, 1))).astype(float)


def test_a_truncated_series_has_the_same_scores_up_to_the_cut() -> None:
    values = rhythm(1, 4, 700)
    whole = score(values, hourly(700), Measure.COUNT)
    cut = score(values[:, :500], hourly(500), Measure.COUNT)
    for name in ("expected", "lower", "upper", "score", "p_value"):
        np.testing.assert_array_equal(getattr(whole, name)[:, :500], getattr(cut, name))


@pytest.mark.parametrize("pieces", [[1] * 30, [7, 300, 1, 192]])
def test_a_replay_in_pieces_gives_the_numbers_of_one(pieces: list[int]) -> None:
    windows = sum(pieces)
    values = rhythm(2, 3, windows)
    values[0, 11:14] = np.nan
    whole = score(values, hourly(windows), [Measure.COUNT, Measure.SUM, Measure.MEAN])
    state, at, scores = begin([Measure.COUNT, Measure.SUM, Measure.MEAN], HOUR), 0, []
    for piece in pieces:
        state = State.from_bytes(state.to_bytes())
        state, part = advance(state, values[:, at : at + piece], hourly(windows).cut(at, at + piece))
        scores.append(part.score)
        at += piece
    np.testing.assert_array_equal(np.concatenate(scores, axis=1), whole.score)


def test_infinity_is_refused_by_name() -> None:
    values = rhythm(3, 2, 48)
    values[1, 7] = np.inf
    with pytest.raises(InvalidInput, match="series 1, window 7"):
        score(values, hourly(48), Measure.COUNT)
