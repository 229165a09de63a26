"""Student's t distribution, by which the mean of few independent values is judged.

From the standard library alone, as every worker that grades imports it; `equivalence`, which needs scipy anyway, takes
scipy's. With x = df / (df + t^2), the chance of a t farther from zero is the regularized incomplete beta function
I_x(df / 2, 1 / 2), whose continued fraction is https://dlmf.nist.gov/8.17#E22.
"""

from math import exp, lgamma, log, nan, pi, sqrt
from statistics import NormalDist

PRECISION = 1e-12
"""Of a quantile, relative."""


def t_quantile(probability: float, df: float) -> float:
    """Below which this much of the distribution lies, at least half; nan without degrees of freedom."""
    assert 0.5 <= probability < 1
    if not df > 0:
        return nan
    # The tail is convex and the normal quantile is the smaller: Newton's steps go up to the root and never past it.
    quantile, step = NormalDist().inv_cdf(probability), 1.0
    while step > PRECISION * quantile:
        step = (t_two_sided_p(quantile, df) / 2 - (1 - probability)) / t_density(quantile, df)
        quantile += step
    return quantile


def t_two_sided_p(statistic: float, df: float) -> float:
    """Chance of a t at least this far from zero, on either side; nan without degrees of freedom."""
    if not df > 0:
        return nan
    square = statistic * statistic
    return incomplete_beta(df / (df + square), square / (df + square), df / 2, 0.5)


def t_density(t: float, df: float) -> float:
    return exp(lgamma((df + 1) / 2) - lgamma(df / 2) - (df + 1) / 2 * log(1 + t * t / df)) / sqrt(df * pi)


def incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b), regularized; `rest` is 1 - x, which the caller knows without a loss of digits."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below this only
        return 1 - incomplete_beta(rest, x, b, a)
    if x == 0:
        return 0.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest)) / a
    fraction = 1.0
    # Terms of order sqrt(max(a, b)) matter; from the last to the first, nothing can overflow.
    for m in range(50 + int(2 * sqrt(max(a, b))), -1, -1):
        fraction = 1 + (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2)) / fraction
        fraction = 1 - (a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)) / fraction
    return front / fraction
