"""A slice takes from its total what its own few points do not tell, and loses nothing by it."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.detect import Measure, Sensitivity, State, advance, begin, score

HOUR = 3_600_000
LIKE = 0.002  # the share of the total that a slice of eight events an hour has


def family(parent: np.ndarray, slices: int, share: float, seed: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(total and slices of it, parents)."""
    rng = np.random.default_rng(seed)
    parts = rng.binomial(parent.astype(int), share, (slices, parent.shape[1])).astype(float)
    return np.concatenate([parent, parts]), np.array([-1] + [0] * slices)


def errors(values: np.ndarray, parents: np.ndarray, truth: np.ndarray, grid, span: slice) -> list[float]:
    """Mean distance of the slices' forecast from what they tend to, alone and with their total."""
    found = []
    for up in (None, parents):
        expected = score(values, grid, Measure.COUNT, parents=up).expected[1:, span]
        found.append(float(np.nanmean(np.abs(expected - truth[:, span]))))
    return found


def test_a_new_slice_is_forecast_three_times_as_well_with_the_rhythm_of_its_total(shop, even_grid) -> None:
    parent = shop(12, 1, 6 * 168, 4000.0)
    values, up = family(parent, 12, LIKE)
    begins = 5 * 168
    values[1:, :begins] = np.nan
    alone, together = errors(values, up, parent * LIKE, even_grid(6 * 168), slice(begins + 48, begins + 120))
    assert together < alone / 3


def test_thin_slices_that_begin_with_their_total_gain_a_tenth_or_more(shop, even_grid) -> None:
    parent = shop(12, 1, 500, 4000.0)
    values, up = family(parent, 12, LIKE)
    for span in (slice(48, 168), slice(200, 500)):
        alone, together = errors(values, up, parent * LIKE, even_grid(500), span)
        assert together < 0.9 * alone


@pytest.mark.parametrize("begins", [0, 5 * 168])
def test_a_slice_of_another_rhythm_is_forecast_as_well_as_alone(begins: int, even_grid) -> None:
    t = np.arange(7 * 168)
    day = np.exp(0.9 * np.sin(t * 2 * np.pi / 24))
    rng = np.random.default_rng(3)
    parent = rng.poisson(5000.0 * day, (1, t.size)).astype(float)
    mean = np.tile(40.0 * np.exp(-0.9 * np.sin(t * 2 * np.pi / 24)), (12, 1))  # busy when the others sleep
    values = np.concatenate([parent, rng.poisson(mean).astype(float)])
    values[1:, :begins] = np.nan
    up = np.array([-1] + [0] * 12)
    alone, together = errors(values, up, mean, even_grid(t.size), slice(begins + 48, begins + 336))
    assert together < 1.05 * alone
    flagged = score(values, even_grid(t.size), Measure.COUNT, parents=up).flagged[1:]
    assert flagged.sum() <= 1


def test_counts_of_sixty_that_halve_are_found_with_their_total_as_without(shop, even_grid) -> None:
    windows = 5 * 168
    values, up = family(shop(3, 1, windows, 6000.0), 40, 0.01)
    at = slice(windows - 20, windows - 17)
    rng = np.random.default_rng(4)
    values[1:, at] = rng.binomial(values[1:, at].astype(int), 0.5)
    alone, together = (
        score(values, even_grid(windows), Measure.COUNT, parents=p).flagged[1:, at].any(axis=1).mean()
        for p in (None, up)
    )
    assert together >= max(alone, 0.9)


def test_quiet_slices_keep_their_budget_beside_their_total(even_grid) -> None:
    t = np.arange(12 * 168)
    rng = np.random.default_rng(5)
    parent = rng.poisson(9000.0 * np.exp(0.5 * np.sin(t * 2 * np.pi / 24)), (1, t.size)).astype(float)
    values, up = family(parent, 60, 0.003, 6)
    wish = Sensitivity(0.1)
    flagged = score(values, even_grid(t.size), Measure.COUNT, parents=up, sensitivity=wish).flagged[1:, t.size // 2 :]
    assert flagged.sum() / (60 * 6) == pytest.approx(0.1, abs=0.05)


def test_sums_take_their_rhythm_from_their_total_too(shop, even_grid) -> None:
    windows, begins = 6 * 168, 5 * 168
    orders, up = family(shop(7, 1, windows, 2000.0), 10, 0.01)
    rng = np.random.default_rng(8)
    revenue = orders * 40.0 * rng.gamma(30.0 * np.maximum(orders, 1.0), 1 / (30.0 * np.maximum(orders, 1.0)))
    truth = np.tile(orders[0] * 0.4, (10, 1))
    for matrix in (orders, revenue):
        matrix[1:, :begins] = np.nan
    found = []
    for parents in (None, up):
        scored = score(revenue, even_grid(windows), Measure.SUM, weights=np.nan_to_num(orders), parents=parents)
        found.append(
            float(
                np.nanmean(
                    np.abs(scored.expected[1:, begins + 48 : begins + 120] - truth[:, begins + 48 : begins + 120])
                )
            )
        )
    assert found[1] < 0.6 * found[0]


def test_slices_in_pieces_and_from_bytes_score_as_at_once(shop, even_grid) -> None:
    values, up = family(shop(9, 1, 400, 4000.0), 5, LIKE)
    values[1:3, :200] = np.nan
    grid = even_grid(400)
    whole = score(values, grid, Measure.COUNT, parents=up)
    state, parts = begin([Measure.COUNT] * 6, HOUR, up), []
    for first, end in ((0, 210), (210, 223), (223, 400)):
        state, scored = advance(State.from_bytes(state.to_bytes()), values[:, first:end], grid.cut(first, end))
        parts.append(scored.expected)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole.expected)


def test_a_slice_goes_on_alone_from_what_it_knows_when_its_total_is_gone(shop, even_grid) -> None:
    values, up = family(shop(10, 1, 500, 4000.0), 4, LIKE)
    grid = even_grid(500)
    state, _ = advance(begin([Measure.COUNT] * 5, HOUR, up), values[:, :400], grid.cut(0, 400))
    with_total, _ = advance(state, values[:, 400:401], grid.cut(400, 401))
    alone, scored = advance(state.take([1, 2, 3, 4]), values[1:, 400:], grid.cut(400, 500))
    assert with_total.take([1]).parents.tolist() == [-1]
    assert alone.parents.tolist() == [-1] * 4
    truth = values[0, 400:] * LIKE
    assert np.mean(np.abs(scored.expected - truth) / truth) < 0.25


def test_parts_of_a_family_join_again_with_who_descends_from_whom() -> None:
    state = begin([Measure.COUNT] * 5, HOUR, np.array([-1, 0, 0, -1, 3]))
    joined = state.take([0, 2]).joined(state.take([3, 4, 1]))
    assert joined.parents.tolist() == [-1, 0, -1, 2, -1]
    assert joined.related(np.array([-1, 0, -1, 2, 0])).parents.tolist() == [-1, 0, -1, 2, 0]
