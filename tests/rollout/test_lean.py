"""Lean layers while sampling: the model's own numbers, shared products that are nobody else's, and no trace left.

Shapes: B rows, I inputs, O outputs.
"""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from rltk.models.adapters import adapter_off, add_lora
from rltk.models.lean import replaced
from rltk.recipe.schema import LoRA
from rltk.rollout.lean import LeanLayers, is_rms_norm, shared_forwards, siblings
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from tests import tiny
from tests.onpolicy.made import off_base
from tests.rollout.test_engines import PROMPTS, STOPS, digest, policy, state_of

IDS = torch.randint(5, 500, (3, 9), generator=torch.Generator().manual_seed(0))
ARMS = ("lora", "full")


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits.float()


@pytest.mark.parametrize(("architecture", "arm"), list(product(tiny.ARCHITECTURES, ARMS)))
def test_lean_layers_compute_the_models_logits(architecture: str, arm: str) -> None:
    model = policy(architecture, arm)
    expected = logits(model)
    with LeanLayers(model).computing_in(torch.float32):
        torch.testing.assert_close(logits(model), expected, rtol=0, atol=2e-5)
    assert torch.equal(logits(model), expected)
    assert expected.std() > 0.5


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_weights_are_read_anew_at_every_rollout(architecture: str) -> None:
    """Copies of one rollout must not serve the next, when the weights have moved."""
    model = policy(architecture, "lora")
    lean = LeanLayers(model)
    for _ in range(2):
        with lean.computing_in(torch.float32):
            found = logits(model)
        torch.testing.assert_close(found, logits(model), rtol=0, atol=2e-5)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_" in name or "norm" in name:
                    weight.mul_(1.5)
        assert (found - logits(model)).abs().max() > 0.1
    with adapter_off(model), lean.computing_in(torch.float32):
        torch.testing.assert_close(logits(model), logits_without(model), rtol=0, atol=2e-5)


def logits_without(model: nn.Module) -> Tensor:
    with adapter_off(model):
        return logits(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("architecture", "arm"), list(product(tiny.ARCHITECTURES, ARMS)))
def test_sampling_changes_no_weight_at_any_moment(architecture: str, arm: str, dtype: torch.dtype) -> None:
    """Before, after every layer of every decode step, and afterwards; bit for bit, with the layers' own functions."""
    model = policy(architecture, arm).train()
    before, weights, looks = state_of(model), [(w, digest(w.detach())) for w in model.parameters()], list[bool]()

    def look(*_: object) -> None:
        looks.append(all(digest(weight.detach()) == known for weight, known in weights))

    last = next(module for name, module in model.named_modules() if name.endswith("layers.1"))
    handle = last.register_forward_hook(look)
    NativeSampler(model, stops=STOPS, batch=4, dtype=dtype).sample(PROMPTS, 2, Sampling(8), seed=1)
    handle.remove()
    assert len(looks) > 8 and all(looks)
    assert state_of(model) == before


def three(inputs: int = 4) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(inputs, outputs, bias=False) for outputs in (2, 3, 5)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 0, 1), (0, 1, 2, 0, 1, 2), (1, 1, 1, 2), (2, 0, 2, 0, 1)])
def test_siblings_share_a_product_in_whatever_order_they_are_called(order: tuple[int, ...]) -> None:
    """Also with the identical input object twice, after what was given away has been written over."""
    layers, inputs_BI = three(), [torch.randn(2, 4), torch.randn(2, 4)]
    expected = [[layer(x) for layer in layers] for x in inputs_BI]
    with torch.no_grad(), replaced(shared_forwards(layers, torch.float32, torch.float32)):
        for which in (0, 1, 0):
            for index in order:
                found = layers[index](inputs_BI[which])
                torch.testing.assert_close(found, expected[which][index], rtol=0, atol=1e-6)
                found.add_(100)  # as an adapter does


