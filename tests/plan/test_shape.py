"""Shapes read from configs against transformers' build of them, PEFT's adapters, published totals, and the counter."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from rltk.models.adapters import add_lora, coverage
from rltk.models.shapes import shape_of_model
from rltk.plan.count import Tokens, adapter_parameters, attention_flops, forward_flops, trainable_parameters
from rltk.plan.known import KNOWN
from rltk.plan.shape import FAMILIES, Shape, shape_of
from rltk.recipe.schema import Full, LoRA
from tests import tiny

SMALL: dict[str, Any] = {**tiny.SHAPE, "vocab_size": 1024, "bos_token_id": None, "eos_token_id": 4, "pad_token_id": 0}
SMALL_EXPERTS = {"moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2}
BIASES = {"attention_bias": True, "mlp_bias": True}
PROVEN = ("meta-llama/Llama-3.1-8B", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-30B-A3B", "google/gemma-3-1b-it")
PUBLISHED = {
    "Qwen/Qwen3-0.6B": 0.6,
    "Qwen/Qwen3-1.7B": 1.7,
    "Qwen/Qwen3-4B": 4.0,
    "Qwen/Qwen3-8B": 8.2,
    "Qwen/Qwen3-14B": 14.8,
    "Qwen/Qwen3-32B": 32.8,
    "Qwen/Qwen3-30B-A3B": 30.5,
    "meta-llama/Llama-3.2-1B": 1.24,
    "meta-llama/Llama-3.2-3B": 3.21,
    "meta-llama/Llama-3.1-8B": 8.03,
    "meta-llama/Llama-3.1-70B": 70.6,
    "google/gemma-3-1b-it": 1.0,
}
"""Billions, from the models' cards."""


def config_of(values: dict[str, Any]) -> PretrainedConfig:
    return AutoConfig.for_model(values["model_type"], **{k: v for k, v in values.items() if k != "model_type"})


def built(values: dict[str, Any]) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(values))


def known(name: str) -> Shape:
    shape = shape_of(KNOWN[name])
    assert shape is not None
    return shape


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("biases", [{}, BIASES], ids=["plain", "biases"])
def test_a_config_alone_gives_what_transformers_builds(family: str, biases: dict[str, bool]) -> None:
    values = {**SMALL, **biases, "model_type": family} | (SMALL_EXPERTS if FAMILIES[family].has_experts else {})
    read, model = shape_of(values), built(values)
    assert read is not None
    assert read.parameters == sum(weight.numel() for weight in model.parameters())
    found = shape_of_model(model)
    assert (found.parameters, found.linear, found.vectors) == (read.parameters, read.linear, read.vectors)
    assert (found.is_tied, found.has_head_norms) == (read.is_tied, read.has_head_norms)
    tokens = Tokens(10, 3)
    for tune in (LoRA(rank=4), LoRA(rank=2, targets="attention"), LoRA(rank=2, targets="mlp"), None):
        assert forward_flops(found, tokens, tune) == forward_flops(read, tokens, tune)
        if tune is not None:
            assert adapter_parameters(found, tune) == adapter_parameters(read, tune)


@pytest.mark.parametrize("name", PROVEN)
def test_adapters_have_as_many_parameters_as_pefts(name: str) -> None:
    """Of the same model, built on the meta device and adapted as a run adapts it."""
    tune = LoRA(rank=8)
    with torch.device("meta"):
        covered = coverage(add_lora(built(KNOWN[name]), tune))
    assert (covered.trainable, covered.total) == (adapter_parameters(known(name), tune), known(name).parameters)


def test_experts_of_a_divided_rank_have_as_many_parameters_as_pefts() -> None:
    tune = LoRA(rank=4, expert_rank="divided")
    values = {**SMALL, **SMALL_EXPERTS, "model_type": "qwen3_moe"}
    shape = shape_of(values)
    assert shape is not None
    with torch.device("meta"):
        assert coverage(add_lora(built(values), tune)).trainable == adapter_parameters(shape, tune)


