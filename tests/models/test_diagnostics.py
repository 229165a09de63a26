"""Diagnostics of whole models: each matrix's update is the one the model computes with, and saturation is said once."""

import math
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer, ParamWrapper
from torch import Tensor, nn

from rltk.models.adapters import add_lora
from rltk.models.diagnostics import PATIENCE, describe_adapter, describe_full, saturation, step_metrics
from rltk.models.spectra import adapter_spectra
from rltk.models.updates import adapter_updates, spectra
from rltk.recipe.schema import LoRA
from tests import tiny
from tests.onpolicy.made import off_base


@pytest.mark.parametrize("architecture", ["qwen3", "qwen3_moe"])
def test_an_update_is_what_peft_adds(architecture: str) -> None:
    model = off_base(add_lora(tiny.model(architecture), LoRA(rank=4)))
    updates = adapter_updates(model)
    added: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            delta = layer.get_delta_weight("default").detach()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
            short = name.removeprefix("base_model.model.")
            if isinstance(layer, ParamWrapper):
                short = short.removesuffix(".base_layer")
                added |= {f"{short}.{layer.parameter_name}.{expert}": one for expert, one in enumerate(delta)}
            else:
                added[short] = delta
    assert len(updates) == (14 if architecture == "qwen3" else 2 * 4 + 2 * 2 * 4) and updates.keys() == added.keys()
    for name, update in updates.items():
        assert update.base_OI.shape == update.whole().shape
        is_transposed = update.whole().shape != added[name].shape
        torch.testing.assert_close(update.whole(), added[name].mT if is_transposed else added[name])


def test_updates_decomposed_together_are_decomposed_each() -> None:
    updates = adapter_updates(off_base(add_lora(tiny.model(), LoRA(rank=4))))
    together = spectra(updates)
    assert list(together) == list(updates)
    for name, update in updates.items():
        torch.testing.assert_close(
            together[name], adapter_spectra(update.up_OR[None], update.down_RI[None], update.scale)[0]
        )


def test_metrics_of_a_step() -> None:
    """Every update is made 2 * (a unit matrix's first two entries): norm sqrt(8) each, stable rank 2."""
    model = add_lora(tiny.model(), LoRA(rank=4, alpha=8))
    set_factors(model, up=1.0, entries=2)
    metrics = step_metrics(model, 100.0, [])
    assert metrics["update_norm"] == pytest.approx(math.sqrt(14 * 8))
    assert metrics["stable_rank"] == pytest.approx(2)
    assert metrics["evenly_filled"] == 0
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert metrics["capacity_used"] == pytest.approx(100 / (2 * trained))
    assert step_metrics(model, 50.0, [metrics])["bits_offered"] == 150
    assert "saturated" not in metrics


def set_factors(model: nn.Module, *, up: float, entries: int) -> None:
    for update in adapter_updates(model).values():
        update.down_RI.zero_().fill_diagonal_(1.0)
        update.up_OR.zero_()
        update.up_OR[range(entries), range(entries)] = up


def test_an_untouched_adapter_has_no_rank_and_no_norm() -> None:
    metrics = step_metrics(add_lora(tiny.model(), LoRA(rank=4)), 0.0, [])
    assert (metrics["update_norm"], metrics["capacity_used"]) == (0, 0)
    assert math.isnan(metrics["stable_rank"])


def test_a_saturated_adapter_is_said_once_and_late() -> None:
    """All four singular values are equal from the first step on."""
    model = add_lora(tiny.model(), LoRA(rank=4))
    set_factors(model, up=0.1, entries=4)
    history: list[dict[str, Any]] = []
    for _ in range(PATIENCE + 5):
        history.append(step_metrics(model, 1.0, history))
    said = [step for step, row in enumerate(history, start=1) if "saturated" in row]
    assert said == [PATIENCE]
    assert history[PATIENCE - 1]["saturated"] == "100% of its matrices have used all of their rank evenly for 10 steps"


def test_more_bits_than_fit_are_said_at_once() -> None:
    model = add_lora(tiny.model(), LoRA(rank=1, targets=("q_proj",)))
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    history: list[dict[str, Any]] = []
    for _ in range(4):
        history.append(step_metrics(model, float(trained), history))
    assert [row["capacity_used"] for row in history] == [0.5, 1.0, 1.5, 2.0]
    assert ["saturated" in row for row in history] == [False, False, True, False]
    assert history[2]["saturated"] == "training has offered 1.5 times the bits it can hold, at 2 a parameter"


def test_ranks_too_small_to_judge_are_not_judged() -> None:
    model = add_lora(tiny.model(), LoRA(rank=2))
    set_factors(model, up=0.1, entries=2)
    metrics = step_metrics(model, 1.0, [])
    assert math.isnan(metrics["evenly_filled"]) and saturation([metrics] * PATIENCE) is None


def test_full_fine_tuning_is_never_saturated() -> None:
    model = tiny.model().requires_grad_(True)
    metrics = step_metrics(model, 1e9, [])
    assert metrics["capacity_used"] > 1 and math.isnan(metrics["update_norm"])
    assert "saturated" not in metrics


def test_the_same_change_looks_the_same_in_both_arms() -> None:
    """An adapter merged into the weights is described as the adapter is, up to rounding."""
    adapted = off_base(add_lora(tiny.model(), LoRA(rank=4)))
    of_adapter = describe_adapter(adapted, 10.0)
    merged = off_base(add_lora(tiny.model(), LoRA(rank=4))).merge_and_unload()  # pyright: ignore[reportCallIssue]
    of_full = describe_full(merged, tiny.model(), 10.0)
    assert of_adapter["matrices"].keys() == of_full["matrices"].keys() and len(of_full["matrices"]) == 14
    assert of_full["update_norm"] == pytest.approx(of_adapter["update_norm"], rel=1e-4)
    for name, ours in of_adapter["matrices"].items():
        theirs = of_full["matrices"][name]
        assert theirs["relative_norm"] == pytest.approx(ours["relative_norm"], rel=1e-4)
        assert theirs["stable_rank"] == pytest.approx(ours["stable_rank"], rel=1e-3)
        assert theirs["singular_values"][:4] == pytest.approx(ours["singular_values"], rel=1e-3)
        assert theirs["intruders"] == ours["intruders"]
    assert of_full["parameters"] > of_adapter["parameters"] == of_adapter["capacity_bits"] / 2


def test_an_update_that_is_all_there_is_intrudes() -> None:
    """A hundred times the base's norm: every leading direction is the adapter's own, four at the rank of four."""
    model = off_base(add_lora(tiny.model(), LoRA(rank=4, targets=("q_proj",))))
    for update in adapter_updates(model).values():
        update.up_OR.mul_(1000)
    described = describe_adapter(model, 0.0)
    assert [matrix["intruders"] for matrix in described["matrices"].values()] == [4, 4]
    assert described["intruders"] == 8
