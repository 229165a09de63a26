"""What an adapter covers, what it adds to the base, and what is refused rather than left out."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.errors import UserError
from rltk.models.adapters import adapted_parameters, adapter_off, add_lora, coverage, shrink_frozen
from rltk.models.experts import follow_autocast
from rltk.recipe.schema import LoRA
from tests import tiny
from tests.models.mixtures import CONFIGS, REFUSED, mixture
from tests.onpolicy.made import off_base

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
DENSE = ("qwen3", "llama", "gemma3")
IDS = torch.randint(5, 60, (3, 17), generator=torch.Generator().manual_seed(0))


def plain(name: str) -> str:
    """A weight's name as it was before PEFT wrapped its layer."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "").removesuffix(".weight")


def layers_adapted(model: PeftModel) -> set[str]:
    return {plain(name) for name in adapted_parameters(model)}


def in_both_layers(*names: str) -> set[str]:
    return {f"model.layers.{layer}.{name}" for layer, name in product(range(2), names)}


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("targets", ["all-linear", "attention", "mlp"])
def test_what_each_kind_of_targets_covers(architecture: str, targets: Any) -> None:
    mlp = MLP if architecture in DENSE else EXPERTS
    names = {"all-linear": ATTENTION + mlp, "attention": ATTENTION, "mlp": mlp}[targets]
    model = add_lora(tiny.model(architecture), LoRA(rank=4, targets=targets))
    assert layers_adapted(model) == in_both_layers(*names)
    assert all("lora_" in name for name, weight in model.named_parameters() if weight.requires_grad)
    # Neither head nor embeddings, nor the router, has an adapter: their modules are the ones transformers made.
    wrapped = {plain(name) for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    assert not any(re.search(r"lm_head|embed_tokens|mlp\.gate$|norm", name) for name in wrapped)


def test_coverage_by_hand() -> None:
    """Hidden 32, MLP 48, 4 heads and 2 key heads of 8, 2 layers, rank 4: counts of each layer are written out."""
    model = add_lora(tiny.model("llama", tie_word_embeddings=False), LoRA(rank=4))
    per_layer = (32 + 32) + (32 + 16) + (32 + 16) + (32 + 32) + 3 * (32 + 48)
    adapted = 2 * (32 * 32 + 32 * 16 + 32 * 16 + 32 * 32 + 3 * 32 * 48)
    vocabulary = len(tiny.tokenizer())
    found = coverage(model)
    assert found.trainable == 2 * 4 * per_layer
    assert found.adapted == adapted
    assert found.total == adapted + 2 * vocabulary * 32 + 5 * 32  # and five norms
    assert found.kinds == ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
    assert f"LoRA trains {2 * 4 * per_layer:,} parameters" in str(found)


def test_coverage_of_experts_by_hand() -> None:
    """4 experts of 24: gate and up as one matrix of 48 rows, and down; rank 4 in each."""
    model = add_lora(tiny.model("qwen3_moe"), LoRA(rank=4, targets="mlp"))
    assert coverage(model).adapted == 2 * 4 * (48 * 32 + 32 * 24)
    assert coverage(model).trainable == 2 * 4 * 4 * ((32 + 48) + (24 + 32))
    assert coverage(model).kinds == ("down_proj", "gate_up_proj")


@pytest.mark.parametrize(
    ("architecture", "names", "expected"),
    [
        ("qwen3", ("q_proj", "down_proj"), in_both_layers("self_attn.q_proj", "mlp.down_proj")),
        ("qwen3", ("mlp.up_proj",), in_both_layers("mlp.up_proj")),
        ("llama", ("layers.1.self_attn.v_proj",), {"model.layers.1.self_attn.v_proj"}),
        ("qwen3_moe", ("k_proj", "gate_up_proj"), in_both_layers("self_attn.k_proj", "mlp.experts.gate_up_proj")),
    ],
)
def test_layers_by_name(architecture: str, names: tuple[str, ...], expected: set[str]) -> None:
    assert layers_adapted(add_lora(tiny.model(architecture), LoRA(rank=4, targets=names))) == expected


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"names 'query', which no layer is called; there are down_proj, gate_proj, k_p"
    ):
        add_lora(tiny.model("qwen3"), LoRA(rank=4, targets=("q_proj", "query")))
    with pytest.raises(UserError, match="names 'proj'"):  # the end of a name, but not of a part of it
        add_lora(tiny.model("qwen3"), LoRA(rank=4, targets=("proj",)))
    with pytest.raises(UserError, match="names 'lm_head'"):
        add_lora(tiny.model("qwen3"), LoRA(rank=4, targets=("lm_head",)))


def adapters(model: PeftModel) -> Iterator[tuple[str, Any]]:
    """Each adapter by the name of the weight it adds to."""
    for path, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield f"{plain(path)}.{getattr(module, 'parameter_name', 'weight')}", module


