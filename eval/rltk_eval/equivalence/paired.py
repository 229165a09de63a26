"""t tests on paired differences, one a seed: is the mean above or below a bound, or between two.

The seed is the unit: a run is one draw of the method, however many items it is scored on. With S differences of mean
m and standard deviation s (S - 1 in the divisor), (m - mu) / (s / sqrt(S)) has Student's t distribution with S - 1
degrees of freedom, exactly where differences are normal. Fewer than two seeds, or no spread between them, leave it
undefined: standard errors, p values and intervals are nan, and nothing is shown.
"""

from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval

ROUNDING = 1e-12
"""Differences that spread by less than this share of their size are one number up to rounding."""


class PairedMean(NamedTuple):
    """The mean of paired differences; `se`, its standard error, is nan where there is no spread to judge from."""

    mean: float
    sd: float
    se: float
    seeds: int

    @property
    def df(self) -> int:
        return self.seeds - 1


def paired_mean(difference_S: Array) -> PairedMean:
    """Mean, spread and standard error of the mean of differences, one a seed."""
    seeds, mean = len(difference_S), float(difference_S.mean())
    if seeds < 2:
        return PairedMean(mean, nan, nan, seeds)
    sd = float(difference_S.std(ddof=1))
    has_spread = sd > ROUNDING * float(np.abs(difference_S).max())
    return PairedMean(mean, sd if has_spread else 0.0, sd / sqrt(seeds) if has_spread else nan, seeds)


def t_interval(paired: PairedMean, confidence: float) -> Interval:
    """The two-sided t interval of the mean; at confidence 1 - 2 alpha each end is a one-sided bound at level alpha."""
    half = t_quantile((1 + confidence) / 2, paired.df) * paired.se
    return Interval(paired.mean - half, paired.mean + half)


def p_above(paired: PairedMean, bound: float) -> float:
    """One-sided p value against "the mean is at most `bound`"; small: it is above."""
    return float(stdtr(paired.df, -(paired.mean - bound) / paired.se))


def p_below(paired: PairedMean, bound: float) -> float:
    """One-sided p value against "the mean is at least `bound`"; small: it is below."""
    return float(stdtr(paired.df, (paired.mean - bound) / paired.se))


def p_equivalent(paired: PairedMean, margin: float) -> float:
    """The p value of two one-sided tests (TOST): the larger of those against "<= -margin" and ">= margin".

    At most alpha exactly where the interval of confidence 1 - 2 alpha lies inside (-margin, margin): Schuirmann 1987,
    https://doi.org/10.1007/BF01068419.
    """
    above, below = p_above(paired, -margin), p_below(paired, margin)
    return nan if np.isnan(above) else max(above, below)


def p_different(paired: PairedMean) -> float:
    """Two-sided p value against "the mean is zero"."""
    return 2 * min(p_above(paired, 0.0), p_below(paired, 0.0))


def t_quantile(probability: float, df: float) -> float:
    """Student's t quantile; nan without degrees of freedom."""
    return float(stdtrit(df, probability)) if df > 0 else nan
