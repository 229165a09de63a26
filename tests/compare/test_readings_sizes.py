"""Findings about how the gap to full fine-tuning goes with the data, read from comparisons whose laws are known."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings import sizes
from rltk.errors import UserError
from tests.compare import made

Law = Callable[[int], float]
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def falls(scale: float, exponent: float, floor: float) -> Law:
    return lambda rows: scale / rows**exponent + floor


FULL = falls(4.0, 0.4, 0.05)
SAME_AT_31623 = falls(4.0 * 31_623**-0.2, 0.2, 0.05)
"""Meets FULL between ten and a hundred thousand rows."""


def compared(folder: Path, lora: Law, rows: tuple[int, ...] = SIZES) -> list[Evidence]:
    """One comparison a size, whose losses lie within 0.2 % of the arms' laws; the control learns nothing."""

    def at(size: int) -> made.Accuracy:
        def loss(run: Planned) -> float:
            if run.arm == CONTROL:
                return 0.95
            law = FULL if run.arm == "full" else lora
            return law(size) * (1 + random.Random(run.id).uniform(-0.002, 0.002))

        return loss

    found = []
    for size in rows:
        comparison = made.supervised(folder / str(size), size=size, margin={"value": 0.05})
        made.fill(comparison, at(size))
        found.append(Evidence(comparison))
    return found[::-1]


def test_arms_that_cross_where_the_claim_has_it(tmp_path: Path) -> None:
    found = sizes.crosses(evidence := compared(tmp_path, SAME_AT_31623))
    assert found.verdict == "reproduced", found.summary
    assert found.value is not None and found.interval is not None
    assert found.value == pytest.approx(31_623, rel=0.1)
    assert 10_000 < found.interval[0] < found.value < found.interval[1] < 100_000
    steeper = sizes.exponents(evidence)
    assert steeper.verdict == "reproduced" and steeper.value == pytest.approx(0.2, abs=0.05), steeper.summary
    assert "extrapolated" not in steeper.summary


def test_full_fine_tuning_that_wins_on_few_rows_refutes_it(tmp_path: Path) -> None:
    found = sizes.crosses(evidence := compared(tmp_path, lambda rows: 1.2 * FULL(rows)))
    assert found.verdict == "not reproduced" and found.interval is None, found.summary
    assert "the fitted laws do not cross" in found.summary
    assert sizes.exponents(evidence).verdict == "inconclusive"


def test_a_crossing_far_beyond_what_was_measured_is_no_support(tmp_path: Path) -> None:
    found = sizes.exponents(compared(tmp_path, SAME_AT_31623, (100, 1_000, 10_000)))
    assert "extrapolated" in found.summary
    assert sizes.crosses(compared(tmp_path / "again", SAME_AT_31623, (100, 1_000, 10_000))).verdict == "inconclusive"


def test_what_cannot_be_fitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no law of the data can be fitted: a law with a floor needs at least 3 data"):
        sizes.crosses(compared(tmp_path, FULL, (1_000, 2_000)))
    whole = made.supervised(tmp_path / "whole", margin={"value": 0.05})
    with pytest.raises(UserError, match=r"whole/comparison trains on all rows there are; data\.size says"):
        sizes.crosses([Evidence(whole)])