def ranks(model: PeftModel) -> dict[str, int]:
    return {plain(name): module.r["default"] for name, module in adapters(model)}


def test_experts_get_the_same_rank_or_their_share() -> None:
    same = ranks(add_lora(tiny.model("qwen3_moe"), LoRA(rank=4)))
    divided = ranks(add_lora(tiny.model("qwen3_moe"), LoRA(rank=4, expert_rank="divided")))
    least = ranks(add_lora(tiny.model("qwen3_moe"), LoRA(rank=1, expert_rank="divided")))
    assert set(same.values()) == {4}
    assert {name: rank for name, rank in divided.items() if rank == 2}.keys() == in_both_layers(*EXPERTS)
    assert {rank for name, rank in divided.items() if "experts" not in name} == {4}  # 2 of 4 experts are active
    assert set(least.values()) == {1}


def test_a_shared_expert_is_always_active_so_its_rank_is_not_divided() -> None:
    divided = ranks(add_lora(mixture("qwen2_moe"), LoRA(rank=4, expert_rank="divided")))
    assert {rank for name, rank in divided.items() if ".experts." in name} == {2}
    shared = {rank for name, rank in divided.items() if "shared_expert" in name}
    assert shared == {4}


def test_expert_rank_without_experts_is_refused() -> None:
    with pytest.raises(UserError, match="expert_rank = 'divided' needs adapters on experts"):
        add_lora(tiny.model("qwen3"), LoRA(rank=4, expert_rank="divided"))
    with pytest.raises(UserError, match="expert_rank = 'divided' needs adapters on experts"):
        add_lora(tiny.model("qwen3_moe"), LoRA(rank=4, expert_rank="divided", targets="attention"))


def test_dropout_on_experts_is_refused() -> None:
    with pytest.raises(UserError, match=r"tune.dropout must be 0"):
        add_lora(tiny.model("qwen3_moe"), LoRA(rank=4, dropout=0.1))
    add_lora(tiny.model("qwen3_moe"), LoRA(rank=4, dropout=0.1, targets="attention"))


def deltas(model: PeftModel, alpha: float) -> Iterator[tuple[str, Tensor]]:
    """What each adapter adds to its weight: alpha / rank * B A, for an expert its own rows of A and columns of B."""
    for name, module in adapters(model):
        down, up, rank = module.lora_A["default"].weight, module.lora_B["default"].weight, module.r["default"]
        if name.endswith(".weight"):
            yield name, alpha / rank * up @ down
            continue
        experts = len(down) // rank
        each = zip(down.split(rank), up.view(len(up), rank, experts).unbind(dim=2), strict=True)
        yield name, torch.stack([alpha / rank * b @ a for a, b in each])


@pytest.mark.parametrize(
    ("architecture", "expert_rank"), [*((name, "same") for name in tiny.ARCHITECTURES), ("qwen3_moe", "divided")]
)
def test_an_adapter_adds_alpha_over_rank_times_b_a(architecture: str, expert_rank: Any) -> None:
    base, model = tiny.model(architecture), tiny.model(architecture)
    adapted = off_base(add_lora(model, LoRA(rank=4, alpha=6, expert_rank=expert_rank)))
    added = dict(deltas(adapted, alpha=6))
    assert len(added) == 2 * (7 if architecture in DENSE else 6)
    with torch.no_grad():
        for name, delta in added.items():
            base.get_parameter(name).add_(delta)
    torch.testing.assert_close(logits(adapted), logits(base), rtol=0, atol=2e-5)
    assert (logits(adapted) - logits(tiny.model(architecture))).abs().max() > 0.1


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_fresh_adapter_and_one_that_is_off_compute_exactly_the_base(architecture: str) -> None:
    expected = logits(tiny.model(architecture))
    adapted = add_lora(tiny.model(architecture), LoRA(rank=4))
    assert torch.equal(logits(adapted), expected)
    off_base(adapted)
    with adapter_off(adapted):
        assert torch.equal(logits(adapted), expected)
    assert not torch.equal(logits(adapted), expected)


def refused_or_adapted(architecture: str, targets: Any) -> PeftModel | str:
    try:
        return add_lora(mixture(architecture), LoRA(rank=4, targets=targets))
    except UserError as error:
        return str(error)


def matrices(model: PreTrainedModel) -> set[str]:
    """Every weight of two or more dimensions between embeddings and head, but for routers: what `all-linear` means."""
    return {
        name.removesuffix(".weight")
        for name, weight in model.named_parameters()
        if weight.ndim >= 2 and not re.search(r"embed_tokens|wte|lm_head|router|\.gate\.|expert_gate|bias$", name)
    }


