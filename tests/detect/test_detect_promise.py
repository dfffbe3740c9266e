"""The alert budget is kept from both sides: on quiet counts about as many alerts are told as were promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cliffwatch.detect import Grid, Measure, Sensitivity, anomalies, score
from cliffwatch.detect.layout import tuning
from cliffwatch.detect.model import DAY_MS, HOUR_MS
from cliffwatch.detect.surprise import as_a_single_look, one_sided


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
