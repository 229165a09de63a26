"""SC-1: which form of a scaling law predicts larger models and more data better, from one comparison a cell of a grid.

A cell is a model and a number of training rows. Both forms are fitted to each arm's confirmation runs without the
largest model and the most rows, and judged on those; see rltk_eval.scaling. Shapes: C held-out cells.
"""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from rltk_eval.equivalence.scores import Array
from rltk_eval.scaling import Form, held_out_misses
from rltk_eval.scaling_law import ScalingRun

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, ends, verdict_of
from rltk.compare.readings.models import shape_of
from rltk.compare.readings.sizes import as_loss, rows_of, shared_arms
from rltk.errors import UserError

Cell = tuple[int, int]
"""Parameters of the model, and rows."""


def extrapolates(evidence: Sequence[Evidence]) -> Outcome:
    """The multiplicative law's absolute error less the additive one's, a cell, both arms' mean; t interval over cells.

    A cell is one draw, since its arms and seeds share the model and the rows.
    """
    cells = {(shape_of(one).parameters, rows_of(one)): one for one in evidence}
    if len(cells) < len(evidence):
        raise UserError("two of the comparisons have the same model and as many rows; leave one of them out.")
    arms = shared_arms(evidence)
    error_C = {form: errors(cells, arms, form) for form in Form}
    multiplicative_C, additive_C = error_C[Form.MULTIPLICATIVE], error_C[Form.ADDITIVE]
    value, low, high = mean_interval(multiplicative_C - additive_C, 0.95)
    verdict = verdict_of(is_shown=high <= 0, is_refuted=low > 0)
    summary = (
        f"mean error of what was held out {multiplicative_C.mean():.4f} with terms that multiply, "
        f"{additive_C.mean():.4f} with terms that add: {value:+.4f} [{low:+.4f}, {high:+.4f}], "
        f"{len(additive_C)} cells of {len(cells)}"
    )
    details = {"errors": {form.value: found_C.tolist() for form, found_C in error_C.items()}, "arms": arms}
    return Outcome(verdict, summary, value, ends((low, high)), details)


def errors(cells: dict[Cell, Evidence], arms: Sequence[str], form: Form) -> Array:
    """[C], in the order of cells; of each the mean over arms and seeds."""
    found: dict[tuple[float, float], list[float]] = {}
    for arm in arms:
        runs = [ScalingRun(*cell, loss) for cell, one in cells.items() for loss in as_loss(one, arm)]
        try:
            misses = held_out_misses(runs, form)
        except ValueError as error:
            raise UserError(f"the {form.value} law cannot be judged by these comparisons: {error}.") from error
        for run, miss in misses:
            found.setdefault((run.size, run.data), []).append(abs(miss))
    return np.array([fmean(found[cell]) for cell in sorted(found)])
