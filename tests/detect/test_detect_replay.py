"""Laws of the replay: causality, pieces, permutation, scale, missing points, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.detect import Directions, Grid, Measure, Sensitivity, State, advance, begin, replay, score
from cliffwatch.errors import InvalidInput

HOUR = 3_600_000
MIXED = [Measure.COUNT, Measure.SUM, Measure.MEAN, Measure.PERCENTILE, Measure.UNIQUES]
NUMBERS = ("expected", "lower", "upper", "score", "p_value", "learning", "flagged")


def test_a_truncated_series_has_the_same_scores_up_to_the_cut(shop, even_grid) -> None:
    values = shop(1, 5, 700)
    whole = score(values, even_grid(700), MIXED)
    cut = score(values[:, :500], even_grid(500), MIXED)
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(whole, name)[:, :500], getattr(cut, name))


def test_the_future_does_not_change_a_score(shop, even_grid) -> None:
    values = shop(1, 2, 600)
    changed = values.copy()
    changed[:, 500:] *= 7
    before, after = (score(v, even_grid(600), Measure.COUNT).score[:, :500] for v in (values, changed))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("pieces", [[1] * 60 + [240], [7, 300, 1, 192], [33, 31, 32, 100, 1, 103]])
def test_a_replay_in_pieces_gives_the_numbers_of_one(pieces: list[int], shop, even_grid) -> None:
    windows = sum(pieces)
    values = shop(2, 5, windows)
    values[0, 11:14] = values[3, 90:150] = np.nan
    values[:, 200:204] = 0
    wish = Sensitivity(0.1, minimum_windows=2)
    weights = np.random.default_rng(1).poisson(20, values.shape).astype(float)
    grid = even_grid(windows, time_zone="Europe/Berlin")
    whole = score(values, grid, MIXED, weights=weights, sensitivity=wish)
    state, at, parts = begin(MIXED, HOUR), 0, []
    for piece in pieces:
        to = at + piece
        state, part = advance(state, values[:, at:to], grid.cut(at, to), weights=weights[:, at:to], sensitivity=wish)
        parts.append(part)
        at = to
    for name in NUMBERS:
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts], axis=1), getattr(whole, name))


def test_a_state_survives_bytes(shop, even_grid) -> None:
    values = shop(3, 5, 300)
    state, _ = advance(begin(MIXED, HOUR), values[:, :250], even_grid(300).cut(0, 250))
    again = State.from_bytes(state.to_bytes())
    rest = even_grid(300).cut(250, 300)
    np.testing.assert_array_equal(
        advance(state, values[:, 250:], rest)[1].score, advance(again, values[:, 250:], rest)[1].score
    )


def test_the_bytes_of_series_at_rest_are_few_and_of_busy_ones_not_many(even_grid) -> None:
    rng = np.random.default_rng(3)
    sizes = []
    for rate in (0.001, 50.0):
        values = rng.poisson(rate, (100, 400)).astype(float)
        state, _ = advance(begin([Measure.COUNT] * 100, HOUR), values, even_grid(400))
        sizes.append(len(state.to_bytes()) / 100)
        np.testing.assert_array_equal(State.from_bytes(state.to_bytes()).rows, state.rows)
    assert sizes[0] < 300
    assert sizes[1] < 700


@pytest.mark.parametrize("data", [b"", b"something else entirely", b"CWDS\x63\x00\x00\x00\x00\x00"])
def test_bytes_of_another_kind_are_no_state(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="detection state"):
        State.from_bytes(data)


@pytest.mark.parametrize("change", [lambda data: data[:-9], lambda data: data[:40] + b"?" + data[41:]])
def test_damaged_bytes_are_no_state(change, shop, even_grid) -> None:
    data = advance(begin(MIXED, HOUR), shop(3, 5, 60), even_grid(60))[0].to_bytes()
    with pytest.raises(InvalidInput, match="Replay the series' history"):
        State.from_bytes(change(data))


def test_a_state_of_an_earlier_layout_is_refused_with_the_way_out(shop, even_grid) -> None:
    data = bytearray(advance(begin([Measure.COUNT], HOUR), shop(3, 1, 60), even_grid(60))[0].to_bytes())
    data[4:6] = (2).to_bytes(2, "little")
    with pytest.raises(InvalidInput, match="Replay the series' history"):
        State.from_bytes(bytes(data))


@pytest.mark.parametrize("count", [1, 300])
def test_a_series_scores_the_same_in_a_block_of_any_size(count: int, shop, even_grid, monkeypatch) -> None:
    values = np.concatenate([shop(7, count, 400, 3.0), shop(8, 1, 400, 900.0)])
    values[-1, 250:262] *= 0.3
    whole = score(values, even_grid(400), Measure.COUNT)
    monkeypatch.setattr(replay, "BLOCK", 64)
    monkeypatch.setattr(replay, "TILE", 7)
    cut = score(values, even_grid(400), Measure.COUNT)
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("measure", [Measure.SUM, Measure.RATIO])
@pytest.mark.parametrize("events", [0.0, 1.0, np.nan])
def test_refunds_and_shares_above_one_overflow_nowhere(measure: Measure, events: float, even_grid) -> None:
    values = np.random.default_rng(4).gamma(2.0, 50.0, (4, 1400))
    values[0] *= -1.0
    values[1, :700] *= -1.0
    values[2] = 0.0
    scored = score(values / 100.0, even_grid(1400), measure, weights=np.full(values.shape, events))
    assert np.isfinite(scored.score[~scored.learning]).all()


def test_the_order_of_series_changes_nothing(shop, even_grid) -> None:
    values = np.concatenate([shop(4, 3, 400, 20.0), shop(5, 3, 400, 3000.0)])
    order = np.random.default_rng(0).permutation(6)
    straight = score(values, even_grid(400), Measure.COUNT).score
    mixed = score(values[order], even_grid(400), Measure.COUNT).score
    np.testing.assert_array_equal(straight[order], mixed)


def test_a_series_does_not_depend_on_its_neighbours(shop, even_grid) -> None:
    values = shop(6, 3, 400)
    together = score(values, even_grid(400), Measure.COUNT).score
    alone = score(values[1:2], even_grid(400), Measure.COUNT).score
    np.testing.assert_array_equal(together[1:2], alone)


@pytest.mark.parametrize("measure", [Measure.MEAN, Measure.PERCENTILE, Measure.EXTREME])
def test_an_average_in_other_units_has_the_same_scores(measure: Measure, even_grid) -> None:
    values = np.random.default_rng(7).normal(50, 4, (3, 500))
    first = score(values, even_grid(500), measure)
    for factor, shift in ((1000.0, 0.0), (0.001, 0.0), (1.0, 900.0), (9 / 5, 32.0)):
        other = score(values * factor + shift, even_grid(500), measure)
        np.testing.assert_allclose(other.score, first.score, atol=1e-5)
        np.testing.assert_allclose(other.expected, first.expected * factor + shift, rtol=1e-6)


def test_a_sum_in_cents_has_the_scores_of_euros(shop, even_grid) -> None:
    euros = shop(8, 2, 500) * 17.3
    first, second = (score(v, even_grid(500), Measure.SUM) for v in (euros, euros * 100))
    np.testing.assert_allclose(second.score, first.score, atol=1e-6)


def test_a_missing_point_has_no_score_and_does_no_harm(shop, even_grid) -> None:
    values = shop(9, 1, 800)
    holes = values.copy()
    holes[0, 300:330] = holes[0, 500] = np.nan
    whole, holed = (score(v, even_grid(800), Measure.COUNT) for v in (values, holes))
    assert np.isnan(holed.score[0, 300:330]).all()
    assert not holed.flagged[0, 300:330].any()
    assert np.isfinite(holed.expected[0, 300:330]).all()
    assert np.nanmedian(np.abs(holed.expected[0, 600:] / whole.expected[0, 600:] - 1)) < 0.03


def test_leading_gaps_are_as_if_the_series_began_later(shop, even_grid) -> None:
    values = shop(10, 1, 500)
    padded = np.concatenate([np.full((1, 168), np.nan), values], axis=1)
    late = score(values, even_grid(500), Measure.COUNT).score
    np.testing.assert_allclose(score(padded, even_grid(668), Measure.COUNT).score[:, 168:], late, atol=1e-9)


def test_infinity_is_refused_by_name(shop, even_grid) -> None:
    values = shop(11, 2, 48)
    values[1, 7] = np.inf
    with pytest.raises(InvalidInput, match="series 1, window 7"):
        score(values, even_grid(48), Measure.COUNT)


def test_a_matrix_of_another_shape_is_refused(shop, even_grid) -> None:
    with pytest.raises(InvalidInput, match="shape"):
        score(shop(12, 2, 48), even_grid(40), Measure.COUNT)


def test_measures_must_name_every_series(shop, even_grid) -> None:
    with pytest.raises(InvalidInput, match="one measure per series"):
        score(shop(12, 2, 48), even_grid(48), [Measure.COUNT])


def test_windows_that_were_scored_are_not_scored_again(shop, even_grid) -> None:
    values = shop(13, 1, 60)
    state, _ = advance(begin([Measure.COUNT], HOUR), values[:, :50], even_grid(60).cut(0, 50))
    with pytest.raises(InvalidInput, match="already scored"):
        advance(state, values[:, 49:], even_grid(60).cut(49, 60))


def test_a_grid_that_overlaps_is_refused() -> None:
    with pytest.raises(InvalidInput, match="do not overlap"):
        Grid(np.array([0, 10]), np.array([15, 20]))


@pytest.mark.parametrize("parents", [[1, 0, -1], [0, -1, -1], [5, -1, -1]])
def test_a_family_tree_has_no_circles_and_no_strangers(parents: list[int]) -> None:
    with pytest.raises(InvalidInput, match="parents"):
        begin([Measure.COUNT] * 3, HOUR, np.array(parents))


@pytest.mark.parametrize("level", [0.0, 1.0, 40.0, 1e9])
@pytest.mark.parametrize("measure", [Measure.COUNT, Measure.SUM, Measure.MEAN, Measure.RATIO])
def test_a_constant_series_is_never_flagged(level: float, measure: Measure, even_grid) -> None:
    value = min(level, 1.0) if measure is Measure.RATIO else level
    scored = score(np.full((1, 600), value), even_grid(600), measure)
    assert not scored.flagged.any()
    assert np.isfinite(scored.expected[~scored.learning]).all()


def test_events_after_weeks_of_zeros_are_a_spike(even_grid) -> None:
    values = np.zeros((1, 600))
    values[0, 590] = 40
    assert score(values, even_grid(600), Measure.COUNT).flagged[0, 590]


@pytest.mark.parametrize("windows", [0, 1, 10])
def test_ten_points_of_history_are_learning_and_never_alert(windows: int, even_grid) -> None:
    values = np.arange(windows, dtype=float)[None, :] ** 4
    scored = score(values, even_grid(windows), Measure.COUNT)
    assert scored.learning.all()
    assert not scored.flagged.any()
    assert np.isnan(scored.expected).all()


def test_a_series_that_begins_late_is_learned_from_its_own_first_value_and_not_judged_before(shop, even_grid) -> None:
    begin_at, learning = 500, 48
    values = shop(4, 2, 700)
    values[1, :begin_at] = np.nan
    values[1, begin_at + 3 : begin_at + learning : 7] *= 30.0  # nobody can know yet that this is unusual
    scored = score(values, even_grid(700), Measure.COUNT)
    assert scored.learning[1, : begin_at + learning].all()
    assert not scored.learning[1, begin_at + learning :].any()
    assert not scored.flagged[1, : begin_at + learning].any()
    assert np.isnan(scored.score[1, : begin_at + learning]).all()


def test_a_series_without_any_value_is_never_judged(even_grid) -> None:
    scored = score(np.full((1, 400), np.nan), even_grid(400), Measure.COUNT)
    assert scored.learning.all()
    assert not scored.flagged.any()


def test_each_series_may_have_its_own_sensitivity(shop, even_grid) -> None:
    values, grid = shop(3, 3, 24 * 35), even_grid(24 * 35)
    values[:, -6:-3] *= 0.4
    wishes = [Sensitivity(), Sensitivity(directions=Directions.UP), Sensitivity(width=2.5, minimum_windows=2)]
    together = score(values, grid, Measure.COUNT, sensitivity=wishes)
    for series, wish in enumerate(wishes):
        alone = score(values[series : series + 1], grid, Measure.COUNT, sensitivity=wish)
        for field in ("expected", "lower", "upper", "score", "flagged"):
            np.testing.assert_array_equal(getattr(together, field)[series], getattr(alone, field)[0])
    assert together.flagged[0, -6:-3].any()
    assert not together.flagged[1, -6:-3].any()


def test_a_wider_band_is_as_much_wider_as_it_says(shop, even_grid) -> None:
    values, grid = shop(4, 1, 24 * 35, level=5000.0), even_grid(24 * 35)
    usual = score(values, grid, Measure.COUNT)
    wide = score(values, grid, Measure.COUNT, sensitivity=Sensitivity(width=1.12))
    share = (wide.upper[0, -50:] - wide.lower[0, -50:]) / (usual.upper[0, -50:] - usual.lower[0, -50:])
    np.testing.assert_allclose(share, 1.12, atol=0.01)
    np.testing.assert_array_equal(wide.score, usual.score)


def test_series_of_two_memories_go_on_together_as_they_would_alone(shop, even_grid) -> None:
    values, grid = shop(5, 4, 24 * 30), even_grid(24 * 30)
    cut = 24 * 25
    state, _ = advance(begin([Measure.COUNT] * 4, HOUR), values[:, :cut], grid.cut(0, cut))
    mixed = state.take([3, 0]).joined(state.take([2]))
    _, scored = advance(mixed, values[[3, 0, 2], cut:], grid.cut(cut, 24 * 30))
    _, whole = advance(state, values[:, cut:], grid.cut(cut, 24 * 30))
    np.testing.assert_array_equal(scored.score, whole.score[[3, 0, 2]])


def test_memories_that_have_seen_other_windows_are_not_joined(shop, even_grid) -> None:
    values, grid = shop(5, 2, 24 * 30), even_grid(24 * 30)
    state, _ = advance(begin([Measure.COUNT] * 2, HOUR), values, grid)
    with pytest.raises(InvalidInput, match="same windows"):
        state.joined(begin([Measure.COUNT], HOUR))


@pytest.mark.parametrize("measure", [Measure.COUNT, Measure.SUM, Measure.MEAN])
def test_a_level_that_a_person_has_named_is_expected_from_the_next_window_on(measure: Measure, shop, even_grid) -> None:
    values, grid = shop(6, 1, 24 * 36), even_grid(24 * 36)
    cut = 24 * 35
    usual = float(values[:, :cut].mean())
    values[:, cut:] = values[:, cut:] + usual if measure is Measure.MEAN else values[:, cut:] * 2.0
    state, _ = advance(begin([measure], HOUR), values[:, :cut], grid.cut(0, cut))
    after = grid.cut(cut, 24 * 36)
    _, told = advance(state, values[:, cut:], after)
    _, known = advance(state.at_level(0, 2.0, usual), values[:, cut:], after)
    assert told.flagged.any()
    assert not known.flagged.any()
