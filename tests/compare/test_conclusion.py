"""From run folders to comparison.json: the right verdict, the same bytes, and none from folders that are wrong."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from rltk.compare.conclusion import COMPARISON, COSTS, conclude
from rltk.compare.looks import LOOKS, read_looks
from rltk.compare.margin import MARGIN, MARGINS, fix
from rltk.compare.measures import refuse_no_number
from rltk.compare.plan import CONTROL, Comparison, Planned, read_plan
from rltk.compare.survey import survey
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.time import flops_a_token
from rltk.recipe.schema import Full
from tests.compare import made

Break = Callable[[Comparison, list[Planned]], None]


def control_as_good(run: Planned) -> float:
    return 0.8 if run.arm == CONTROL else made.learns(run)


def nothing_learned(run: Planned) -> float:
    return made.START + 0.001 * (run.seed % 2) if run.phase == "confirmation" else made.learns(run)


@pytest.mark.parametrize(
    ("accuracy", "seeds", "verdict", "says"),
    [
        (made.learns, 8, "equivalent", "lora-2 is equivalent to full"),
        (made.lora_at(0.6), 8, "inferior", "lora-2 is inferior to full"),
        (made.lora_at(0.95), 8, "superior", "lora-2 is better than full"),
        (made.lora_at(0.76, spread=0.16), 3, "inconclusive", "more seed"),
        (control_as_good, 8, "assay_insensitive", "the negative control control is not shown to be inferior"),
        (nothing_learned, 8, "assay_insensitive", "full is not shown to gain 0.1 over the start"),
    ],
)
def test_the_verdict_is_that_of_the_runs(
    accuracy: made.Accuracy, seeds: int, verdict: str, says: str, tmp_path: Path
) -> None:
    found = made.concluded(tmp_path, accuracy, confirmation_seeds=seeds)
    one = found["verdicts"]["lora-2"]
    assert (one["verdict"], len(one["seeds"])) == (verdict, seeds)
    assert says in one["sentence"]
    assert found["family"]["verdict"] == verdict
    assert says in found["sentence"] and found["sentence"].endswith("accuracy on the test split).")


def test_a_loss_is_never_hidden_by_a_control_that_is_not_flagged(tmp_path: Path) -> None:
    def lossy(run: Planned) -> float:
        return 0.8 if run.arm == CONTROL else made.lora_at(0.6)(run)

    assert made.concluded(tmp_path, lossy)["verdicts"]["lora-2"]["verdict"] == "inferior"


def test_the_numbers_are_those_of_the_items(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, confirmation_seeds=2)
    made.fill(comparison, lambda run: {"full": 0.8, "lora-2": 0.7, CONTROL: 0.2}[run.arm] + 0.02 * (run.seed % 2))
    found = conclude(comparison)
    assert found["arms"]["lora-2"]["seeds"] == {"100": 0.7, "101": 0.72}
    assert found["arms"]["full"]["score"] == pytest.approx(0.81)
    assert found["start"] == {"100": 0.2, "101": 0.2}
    assert found["verdicts"]["lora-2"]["difference"] == pytest.approx(-0.1)
    assert found["arms"][CONTROL]["lr"] == pytest.approx(found["arms"]["lora-2"]["lr"] / 30, rel=1e-2)
    spent = json.loads((comparison.path / COSTS).read_text())
    assert spent["full"] == {
        "runs": 2,
        "seconds": 12.0,
        "seconds_a_step": 1.5,
        "tokens": 80,
        "training_flops": 80 * flops_a_token(find_shape(comparison.recipe.model), Full(), checkpointing=False),
        "peak_memory_bytes": 2**30,
    }


def test_the_same_folders_give_the_same_bytes_anywhere(complete: Comparison, tmp_path: Path) -> None:
    elsewhere = copied(complete, tmp_path)
    (elsewhere.path / COMPARISON).unlink()
    conclude(elsewhere)
    assert (elsewhere.path / COMPARISON).read_bytes() == (complete.path / COMPARISON).read_bytes()


def test_runs_of_two_machines_are_merged_by_copying_their_folders(complete: Comparison, tmp_path: Path) -> None:
    here = made.swept(tmp_path)
    there = Comparison(tmp_path / "there", here.recipe)
    shutil.copytree(here.path, there.path)
    runs = survey(here).pending
    assert len(runs) == 18
    for machine, own in ((here, runs[::2]), (there, runs[1::2])):
        for run in own:
            made.write(machine, run, made.learns(run))
    with pytest.raises(UserError, match="9 runs are missing, such as the confirmation run of arm full"):
        conclude(here)
    shutil.copytree(there.path, here.path, dirs_exist_ok=True)
    conclude(here)
    assert (here.path / COMPARISON).read_bytes() == (complete.path / COMPARISON).read_bytes()


def test_machines_that_each_fixed_the_margin_are_merged(
    complete: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever margin.json is left, it was fixed when the first machine fixed it; the later one accuses nobody."""

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=1)

    here = copied(complete, tmp_path)
    shutil.rmtree(here.path / "confirmation")
    for left in (MARGIN, LOOKS):
        (here.path / left).unlink()
    shutil.rmtree(here.path / MARGINS)
    there = Comparison(tmp_path / "there", here.recipe)
    shutil.copytree(here.path, there.path)
    first = fix(here, survey(here).tuning)
    for run in survey(here).confirmation:
        made.write(here, run, made.learns(run))
    monkeypatch.setattr("rltk.compare.margin.datetime", Tomorrow)
    second = fix(there, survey(there).tuning)
    assert first.fixed < second.fixed and first.margin == second.margin
    shutil.copytree(there.path, here.path, dirs_exist_ok=True)
    assert json.loads((here.path / MARGIN).read_text())["fixed"] == second.fixed
    assert survey(here).fixed == first
    assert conclude(here)["verdicts"] == json.loads((complete.path / COMPARISON).read_text())["verdicts"]


