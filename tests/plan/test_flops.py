"""Operations as counted by PyTorch, layer by layer and expert by expert, against the formulas."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rltk.plan.count import Tokens, attention_flops, forward_flops, training_flops
from rltk.plan.shape import Shape, shape_of
from rltk.plan.time import flops_a_token, step_flops
from rltk.plan.workload import Assumed, workload_of
from rltk.recipe.schema import Full, LoRA
from tests import tiny
from tests.onpolicy.test_costs import COMPLETION_TOKENS, LARGE, PACKED_TOKENS, RANK, matmul_flops
from tests.recipes import recipe


def shape_of_tiny(architecture: str, **changes: int) -> Shape:
    shape = shape_of(tiny.model(architecture, **changes).config.to_dict())
    assert shape is not None
    return shape


@pytest.mark.parametrize("arm", ["lora", "full"])
def test_training_costs_what_the_counter_counts(arm: str) -> None:
    """Of a micro-batch of unequal groups: equal, and so within the 3 % that were asked for."""
    _, counted = matmul_flops(arm, can_pack=True)
    tune = LoRA(rank=RANK) if arm == "lora" else Full()
    shape = shape_of_tiny("qwen3", **LARGE)
    assert training_flops(shape, tune, Tokens(PACKED_TOKENS, COMPLETION_TOKENS)) == counted


def test_a_mixture_costs_its_active_experts() -> None:
    """Four of eight experts a token; the counter sees a product for each that a token is sent to."""
    changes = {"num_experts": 8, "num_experts_per_tok": 4}
    model = tiny.model("qwen3_moe", **changes).requires_grad_(True)
    model.set_experts_implementation("eager")  # the counter knows no grouped product
    shape, tokens = shape_of(model.config.to_dict()), 24
    assert shape is not None
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.arange(5, 5 + tokens)[None], use_cache=False).logits.sum().backward()
    counts = counter.get_flop_counts()["Global"]
    bare = sum(value for name, value in counts.items() if "attention" not in str(name) and "bmm" not in str(name))
    assert training_flops(shape, Full(), Tokens(tokens, tokens)) == pytest.approx(bare, rel=0.03)


def test_the_published_ratio() -> None:
    """LoRA of rank 8 over full fine-tuning, linear layers alone: 0.670 for Llama-3.1-8B's shapes (evidence: 0.670)."""
    from rltk.plan.known import KNOWN

    shape = shape_of(KNOWN["meta-llama/Llama-3.1-8B"])
    assert shape is not None
    lora = sum(m.times * (2 * m.size + 3 * 8 * (m.outputs + m.inputs)) for m in shape.matrices)
    assert lora / (3 * shape.linear) == pytest.approx(0.670, abs=5e-4)
    once = Tokens(1, 0)
    first = training_flops(shape, LoRA(rank=8), once) / training_flops(shape, Full(), once)
    assert first == pytest.approx(0.670, rel=0.01)  # less what the first layer need not send further


def test_a_step_by_hand() -> None:
    """Two problems of 4 completions, 10 + 20 tokens, one update: sampling is a forward pass, training one of each."""
    shape = shape_of_tiny("llama")
    work = workload_of(recipe(algo={"prompts": 2, "group": 4}, rollout={"max_new_tokens": 20}), Assumed(10))
    found = step_flops(shape, Full(), work, can_pack=True)
    tokens = Tokens(2 * 10 + 8 * 20, 8 * 20)
    pairs = 2 * 10**2 + 8 * 20 * 30
    assert found.training == training_flops(shape, Full(), tokens) + attention_flops(shape, pairs, trains=True)
    assert found.scoring == 0
    half = 2 * 10**2 + 8 * 20 * 20  # a completion's token sees half of the others on average
    assert found.sampling == forward_flops(shape, tokens) + attention_flops(shape, half, trains=False)


def test_checkpointing_costs_another_forward_pass_of_the_layers() -> None:
    shape = shape_of_tiny("llama")
    kept, again = (flops_a_token(shape, Full(), checkpointing=does) for does in (False, True))
    assert again - kept == forward_flops(shape, Tokens(1, 0))


def test_reference_and_fixed_log_probabilities_cost_a_forward_pass_each() -> None:
    shape = shape_of_tiny("llama")
    work = workload_of(recipe(algo={"kl": 0.1, "updates": 2}, rollout={"max_new_tokens": 20}), Assumed(10))
    found = step_flops(shape, Full(), work, can_pack=True)
    assert found.scoring == pytest.approx(2 * found.training / 3)
