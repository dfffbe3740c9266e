"""Sums, ratios and averages keep the promise too: on quiet series the alerts stay within the budget.

Orders have prices of very different size, a success rate lies near one, and an average may rest on three orders: their
noise is not a count's. `weights` is the number of events under a sum or an average, the denominator of a ratio.
"""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.detect import Grid, Measure, Sensitivity, anomalies, score

HOUR = 3_600_000
WEEKS, SERIES = 10, 60
PRICES = np.array([49.0, 79.0, 129.0, 14.0, 99.0, 89.0, 35.0, 59.0])
START = 1_790_000_000_000 // HOUR * HOUR


def orders(rng: np.random.Generator, per_hour: float) -> tuple[np.ndarray, np.ndarray]:
    """(number of orders, revenue), each (series, hours), with a daily rhythm."""
    hours = np.arange(WEEKS * 168)
    busy = 1 + 0.3 * np.sin(hours / 24 * 2 * np.pi)
    count = rng.poisson(per_hour * busy, (SERIES, len(hours)))
    revenue = np.zeros(count.shape)
    for index in np.ndindex(count.shape):
        n = count[index]
        if n:
            revenue[index] = (rng.choice(PRICES, n) * (1 + rng.poisson(0.35, n))).sum()
    return count.astype(float), revenue


def alerts_per_series_week(values: np.ndarray, weights: np.ndarray, measure: Measure, budget: float) -> float:
    hours = values.shape[1]
    start = START + np.arange(hours, dtype=np.int64) * HOUR
    grid = Grid(start, start + HOUR, "Europe/Berlin")
    wish = Sensitivity(false_alerts_per_series_week=budget)
    scored = score(values, grid, measure, weights=weights, sensitivity=wish)
    half = hours // 2
    found = [f for f in anomalies(values, grid, scored, [measure] * len(values), wish) if f.start >= half]
    return len(found) / (SERIES * WEEKS / 2)


@pytest.mark.parametrize("per_hour", [3.0, 12.0, 60.0])
def test_sums_of_unlike_orders_keep_the_budget(per_hour: float) -> None:
    count, revenue = orders(np.random.default_rng(11), per_hour)
    assert alerts_per_series_week(revenue, count, Measure.SUM, 0.02) <= 0.06


@pytest.mark.parametrize("per_hour", [3.0, 12.0, 60.0])
def test_averages_over_few_orders_keep_the_budget(per_hour: float) -> None:
    count, revenue = orders(np.random.default_rng(12), per_hour)
    average = np.divide(revenue, count, out=np.full_like(revenue, np.nan), where=count > 0)
    assert alerts_per_series_week(average, count, Measure.MEAN, 0.02) <= 0.06


@pytest.mark.parametrize(("per_hour", "rate"), [(5.0, 0.98), (20.0, 0.98), (100.0, 0.98), (40.0, 0.03), (400.0, 0.5)])
def test_ratios_keep_the_budget(per_hour: float, rate: float) -> None:
    rng = np.random.default_rng(13)
    hours = np.arange(WEEKS * 168)
    busy = 1 + 0.3 * np.sin(hours / 24 * 2 * np.pi)
    bottom = rng.poisson(per_hour * busy, (SERIES, len(hours)))
    top = rng.binomial(bottom, rate)
    ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    assert alerts_per_series_week(ratio, bottom.astype(float), Measure.RATIO, 0.02) <= 0.06


def test_a_success_rate_that_drops_by_a_quarter_is_found_at_once() -> None:
    rng = np.random.default_rng(14)
    bottom = rng.poisson(120, (SERIES, WEEKS * 168))
    rate = np.full(WEEKS * 168, 0.98)
    rate[-3:] = 0.74
    ratio = rng.binomial(bottom, rate) / bottom
    start = START + np.arange(WEEKS * 168, dtype=np.int64) * HOUR
    grid = Grid(start, start + HOUR)
    scored = score(ratio, grid, Measure.RATIO, weights=bottom.astype(float))
    assert scored.flagged[:, -3].mean() > 0.95
    assert np.nanmax(scored.upper) <= 1.1


def test_revenue_that_drops_by_half_is_mostly_found_within_two_hours_and_nearly_always_within_three() -> None:
    rng = np.random.default_rng(15)
    count, revenue = orders(rng, 60.0)
    revenue[:, -3:] *= 0.5
    start = START + np.arange(WEEKS * 168, dtype=np.int64) * HOUR
    flagged = score(revenue, Grid(start, start + HOUR), Measure.SUM, weights=count).flagged
    assert flagged[:, -3:-1].any(axis=1).mean() > 0.85
    assert flagged[:, -3:].any(axis=1).mean() > 0.93


def test_averages_of_known_weight_are_not_quieter_than_promised() -> None:
    rng, budget, more = np.random.default_rng(14), 0.03, 20
    events = np.maximum(rng.poisson(8.0, (more * SERIES, WEEKS * 168)), 1).astype(float)
    average = 50 + 20 * rng.normal(size=events.shape) / np.sqrt(events)
    told = alerts_per_series_week(average, events, Measure.MEAN, budget) / more
    assert told / budget == pytest.approx(1.0, abs=0.2)
