"""Bootstrap intervals that keep their promise with few seeds.

Resampling S seeds gives a distribution that is too narrow by sqrt((S - 1) / S) and has normal rather than Student
tails: with 5 seeds a plain percentile interval that says 95 % covers about 83 %. So spreads are scaled to where they
are unbiased and Student's t takes the place of the normal (Hesterberg 2015, section 4.3,
https://doi.org/10.1080/00031305.2015.1089789).

Shapes: B bootstrap draws, S seeds, G clusters of items.
"""

from collections.abc import Iterator
from math import isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from rltk_eval.equivalence.paired import ROUNDING, PairedMean, paired_mean, t_interval, t_quantile
from rltk_eval.equivalence.scores import Array, Pairs
from rltk_eval.metrics import Interval

DRAWS = 10_000
_AT_ONCE = 500


class Crossed(NamedTuple):
    """The mean difference for new seeds and new items: its standard error, and bootstrap deviations scaled to it.

    All nan, and no deviations, with fewer than 2 seeds or 2 clusters of items, or no spread. `over_seeds` is what the
    seeds alone say, for the items at hand.
    """

    mean: float
    se: float
    df: float
    deviation_B: Array
    over_seeds: PairedMean


def crossed_bootstrap(pairs: Pairs, *, draws: int = DRAWS, seed: int = 0) -> Crossed:
    """Seeds and clusters of items resampled independently of each other, every cell kept: the crossed bootstrap.

    Its own variance counts the noise of single cells three times (Owen 2007, https://doi.org/10.1214/07-AOAS122), so
    its draws are scaled to the standard error of the two-way analysis of variance, whose degrees of freedom are
    Satterthwaite's.
    """
    sum_SG, size_G = _cluster_sums(pairs)
    over_seeds = paired_mean(pairs.difference_S)
    mean = float(sum_SG.sum() / (len(sum_SG) * size_G.sum()))
    se, df = _two_way_error((sum_SG - mean * size_G) / size_G.mean())
    if not se > ROUNDING * float(np.abs(sum_SG).max()):
        return Crossed(mean, nan, nan, np.empty(0), over_seeds)
    deviation_B = np.concatenate(list(_crossed_draws(sum_SG, size_G, draws, seed))) - mean
    return Crossed(mean, se, df, deviation_B * (se / np.sqrt(np.mean(deviation_B**2))), over_seeds)


def crossed_interval(crossed: Crossed, confidence: float) -> Interval:
    """The interval of the mean difference for new seeds and new items of the same kind.

    The bootstrap's own quantiles, so that a skewed spread of items shows, taken at the levels of Student's t; and at
    least the t interval over seeds. New items add to what is not known, but with 2 seeds the bootstrap has hardly three
    seed means to draw, and its own interval that says 95 % covers 80 %. nan where the t interval is.
    """
    if not crossed.se > 0:
        return Interval(nan, nan)
    t = t_quantile((1 + confidence) / 2, crossed.df)
    low, high = np.quantile(crossed.deviation_B, [ndtr(-t), ndtr(t)])
    seeds = t_interval(crossed.over_seeds, confidence)
    if not isfinite(seeds.low):
        return seeds
    return Interval(min(crossed.mean + float(low), seeds.low), max(crossed.mean + float(high), seeds.high))


def seed_interval(value: float, draw_B: Array, seeds: int, confidence: float) -> Interval:
    """The interval of a statistic from bootstrap draws of it, made by resampling seeds; nan for fewer than 2 seeds.

    The bootstrap standard error times Student's t. Percentiles of 5 seeds cannot reach beyond what those 5 gave, and
    cover less than they say.
    """
    if seeds < 2:
        return Interval(nan, nan)
    half = t_quantile((1 + confidence) / 2, seeds - 1) * sqrt(seeds / (seeds - 1)) * float(draw_B.std())
    return Interval(value - half, value + half)


def resampled_seeds(seeds: int, *, draws: int, seed: int) -> np.ndarray:
    """`draws` rows of indices of seeds, drawn with replacement."""
    return np.random.default_rng(seed).integers(0, seeds, (draws, seeds))


def _cluster_sums(pairs: Pairs) -> tuple[Array, Array]:
    """Per seed and cluster the sum of the differences, and per cluster the number of items."""
    if pairs.clusters is None:
        return pairs.difference_SN, np.ones(1)
    _, index_N = np.unique(np.array(pairs.clusters), return_inverse=True)
    size_G = np.bincount(index_N)
    sums = [np.bincount(index_N, weights=row_N) for row_N in pairs.difference_SN]
    return np.array(sums, dtype=np.float64), np.asarray(size_G, dtype=np.float64)


def _two_way_error(residual_SG: Array) -> tuple[float, float]:
    """Standard error and degrees of freedom of the mean of a table whose rows and columns are both random.

    Var = (MS_rows + MS_columns - MS_rest) / (S G); Satterthwaite 1946, https://doi.org/10.2307/3002019. nan with fewer
    than two rows or columns, or without spread.
    """
    S, G = residual_SG.shape
    if S < 2 or G < 2:
        return nan, nan
    row_S, column_G = residual_SG.mean(axis=1), residual_SG.mean(axis=0)
    rows = G * float(row_S.var(ddof=1))
    columns = S * float(column_G.var(ddof=1))
    rest_SG = residual_SG - row_S[:, None] - column_G + residual_SG.mean()
    rest = float((rest_SG**2).sum()) / ((S - 1) * (G - 1))
    # Where neither rows nor columns differ by more than noise the sum may come out near or below zero. Bounding each
    # part would give intervals of 95 % that cover 99 %; the smaller mean square is floor enough.
    total = max(rows + columns - rest, min(rows, columns))
    error = rows**2 / (S - 1) + columns**2 / (G - 1) + rest**2 / ((S - 1) * (G - 1))
    return (sqrt(total / (S * G)), max(total**2 / error, 1.0)) if total > 0 else (nan, nan)


def _crossed_draws(sum_SG: Array, size_G: Array, draws: int, seed: int) -> Iterator[Array]:
    """Means of resampled tables, a block at a time: all weights of all draws would not fit in memory."""
    rng = np.random.default_rng(seed)
    S, G = sum_SG.shape
    for start in range(0, draws, _AT_ONCE):
        block = min(_AT_ONCE, draws - start)
        seed_BS = _counts(rng.integers(0, S, (block, S)), S)
        cluster_BG = _counts(rng.integers(0, G, (block, G)), G)
        yield ((seed_BS @ sum_SG) * cluster_BG).sum(axis=1) / (S * (cluster_BG @ size_G))


def _counts(index_BK: np.ndarray, kinds: int) -> Array:
    """How often each of `kinds` was drawn, row by row."""
    rows = len(index_BK)
    flat = (index_BK + kinds * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * kinds).reshape(rows, kinds).astype(np.float64)
