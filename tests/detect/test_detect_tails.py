"""The vectorised tails against scipy's exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cliffwatch.detect.tails import count_score, normal_quantile, share_score, two_sided


@pytest.mark.parametrize(("mean", "dispersion"), [(5, 1e-6), (20, 0.005), (1000, 1e-6), (1000, 0.05), (50_000, 0.004)])
def test_a_count_scores_as_its_mid_p(mean: float, dispersion: float) -> None:
    exact = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    values = np.unique(exact.ppf([1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999, 1 - 1e-6]))
    low, high = exact.cdf(values) - exact.pmf(values) / 2, exact.sf(values) + exact.pmf(values) / 2
    wanted = np.where(low < 0.5, stats.norm.ppf(low), -stats.norm.ppf(high))
    got = count_score(values, np.full(len(values), float(mean)), np.full(len(values), dispersion))
    np.testing.assert_allclose(got, wanted, atol=0.3 if mean < 20 else 0.12)


def test_a_share_scores_as_its_mid_p() -> None:
    trials, share = 200, 0.9
    exact = stats.binom(trials, share)
    values = np.unique(exact.ppf([1e-5, 0.01, 0.1, 0.5, 0.9, 0.99]))
    low, high = exact.cdf(values) - exact.pmf(values) / 2, exact.sf(values) + exact.pmf(values) / 2
    wanted = np.where(low < 0.5, stats.norm.ppf(low), -stats.norm.ppf(high))
    got = share_score(values / trials, np.full(len(values), share), np.full(len(values), float(trials)))
    np.testing.assert_allclose(got, wanted, atol=0.12)


def test_p_values_are_those_of_the_normal_also_far_out() -> None:
    scores = np.array([0.0, 0.3, -1.96, 3.0, -8.0, 25.0])
    np.testing.assert_allclose(two_sided(scores), 2 * stats.norm.sf(np.abs(scores)), rtol=2e-6)


def test_quantiles_are_those_of_the_normal() -> None:
    for p in (1e-9, 0.001, 0.5, 0.9):
        assert normal_quantile(p) == pytest.approx(stats.norm.ppf(p), abs=1e-9)
