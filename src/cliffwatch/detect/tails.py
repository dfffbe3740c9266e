"""Normal scores and tails, vectorised: what a surprise is worth. Pure numpy, no scipy import."""

from __future__ import annotations

import math

import numpy as np

from cliffwatch.detect.model import Floats

SQRT_2 = math.sqrt(2.0)
TINY = 1e-300


def count_score(value: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """The signed normal score of a count under a negative binomial.

    `value`, `mean` > 0 and `dispersion` > 0 have one shape; the variance is mean + dispersion * mean**2. It is the
    deviance residual with the third-order correction of McCullagh & Nelder, Generalized Linear Models, appendix C:
    r + log(pearson / r) / r is replaced near zero by its limit through the skewness, which also centres it so
    that a Poisson count of mean 2 has as many low scores as high ones.
    """
    y = np.maximum(value, 0.0)
    scaled = 1.0 + dispersion * mean
    ratio = (y + TINY) / mean
    # (y + 1/k) log((1 + k y)/(1 + k mu)), written so that it is exact for a small k
    gap = dispersion * (y - mean) / scaled
    deviance = y * np.log(ratio) - (y + 1.0 / dispersion) * np.log1p(gap)
    root = np.sqrt(np.maximum(2.0 * deviance, 0.0))
    signed = np.copysign(root, y - mean)
    # the skewness (1 + 2 k mu) / sqrt(mu (1 + k mu)), a sixth of it is the bias of a deviance residual
    skew = (1.0 + 2.0 * dispersion * mean) / np.sqrt(mean * scaled)
    return signed + skew / 6.0


def two_sided(score: Floats) -> Floats:
    """The chance of a standard-normal surprise at least as large as |score|.

    Relative error below 1.2e-7 (W. J. Cody's erfc as in Numerical Recipes, section 6.2), also in the far tail.
    """
    x = np.abs(score) / SQRT_2
    t = 1.0 / (1.0 + 0.5 * x)
    coefficients = (
        0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
        -1.26551223,
    )  # fmt: skip
    polynomial = np.zeros_like(t)
    for coefficient in coefficients:
        polynomial = polynomial * t + coefficient
    result: Floats = np.minimum(t * np.exp(-x * x + polynomial), 1.0)
    return result


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p, for 0 < p < 1 (P. J. Acklam's rational approximation, one Newton step)."""
    from statistics import NormalDist  # noqa: PLC0415 - cheap, and only needed when a sensitivity is read

    return NormalDist().inv_cdf(p)
