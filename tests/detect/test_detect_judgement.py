"""What is told: the kinds of anomalies, shifts told once, incidents that do no harm later, sensitivity, families."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cliffwatch.detect import (
    AnomalyKind,
    Directions,
    Measure,
    Reason,
    Sensitivity,
    anomalies,
    discoveries,
    explain_point,
    score,
)
from cliffwatch.errors import InvalidInput

HOUR = 3_600_000
WISH = Sensitivity()


def found_in(values, grid, measure=Measure.COUNT, wish=WISH):
    scored = score(values, grid, measure, sensitivity=wish)
    return anomalies(values, grid, scored, measure, wish), scored


@pytest.mark.parametrize(
    ("factor", "length", "kind", "direction"),
    [
        (3.0, 2, AnomalyKind.SPIKE, 1),
        (0.3, 3, AnomalyKind.DIP, -1),
        (0.0, 4, AnomalyKind.SILENCE, -1),
        (1.8, 200, AnomalyKind.LEVEL_SHIFT, 1),
        (0.5, 200, AnomalyKind.LEVEL_SHIFT, -1),
    ],
)
def test_each_kind_is_named(factor: float, length: int, kind: AnomalyKind, direction: int, shop, even_grid) -> None:
    values = shop(1, 1, 1100)
    values[0, 900 : 900 + length] = np.round(values[0, 900 : 900 + length] * factor)
    found, _ = found_in(values, even_grid(1100))
    first = next(f for f in found if f.start >= 890)
    assert (first.kind, first.direction, first.start) == (kind, direction, 900)


def test_a_slow_slide_is_a_trend_change(shop, even_grid) -> None:
    values = shop(2, 1, 1000, 2000.0)
    values[0, 800:] *= np.maximum(1 - np.arange(200) / 30, 0.2)
    found, _ = found_in(np.round(values), even_grid(1000))
    assert next(f for f in found if f.start >= 795).kind is AnomalyKind.TREND_CHANGE


def test_an_anomaly_says_what_it_cost(shop, even_grid) -> None:
    values = shop(3, 1, 900)
    usual = values[0, 800:803].sum()
    values[0, 800:803] = 0
    found, scored = found_in(values, even_grid(900))
    loss = next(f for f in found if f.start == 800)
    assert (loss.end, loss.actual, loss.relative) == (803, 0.0, -1.0)
    assert loss.expected == pytest.approx(usual, rel=0.15)
    assert loss.impact == -loss.expected
    assert loss.peak_score == scored.score[0, loss.peak]
    assert not loss.ongoing


def test_an_anomaly_at_the_end_is_ongoing(shop, even_grid) -> None:
    values = shop(4, 1, 900)
    values[0, 898:] = 0
    found, _ = found_in(values, even_grid(900))
    assert found[-1].ongoing


def test_an_anomaly_goes_on_while_windows_lean_its_way_and_ends_with_one_that_does_not(shop, even_grid) -> None:
    values = shop(4, 1, 900)
    values[0, 800:802] = 0
    _, before = found_in(values, even_grid(900))
    values[0, 802] = np.ceil(before.lower[0, 802])  # just within the usual range
    found, scored = found_in(values, even_grid(900))
    assert scored.flagged[0, 798:804].tolist() == [False, False, True, True, False, False]
    assert [(f.start, f.end) for f in found if f.start >= 798] == [(800, 803)]


def test_a_level_shift_is_told_once_and_then_adopted(shop, even_grid) -> None:
    values = shop(5, 6, 1500)
    values[:, 900:] = np.round(values[:, 900:] * 1.7)
    found, scored = found_in(values, even_grid(1500))
    assert scored.flagged[:, 900].all()
    assert not scored.flagged[:, 948:].any()
    np.testing.assert_allclose(scored.expected[:, 1200:].sum(), values[:, 1200:].sum(), rtol=0.03)
    told = [f for f in found if f.start >= 890]
    assert {f.series for f in told} == set(range(6))
    assert len(told) <= 8


def test_an_incident_does_not_poison_the_next_day(shop, even_grid) -> None:
    values = shop(6, 4, 1200)
    broken = values.copy()
    broken[:, 900:906] = 0
    quiet, after = (score(v, even_grid(1200), Measure.COUNT) for v in (values, broken))
    np.testing.assert_allclose(after.expected[:, 924:948], quiet.expected[:, 924:948], rtol=0.06)
    assert not after.flagged[:, 907:].any()


def test_the_same_incident_a_week_later_is_found_again(shop, even_grid) -> None:
    values = shop(7, 4, 1300)
    values[:, 900:904] = values[:, 1068:1072] = 0
    assert score(values, even_grid(1300), Measure.COUNT).flagged[:, 1068].all()


def test_a_new_weekly_habit_is_learned_after_a_few_tellings(shop, even_grid) -> None:
    values = shop(8, 4, 168 * 14)
    for week in range(6, 14):  # from now on Wednesdays are half as busy
        values[:, week * 168 + 48 : week * 168 + 72] = np.round(values[:, week * 168 + 48 : week * 168 + 72] * 0.5)
    scored = score(values, even_grid(168 * 14), Measure.COUNT)
    assert scored.flagged[:, 6 * 168 + 48 : 6 * 168 + 72].any(axis=1).all()
    assert not scored.flagged[:, 11 * 168 :].any()


def test_fewer_allowed_alerts_never_flag_more(shop, even_grid) -> None:
    values = shop(9, 20, 900)
    counts = [
        score(values, even_grid(900), Measure.COUNT, sensitivity=Sensitivity(budget)).flagged
        for budget in (0.001, 0.01, 0.1, 1.0)
    ]
    for strict, loose in itertools.pairwise(counts):
        assert not (strict & ~loose).any()


def test_minimum_effect_impact_direction_and_duration_filter(shop, even_grid) -> None:
    values = shop(10, 1, 900, 5000.0)
    values[0, 850] *= 1.4
    grid = even_grid(900)
    assert score(values, grid, Measure.COUNT).flagged[0, 850]
    for wish in (
        Sensitivity(minimum_effect=0.9),
        Sensitivity(minimum_impact=1e6),
        Sensitivity(directions=Directions.DOWN),
        Sensitivity(minimum_windows=2),
    ):
        assert not score(values, grid, Measure.COUNT, sensitivity=wish).flagged[0, 850]


def test_a_long_incident_passes_the_duration_filter_and_starts_at_its_start(shop, even_grid) -> None:
    values = shop(11, 1, 900)
    values[0, 850:854] = 0
    found, scored = found_in(values, even_grid(900), wish=Sensitivity(minimum_windows=3))
    assert scored.flagged[0, 848:856].tolist() == [False, False, False, False, True, True, False, False]
    assert (found[-1].start, found[-1].end) == (850, 854)


@pytest.mark.parametrize("budget", [0.0, -1.0, 51.0])
def test_a_budget_out_of_range_is_refused(budget: float) -> None:
    with pytest.raises(InvalidInput, match="sensitivity"):
        Sensitivity(budget)


def test_benjamini_and_hochberg_take_the_textbook_example() -> None:
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, np.nan])
    assert discoveries(p, 0.05).tolist() == [True, True] + [False] * 7
    assert not discoveries(np.array([]), 0.05).any()


def test_the_weight_of_an_average_widens_its_band(even_grid) -> None:
    rng = np.random.default_rng(13)
    weights = np.where(np.arange(600) % 2, 4.0, 100.0)[None, :].repeat(3, axis=0)
    values = 50 + rng.normal(0, 10, weights.shape) / np.sqrt(weights)
    scored = score(values, even_grid(600), Measure.MEAN, weights=weights)
    width = (scored.upper - scored.lower)[:, 300:]
    assert width[:, 1::2].mean() > 1.5 * width[:, ::2].mean()
    heavy = values.copy()
    heavy[:, 598], heavy[:, 599] = 58, 58
    flagged = score(heavy, even_grid(600), Measure.MEAN, weights=weights).flagged
    assert flagged[:, 598].all()
    assert not flagged[:, 599].any() or flagged[:, 598].all()


def test_a_flagged_point_is_explained_in_parts_and_words(shop, even_grid) -> None:
    values = shop(14, 3, 900)
    values[1, 850] *= 4
    grid = even_grid(900)
    scored = score(values, grid, Measure.COUNT)
    why = explain_point(values, grid, Measure.COUNT, 1, 850)
    assert why.reason is Reason.SURPRISING
    assert why.expected == scored.expected[1, 850]
    assert why.score == scored.score[1, 850]
    assert [p.name for p in why.parts[:3]] == ["level", "trend", "hour"]
    assert np.prod([p.effect for p in why.parts]) == pytest.approx(why.expected)
    assert "above" in why.sentence
    assert "level of" in why.sentence


@pytest.mark.parametrize(
    ("window", "wish", "reason"),
    [
        (5, Sensitivity(), Reason.LEARNING),
        (700, Sensitivity(), Reason.WITHIN_BAND),
        (710, Sensitivity(), Reason.MISSING),
        (850, Sensitivity(directions=Directions.DOWN), Reason.WRONG_DIRECTION),
        (850, Sensitivity(minimum_effect=9.0), Reason.SMALL_EFFECT),
        (850, Sensitivity(minimum_impact=1e9), Reason.SMALL_IMPACT),
        (850, Sensitivity(minimum_windows=5), Reason.TOO_SHORT),
    ],
)
def test_a_point_that_was_not_flagged_says_why(window, wish, reason, shop, even_grid) -> None:
    values = shop(15, 1, 900)
    values[0, 850] *= 4
    values[0, 710] = np.nan
    assert explain_point(values, even_grid(900), Measure.COUNT, 0, window, sensitivity=wish).reason is reason
