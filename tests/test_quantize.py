"""QLoRA: a base in four bits is what it says, trains with every algorithm, and is evaluated and exported as it was.

Skipped, loudly, where bitsandbytes is not installed; what is refused is tested everywhere.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rltk_reward_models import quantized
from rltk_reward_models.scorer import Scorer
from safetensors.torch import load_file

from rltk.cli import main
from rltk.compare.arms import arm_recipes
from rltk.errors import RecipeError, UserError
from rltk.evaluation.target import find_target
from rltk.models.adapters import adapted_parameters
from rltk.models.lean import Layers, lean_training
from rltk.models.load import load_weights
from rltk.models.modes import computing_in, evaluating
from rltk.models.tune import tuned
from rltk.plan.config import find_shape
from rltk.plan.roles import policy_bytes
from rltk.plan.workload import FOUR_BITS, Assumed, workload_of
from rltk.rollout.lean import LeanLayers
from tests import asked, runs
from tests.offline import made
from tests.recipes import recipe

CPU = torch.device("cpu")
FOUR = {"quantize": "nf4"}
LEVELS = (-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0)
LEVELS += (0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0)
"""Quantiles of a normal distribution, of which 0 is one (arXiv 2305.14314, appendix E)."""
ALGORITHMS = ("grpo", "ppo", "sft", "dpo", "reward_model")


@pytest.fixture
def four_bits() -> None:
    if not has_four_bits():
        pytest.skip("QLORA NOT TESTED: bitsandbytes is not installed (pip install 'rltk[quantize]')")


def has_four_bits() -> bool:
    try:
        quantized.refuse_absent()
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of which every row is whole blocks."""
    shape = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
    return runs.guesser(tmp_path_factory.mktemp("wide"), tie_word_embeddings=True, **shape)


def quantized_recipe(model: Path, **sections: Any) -> Any:
    chosen = {"path": str(model), "dtype": "float32", **FOUR} | sections.pop("model", {})
    return recipe(model=chosen, **sections)


@pytest.mark.usefixtures("four_bits")
def test_each_number_is_a_level_of_its_block(wide: Path) -> None:
    """The largest of a block of 64 is one of the levels -1 and 1, and so tells the others'."""
    whole = load_weights(recipe(model={"path": str(wide)}).model, CPU)
    base = load_weights(quantized_recipe(wide).model, CPU)
    layers = {name: module for name, module in base.named_modules() if type(module).__name__ == quantized.LAYER}
    assert len(layers) == sum("_proj" in name for name, _ in whole.named_modules()) > 0
    for name, layer in layers.items():
        weight = layer.get_parameter("weight")
        assert weight.dtype == torch.uint8 and 2 * weight.numel() == whole.get_parameter(f"{name}.weight").numel()
        held = quantized.numbers(weight)
        assert quantized.shape_of(weight) == held.shape
        blocks = held.reshape(-1, 64)
        shares = blocks / blocks.abs().amax(1, keepdim=True)
        assert (shares[..., None] - torch.tensor(LEVELS)).abs().amin(-1).max() < 1e-5
        meant = whole.get_parameter(f"{name}.weight")
        error = (held - meant).abs().mean() / meant.abs().mean()
        assert 0.01 < error < 0.2
    others = {name: weight for name, weight in base.named_parameters() if name.removesuffix(".weight") not in layers}
    assert all(torch.equal(weight, whole.get_parameter(name)) for name, weight in others.items()) and others


@pytest.mark.usefixtures("four_bits")
def test_lean_layers_leave_four_bits_to_peft(wide: Path) -> None:
    """Log-probabilities and gradients are those of the layers as they are, sampling and training alike."""
    model, statement = tuned(load_weights(quantized_recipe(wide).model, CPU), quantized_recipe(wide))
    assert statement.endswith("; the base is held in nf4") and isinstance(model, PeftModel)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    ids_BT = torch.arange(5, 17).reshape(2, 6)

    def logits_and_gradient() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        found = model(input_ids=ids_BT).logits
        found.logsumexp(-1).sum().backward()
        return found.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    plain, gradients = logits_and_gradient()
    with lean_training(Layers(model), torch.float32), computing_in(torch.float32, CPU):
        lean, lean_gradients = logits_and_gradient()
    torch.testing.assert_close(lean, plain, rtol=0, atol=1e-5)
    assert len(gradients) == 2 * len(adapted_parameters(model))
    torch.testing.assert_close(lean_gradients, gradients, rtol=1e-4, atol=1e-4)
    with torch.no_grad(), evaluating(model), LeanLayers(model).computing_in(torch.float32):
        torch.testing.assert_close(model(input_ids=ids_BT).logits, plain, rtol=0, atol=1e-5)
    with torch.no_grad(), evaluating(model):  # an evaluation does not change what trains
        model(input_ids=ids_BT)
    torch.testing.assert_close(logits_and_gradient()[1], gradients)


