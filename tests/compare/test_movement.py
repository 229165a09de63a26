"""FG-2: distances between a base and runs on it, and how well they predict what was forgotten."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from rltk.cli import main
from rltk.compare.catalogue import load_catalogue
from rltk.compare.experiments import movement
from rltk.compare.measure import measure
from rltk.errors import UserError
from rltk.models.adapters import add_lora
from rltk.models.load import load_weights
from rltk.recipe.schema import LoRA, Model
from tests import runs

PARABOLA = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_a_parabola_is_explained_whole_and_noise_is_not() -> None:
    value, interval = movement.explained(PARABOLA, 0.3 * PARABOLA**2 - PARABOLA + 2)
    assert value == pytest.approx(1) and interval.low == pytest.approx(1)
    noise = np.random.default_rng(1).normal(size=len(PARABOLA))
    value, interval = movement.explained(PARABOLA, noise)
    assert value < 0.7 and interval.low < value
    assert np.isnan(movement.explained(PARABOLA, np.ones(7))[0]), "nothing varies, so nothing is explained"


def test_noise_rarely_looks_explained() -> None:
    """Plain percentiles would call a parabola through the noise of six runs shown in one of thirteen."""
    rng, shown = np.random.default_rng(0), 0
    for _ in range(40):
        _, interval = movement.explained(PARABOLA[:6], rng.normal(size=6))
        shown += interval.low >= 0.7
    assert shown <= 2
    assert movement.adjusted(0.8, 6) == pytest.approx(1 - 0.2 * 5 / 3) and np.isnan(movement.adjusted(0.9, 3))


def test_r_squared_worked_by_hand() -> None:
    """Through (-1, 0), (1, 0) twice and (0, 0), (0, 2): the parabola 1 - x^2 leaves 2 of the 3.2 about the mean."""
    x, y = np.array([-1.0, -1, 1, 1, 0, 0]), np.array([0.0, 0, 0, 0, 0, 2])
    total = float(((y - y.mean()) ** 2).sum())
    assert movement.r_squared(x, y) == pytest.approx(1 - 2 / total)


class Table(nn.Module):
    """A model of two tokens that gives each the same logits, whatever came before."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, input_ids: torch.Tensor) -> Any:
        return type("Output", (), {"logits": self.logits.expand(*input_ids.shape, 2)})


def test_the_distance_is_the_sum_over_the_tokens_of_a_completion() -> None:
    """A coin of one half against one of three quarters: ln 2 / 2 + ln (2 / 3) / 2 a token, three tokens and one."""
    half, three_quarters = Table(0.0, 0.0), Table(float(np.log(3)), 0.0)
    rows = [(torch.tensor([0, 1, 0, 1, 1]), 2), (torch.tensor([1, 0]), 1)]
    a_token = (np.log(0.5 / 0.75) + np.log(0.5 / 0.25)) / 2
    assert movement.distance(half, three_quarters, rows) == pytest.approx(a_token * (3 + 1) / 2, abs=1e-6)


def test_an_untouched_adapter_is_at_no_distance(guesser: Path) -> None:
    model = Model(path=str(guesser), dtype="float32")
    base, adapted = (load_weights(model, torch.device("cpu")).eval() for _ in range(2))
    adapted = add_lora(adapted, LoRA(rank=2)).eval()
    rows = [(torch.arange(5, 15), 4)]
    assert movement.distance(base, adapted, rows) == 0
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.add_(0.1)
    assert movement.distance(base, adapted, rows) > 1e-4


RATES = {"sft": ("1e-4", "1e-2", "1e-1"), "grpo": ("1e-3", "1e-2", "1e-1")}


@pytest.fixture(scope="module")
def trained(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of each kind on one task, evaluated on it and on another."""
    folder = tmp_path_factory.mktemp("trained")
    for kind, rates in RATES.items():
        sections = {
            "data": {"path": "embedded/word-problems", "size": 32},
            "algo": {"type": kind},
            "eval": {"tasks": ["heldout", "equations"], "limit": 6, "batch": 8, "samples": 0},
            "optim": {"steps": 2},
        }
        recipe = runs.write_recipe(folder / kind, guesser, **sections)
        if kind == "sft":
            supervised = yaml.safe_load(recipe.read_text()) | {"algo": {"type": "sft", "batch": 8}}
            recipe.write_text(yaml.safe_dump(supervised))
        for number, rate in enumerate(rates):
            tune = "tune={type: full}" if number == 1 else "tune.rank=2"
            run = str(folder / "runs" / f"{kind}-{number}")
            assert main(["train", str(recipe), f"optim.lr={rate}", tune, "--run", run, "--quiet"]) == 0
    return folder / "runs"


@pytest.mark.slow
def test_runs_of_both_kinds_are_measured_and_told_apart(trained: Path, tmp_path: Path) -> None:
    result = measure(load_catalogue()["FG-2"], "laptop", [str(trained)])
    rows = {Path(path).name: row for path, row in result["details"]["runs"].items()}
    assert list(rows) == ["grpo-0", "grpo-1", "grpo-2", "sft-0", "sft-1", "sft-2"]
    assert all(row["kl"] == 0 for name, row in rows.items() if "grpo" in name), "it earned nothing, so nothing moved"
    assert rows["sft-2"]["kl"] > rows["sft-0"]["kl"] > 0 and rows["sft-1"]["tune"] == "full"
    assert "nats a completion when supervised" in result["summary"]
    assert result["verdict"] == "inconclusive", "a model that guesses has nothing to forget"
    with pytest.raises(UserError, match=r"0 finished runs beneath .* 6 or more are needed; train some"):
        measure(load_catalogue()["FG-2"], "laptop", [str(tmp_path)])
    shutil.copytree(trained, tmp_path / "other")
    file = tmp_path / "other" / "sft-2" / "scores.json"
    scores = runs.read(file)
    scores["after"] = {"heldout": scores["after"]["word-problems"], "another": scores["after"]["equations"]}
    file.write_text(json.dumps(scores))
    manifest = tmp_path / "other" / "sft-2" / "manifest.json"
    manifest.write_text(json.dumps(runs.read(manifest) | {"recipe_hash": "its own"}))
    with pytest.raises(UserError, match=r"sft-2 began with .* and was evaluated on heldout and another, .*--from"):
        measure(load_catalogue()["FG-2"], "laptop", [str(tmp_path / "other")])
