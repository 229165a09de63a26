"""How the gap and the best rates go with the size of the model, read from comparisons whose laws are known."""

import json
import random
from collections.abc import Callable
from math import log10
from pathlib import Path

import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings import grid, models
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.recipe.locate import PACKAGE
from rltk.recipe.schema import Model
from tests.compare import made

WIDTHS = (64, 128, 256)
RATES = {"centre": 1e-3, "points": 5, "most": 5}


def model(folder: Path, width: int) -> str:
    """A folder with the config of the embedded policy at another width, which is all that a reading looks at."""
    config = json.loads((PACKAGE / "embedded/policy/config.json").read_text())
    path = folder / f"w{width}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config | {"hidden_size": width, "intermediate_size": 3 * width}))
    return str(path)


def noise(run: Planned, *cell: int) -> random.Random:
    """The same wherever the test's files lie, which is part of a run's id."""
    return random.Random(f"{run.phase} {run.arm} {run.lr} {run.seed} {cell}")


def swept(folder: Path, width: int, ratio: float) -> Evidence:
    """Losses are lowest at 1e-3 with full fine-tuning and at `ratio` times that with LoRA."""

    def bowl(run: Planned) -> float:
        if run.arm == CONTROL:
            return 0.99
        top = 1e-3 if run.arm == "full" else ratio * 1e-3
        return 0.4 + 0.1 * (log10(run.lr) - log10(top)) ** 2 + noise(run, width).uniform(-0.0003, 0.0003)

    path = folder / f"{width}-{ratio}"
    comparison = made.supervised(
        path, model=model(path, width), margin={"value": 0.05}, rates=RATES | {"refine": 2}, tuning_seeds=4
    )
    made.fill(comparison, bowl)
    return Evidence(comparison)


def test_a_ratio_that_stays_is_told_from_one_that_goes_with_the_width(tmp_path: Path) -> None:
    stays = models.width_exponent([swept(tmp_path, width, 10) for width in (256, 64, 128)])
    assert stays.verdict == "reproduced" and stays.value == pytest.approx(0, abs=0.1), stays.summary
    assert list(stays.details["by_width"]) == list(WIDTHS)
    goes = models.width_exponent([swept(tmp_path, width, 10 * width / 128) for width in WIDTHS])
    assert goes.verdict == "not reproduced" and goes.value == pytest.approx(1, abs=0.1), goes.summary


def test_an_interval_that_holds_both_decides_nothing() -> None:
    assert models.constant_verdict((-0.2, 1.2)) == models.constant_verdict(None) == "inconclusive"
    assert models.constant_verdict((-0.2, 0.9)) == "reproduced"
    assert models.constant_verdict((0.1, 0.9)) == models.constant_verdict((-0.5, -0.1)) == "not reproduced"


def test_models_that_are_no_three_sizes_are_refused(tmp_path: Path) -> None:
    two = [swept(tmp_path, width, 10) for width in WIDTHS[:2]]
    with pytest.raises(UserError, match="a trend takes 3 models or more, each of another width; these have 64, 128"):
        models.width_exponent(two)
    with pytest.raises(UserError, match="each of another number of parameters"):
        models.gap_over_size([*two, two[0]])


def compared(folder: Path, loss: Callable[[float, int, bool], float], cells: list[tuple[int, int]]) -> list[Evidence]:
    """One comparison a width and size of the data; `loss` takes parameters, rows and whether the arm is LoRA."""
    found = []
    for width, rows in cells:
        path = folder / f"{width}-{rows}"
        where = model(path, width)
        parameters = find_shape(Model(path=where)).parameters

        def scored(run: Planned, parameters: int = parameters, rows: int = rows) -> float:
            if run.arm == CONTROL:
                return 0.99
            return loss(parameters, rows, run.arm != "full") + noise(run, parameters, rows).uniform(-0.0005, 0.0005)

        comparison = made.supervised(path, model=where, size=rows, margin={"value": 0.05})
        made.fill(comparison, scored)
        found.append(Evidence(comparison))
    return found[::-1]


def test_a_shortfall_that_shrinks_as_models_grow(tmp_path: Path) -> None:
    cells = [(width, 100) for width in WIDTHS]

    def shrinks(parameters: float, rows: int, is_lora: bool) -> float:
        return 0.4 + (0.2 - 0.025 * log10(parameters)) * is_lora

    found = models.gap_over_size(compared(tmp_path / "shrinks", shrinks, cells))
    assert found.verdict == "reproduced" and found.value == pytest.approx(-0.025, abs=0.003), found.summary
    assert found.interval is not None and found.interval[1] < 0
    same = models.gap_over_size(compared(tmp_path / "same", lambda parameters, rows, is_lora: 0.4, cells))
    assert same.verdict == "inconclusive", same.summary

    def grows_with(parameters: float, rows: int, is_lora: bool) -> float:
        return 0.3 + 0.02 * is_lora * log10(parameters)

    grows = models.gap_over_size(compared(tmp_path / "grows", grows_with, cells))
    assert grows.verdict == "not reproduced", grows.summary


CELLS = [(width, rows) for width in WIDTHS for rows in (100, 1_000, 10_000, 100_000)]


def test_the_law_that_was_planted_extrapolates_better(tmp_path: Path) -> None:
    def multiplies(parameters: float, rows: int, is_lora: bool) -> float:
        return 1_500 / (parameters**0.6 * rows**0.05) + 0.05

    def adds(parameters: float, rows: int, is_lora: bool) -> float:
        return 25 / parameters**0.35 + 1.2 / rows**0.35 + 0.05

    found = grid.extrapolates(compared(tmp_path / "multiplies", multiplies, CELLS))
    assert found.verdict == "reproduced" and found.value is not None and found.value < 0, found.summary
    assert "6 cells of 12" in found.summary
    other = grid.extrapolates(compared(tmp_path / "adds", adds, CELLS))
    assert other.value is not None and other.value > 0, other.summary
    assert other.verdict != "reproduced", other.summary


def test_a_grid_that_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    def flat(parameters: float, rows: int, is_lora: bool) -> float:
        return 0.4

    with pytest.raises(UserError, match=r"the multiplicative law cannot be judged by these comparisons: .* 2 sizes"):
        grid.extrapolates(compared(tmp_path, flat, [cell for cell in CELLS if cell[0] < 256]))
    one, *_ = compared(tmp_path / "twice", flat, CELLS[:1])
    with pytest.raises(UserError, match="the same model and as many rows"):
        grid.extrapolates([one, one])