@pytest.mark.parametrize("architecture", CONFIGS)
def test_all_linear_adapts_every_expert_or_is_refused(architecture: str) -> None:
    found = refused_or_adapted(architecture, "all-linear")
    if architecture in REFUSED:
        assert isinstance(found, str) and REFUSED[architecture] in found
        return
    assert isinstance(found, PeftModel), found
    expected = matrices(mixture(architecture))
    assert layers_adapted(found) == expected
    assert any("expert" in name or "mlp" in name or "moe" in name for name in expected)
    off_base(found)
    found(input_ids=IDS).logits.log_softmax(-1)[..., 7].sum().backward()
    gradients = {name: weight.grad for name, weight in found.named_parameters() if weight.requires_grad}
    assert not [name for name, gradient in gradients.items() if gradient is None or not gradient.abs().sum()]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_kind_of_targets_is_covered_whole_or_refused(architecture: str) -> None:
    """`mlp` and `attention` make up `all-linear` where they are not refused: PEFT drops and adds layers on its own."""
    parts = [refused_or_adapted(architecture, targets) for targets in ("attention", "mlp")]
    for part, targets in zip(parts, ("attention", "mlp"), strict=True):
        assert isinstance(part, PeftModel) or "PEFT leaves out" in part or "matches no layer" in part, targets
    if all(isinstance(part, PeftModel) for part in parts):
        covered = [layers_adapted(part) for part in parts if isinstance(part, PeftModel)]
        assert covered[0] | covered[1] == matrices(mixture(architecture))
        assert not covered[0] & covered[1]
    assert isinstance(parts[1], PeftModel) == (architecture not in REFUSED)


def test_a_name_that_peft_reads_as_an_older_one_is_refused() -> None:
    """It takes `gate_proj` of GLM's shared experts for the experts' fused weight, and would adapt that instead."""
    with pytest.raises(UserError, match="PEFT cannot adapt these layers of glm4_moe"):
        add_lora(mixture("glm4_moe"), LoRA(rank=4, targets=("gate_proj",)))


def bfloat16_values(model: PreTrainedModel) -> PreTrainedModel:
    """Float32 weights that a bfloat16 checkpoint would have held, computing as a loaded model's do."""
    rounded = model.to(torch.bfloat16).float()  # pyright: ignore[reportArgumentType]
    follow_autocast(rounded)
    return rounded


def kept(model: nn.Module) -> set[str]:
    return {plain(name) for name, weight in model.named_parameters() if weight.dtype == torch.float32}


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_shrinking_halves_frozen_matrices_and_changes_no_number(architecture: str, is_tied: bool) -> None:
    model = off_base(
        add_lora(
            bfloat16_values(tiny.model(architecture, tie_word_embeddings=is_tied)), LoRA(rank=4, targets="attention")
        )
    )
    with torch.autocast("cpu", torch.bfloat16):
        before = logits(model)
        saved = shrink_frozen(model)
        assert torch.equal(logits(model), before)
    small = {plain(name) for name, weight in model.named_parameters() if weight.dtype == torch.bfloat16}
    mlp = MLP if architecture in DENSE else EXPERTS
    assert small == in_both_layers(*ATTENTION, *mlp) | (set() if is_tied else {"lm_head"})
    assert saved == 2 * sum(weight.numel() for weight in model.parameters() if weight.dtype == torch.bfloat16)
    assert {name for name in kept(model) if "embed" in name} == {"model.embed_tokens"}
    assert all(weight.dtype == torch.float32 for weight in model.parameters() if weight.requires_grad)
    assert sum("norm" in name for name in kept(model)) > 4
    assert shrink_frozen(model) == 0


def test_shrinking_touches_nothing_that_would_lose_a_bit() -> None:
    model = add_lora(bfloat16_values(tiny.model("qwen3")), LoRA(rank=4))
    weight = model.get_parameter("base_model.model.model.layers.1.mlp.up_proj.base_layer.weight")
    with torch.no_grad():
        weight[3, 5] = 1 + 2**-9  # bfloat16 has eight bits of mantissa, this needs nine
    values = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    shrink_frozen(model)
    assert "model.layers.1.mlp.up_proj" in kept(model)
    assert "model.layers.0.mlp.up_proj" not in kept(model)
    for name, weight in model.named_parameters():
        assert torch.equal(weight.float(), values[name]), name


def test_shrinking_leaves_what_trains_alone() -> None:
    """B of a fresh adapter is zero, which bfloat16 holds exactly; still it must stay."""
    model = add_lora(bfloat16_values(tiny.model("qwen3_moe")), LoRA(rank=4))
    shrink_frozen(model)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    full = bfloat16_values(tiny.model("qwen3")).requires_grad_(True)
    assert shrink_frozen(full) == 0
    assert {weight.dtype for weight in full.parameters()} == {torch.float32}
