"""The alert budget is kept from both sides: on quiet counts about as many alerts are told as were promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from cliffwatch.detect import Grid, Measure, Sensitivity, anomalies, score
from cliffwatch.detect.layout import Row, empty, tuning
from cliffwatch.detect.model import DAY_MS, HOUR_MS
from cliffwatch.detect.surprise import as_a_single_look, as_if_known, one_sided


@pytest.mark.parametrize(("step", "weeks", "series"), [(HOUR_MS, 16, 150), (DAY_MS, 120, 300)], ids=["hourly", "daily"])
@pytest.mark.parametrize("level", [4.0, 200.0, 20_000.0])
def test_quiet_counts_alert_as_often_as_promised(step: int, weeks: int, series: int, level: float) -> None:
    windows, budget = weeks * 7 * DAY_MS // step, 0.1
    rng = np.random.default_rng([6301, step, int(level)])
    start = np.arange(windows, dtype=np.int64) * step
    phase = np.arange(windows) * 2 * np.pi / (24 if step == HOUR_MS else 7)
    spread = rng.gamma(400.0, 1 / 400.0, (series, windows))
    values = rng.poisson(level * np.exp(0.4 * np.sin(phase)) * spread).astype(float)
    grid, wish = Grid(start, start + step), Sensitivity(budget)
    found = anomalies(values, grid, score(values, grid, Measure.COUNT, sensitivity=wish), Measure.COUNT, wish)
    promised = budget * series * weeks / 2
    told = sum(each.start >= windows // 2 for each in found)
    assert told / promised == pytest.approx(1.0, abs=0.25 + 2 / np.sqrt(promised))


def test_looking_several_times_costs_the_same_factor_at_any_height() -> None:
    far = np.array([2.6, 3.0, 3.5, 4.0, 4.5])
    alone = as_a_single_look(far, np.full(5, 2.5), tuning(HOUR_MS))
    looks = stats.norm.sf(alone) / stats.norm.sf(far)
    np.testing.assert_allclose(looks, stats.norm.sf(2.3) / stats.norm.sf(2.5), rtol=0.1)


def test_a_high_count_has_the_chance_of_one_tail_where_nothing_is_not_as_rare() -> None:
    mean = np.array([4.0, 100.0, 4.0])
    rare, dispersion = 1 / mean, np.full(3, 1e-6)
    far, side = np.array([3.6, 3.6, 3.6]), np.array([1.0, 1.0, -1.0])
    one_sided(far, side, np.arange(3), rare, dispersion, rare + dispersion, tuning(HOUR_MS))
    assert 2 * stats.norm.sf(far[0]) == pytest.approx(stats.norm.sf(3.6), rel=0.05)
    assert far[1:].tolist() == [3.6, 3.6]


@pytest.mark.parametrize("points", [20.0, 150.0])
def test_a_score_by_a_learned_variance_is_as_rare_as_students_t(points: float) -> None:
    tune, far = tuning(DAY_MS), np.array([2.5, 3.0, 4.0, 5.0])
    x, variance = empty(4), np.full(4, 0.01)
    x[Row.NOISE] = variance
    old = 1 - tune.keep_spread
    behind = (np.sqrt(1 + 4 * old * points) - 1) / (2 * old)  # what fades counts up to twice
    x[Row.TRUST] = 2 * behind * (tune.noise_prior / variance) ** 2
    got = as_if_known(x, far, np.arange(4), variance, tune)
    np.testing.assert_allclose(stats.norm.sf(got), stats.t.sf(far, points), rtol=0.1)


def test_where_chance_is_all_of_the_variance_nothing_was_learned_that_could_be_wrong() -> None:
    tune, far = tuning(DAY_MS), np.array([3.0, 5.0])
    x = empty(2)
    x[Row.TRUST] = 1e-6
    np.testing.assert_allclose(as_if_known(x, far, np.arange(2), np.full(2, 1.0), tune), far, rtol=1e-3)


def test_days_that_scatter_more_than_was_believed_keep_a_strict_budget_too() -> None:
    series, windows, budget = 1_000, 60 * 7, 0.01
    rng = np.random.default_rng(6302)
    scatter = np.maximum(rng.uniform(0, 0.08, (series, 1)) ** 2, 1e-6)
    shocks = rng.normal(size=(series, windows)) * rng.uniform(0, 0.06, (series, 1)) * np.sqrt(1 - 0.9**2)
    drift = signal.lfilter([1], [1, -0.9], shocks, axis=1)
    level = 20_000 * np.exp(drift + rng.normal(0, 0.05, (series, 7))[:, np.arange(windows) % 7])
    values = rng.poisson(level * rng.gamma(1 / scatter, scatter, level.shape)).astype(float)
    start = np.arange(windows, dtype=np.int64) * DAY_MS
    grid, wish = Grid(start, start + DAY_MS), Sensitivity(budget)
    found = anomalies(values, grid, score(values, grid, Measure.COUNT, sensitivity=wish), Measure.COUNT, wish)
    told = sum(each.start >= windows // 2 for each in found)
    assert told / (budget * series * 30) == pytest.approx(1.0, abs=0.2)
