"""What only a GPU shows: steps captured as CUDA graphs, and batches that its memory decides."""

import pytest
import torch
from torch import nn

from rltk.models.adapters import add_lora
from rltk.recipe.schema import LoRA
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from tests import tiny
from tests.onpolicy.made import off_base
from tests.rollout.test_batches import LONG, PROMPTS, STAGGERED, assert_same
from tests.rollout.test_engines import difference, tokens

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_captured_step_writes_what_the_step_itself_writes(architecture: str) -> None:
    model = off_base(add_lora(tiny.model(architecture), LoRA(rank=4))).cuda()
    captured = NativeSampler(model, stops=STAGGERED, batch=6, dtype=torch.float32)
    launched = NativeSampler(model, stops=STAGGERED, batch=6, dtype=torch.float32)
    launched.can_capture = False
    found = captured.sample(PROMPTS, 2, LONG, seed=3)
    assert_same(found, launched.sample(PROMPTS, 2, LONG, seed=3))
    assert captured.has_captured and captured.can_capture
    assert difference(model, PROMPTS, found, 1.0) < 1e-4


def test_a_graph_follows_the_weights_of_the_next_rollout() -> None:
    """Weights are cast anew for each rollout, so a graph of the one before would sample from a stale adapter."""
    model = off_base(add_lora(tiny.model("qwen3"), LoRA(rank=4))).cuda()
    sampler = NativeSampler(model, stops=(), batch=None, dtype=torch.bfloat16)
    before = sampler.sample(PROMPTS, 4, Sampling(40), seed=0)
    with torch.no_grad():
        for weight in (weight for weight in model.parameters() if weight.requires_grad):
            weight.mul_(-3)
    after = sampler.sample(PROMPTS, 4, Sampling(40), seed=0)
    assert tokens(before) != tokens(after)
    assert difference(model, PROMPTS, after, 1.0) < 0.3


def test_memory_decides_the_batch() -> None:
    model = nn.Module.cuda(tiny.model("qwen3"))
    sampler = NativeSampler(model, stops=(), batch=None, dtype=torch.bfloat16)
    assert sampler.fitting(rows=64, tokens=100) == 64
    assert 0 < sampler.fitting(rows=10**9, tokens=100) < 10**9
