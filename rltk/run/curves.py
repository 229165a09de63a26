"""One metric of several runs side by side.

Shapes: S seeds, T steps.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltk.run.folder import Metrics

Array = NDArray[np.float64]


class Curves(NamedTuple):
    seeds: tuple[int, ...]
    step_T: Array
    value_ST: Array


def curves_of(metric: str, rows_by_seed: Mapping[int, Sequence[Metrics]]) -> Curves:
    """In the order of seeds, at the steps at which every run logged a number, which may be none."""
    seeds = tuple(sorted(rows_by_seed))
    logged = [{row["step"]: row[metric] for row in rows_by_seed[seed] if row.get(metric) is not None} for seed in seeds]
    steps = sorted(set.intersection(*map(set, logged))) if logged else []
    value_ST = np.array([[values[step] for step in steps] for values in logged], float)
    return Curves(seeds, np.array(steps, float), value_ST.reshape(len(seeds), len(steps)))
