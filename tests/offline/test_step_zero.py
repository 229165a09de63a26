"""The first loss is that of the starting policy, the same with LoRA as in full fine-tuning. Shapes: T tokens."""

import math
from pathlib import Path

import pytest
import torch

from rltk.cli import main
from rltk.offline.rows import IGNORED
from tests import runs
from tests.offline.made import TUNES, start, write_recipe


def first_step(recipe: Path, tune: str) -> dict[str, float]:
    run = recipe.parent / tune
    overrides = [f"tune={{type: {tune}}}", "optim.steps=1", "eval.before=false"]
    assert main(["train", str(recipe), "--quiet", "--run", str(run), *overrides]) == 0
    (row,) = runs.rows(run / "metrics.jsonl")
    return row


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("algo", "data"), [("sft", "problems"), ("sft", "preferences"), ("dpo", "preferences")])
def test_both_arms_have_the_same_first_loss(algo: str, data: str, dtype: str, guesser: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, guesser, algo, data, model={"dtype": dtype})
    lora, full = (first_step(recipe, tune) for tune in TUNES)
    assert lora["loss"] == pytest.approx(full["loss"], abs=1e-6)
    assert lora["tokens"] == full["tokens"] > 0
    assert 0 < lora["grad_norm"] != full["grad_norm"] > 0
    if algo == "dpo":
        assert full["loss"] == pytest.approx(math.log(2), abs=1e-6)
        assert [full["chosen_reward"], lora["chosen_reward"], lora["rejected_reward"]] == pytest.approx(
            [0] * 3, abs=1e-5
        )


def test_sft_learns_the_replies_and_not_the_prompts(guesser: Path, tmp_path: Path) -> None:
    started = start(write_recipe(tmp_path, guesser, "sft"), tmp_path / "run")
    model, tokenizer = started.stage.model, started.work.inputs.tokenizer
    nats, tokens = 0.0, 0
    for place in started.stage.course.places[0]:
        lesson = started.stage.course.rows[place]
        row = lesson.to_row()
        assert [label for label in row["labels"] if label != IGNORED] == row["labels"][len(lesson.prompt) :]
        assert str(tokenizer.decode(lesson.prompt)).startswith("<|user|>What is ")
        assert str(tokenizer.decode(row["input_ids"][len(lesson.prompt) :])).startswith("It is #### ")
        assert row["input_ids"][-1] == tokenizer.eos_token_id
        ids_T = torch.tensor(row["input_ids"])
        with torch.no_grad():
            logprobs_TV = model(input_ids=ids_T[None]).logits[0].log_softmax(-1)
        reply = range(len(lesson.prompt), len(ids_T))
        nats -= sum(logprobs_TV[t - 1, ids_T[t]].item() for t in reply)
        tokens += len(reply)
    first = first_step(tmp_path / "recipe.yaml", "lora")
    assert (first["loss"], first["tokens"]) == (pytest.approx(nats / tokens, rel=1e-5), tokens)


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("algo", ["sft", "dpo", pytest.param("reward_model", marks=pytest.mark.slow)])
def test_micro_batches_change_nothing(algo: str, tune: str, guesser: Path, tmp_path: Path) -> None:
    whole, cut = (
        first_step(write_recipe(tmp_path / str(tokens), guesser, algo, optim={"micro_tokens": tokens}), tune)
        for tokens in (4096, 1)
    )
    assert whole["grad_norm"] > 0
    for key in ("loss", "grad_norm"):
        assert whole[key] == pytest.approx(cut[key], rel=1e-4), key
