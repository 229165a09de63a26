"""Metrics of several runs side by side, worked out by hand."""

import numpy as np

from rltk.run.curves import curves_of


def test_only_steps_that_every_run_logged_a_number_at_are_taken_in_the_order_of_seeds() -> None:
    late = [{"step": 3, "loss": 7.0}, {"step": 1, "loss": 9.0}, {"step": 2, "loss": None}]
    early = [{"step": 1, "loss": 5.0}, {"step": 2, "loss": 4.0}, {"step": 3, "loss": 3.0}, {"step": 4}]
    found = curves_of("loss", {101: late, 100: early})
    assert found.seeds == (100, 101) and found.step_T.tolist() == [1, 3]
    assert found.value_ST.tolist() == [[5, 3], [9, 7]]


def test_where_nothing_is_shared_there_are_no_steps() -> None:
    found = curves_of("loss", {0: [{"step": 1, "loss": 5.0}], 1: [{"step": 2, "loss": 5.0}]})
    assert found.step_T.shape == (0,) and found.value_ST.shape == (2, 0)
    assert curves_of("loss", {}).value_ST.shape == (0, 0)
    assert np.isnan(curves_of("loss", {0: [{"step": 1, "loss": float("nan")}]}).value_ST).all()
