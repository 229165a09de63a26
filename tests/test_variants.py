"""DoRA, rsLoRA and PiSSA train, are sampled as they are trained, and are read back as what they were."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from rltk.cli import main
from rltk.models.adapters import add_lora
from rltk.recipe.schema import LoRA
from tests import runs, tiny

VARIANTS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "pissa": {"init": "pissa"},
}
IDS = torch.randint(5, 60, (3, 17), generator=torch.Generator().manual_seed(0))


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fresh_adapter_changes_nothing(variant: str) -> None:
    base = logits(tiny.model())
    adapted = logits(add_lora(tiny.model(), LoRA(rank=4, **VARIANTS[variant])))
    assert (adapted - base).abs().max() < 1e-4 * base.abs().max()


def test_rslora_scales_by_the_root_of_the_rank() -> None:
    model = add_lora(tiny.model(), LoRA(rank=4, alpha=32, use_rslora=True))
    scales = {scale for layer in model.modules() if isinstance(layer, LoraLayer) for scale in layer.scaling.values()}
    assert scales == {32 / math.sqrt(4)}


def test_pissa_takes_the_leading_directions_out_of_the_weight() -> None:
    """What is left of a weight under an adapter of rank r has the weight's other singular values."""
    name = "model.layers.0.mlp.up_proj"
    whole = torch.linalg.svdvals(tiny.model().get_parameter(f"{name}.weight"))
    model = add_lora(tiny.model(), LoRA(rank=4, init="pissa"))
    left = torch.linalg.svdvals(model.get_parameter(f"base_model.model.{name}.base_layer.weight"))
    assert torch.allclose(left[: len(whole) - 4], whole[4:], atol=1e-4)
    assert left[len(whole) - 4 :].abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains_and_is_read_back_as_it_was(variant: str, guesser: Path, tmp_path: Path) -> None:
    tune = {"type": "lora", "rank": 4, **VARIANTS[variant]}
    recipe = runs.write_recipe(tmp_path, guesser, tune=tune, optim={"steps": 3, "lr": 0.003})
    run = tmp_path / "run"
    assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 0
    steps = runs.rows(run / "metrics.jsonl")
    assert any(row["grad_norm"] > 0 for row in steps)
    mismatches = [row["rollout_mismatch_kl"] for row in steps if row["rollout_mismatch_kl"] is not None]
    assert mismatches and max(mismatches) < 1e-6, "what is sampled is what is trained"
    assert main(["eval", str(run), "--out", str(tmp_path / "again")]) == 0
    (task,) = runs.read(run / "scores.json")["after"]
    again, after = (
        runs.rows(path) for path in (next((tmp_path / "again").rglob("*.jsonl")), run / f"items/after-{task}.jsonl")
    )
    assert [row["completion"] for row in again] == [row["completion"] for row in after]
