"""What a training micro-batch costs: PyTorch's own count of its FLOPs against arithmetic, and its peak memory.

A linear layer of m outputs and n inputs costs, in multiply-adds a token, 3mn where it trains and 2mn + 3r(m + n) beside
a LoRA of rank r. Shapes: V vocabulary.
"""

from itertools import product
from typing import Any

import pytest
import torch
from peft.tuners.lora import Linear
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rltk.compare.experiments.allocated import Allocated
from rltk.compare.experiments.flops import flops_of_addmm
from rltk.models.adapters import add_lora
from rltk.models.scoring import CHUNK
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.recipe.arithmetic import dtype_here
from rltk.recipe.schema import LoRA
from rltk.rollout.sampler import Rollout
from tests import tiny
from tests.onpolicy.made import ARMS, episodes, off_base
from tests.recipes import FULL, LORA, recipe

RANK = 8
LARGE: dict[str, Any] = {"hidden_size": 1024, "intermediate_size": 3072, "head_dim": 128, "initializer_range": 0.02}
LINEAR = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_)
"""Attention's products are bmm. PyTorch's counter leaves out those that add in place, so it is told of them."""


def learner(arm: str, *, can_pack: bool, tokens: int = 512, dtype: str = "float32", **shape: Any) -> Learner:
    model = tiny.model("qwen3", **shape).requires_grad_(True)
    policy = off_base(add_lora(model, LoRA(rank=RANK))) if arm == "lora" else model
    tune = {**LORA, "rank": RANK} if arm == "lora" else FULL
    chosen = recipe(
        tune=tune, model={"dtype": dtype}, rollout={"max_new_tokens": tokens}, optim={"micro_tokens": 2**20}
    )
    return Learner(chosen, policy, lr=1e-3, can_pack=can_pack)


def matmul_flops(arm: str, can_pack: bool) -> tuple[Learner, int]:
    made = learner(arm, can_pack=can_pack, **LARGE)
    made.model.train()
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops_of_addmm}) as counter:
        made.accumulate(episodes(), Tally())
    return made, sum(counter.get_flop_counts()["Global"].get(product, 0) for product in LINEAR)


def layers(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of each linear layer but the head."""
    named = [(name.removesuffix(".base_layer"), module) for name, module in model.named_modules()]
    found = {name: m for name, m in named if type(m) is nn.Linear and "lora_" not in name and "lm_head" not in name}
    return {name: (layer.out_features, layer.in_features) for name, layer in found.items()}


def is_first(name: str) -> bool:
    """Reads the embeddings, through a norm: where these are frozen it needs no gradient of its input."""
    return any(name.endswith(f"layers.0.self_attn.{kind}_proj") for kind in "qkv")


TAUGHT = [episode for episode in episodes() if episode.advantage]
COMPLETION_TOKENS = sum(len(episode.tokens_T) for episode in TAUGHT)
PACKED_TOKENS = COMPLETION_TOKENS + sum({tuple(episode.prompt): len(episode.prompt) for episode in TAUGHT}.values())


@pytest.mark.parametrize("can_pack", [True, False])
def test_lora_costs_two_products_and_full_fine_tuning_three(can_pack: bool) -> None:
    """To the last multiply-add; over all layers but those that read the embeddings the ratio is the formula's."""
    (lora, of_lora), (full, of_full) = (matmul_flops(arm, can_pack) for arm in ("lora", "full"))
    shapes, vocabulary = layers(full.model), len(tiny.tokenizer())
    assert len(shapes) == 2 * 7 and sum(isinstance(module, Linear) for module in lora.model.modules()) == 14
    # In rows the two groups, of completions of up to 12 and 11 tokens, are padded to 5 + 12 tokens.
    tokens = PACKED_TOKENS if can_pack else 6 * 17
    head = COMPLETION_TOKENS * vocabulary * LARGE["hidden_size"]
    expected_full = tokens * sum(3 * m * n for m, n in shapes.values()) + 3 * head
    spared = sum(m * n + RANK * n for name, (m, n) in shapes.items() if is_first(name))
    expected_lora = tokens * (sum(2 * m * n + 3 * RANK * (m + n) for m, n in shapes.values()) - spared) + 2 * head
    assert of_full == 2 * expected_full
    assert of_lora == 2 * expected_lora

    measured = (of_lora / 2 - 2 * head + tokens * spared) / (of_full / 2 - 3 * head)
    by_lora = sum(2 * m * n + 3 * RANK * (m + n) for m, n in shapes.values())
    formula = by_lora / sum(3 * m * n for m, n in shapes.values())
    assert measured == pytest.approx(formula, rel=0.03) and formula < 0.7


def test_the_count_of_bytes_is_right() -> None:
    """A million numbers, twice as many, then the first are given back, then a view that costs nothing."""
    with Allocated() as memory:
        first = torch.zeros(1_000_000)
        second = torch.zeros(2_000_000)
        assert memory.now == memory.peak == 12_000_000
        del first
        assert (memory.now, memory.peak) == (8_000_000, 12_000_000)
        view = second[5:].view(-1)
        del second
        assert memory.now == 8_000_000
        view += 1
        del view
        assert (memory.now, memory.peak) == (0, 12_000_000)


def peak(arm: str, *, vocabulary: int, tokens: int) -> int:
    """Bytes that the gradient of eight completions of so many tokens takes, in one micro-batch."""
    sizes = {"hidden_size": 64, "vocab_size": vocabulary, "max_position_embeddings": 4096}
    made = learner(arm, can_pack=True, tokens=tokens, dtype=dtype_here(), tie_word_embeddings=True, **sizes)
    made.model.train()
    rollout = Rollout(torch.arange(tokens) % 500 + 5, torch.full((tokens,), -7.0), is_truncated=False)
    with Allocated() as memory:
        made.accumulate([Episode([5, 6, 7], rollout, 0.0, 1.0, False)] * 8, Tally())
    return memory.peak


SLOW = [pytest.param("lora", 2048, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("arm", "tokens"), [*product(ARMS, [64]), *SLOW])
def test_a_large_vocabulary_costs_no_more_than_a_chunk(arm: str, tokens: int) -> None:
    """152k tokens against 1k. What its larger embeddings cost shows where completions have one token: no matter."""
    by_length = {
        length: peak(arm, vocabulary=152_000, tokens=length) - peak(arm, vocabulary=1024, tokens=length)
        for length in (1, tokens)
    }
    chunk = CHUNK * torch.float32.itemsize
    assert 8 * tokens * 152_000 > CHUNK  # it takes several
    assert by_length[tokens] - by_length[1] <= chunk, f"{by_length[tokens] - by_length[1]:,} bytes"