def test_calls_that_alternate_between_inputs() -> None:
    """Every call is for another input than the one before: nothing may be served from the other's product."""
    layers, one, two = three(), torch.randn(2, 4), torch.randn(2, 4)
    expected = {id(x): [layer(x) for layer in layers] for x in (one, two)}
    with torch.no_grad(), replaced(shared_forwards(layers, torch.float32, torch.float32)):
        for index, x in ((0, one), (1, two), (2, one), (1, one), (0, two), (0, one), (2, two), (1, one)):
            torch.testing.assert_close(layers[index](x), expected[id(x)][index], rtol=0, atol=1e-6)


def test_one_product_serves_all_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, calls, linear = three(), list[int](), torch.nn.functional.linear

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        calls.append(len(weight))
        return linear(x, weight, bias)

    monkeypatch.setattr("rltk.rollout.lean.F.linear", counted)
    with torch.no_grad(), replaced(shared_forwards(layers, torch.float32, torch.float32)):
        x = torch.randn(1, 4)
        for layer in layers:
            layer(x)
    assert calls == [10]  # 2 + 3 + 5 outputs in one


def test_who_are_siblings() -> None:
    """Attention's three and the MLP's two of each layer, adapted or not; not with a bias, which the product lacks."""
    for model in (tiny.model("qwen3"), off_base(add_lora(tiny.model("qwen3"), LoRA(rank=4)))):
        assert [len(layers) for layers in siblings(model)] == [3, 2] * 2
    assert [len(layers) for layers in siblings(tiny.model("llama", attention_bias=True))] == [2] * 2
    lean = LeanLayers(off_base(add_lora(tiny.model("llama", attention_bias=True), LoRA(rank=4))))
    assert len(lean.siblings) == (2 if lean.device.type == "cpu" else 0)


class Plain(nn.Module):
    """Named as most are: x / rms(x) * w."""

    def __init__(self, weight: Tensor, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(weight), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class PlusOneRMSNorm(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class CentredRMSNorm(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(-1, keepdim=True))


class ShiftedRMSNorm(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-3


class PlainRMSNorm(Plain):
    pass


NORMS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "Llama's": (lambda: LlamaRMSNorm(8), True),
    "Llama's with weights": (lambda: filled(LlamaRMSNorm(8)), True),
    "torch's": (lambda: nn.RMSNorm(8, eps=1e-6), True),
    "plain": (lambda: PlainRMSNorm(torch.randn(8)), True),
    "another epsilon": (lambda: PlainRMSNorm(torch.randn(8), eps=0.5), True),
    "Gemma's, 1 + w": (lambda: Gemma3RMSNorm(8), False),
    "Gemma's with weights": (lambda: filled(Gemma3RMSNorm(8)), False),
    "1 + w": (lambda: PlusOneRMSNorm(torch.randn(8)), False),
    "centred": (lambda: CentredRMSNorm(torch.randn(8)), False),
    "shifted by a thousandth": (lambda: ShiftedRMSNorm(torch.randn(8)), False),
    "a layer norm": (lambda: nn.LayerNorm(8), False),
    "no weight": (lambda: nn.RMSNorm(8, eps=1e-6, elementwise_affine=False), False),
}


def filled(norm: nn.Module) -> nn.Module:
    nn.init.normal_(norm.get_parameter("weight"))
    return norm


@pytest.mark.parametrize("kind", NORMS)
def test_norms_are_replaced_only_by_what_computes_the_same(kind: str) -> None:
    torch.manual_seed(0)
    make, is_plain = NORMS[kind]
    norm = nn.Sequential(make())  # a model of this one layer
    assert is_rms_norm(norm[0]) == is_plain
    x_BI = 3 * torch.randn(5, 8)
    expected = norm(x_BI)
    if list(norm.parameters()):
        lean = LeanLayers(norm)
        assert len(lean.norms) == int(is_plain)
        with torch.no_grad(), lean.computing_in(torch.float32):
            torch.testing.assert_close(norm(x_BI), expected, rtol=1e-5, atol=1e-5)
