"""How likely a number of seeds is to show what is true, and how many seeds it takes.

Everything here is one integral. With n pairs whose differences are normal around `difference`, the mean m and its
estimated standard error are independent, so the chance that m clears both bounds by c standard errors,
low + c u se < m < high - c u se, is the normal probability of that range averaged over u = s / sigma, and u^2 df has a
chi-square distribution. For TOST (low = -margin, high = margin) this is the exact power that Owen's Q functions give
(Owen 1965, https://doi.org/10.2307/2333696; Phillips 1990, https://doi.org/10.1007/BF01063556); with one bound
infinite it is the noncentral t distribution.
"""

from collections.abc import Callable
from enum import Enum
from math import exp, inf, isfinite, lgamma, log, pi, sqrt

from scipy.integrate import quad
from scipy.special import ndtr

from rltk_eval.equivalence.paired import t_quantile

MOST_SEEDS = 10_000
"""More than this many seeds are reported as out of reach."""


class Claim(str, Enum):
    """What the seeds are to show."""

    EQUIVALENT = "equivalent"
    NON_INFERIOR = "non_inferior"
    SUPERIOR = "superior"
    INFERIOR = "inferior"
    DIFFERENT = "different"


def power(
    claim: Claim, *, seeds: int, sd: float, margin: float = 0.0, difference: float = 0.0, alpha: float = 0.05
) -> float:
    """The chance that `seeds` paired differences of spread `sd` around `difference` show the claim at level alpha."""
    _check(sd=sd, margin=margin, alpha=alpha)
    if seeds < 2:
        return 0.0
    se, df = sd / sqrt(seeds), seeds - 1
    if claim is Claim.DIFFERENT:
        above = chance_between(0.0, inf, se=se, df=df, difference=difference, alpha=alpha / 2)
        return above + chance_between(-inf, 0.0, se=se, df=df, difference=difference, alpha=alpha / 2)
    if claim is Claim.SUPERIOR:
        return chance_between(0.0, inf, se=se, df=df, difference=difference, alpha=alpha / 2)
    low, high = {
        Claim.EQUIVALENT: (-margin, margin),
        Claim.NON_INFERIOR: (-margin, inf),
        Claim.INFERIOR: (-inf, -margin),
    }[claim]
    return chance_between(low, high, se=se, df=df, difference=difference, alpha=alpha)


def required_seeds(
    claim: Claim,
    *,
    sd: float,
    margin: float = 0.0,
    difference: float = 0.0,
    alpha: float = 0.05,
    wanted: float = 0.8,
) -> int | None:
    """The fewest seeds with which `power` reaches `wanted`; None if `MOST_SEEDS` do not."""

    def enough(seeds: int) -> bool:
        return power(claim, seeds=seeds, sd=sd, margin=margin, difference=difference, alpha=alpha) >= wanted

    most = 2
    while not enough(most):
        if most >= MOST_SEEDS:
            return None
        most = min(2 * most, MOST_SEEDS)
    least = most // 2
    while most - least > 1:  # `least` is too few, `most` is enough
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def chance_between(low: float, high: float, *, se: float, df: int, difference: float, alpha: float) -> float:
    """The chance that both one-sided t tests at level alpha show a mean between `low` and `high`.

    `se` is the true standard error of the mean and `df` the degrees of freedom of its estimate.
    """
    critical = t_quantile(1 - alpha, df)
    centre, spread = 1.0, 12 / sqrt(2 * df)  # u is about 1 +- 1 / sqrt(2 df); beyond 12 of those lies nothing
    # Where the bounds meet, c u se is half the room between them: no mean can clear both for a larger u.
    end = min(centre + spread, (high - low) / (2 * critical * se))
    start = min(max(0.0, centre - spread), end)
    top, bottom = (high - difference) / se, (low - difference) / se
    has_top, has_bottom = isfinite(high), isfinite(low)
    spread_density = _spread_density(df)

    def density(u: float) -> float:
        upper = ndtr(top - critical * u) if has_top else 1.0
        lower = ndtr(bottom + critical * u) if has_bottom else 0.0
        return max(0.0, float(upper - lower)) * spread_density(u)

    return float(quad(density, start, end, epsabs=1e-10, epsrel=1e-10, limit=200)[0])


def _spread_density(df: int) -> Callable[[float], float]:
    """The density of s / sigma, the square root of chi-square over its degrees of freedom."""
    half = df / 2
    scale = log(2) + half * log(half) - lgamma(half)

    def density(u: float) -> float:
        if u <= 0:
            return 0.0 if df > 1 else sqrt(2 / pi)
        return exp(scale + (df - 1) * log(u) - half * u * u)

    return density


def _check(*, sd: float, margin: float, alpha: float) -> None:
    if not (isfinite(sd) and sd > 0):
        raise ValueError(f"sd ({sd}) must be above zero: it is the spread of the paired differences")
    if not (isfinite(margin) and margin >= 0):
        raise ValueError(f"margin ({margin}) must be a number from zero up, in the metric's units")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha ({alpha}) must lie between 0 and 0.5, such as 0.05")
