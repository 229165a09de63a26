"""Small runs from the command line: a policy that learns something within a few steps, its problems, its recipe."""

import json
from pathlib import Path
from typing import Any

import torch

from rltk.recipe.resolved import recipe_hash, resolved
from rltk.recipe.schema import Recipe
from rltk.run.folder import RunFolder
from tests import files, tiny

TIMES = ("rollout_seconds", "train_seconds", "sampled_tokens_per_second", "seconds", "peak_memory_bytes")
"""Metrics that are never the same twice."""


def guesser(path: Path, **changes: Any) -> Path:
    """A tiny model that writes a few tokens and ends with a digit: by chance right often enough to learn from."""
    model, tokens = tiny.model(**changes), tiny.tokenizer()
    digits = [tokens.convert_tokens_to_ids(digit) for digit in "0123456789"]
    head = model.get_output_embeddings()
    assert head is not None and model.generation_config is not None
    with torch.no_grad():
        head.weight[digits] *= 3.0
    model.generation_config.eos_token_id = [tokens.eos_token_id, *digits]
    model.save_pretrained(path)
    tokens.save_pretrained(path)
    return path


def problems(path: Path, count: int = 40, *, first: int = 0) -> Path:
    """Questions whose answers are single digits, one JSON object a line."""
    rows = [
        {"question": f"What is {i} times nothing, plus {7 + i % 3}?", "answer": f"It is #### {7 + i % 3}"}
        for i in range(first, first + count)
    ]
    return files.jsonl(path, rows)


def write_recipe(folder: Path, model: Path, /, **sections: Any) -> Path:
    """A recipe file beside its problems; sections are laid over it key by key."""
    folder.mkdir(parents=True, exist_ok=True)
    base: dict[str, Any] = {
        "name": "t",
        "model": {"path": str(model), "dtype": "float32"},
        "data": {"path": str(problems(folder / "train.jsonl"))},
        "algo": {"type": "grpo", "prompts": 4, "group": 4, "mask_truncated": False},
        "tune": {"type": "lora", "rank": 4},
        "optim": {"steps": 4, "lr": 0.01},
        "rollout": {"max_new_tokens": 6},
        "eval": {"tasks": [str(problems(folder / "test.jsonl", 12, first=1000))], "batch": 8},
        "run": {"dir": str(folder / "runs"), "checkpoint_every": 2},
    }
    return files.recipe(folder / "recipe.yaml", base, sections)


def begun(path: Path, one: Recipe, **values: Any) -> Path:
    """The folder of a run as its manifest says it was begun; `values` are laid over that."""
    manifest = {"recipe": resolved(one), "recipe_hash": recipe_hash(one), "status": "running", **values}
    RunFolder(path).update_manifest(**manifest)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def untimed(run: Path) -> list[dict[str, Any]]:
    """Its metrics but for those of the machine."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows(run / "metrics.jsonl")]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def names(folder: Path) -> list[str]:
    """What is in the folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
