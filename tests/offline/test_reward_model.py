"""Reward models: the loss, the first step of both arms, and a run from recipe to a folder that cannot be wrong."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rltk_reward_models.base_file import BASE_FILE
from rltk_reward_models.loss import bradley_terry_loss
from rltk_reward_models.scorer import Scorer
from torch import nn
from transformers import PreTrainedTokenizerBase

from rltk.cli import main
from rltk.data.preference_text import encode, preference_text
from rltk.models.save import write_model
from rltk.offline.contests import Contest
from rltk.offline.reward_model import reward_trainer
from rltk.offline.reward_session import RewardWork
from tests import files, runs
from tests.forks import Forks
from tests.offline.made import FULL, LORA, TUNES, Started, start, write_recipe


def started(folder: Path, policy: Path, /, **sections: Any) -> Started:
    return start(write_recipe(folder, policy, "reward_model", **sections), folder / "run")


def first_batch(begun: Started, folder: Path) -> tuple[Any, Any]:
    """The trainer, and the batch of its first step."""
    trainer = reward_trainer(begun.stage, str(folder / "out"), begun.work.inputs.tokenizer)
    assert trainer.train_dataset is not None
    rows = [trainer.train_dataset[place] for place in begun.stage.course.places[0]]
    assert trainer.data_collator is not None
    return trainer, trainer.data_collator(rows)


def scores_of(begun: Started) -> list[float]:
    assert isinstance(begun.work, RewardWork)
    task = begun.work.task(begun.desk)
    rows = begun.work.referee.rows(task, lambda done, total: None)
    return [row[key] for row in rows for key in ("chosen_score", "rejected_score")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_arms_begin_with_the_same_scores_and_the_same_loss(guesser: Path, tmp_path: Path, dtype: str) -> None:
    arms = {
        name: started(tmp_path / name, guesser, tune=tune, model={"path": str(guesser), "dtype": dtype})
        for name, tune in TUNES.items()
    }
    assert scores_of(arms["lora"]) == scores_of(arms["full"])
    losses = [
        trainer.compute_loss(begun.stage.model, batch).item()
        for begun in arms.values()
        for trainer, batch in [first_batch(begun, tmp_path)]
    ]
    assert losses[0] == losses[1]
    other = started(tmp_path / "other", guesser, seed=1)
    assert scores_of(other) != scores_of(arms["lora"]), "the head depends on the seed"


def test_the_head_trains_in_both_arms_and_in_float32(guesser: Path, tmp_path: Path) -> None:
    for name, tune in TUNES.items():
        model = {"path": str(guesser), "dtype": "bfloat16"}
        weights = started(tmp_path / name, guesser, tune=tune, model=model).stage.model.named_parameters()
        trained = {key: weight.dtype for key, weight in weights if weight.requires_grad}
        assert any("score" in key for key in trained) and set(trained.values()) == {torch.float32}
        assert ("lora" in name) == any("lora_" in key for key in trained)


@pytest.mark.parametrize(("centring", "margin"), [(0.0, None), (0.5, None), (0.01, "by")])
def test_the_loss_is_bradley_terrys(guesser: Path, tmp_path: Path, centring: float, margin: str | None) -> None:
    path = write_recipe(tmp_path, guesser, "reward_model", algo={"centring": centring}, data={"margin": margin})
    rows = [row | {"by": 0.25 * index} for index, row in enumerate(runs.rows(tmp_path / "train.jsonl"))]
    files.jsonl(tmp_path / "train.jsonl", rows)
    begun = start(path, tmp_path / "run")
    assert isinstance(begun.work, RewardWork)
    trainer, batch = first_batch(begun, tmp_path)
    ids = [row[mask.bool()].tolist() for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    scores_2B = torch.tensor([begun.stage.model(torch.tensor([row])).logits.item() for row in ids])
    chosen_B, rejected_B = scores_2B.chunk(2)
    expected = bradley_terry_loss(chosen_B, rejected_B, batch.get("margin"), centring)
    assert trainer.compute_loss(begun.stage.model, batch).item() == pytest.approx(expected.item(), abs=1e-6)
    assert ("margin" in batch) == (margin is not None)


def test_of_a_long_conversation_the_last_tokens_are_read_and_it_is_counted(guesser: Path, tmp_path: Path) -> None:
    begun = started(tmp_path, guesser, algo={"max_length": 12})
    assert isinstance(begun.work, RewardWork)
    tokenizer, pair = begun.work.inputs.tokenizer, begun.work.training[0]
    text = preference_text(pair, tokenizer)
    whole = encode(tokenizer, text.prompt + text.chosen)
    contest = begun.work.contest(pair)
    assert len(whole) > 12 and contest.chosen == whole[-12:] and contest.is_truncated
    assert {row.longest for row in begun.stage.course.rows if isinstance(row, Contest)} == {12}
    assert not begun.work.inputs.training.left_out


@pytest.mark.parametrize("tune", TUNES)
def test_it_is_used_on_as_many_tokens_as_it_was_trained_on(guesser: Path, tmp_path: Path, tune: str) -> None:
    recipe = write_recipe(
        tmp_path, guesser, "reward_model", tune=TUNES[tune], algo={"max_length": 12}, optim={"steps": 3}
    )
    run = tmp_path / "run"
    assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 0
    scorer = Scorer.load(run / "model", base=str(guesser) if tune == "lora" else None)
    assert scorer.identity.max_length == 12
    assert runs.read(run / "scores.json")["after"]["train"]["truncated"] == 1.0
    assert main(["eval", str(run), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    again = runs.read(tmp_path / "again" / "scores.json")["train"]
    assert (
        again["truncated"] == 1.0 and again["accuracy"] == runs.read(run / "scores.json")["after"]["train"]["accuracy"]
    )


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    model = {"path": str(guesser), "dtype": "bfloat16"}
    recipe = write_recipe(
        folder, guesser, "reward_model", tune=TUNES[request.param], model=model, optim={"steps": 30}, eval={"every": 15}
    )
    assert main(["train", str(recipe), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def test_a_run_learns_and_says_how_well(run: Path) -> None:
    scores = runs.read(run / "scores.json")
    after = scores["after"]["train"]
    assert after["accuracy"] == 1.0 and after["n"] == 6 and scores["before"]["train"]["accuracy"] < 1.0
    assert after["length_baseline"]["accuracy"] < 1.0 and after["calibration"]["before"]["log_loss"] >= 0
    metrics = runs.rows(run / "metrics.jsonl")
    assert metrics[-1]["loss"] < metrics[0]["loss"] and metrics[14]["heldout_accuracy"] > 0.5
    low, high = metrics[14]["heldout_accuracy_ci95"]
    assert low <= metrics[14]["heldout_accuracy"] <= high
    assert runs.read(run / "manifest.json")["reload_difference"] <= 1e-5
    described = runs.read(run / "adapter.json")
    assert described["bits_offered"] == metrics[-1]["bits_offered"] > 0 and described["update_norm"] > 0
    card = (run / "model" / "README.md").read_text()
    assert "6 pairs of" in card and "100.0 %" in card
    is_adapter = (run / "model" / "adapter_config.json").exists()
    assert is_adapter == (run / "model" / BASE_FILE).exists()


def test_what_is_evaluated_later_is_what_was_scored(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--json", "--out", str(run.parent / "again")]) == 0
    found = json.loads(capfd.readouterr().out)["scores"]["train"]
    assert found["accuracy"] == runs.read(run / "scores.json")["after"]["train"]["accuracy"]
    for one, other in zip(
        runs.rows(run / "items" / "after-train.jsonl"),
        runs.rows(run.parent / "again" / "items" / "train.jsonl"),
        strict=True,
    ):
        assert one["id"] == other["id"] and one["chosen_score"] == pytest.approx(other["chosen_score"], abs=1e-5)


def test_a_folder_that_would_score_otherwise_is_not_left(
    guesser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The weights are disturbed on their way to the disk, as a serialization that loses the head would."""

    def disturbed(model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        head = next(weight for name, weight in model.named_parameters() if "score" in name and weight.requires_grad)
        before = head.data.clone()
        head.data += 0.5
        write_model(model, tokenizer, folder)
        head.data.copy_(before)

    monkeypatch.setattr("rltk.offline.reward_scores.write_model", disturbed)
    recipe = write_recipe(tmp_path, guesser, "reward_model", optim={"steps": 1}, eval={"before": False})
    assert main(["train", str(recipe), "--run", str(tmp_path / "run"), "--quiet"]) == 2
    assert "a fresh process that loads it gives other scores" in capfd.readouterr().err
    assert not (tmp_path / "run" / "model").exists()
    assert runs.read(tmp_path / "run" / "manifest.json")["status"] == "failed"


def test_pairs_of_problems_are_sampled_once_and_held_out_ones_are_kept(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(
        tmp_path, guesser, "reward_model", "problems", algo={"samples": 24, "pairs": 2}, optim={"steps": 2}
    )
    assert main(["train", str(recipe), "--run", str(tmp_path / "run"), "--quiet"]) == 0
    heldout = runs.rows(tmp_path / "run" / "heldout" / "pairs.jsonl")
    [score] = runs.read(tmp_path / "run" / "scores.json")["after"].values()
    assert score["n"] == len(heldout) > 0
    trained = {row["prompt"][0]["content"] for row in runs.rows(tmp_path / "run" / "pairs.jsonl")}
    assert not trained & {row["prompt"][0]["content"] for row in heldout}
    capfd.readouterr()
    assert main(["eval", str(tmp_path / "run"), "--task", "heldout", "--json"]) == 0
    [again] = json.loads(capfd.readouterr().out)["scores"].values()
    assert again["accuracy"] == score["accuracy"]


@pytest.mark.parametrize("tune", [LORA | {"dropout": 0.2}, FULL], ids=["lora", "full"])
def test_a_killed_run_resumes_to_the_same_bits(tune: Any, forks: Forks, guesser: Path, tmp_path: Path) -> None:
    kept: list[Path] = []
    for name, at in (("whole", ""), ("killed", "torch.optim.AdamW.step")):
        recipe = write_recipe(tmp_path / name, guesser, "reward_model", tune=tune, optim={"steps": 5})
        kept.append(tmp_path / name / "run")
        done = forks.run("train", str(recipe), "--run", str(kept[-1]), at=at, call=4)
        assert done.code == (-signal.SIGKILL if at else 0), done.err
    whole, killed = kept
    assert forks.run("train", str(killed), "--resume").code == 0
    assert runs.untimed(killed) == runs.untimed(whole)
    assert runs.read(killed / "scores.json") == runs.read(whole / "scores.json")
    weights = next(path.name for path in (whole / "model").glob("*.safetensors"))
    assert (killed / "model" / weights).read_bytes() == (whole / "model" / weights).read_bytes()
    assert Scorer.load(whole / "model").identity.model == Scorer.load(killed / "model").identity.model
