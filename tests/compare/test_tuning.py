"""The sweep: equal budgets, an interior optimum or a word about it, and a margin from what was gained."""

import json
from math import log10
from pathlib import Path

import pytest

from rltk.compare.conclusion import conclude
from rltk.compare.forecast import forecast
from rltk.compare.margin import MARGIN
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.survey import survey
from rltk.errors import UserError
from tests.compare import made

RATES = {"centre": 1e-3, "points": 3, "most": 5}
HASH, RUN = "62a2eed6ba82", "lora-2-lr0.00316-seed0-5a8e5213448f"


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


def at_its_best(factor: float) -> made.Accuracy:
    """A parabola in log rate whose top both arms have at this multiple of their centre; its losses, without noise."""

    def scored(run: Planned) -> float:
        if run.arm == CONTROL:
            return made.START_LOSS
        centre = 1e-3 if run.recipe.tune.type == "full" else 1e-2
        return 0.2 + 0.5 * log10(run.lr / centre / factor) ** 2

    return scored


def test_refinements_are_halfway_between_the_best_and_its_neighbors(tmp_path: Path) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 1})
    made.fill(comparison, at_its_best(1.7))
    assert rates(comparison, "full") == [0.000316, 0.000562, 0.001, 0.00178, 0.00316]
    assert rates(comparison, "lora-2") == [0.00316, 0.00562, 0.01, 0.0178, 0.0316]
    assert survey(comparison).tuning.sweeps["full"].lr == 0.00178


def test_a_second_refinement_is_around_the_best_of_the_first(tmp_path: Path) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 2}, tuning_seeds=2)
    found = made.fill(comparison, at_its_best(1.7))
    assert rates(comparison, "full") == [0.000316, 0.000562, 0.001, 0.00133, 0.00178, 0.00237, 0.00316]
    assert {len(sweep.tried) for sweep in found.tuning.sweeps.values()} == {7 * 2}
    assert {run.lr for run in found.confirmation if run.arm == "lora-2"} == {0.0178}
    assert conclude(comparison)["optima"]["lora-2"]["rates"] == 7


def test_a_best_rate_at_the_end_is_refined_on_both_sides_of_it(tmp_path: Path) -> None:
    """The cap ends the sweep at the highest rate, which is the best; beyond it there is no neighbor."""
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 1})
    found = made.fill(comparison, at_its_best(1e6))
    assert rates(comparison, "full") == [0.000316, 0.001, 0.00316, 0.01, 0.0178, 0.0316, 0.0562]
    assert found.tuning.sweeps["full"].lr == 0.0562 and not found.tuning.sweeps["full"].is_interior
    note = conclude(comparison)["notes"][-1]
    assert "(0.0562) is the lowest or highest of the 7 allowed by compare.rates.most and refine" in note


def test_refinements_come_before_halvings(tmp_path: Path) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 1, "halvings": 1})
    tried = made.fill(comparison, at_its_best(1.0)).tuning.sweeps["full"].tried
    assert [each.steps for each in tried] == [4] * 5 + [8] * 3
    assert sorted(each.run.lr for each in tried[5:]) == [0.000562, 0.001, 0.00178]


def test_an_arm_that_fails_everywhere_is_not_refined(tmp_path: Path) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 2})
    with pytest.raises(UserError, match="arm lora-2: its runs failed at every learning rate"):
        while pending := made.settle(comparison).pending:
            for run in pending:
                failed = {"status": "failed", "failure": "no numbers"} if run.arm == "lora-2" else {}
                made.write(comparison, run, at_its_best(1.0)(run), **failed)
    assert rates(comparison, "full") == [0.0001, 0.000316, 0.001, 0.00316, 0.01], "as many as `most`, and no more"


def test_without_refinement_a_comparison_is_what_it_was_before_there_was_any(tmp_path: Path) -> None:
    """The hash and the run are those that the version before wrote."""
    begun = made.begun(tmp_path)
    assert begun.hash == HASH == made.begun(tmp_path, rates=made.recipe(tmp_path).compare.rates.model_dump()).hash
    assert survey(begun).pending[0].id == RUN
    finer = made.begun(tmp_path / "finer", rates=RATES | {"refine": 1})
    assert finer.hash != HASH and [run.id for run in survey(finer).pending] == [run.id for run in survey(begun).pending]


def test_the_forecast_counts_refinements_that_are_to_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 2})
    counts: list[tuple[int, int]] = []
    while pending := made.settle(comparison).pending:
        for run in pending:
            made.write(comparison, run, at_its_best(1.0)(run))
        forecast(comparison, jobs=1, is_json=True, is_quiet=True)
        told = json.loads(capsys.readouterr().out)
        counts.append((sum(run["status"] == "absent" for run in told["runs"]), told["between"]))
    assert counts == [(4, 4), (4, 0), (0, 0), (0, 0)], "two rates of two arms a round; the last are the confirmation"


def test_the_forecast_says_what_is_to_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = made.supervised(tmp_path, rates=RATES | {"refine": 1})
    first = survey(comparison).pending[0]
    made.write(comparison, first, at_its_best(1.0)(first))
    forecast(comparison, jobs=1, is_json=False, is_quiet=True)
    said = capsys.readouterr().out
    assert "then 4 tuning runs at rates halfway between each arm's best and its neighbors" in said
    assert "18 runs to make, 1 at a time" in said, "5 of 6, these 4, and 3 seeds of two arms and the control"


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
