"""Real leaves are thin counts: most are 0, 1 or 2, expectations are fractions. Causes must stand out from that noise.

A shop sells in five countries on three platforms in four app versions. Checkout fails for version 4.2.1 in DE.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cliffwatch.explain import Leaves, explain

COUNTRIES = {"DE": 0.44, "FR": 0.16, "GB": 0.16, "US": 0.14, "NL": 0.10}
PLATFORMS = {"ios": 0.46, "android": 0.36, "web": 0.18}
VERSIONS = {"4.2.1": 0.74, "4.2.0": 0.18, "4.1.3": 0.08}


def shop() -> tuple[list[tuple[str, str, str]], np.ndarray]:
    """(leaves, share of the total)."""
    leaves, shares = [], []
    for country, platform in itertools.product(COUNTRIES, PLATFORMS):
        versions = {"web": 1.0} if platform == "web" else VERSIONS
        for version, share in versions.items():
            leaves.append((country, platform, version))
            shares.append(COUNTRIES[country] * PLATFORMS[platform] * share)
    return leaves, np.array(shares)


def named(
    leaves: list[tuple[str, str, str]], actual: np.ndarray, expected: np.ndarray, event_size: float | None = None
) -> list[dict[str, str]]:
    columns = dict(zip(("country", "platform", "version"), zip(*leaves, strict=True), strict=True))
    return [
        cause.slice for cause in explain(Leaves.from_columns(columns, actual, expected), event_size=event_size).causes
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_spike_of_failures_that_were_hardly_there_before_names_its_corner(seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaves, shares = shop()
    actual = rng.poisson(8 * shares).astype(float)
    broken = np.array([country == "DE" and version == "4.2.1" for country, _, version in leaves])
    actual[broken] += rng.poisson(110 * shares[broken] / shares[broken].sum())
    assert named(leaves, actual, 8 * shares) == [{"country": "DE", "version": "4.2.1"}]


@pytest.mark.parametrize("seed", range(8))
def test_orders_that_fail_in_one_version_and_country_are_told_from_the_noise_of_counts(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    leaves, shares = shop()
    broken = np.array([country == "DE" and version == "4.2.1" for country, _, version in leaves])
    actual = rng.poisson(360 * shares * np.where(broken, 0.08, 1.0)).astype(float)
    assert named(leaves, actual, 360 * shares) == [{"country": "DE", "version": "4.2.1"}]


@pytest.mark.parametrize("seed", range(8))
def test_revenue_of_unlike_orders_names_the_same_corner(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    leaves, shares = shop()
    broken = np.array([country == "DE" and version == "4.2.1" for country, _, version in leaves])
    orders = rng.poisson(360 * shares * np.where(broken, 0.08, 1.0))
    prices = np.array([49.0, 79.0, 129.0, 14.0, 99.0, 89.0, 35.0, 59.0])
    actual = np.array([float((rng.choice(prices, n) * (1 + rng.poisson(0.35, n))).sum()) for n in orders])
    expected = 360 * shares * prices.mean() * 1.35
    size = (prices**2).mean() / prices.mean() * (1 + 3 * 0.35 + 0.35**2) / 1.35
    assert named(leaves, actual, expected, size) == [{"country": "DE", "version": "4.2.1"}]


@pytest.mark.parametrize("seed", range(8))
def test_a_success_rate_names_the_same_corner(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    leaves, shares = shop()
    broken = np.array([country == "DE" and version == "4.2.1" for country, _, version in leaves])
    tries = rng.poisson(400 * shares)
    done = rng.binomial(tries, np.where(broken, 0.08, 0.98)).astype(float)
    columns = dict(zip(("country", "platform", "version"), zip(*leaves, strict=True), strict=True))
    explanation = explain(Leaves.from_columns(columns, done, 392 * shares, tries.astype(float), 400 * shares))
    assert [cause.slice for cause in explanation.causes] == [{"country": "DE", "version": "4.2.1"}]


@pytest.mark.parametrize("seed", range(8))
def test_the_noise_of_thin_counts_alone_names_nothing(seed: int) -> None:
    rng = np.random.default_rng(400 + seed)
    leaves, shares = shop()
    assert named(leaves, rng.poisson(100 * shares).astype(float), 100 * shares) == []


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_an_even_change_of_thin_counts_hardly_ever_names_the_slice_that_by_chance_moved_most(factor: float) -> None:
    leaves, shares = shop()
    rng = np.random.default_rng(500)
    falsely = [named(leaves, rng.poisson(factor * 400 * shares).astype(float), 400 * shares) for _ in range(30)]
    assert sum(bool(causes) for causes in falsely) <= 1