def trained(algorithm: str, wide: Path, folder: Path, dtype: str = "float32") -> Path:
    """The folder of a run of a few steps."""
    model = {"dtype": dtype, **FOUR}
    if algorithm in ("grpo", "ppo"):
        algo = {"type": algorithm} if algorithm == "grpo" else {"type": "ppo", "epochs": 1}
        file = runs.write_recipe(folder, wide, model=model, algo=algo, optim={"steps": 3})
    else:
        file = made.write_recipe(folder, wide, algorithm, model=model, optim={"steps": 3})
    assert main(["train", str(file), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.mark.usefixtures("four_bits")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_float32_adapters_beside_four_bits(algorithm: str, wide: Path, tmp_path: Path) -> None:
    run = trained(algorithm, wide, tmp_path, dtype="bfloat16")
    saved = load_file(run / "model" / "adapter_model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    assert all(weight.any() for name, weight in saved.items() if "lora_B" in name), "all of them have moved"
    assert any((weight != weight.bfloat16()).any() for weight in saved.values()), "and were never rounded"
    manifest = runs.read(run / "manifest.json")
    assert manifest["recipe"]["model"]["quantize"] == "nf4" and manifest["status"] == "finished"
    rows = runs.rows(run / "metrics.jsonl")
    mismatches = [row["rollout_mismatch_kl"] for row in rows if row.get("rollout_mismatch_kl") is not None]
    assert bool(mismatches) == (algorithm in ("grpo", "ppo"))
    assert all(mismatch < 1e-3 for mismatch in mismatches), "what sampled is what trains"
    if algorithm == "reward_model":
        assert json.loads((run / "model" / "base.json").read_text())["quantize"] == "nf4"
        assert quantized.kind_of(Scorer.load(run / "model").model) == "nf4"


@pytest.mark.usefixtures("four_bits")
def test_a_run_is_evaluated_and_exported_as_it_was_trained(
    wide: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = trained("grpo", wide, tmp_path)
    given = asked.answers("eval", capfd)(run, "--out", tmp_path / "out")
    assert given["scores"] == runs.read(run / "scores.json")["after"]
    assert find_target(str(run / "model")).model.quantize == "nf4", "the adapter's folder alone says it"
    export = asked.answers("export", capfd)
    for options in ((), ("--merge", "--dtype", "float32")):
        found = export(run, tmp_path / f"export{len(options)}", *options)
        assert found["difference"] < 1e-4, "plain transformers and PEFT compute what the run computes"
    assert 'bnb_4bit_quant_type="nf4"' in (tmp_path / "export0" / "README.md").read_text()
    merged = json.loads((tmp_path / "export3" / "config.json").read_text())
    assert "quantization_config" not in merged


@pytest.mark.usefixtures("four_bits")
def test_weights_that_would_be_read_wrong_are_refused(guesser: Path) -> None:
    """Two rows of 32 share a block, which bitsandbytes 0.50 confuses on CPUs; the quantized numbers themselves tell."""
    from bitsandbytes.functional import (  # pyright: ignore[reportMissingImports]
        dequantize_4bit,
        quantize_4bit,
    )

    weight_OI = torch.randn((64, 32), generator=torch.Generator().manual_seed(0))
    error_OI = dequantize_4bit(*quantize_4bit(weight_OI, quant_type="nf4")) - weight_OI
    if error_OI.abs().mean() < 0.15 * weight_OI.abs().mean():  # a later version reads them right
        assert load_weights(quantized_recipe(guesser).model, CPU)
        return
    with pytest.raises(UserError, match=r"model\.quantize = nf4: bitsandbytes reads weights of a layer of 32 inputs"):
        load_weights(quantized_recipe(guesser).model, CPU)


def test_what_four_bits_cannot_do_is_refused(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="is for LoRA alone: weights that train need more than four bits"):
        quantized_recipe(wide, tune={"type": "full"})
    with pytest.raises(ValueError, match=r"moves the base, which model\.quantize holds in four bits"):
        quantized_recipe(wide, tune={"type": "lora", "init": "pissa"})
    with pytest.raises(ValueError, match="is not what servers sample from"):
        quantized_recipe(wide, rollout={"engine": "vllm", "servers": ["http://127.0.0.1:1"]})
    monkeypatch.setitem(sys.modules, quantized.PACKAGE, None)
    with pytest.raises(UserError, match=r"model\.quantize = nf4: it needs bitsandbytes .*rltk\[quantize\]"):
        load_weights(quantized_recipe(wide).model, CPU)
    file = runs.write_recipe(tmp_path, wide, model=FOUR)
    assert asked.refusals("train", capfd)(file).startswith("model.quantize = nf4: it needs bitsandbytes")
    assert not list(tmp_path.glob("runs/*/*"))


def test_the_plan_counts_half_bytes_and_their_constants(wide: Path) -> None:
    assert FOUR_BITS == 0.5 + (1 + 4 / 256) / 64
    plain, four = recipe(model={"path": str(wide)}), quantized_recipe(wide)
    shape = find_shape(plain.model)
    found = [policy_bytes(shape, one.tune, workload_of(one, Assumed(4))) for one in (plain, four)]
    assert found[0] - found[1] == pytest.approx((4 - FOUR_BITS) * shape.linear)


def test_an_arm_of_a_comparison_may_be_in_four_bits_and_differ_in_nothing_else_of_the_model() -> None:
    arms = arm_recipes(recipe(compare={"arms": ["full", "lora-4", "qlora-4"]}))
    assert [arm.model.quantize for arm in arms.values()] == [None, None, "nf4"]
    assert arms["qlora-4"].tune == arms["lora-4"].tune
    odd = {"full": "full", "a": {"model": {"path": "x/y"}}}
    with pytest.raises(RecipeError, match=r"compare\.arms\.a sets model\.path; of model it may set quantize"):
        arm_recipes(recipe(compare={"arms": odd}))
    with pytest.raises(RecipeError, match="is for LoRA alone"):
        arm_recipes(recipe(model={"quantize": "nf4"}, compare={"arms": ["full", "lora-4"]}))
