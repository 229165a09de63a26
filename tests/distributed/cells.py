"""Small runs of every algorithm, with LoRA and in full, that give the same numbers however many processes make them."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from rltk.run.checkpoint import list_checkpoints
from tests import runs, tiny
from tests.offline import made

STEPS = 5
ALGORITHMS = ("sft", "reward_model", "dpo", "grpo", "ppo")
TUNES: dict[str, dict[str, Any]] = {"lora": {"type": "lora", "rank": 4}, "full": {"type": "full"}}
RATES = {"lora": 0.001, "full": 0.0003}
LOSS, GRADIENT, WEIGHTS = 1e-4, 1e-3, 1e-3
"""By how much losses may differ, and, relative to their size, gradients and all trained weights together."""


def policy(path: Path) -> Path:
    """A model that answers with one of the right digits often enough for each step to have something to learn from."""
    runs.guesser(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    digits = [tiny.tokenizer().convert_tokens_to_ids(digit) for digit in "789"]
    head = model.get_output_embeddings()
    assert head is not None
    with torch.no_grad():
        head.weight[digits] *= 3
    model.save_pretrained(path)
    return path


def write(folder: Path, model: Path, algorithm: str, tune: str) -> Path:
    common: dict[str, Any] = {
        "tune": TUNES[tune],
        # An epsilon well above rounding: Adam makes a whole step of a gradient that is nothing but rounding.
        "optim": {"steps": STEPS, "lr": RATES[tune], "eps": 1e-5, "micro_tokens": 100},
        "eval": {"before": False, "limit": 4},
        "run": {"dir": str(folder / "runs"), "checkpoint_every": 2, "keep": 5},
    }
    if algorithm in ("sft", "dpo", "reward_model"):
        return made.write_recipe(folder, model, algorithm, algo={"batch": 8}, **common)
    common["eval"]["samples"] = 0
    algo = {"type": algorithm, "prompts": 8, "group": 4} if algorithm == "grpo" else {"type": "ppo", "prompts": 16}
    # At seed 0 a random number of the last step lies so close between two tokens that rounding decides which is drawn.
    common["seed"] = int((algorithm, tune) == ("ppo", "full"))
    return runs.write_recipe(folder, model, algo=algo, **common)


def assert_same(run: Path, alone: Path) -> None:
    """Metrics step by step, and what was trained."""
    rows, expected = (runs.rows(path / "metrics.jsonl") for path in (run, alone))
    assert [row["step"] for row in rows] == [row["step"] for row in expected] == list(range(1, STEPS + 1))
    for row, other in zip(rows, expected, strict=True):
        assert abs(row["loss"] - other["loss"]) <= LOSS, (row, other)
        assert abs(row["grad_norm"] - other["grad_norm"]) <= GRADIENT * other["grad_norm"], (row, other)
    assert any(row["grad_norm"] for row in rows)
    assert relative_difference(trained(run), trained(alone)) <= WEIGHTS
    for checkpoint, other in zip(*(list_checkpoints(path / "checkpoints") for path in (run, alone)), strict=True):
        assert relative_difference(gradients(checkpoint), gradients(other)) <= GRADIENT, checkpoint
    assert runs.read(run / "manifest.json")["status"] == "finished"


def relative_difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The length of the difference of all tensors together, in lengths of what is expected."""
    assert found.keys() == expected.keys() and found
    differences = [(found[name] - expected[name]).double().square().sum() for name in found]
    return float((sum(differences) / sum(tensor.double().square().sum() for tensor in expected.values())) ** 0.5)


def trained(run: Path) -> dict[str, Tensor]:
    (file,) = [path for path in (run / "model").glob("*.safetensors") if path.stem in ("adapter_model", "model")]
    return load_file(file)


def gradients(checkpoint: Path) -> dict[str, Tensor]:
    """Of every weight, as Adam averages them over the steps so far."""
    state = load_file(checkpoint / "optimizer.safetensors")
    return {name: tensor for name, tensor in state.items() if name.endswith("/exp_avg")}