def test_more_seeds_cost_only_the_new_ones_where_looks_are_left(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, looks=2)
    made.fill(comparison)
    first = conclude(comparison)
    more = Comparison(comparison.path, made.recipe(tmp_path, looks=2, confirmation_seeds=8))
    pending = made.settle(more).pending
    assert sorted({run.seed for run in pending}) == [106, 107] and len(pending) == 6
    made.fill(more)
    second = conclude(read_plan(more.path))
    assert len(second["verdicts"]["lora-2"]["seeds"]) == 8
    assert first["verdicts"]["lora-2"]["alpha"] == second["verdicts"]["lora-2"]["alpha"] == 0.025
    for seeds, complaint in ((10, "no looks are left"), (6, "none may be left out")):
        with pytest.raises(UserError, match=complaint):
            made.settle(Comparison(more.path, made.recipe(tmp_path, looks=2, confirmation_seeds=seeds)))


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison with its verdict, which tests copy and break."""
    comparison = made.begun(tmp_path_factory.mktemp("complete"))
    made.fill(comparison)
    conclude(comparison)
    return comparison


def copied(comparison: Comparison, folder: Path) -> Comparison:
    shutil.copytree(comparison.path, folder / "copied")
    return read_plan(folder / "copied")


def nan(comparison: Comparison, runs: list[Planned]) -> None:
    edit(comparison.folder(runs[0]) / "scores.json", lambda scores: scores["after"][made.TASK].update(accuracy=None))


def other_items(comparison: Comparison, runs: list[Planned]) -> None:
    edit(comparison.folder(runs[0]) / "scores.json", lambda scores: scores["after"][made.TASK].update(accuracy=0.5))


def missing(comparison: Comparison, runs: list[Planned]) -> None:
    shutil.rmtree(comparison.folder(runs[0]))


def foreign(comparison: Comparison, runs: list[Planned]) -> None:
    shutil.rmtree(comparison.folder(runs[0]))
    shutil.copytree(comparison.folder(runs[1]), comparison.folder(runs[0]))


def more_than_its_overlay(comparison: Comparison, runs: list[Planned]) -> None:
    longer = runs[0].recipe.model_copy(update={"rollout": runs[0].recipe.rollout.model_copy(update={"top_k": 7})})
    made.write(comparison, runs[0], 0.8, recipe=made.resolved(longer), recipe_hash=made.recipe_hash(longer))


def stranger(comparison: Comparison, runs: list[Planned]) -> None:
    shutil.copytree(comparison.folder(runs[0]), comparison.path / "confirmation" / "lora-64-of-mine")


def other_data(comparison: Comparison, runs: list[Planned]) -> None:
    made.write(comparison, runs[1], 0.8, data_hash="other")


def before_the_margin(comparison: Comparison, runs: list[Planned]) -> None:
    made.write(comparison, runs[0], 0.8, started="2020-01-01T00:00:00+00:00")


def diverged(comparison: Comparison, runs: list[Planned]) -> None:
    made.write(comparison, runs[0], 0.8, status="failed", failure="the gradient was not finite")


def margin_gone(comparison: Comparison, runs: list[Planned]) -> None:
    (comparison.path / MARGIN).unlink()
    (comparison.path / LOOKS).unlink()


def margin_edited(comparison: Comparison, runs: list[Planned]) -> None:
    edit(comparison.path / MARGIN, lambda values: values.update(margin=0.5))


def other_margin(comparison: Comparison, runs: list[Planned]) -> None:
    (one,) = (comparison.path / MARGINS).iterdir()
    edit(one, lambda values: values.update(margin=0.5))


def looks_of(values: Any) -> Break:
    def broken(comparison: Comparison, runs: list[Planned]) -> None:
        (comparison.path / LOOKS).write_text(json.dumps(values))

    return broken


def looks_given_back(comparison: Comparison, runs: list[Planned]) -> None:
    """As if 6 and then 7 seeds had been looked at, and only the last were kept."""
    edit(comparison.path / LOOKS, lambda looks: looks.update(seeds=[7]))


def no_answer(comparison: Comparison, runs: list[Planned]) -> None:
    (items,) = (comparison.folder(runs[0]) / "items").glob("after-*")
    items.write_text(items.read_text().replace('"correct": true', '"correct": NaN', 1))


def tuning_changed(comparison: Comparison, runs: list[Planned]) -> None:
    made.write(comparison, survey(comparison).tuning.runs[0], 0.5)


def plan_edited(comparison: Comparison, runs: list[Planned]) -> None:
    edit(comparison.path / "plan.json", lambda plan: plan["recipe"]["compare"].update(minimum_gain=0.9))


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (nan, r"scores.json: the greedy accuracy after training is null, no number \(confirmation run of arm lora-2, "),
        (other_items, "the items beside it disagree on the score after training"),
        (
            missing,
            "is not complete: 1 runs are missing, such as the confirmation run of arm lora-2, learning rate 0.01",
        ),
        (foreign, r"is not the confirmation run of arm lora-2, .* \(its recipe has .* where the plan has "),
        (more_than_its_overlay, "its recipe has rollout.top_k = 7 where the plan has 0"),
        (stranger, "lora-64-of-mine is no confirmation run of this comparison"),
        (other_data, "was trained on other problems than the confirmation run"),
        (before_the_margin, "began on 2020-01-01T00:00:00.00:00, before the margin was fixed on "),
        (diverged, r"arm lora-2, learning rate 0.01, seed 100 failed \(the gradient was not finite\); a verdict that"),
        (margin_gone, "was made before a margin was fixed, and a margin set after looking shows nothing"),
        (margin_edited, "margin.json has been edited after it was fixed on "),
        (other_margin, r"margins/\w+\.json has been edited after it was fixed on "),
        (
            looks_of([]),
            r"looks.json is damaged \(it holds no growing numbers of seeds, such as \[6, 8\]\); put it back",
        ),
        (looks_of({"a": 1}), "looks.json is damaged"),
        (looks_of({"seeds": [6, 6], "hash": "x"}), "looks.json is damaged"),
        (looks_of([6]), "looks.json has been edited, or is that of another margin"),
        (looks_given_back, "looks.json has been edited, .* looks that were taken are not given back"),
        (no_answer, r"after-.*jsonl: correct of item i\d+ is NaN, no number \(confirmation run of arm lora-2, .*anew"),
        (tuning_changed, "are not those from which .*margin.json was fixed on"),
        (plan_edited, "plan.json is not as the comparison began"),
    ],
)
def test_what_is_wrong_with_the_folders_is_one_sentence_and_nothing_is_overwritten(
    broken: Break, complaint: str, complete: Comparison, tmp_path: Path
) -> None:
    comparison = copied(complete, tmp_path)
    broken(comparison, survey(comparison).confirmation)
    before = {path: path.read_bytes() for path in sorted(comparison.path.rglob("*.json"))}
    with pytest.raises(UserError, match=complaint) as refused:
        conclude(read_plan(comparison.path))
    assert "\n" not in str(refused.value)
    assert {path: path.read_bytes() for path in sorted(comparison.path.rglob("*.json"))} == before


def test_the_looks_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / LOOKS).write_text("[6, 8]")
    assert read_looks(tmp_path, None) == [6, 8]


@pytest.mark.parametrize("value", ["null", "NaN"])
def test_a_reward_that_is_no_number_names_run_and_pair(value: str) -> None:
    """Where it was null there was a traceback, and NaN is below everything and scored 0."""
    rows = [{"id": "p1", "chosen_reward": 1.0, "rejected_reward": 0.0}]
    rows += [json.loads(f'{{"id": "p2", "chosen_reward": {value}, "rejected_reward": 0.0}}')]
    comparison = Comparison(Path("c"), made.recipe(Path("c")))
    run = comparison.tuning_run("full", 0, 0, 8)
    with pytest.raises(UserError, match=f"items.jsonl: chosen_reward of pair p2 is {value}, no number .tuning run of"):
        refuse_no_number(rows, "pairs", Path("items.jsonl"), run)
    refuse_no_number(rows[:1], "pairs", Path("items.jsonl"), run)


def test_a_margin_is_not_fixed_once_there_are_confirmation_runs(complete: Comparison, tmp_path: Path) -> None:
    comparison = copied(complete, tmp_path)
    margin_gone(comparison, [])
    with pytest.raises(UserError, match="a margin set after looking shows nothing"):
        made.settle(comparison)
    assert not (comparison.path / MARGIN).exists()


def test_another_recipe_is_refused_and_told_when_the_margin_was_fixed(tmp_path: Path) -> None:
    comparison = made.swept(tmp_path)
    wider = Comparison(comparison.path, made.recipe(tmp_path, margin={"value": 0.09}))
    with pytest.raises(UserError, match=r"begun with compare.margin.value = 0.08 and fixed its margin on .* says 0.09"):
        made.begin(wider)