@pytest.mark.parametrize("name", KNOWN)
def test_known_shapes_come_to_the_published_totals(name: str) -> None:
    billions = known(name).parameters / 1e9
    assert billions == pytest.approx(PUBLISHED[name], rel=0.03)


@pytest.mark.parametrize(
    ("targets", "rank", "billions"),
    [("mlp", 256, 0.49), ("attention", 256, 0.25), ("all-linear", 256, 0.70), ("mlp", 128, 0.24)],
)
def test_the_published_table_holds_with_an_adapter_on_the_head(targets: Any, rank: int, billions: float) -> None:
    """Llama-3.1-8B in "LoRA Without Regret"; without the head the sums are 0.45, 0.22, 0.67 and 0.23."""
    shape, tune = known("meta-llama/Llama-3.1-8B"), LoRA(rank=rank, targets=targets)
    assert adapter_parameters(shape, tune, with_head=True) / 1e9 == pytest.approx(billions, abs=0.0051)
    assert round(adapter_parameters(shape, tune) / 1e9, 2) != billions


def test_the_heads_adapter_is_pefts() -> None:
    values = {**SMALL, "model_type": "llama", "tie_word_embeddings": False}
    shape = shape_of(values)
    assert shape is not None
    chosen = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    model = get_peft_model(built(values), LoraConfig(r=4, target_modules=chosen))
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert trained == adapter_parameters(shape, LoRA(rank=4), with_head=True)


def test_counts_of_the_evidence() -> None:
    """A rank has 630,784 in Qwen3-0.6B; 1,769,472 in the MLPs and 851,968 in the attention of Llama-3.1-8B."""
    assert adapter_parameters(known("Qwen/Qwen3-0.6B"), LoRA(rank=1)) == 630_784
    llama = known("meta-llama/Llama-3.1-8B")
    assert adapter_parameters(llama, LoRA(rank=1, targets="mlp")) == 1_769_472
    assert adapter_parameters(llama, LoRA(rank=1, targets="attention")) == 851_968
    assert trainable_parameters(llama, Full()) == 8_030_261_248


def test_what_the_table_does_not_know_is_left_to_the_build() -> None:
    assert shape_of({**SMALL, "model_type": "mamba"}) is None
    assert (
        shape_of({key: value for key, value in SMALL.items() if key != "vocab_size"} | {"model_type": "llama"}) is None
    )
    dense_first = {**SMALL, **SMALL_EXPERTS, "model_type": "qwen3_moe", "mlp_only_layers": [0]}
    assert shape_of(dense_first) is None
    found = shape_of_model(built(dense_first))
    assert found.parameters == sum(weight.numel() for weight in built(dense_first).parameters())


def test_attention_by_hand() -> None:
    """One layer of 4 heads of 8: a pair costs 2 * 8 multiply-adds a head forward, and twice that backward."""
    shape = shape_of({**SMALL, "model_type": "llama", "num_hidden_layers": 1})
    assert shape is not None
    assert attention_flops(shape, 10, trains=False) == 2 * 4 * 2 * 8 * 10
    assert attention_flops(shape, 10, trains=True) == 3 * 2 * 4 * 2 * 8 * 10


def test_a_target_may_name_a_module_of_one_layer() -> None:
    """As PEFT reads it: by the end of the module's name."""
    shape = known("Qwen/Qwen3-0.6B")
    one = ("27.self_attn.q_proj", "3.self_attn.q_proj", "model.layers.3.self_attn.q_proj")
    for names, layers in ((one[:1], 1), (one, 2), (("self_attn.q_proj",), 28), (("q_proj", *one), 28)):
        tune = LoRA(rank=2, targets=names)
        with torch.device("meta"):
            covered = coverage(add_lora(built(KNOWN["Qwen/Qwen3-0.6B"]), tune))
        assert adapter_parameters(shape, tune) == covered.trainable == layers * 2 * (1024 + 2048)
