"""Normal scores and tails, vectorised: what a surprise is worth. Pure numpy, no scipy import."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect.bounds import at_least

Floats = NDArray[np.float64]

SQRT_HALF = math.sqrt(0.5)
TINY = 1e-300
LEAST = 0.3  # the count that stands for none
NOTHING = -1.0 + 1e-6  # its relative distance from a mean, at most
ERFC = (
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
    -1.26551223,
)  # fmt: skip


def count_score(value: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """The signed normal score of a count under a negative binomial.

    `value`, `mean` > 0 and `dispersion` > 0 have one shape; the variance is mean + dispersion * mean**2. It is the
    deviance residual plus a sixth of the skewness, its bias (McCullagh & Nelder, Generalized Linear Models, appendix
    C; Pierce & Schafer, Residuals in Generalized Linear Models, 1986), less for the very rare; nothing counts as 0.3,
    which is what makes it as rare as it is. Within a tenth of the mid-p score from a mean of 5 up.
    """
    rare = 1.0 / mean
    return relative_score(value, value * rare - 1.0, rare, dispersion, rare + dispersion)


def relative_score(value: Floats, gap: Floats, rare: Floats, dispersion: Floats, variance: Floats) -> Floats:
    """`count_score` from what the filter has at hand, in single or double precision.

    `gap` is value / mean - 1, `rare` 1 / mean, `variance` the relative one: rare + dispersion.
    """
    few = (value < LEAST).nonzero()[0]
    if few.size:
        value, gap = value.copy(), gap.copy()
        value[few] = np.maximum(value[few], np.minimum(LEAST, 1.0 / rare[few]))
        gap[few] = np.maximum(value[few] * rare[few] - 1.0, NOTHING)
    deviance = np.log1p(gap)
    deviance *= value
    rest = dispersion / variance
    rest *= gap
    np.log1p(rest, out=rest)
    shape = 1.0 / dispersion
    shape += value
    rest *= shape
    deviance -= rest
    deviance += deviance
    at_least(deviance, 0.0, out=deviance)
    result: Floats = np.sqrt(deviance, out=deviance)
    np.copysign(result, gap, out=result)
    skew = variance + variance
    skew -= rare
    skew /= np.sqrt(variance)
    rest = 0.6 * skew
    rest *= skew
    rest += 6.0
    skew /= rest
    result += skew
    return result


def share_score(value: Floats, mean: Floats, trials: Floats) -> Floats:
    """The signed normal score of a share `value` of `trials` (need not be whole) whose expectation is `mean`.

    The deviance residual of a binomial with a sixth of its skewness, as in `count_score`. 0 < mean < 1.
    """
    p = np.minimum(np.maximum(value, 0.0), 1.0)
    deviance = p * np.log((p + TINY) / mean) + (1.0 - p) * np.log((1.0 - p + TINY) / (1.0 - mean))
    root = np.sqrt(np.maximum(2.0 * trials * deviance, 0.0))
    skew = (1.0 - 2.0 * mean) / np.sqrt(trials * mean * (1.0 - mean))
    result: Floats = np.copysign(root, p - mean) + skew / (6.0 + 0.6 * skew * skew)
    return result


def two_sided(score: Floats) -> Floats:
    """The chance of a standard-normal surprise at least as large as |score|.

    Relative error below 1.2e-7 (Chebyshev fit of erfc, Numerical Recipes, section 6.2), also in the far tail.
    """
    x = np.abs(score) * SQRT_HALF
    t = 1.0 / (1.0 + 0.5 * x)
    polynomial = np.full_like(t, ERFC[0])
    for coefficient in ERFC[1:]:
        polynomial *= t
        polynomial += coefficient
    polynomial -= x * x
    result: Floats = np.minimum(t * np.exp(polynomial), 1.0)
    return result


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p, for 0 < p < 1."""
    return NormalDist().inv_cdf(p)
