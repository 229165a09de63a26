"""Straight lines through curves, seed by seed.

Shapes: S seeds, K places along a curve.
"""

import numpy as np
from rltk_eval.equivalence.scores import Array


def slopes_S(x_K: Array, value_SK: Array) -> Array:
    """Least squares, one a seed."""
    centred_K = x_K - x_K.mean()
    return value_SK @ centred_K / (centred_K @ centred_K)


def straightness_S(x_K: Array, value_SK: Array) -> Array:
    """R2 of those lines: the share of the variance that they explain; nan where a curve does not move at all."""
    centred_SK = value_SK - value_SK.mean(1, keepdims=True)
    line_SK = slopes_S(x_K, value_SK)[:, None] * (x_K - x_K.mean())
    total_S = (centred_SK**2).sum(1)
    left_S = ((centred_SK - line_SK) ** 2).sum(1)
    return np.where(total_S > 0, 1 - left_S / np.where(total_S > 0, total_S, 1.0), np.nan)
