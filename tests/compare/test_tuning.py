"""The sweep: equal budgets, an interior optimum or a word about it, and a margin from what was gained."""

import json
from pathlib import Path

import pytest

from rltk.compare.conclusion import conclude
from rltk.compare.margin import MARGIN
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.survey import survey
from rltk.errors import UserError
from tests.compare import made


def rates(comparison: Comparison, arm: str) -> list[float]:
    return sorted({tried.run.lr for tried in survey(comparison).tuning.sweeps[arm].tried})


def test_rates_are_half_decades_and_lora_is_ten_times_higher(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path)
    assert rates(comparison, "full") == [0.000316, 0.001, 0.00316]
    assert rates(comparison, "lora-2") == [0.00316, 0.01, 0.0316]


def test_arms_differ_in_their_overlay_and_learning_rate_alone(tmp_path: Path) -> None:
    runs = made.swept(tmp_path, control={"arm": "lora-2"})
    found = survey(runs)
    for phase in (found.tuning.runs, found.confirmation):
        recipes = [
            run.recipe.model_dump(exclude={"tune": True, "seed": True, "optim": {"lr"}, "eval": {"before"}})
            for run in phase
        ]
        assert len(recipes) > 10 and all(recipe == recipes[0] for recipe in recipes)
    tuning, confirmation = ({run.seed for run in phase} for phase in (found.tuning.runs, found.confirmation))
    assert tuning == {0, 1} and confirmation == set(range(100, 106))
    splits = {
        phase[0].phase: {run.recipe.eval.split for run in phase} for phase in (found.tuning.runs, found.confirmation)
    }
    assert splits == {"tuning": {"validation"}, "confirmation": {"test"}}


def test_while_one_arm_has_its_best_at_the_edge_all_get_another_rate(tmp_path: Path) -> None:
    def higher_is_better(run: Planned) -> float:
        return min(0.3 + 10 * run.lr, 0.9) if run.arm == "lora-2" else made.learns(run)

    comparison = made.begun(tmp_path)
    found = made.fill(
        comparison, lambda run: made.learns(run) if run.phase == "confirmation" else higher_is_better(run)
    )
    assert rates(comparison, "lora-2") == [0.00316, 0.01, 0.0316, 0.1, 0.316]
    assert found.tuning.sweeps["lora-2"].lr == 0.1 and found.tuning.sweeps["lora-2"].is_interior
    assert len(rates(comparison, "full")) == 5 and found.tuning.sweeps["full"].lr == 0.001


def test_a_cap_that_is_hit_is_said(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path)
    made.fill(comparison, lambda run: min(0.3 + run.lr, 0.9) if run.phase == "tuning" else made.learns(run))
    notes = conclude(comparison)["notes"]
    assert any(
        "full: its best learning rate" in note and "of the 5 allowed by compare.rates.most" in note for note in notes
    )


def test_a_rate_at_which_runs_fail_is_out_and_bounds_the_sweep(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path)
    for run in survey(comparison).pending:
        if run.lr == 0.0316:
            made.write(comparison, run, 0.9, status="failed", failure="the gradient was not finite")
    found = made.fill(comparison)
    assert found.tuning.sweeps["lora-2"].lr == 0.01 and found.tuning.sweeps["lora-2"].is_interior
    result = conclude(comparison)
    assert "lora-2: runs failed at 0.0316; these rates are out." in result["notes"]
    assert {row["failure"] for row in result["sweep"]["lora-2"]} == {None, "the gradient was not finite"}


def test_where_every_rate_fails_the_arm_is_named(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path)
    with pytest.raises(UserError, match="arm lora-2: its runs failed at every learning rate"):
        while pending := made.settle(comparison).pending:
            for run in pending:
                failed = {"status": "failed", "failure": "no numbers"} if run.arm == "lora-2" else {}
                made.write(comparison, run, made.learns(run), **failed)
    assert not (comparison.path / MARGIN).exists()


def test_halving_gives_the_better_half_twice_the_steps(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, rates={"centre": 1e-3, "points": 5, "most": 5, "halvings": 2})
    found = made.fill(comparison)
    steps = [(tried.steps, tried.run.lr) for tried in found.tuning.sweeps["full"].tried if tried.run.seed == 0]
    assert [count for count, _ in steps] == [2] * 5 + [4] * 3 + [8] * 2
    assert found.tuning.sweeps["full"].lr == 0.001
    assert {run.recipe.optim.steps for run in found.confirmation} == {8}
    assert "successive halving" in " ".join(conclude(comparison)["notes"])


def test_the_margin_is_a_share_of_the_gain_on_the_validation_split(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, margin={"share": 0.05, "at_most": 0.05})
    made.fill(comparison, lambda run: {1e-3: 0.8, 1e-2: 0.8}.get(run.lr, 0.4) if run.arm != CONTROL else 0.2)
    fixed = json.loads((comparison.path / MARGIN).read_text())
    assert fixed["reference_gain"] == pytest.approx(0.6) and fixed["margin"] == pytest.approx(0.03)
    assert fixed["rates"] == {"lora-2": 0.01, "full": 0.001, CONTROL: 0.000333}


def test_without_a_gain_there_is_no_margin(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, margin={})
    with pytest.raises(UserError, match=r"full did not gain in the sweep \(\+0.000 on the validation split\)"):
        made.fill(comparison, lambda run: made.START)


def test_the_optimum_and_its_ratio_come_from_the_parabola(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path)
    made.fill(comparison, lambda run: made.learns(run) + 0.02 * (run.seed % 2))
    found = conclude(comparison)["optima"]
    assert found["full"]["optimum"] == pytest.approx(1e-3, rel=0.3)
    assert found["lora-2"]["ratio_to_reference"] == pytest.approx(10, rel=0.5)
    low, high = found["lora-2"]["interval"]
    assert low < found["lora-2"]["optimum"] < high
