"""Lean layers give PEFT's own loss and gradients, and leave no trace.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn

from rltk.models.adapters import adapter_off, adapter_scaled, add_lora
from rltk.models.lean import Cast, Layers, LoRAProduct, lean_training, replaced
from rltk.models.modes import computing_in
from rltk.recipe.schema import LoRA
from tests import tiny
from tests.onpolicy.made import off_base

IDS = torch.randint(5, 500, (3, 20), generator=torch.Generator().manual_seed(0))
INPUTS: dict[str, Callable[[], Tensor]] = {
    "rows": lambda: random(5, 4),
    "one row": lambda: random(4),
    "batch": lambda: random(2, 3, 4),
    "transposed": lambda: random(4, 5).t(),
    "transposed batch": lambda: random(3, 2, 4).transpose(0, 1),
    "every other column": lambda: random(2, 3, 8)[..., ::2],
}


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("kind", INPUTS)
def test_the_product_has_the_gradient_of_its_formula(kind: str, has_bias: bool) -> None:
    """Against finite differences in float64: I = 4, O = 3, R = 2."""
    x, weight_OI, bias_O = INPUTS[kind]().requires_grad_(), random(3, 4), random(3) if has_bias else None
    down_RI, up_OR = random(2, 4).requires_grad_(), random(3, 2).requires_grad_()

    def product(x: Tensor, down_RI: Tensor, up_OR: Tensor) -> Tensor:
        y = LoRAProduct.apply(x, weight_OI, bias_O, down_RI, up_OR, 1.5)
        assert isinstance(y, Tensor)
        return y

    expected = x @ weight_OI.t() + 1.5 * (x @ down_RI.t()) @ up_OR.t() + (0 if bias_O is None else bias_O)
    torch.testing.assert_close(product(x, down_RI, up_OR), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(product, (x, down_RI, up_OR), rtol=0, atol=1e-8)
    assert torch.autograd.gradcheck(  # the first layer of a frozen base: its input wants no gradient
        lambda down_RI, up_OR: product(x.detach(), down_RI, up_OR), (down_RI, up_OR), rtol=0, atol=1e-8
    )


def test_an_input_that_repeats_itself_in_memory() -> None:
    """As `expand` makes it: both copies' gradients reach the one row. W = 0, s A B = [[2]], so y = 2 x."""
    x, one = torch.tensor([[3.0]], requires_grad=True), torch.ones(1, 1)
    y = LoRAProduct.apply(x.expand(2, 1), torch.zeros(1, 1), None, one, one, 2.0)
    assert isinstance(y, Tensor) and y.tolist() == [[6.0], [6.0]]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[4.0]]


def test_gradients_have_the_type_of_what_they_are_for() -> None:
    """Adapters train in float32 whatever the product is computed in."""
    down_RI, up_OR = (random(*shape).float().requires_grad_() for shape in ((2, 4), (3, 2)))
    x = random(5, 4).bfloat16().requires_grad_()
    y = LoRAProduct.apply(x, random(3, 4).bfloat16(), None, down_RI, up_OR, 2.0)
    assert isinstance(y, Tensor) and y.dtype == torch.bfloat16
    y.sum().backward()
    assert [w.grad.dtype for w in (x, down_RI, up_OR) if w.grad is not None] == [torch.bfloat16, *[torch.float32] * 2]


class Found:
    """Loss and gradients of one batch, by PEFT's layers or by lean ones."""

    def __init__(self, model: nn.Module, *, is_lean: bool, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(3)  # dropout
        lean: AbstractContextManager[None] = lean_training(Layers(model), dtype) if is_lean else nullcontext()
        self.names = [name for name, weight in model.named_parameters() if weight.requires_grad]
        weights = [model.get_parameter(name) for name in self.names]
        with lean:
            self.replaced = names_of_replaced(model)
            with computing_in(dtype, torch.device("cpu")):
                loss = model(input_ids=IDS, labels=IDS, use_cache=False).loss
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        self.loss = loss.item()
        self.gradients = [torch.zeros(()) if gradient is None else gradient.float() for gradient in gradients]

    def assert_is(self, other: "Found") -> None:
        """To a millionth of the loss and of the gradient, and each weight's gradient to float32's rounding."""
        assert self.loss == pytest.approx(other.loss, rel=1e-6) and self.names == other.names
        assert self.distance(other) < 1e-6
        for name, ours, theirs in zip(self.names, self.gradients, other.gradients, strict=True):
            assert (ours - theirs).norm() <= 5e-6 * theirs.norm(), name

    def distance(self, other: "Found") -> float:
        """Of all gradients together, relative to the other's."""
        pairs = list(zip(self.gradients, other.gradients, strict=True))
        apart = torch.stack([(ours - theirs).norm() for ours, theirs in pairs]).norm()
        return (apart / torch.stack([theirs.norm() for _, theirs in pairs]).norm()).item()


def names_of_replaced(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if "forward" in vars(module)}


def lora_layers(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, Linear)}


def policy(architecture: str = "qwen3", **tune: Any) -> PeftModel:
    return off_base(add_lora(tiny.model(architecture), LoRA(**{"rank": 4, "alpha": 6, **tune}))).train()


def variant(**settings: Any) -> PeftModel:
    """What `add_lora` does not make but a checkpoint might hold."""
    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", **settings)
    model = get_peft_model(tiny.model("qwen3"), config)
    assert isinstance(model, PeftModel)
    return off_base(model).train()


def with_two_adapters() -> PeftModel:
    model = policy()
    model.add_adapter("other", LoraConfig(r=2, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    return off_base(model)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_lean_training_is_pefts(architecture: str) -> None:
    model = policy(architecture)
    lean, plain = Found(model, is_lean=True), Found(model, is_lean=False)
    lean.assert_is(plain)
    assert plain.replaced == set() and lora_layers(model) < lean.replaced
    assert min(gradient.norm().item() for gradient in plain.gradients) > 0


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_so_is_full_fine_tuning(architecture: str) -> None:
    model = tiny.model(architecture).requires_grad_(True).train()
    lean, plain = Found(model, is_lean=True), Found(model, is_lean=False)
    lean.assert_is(plain)
    assert {name.rsplit(".", 1)[-1] for name in lean.replaced} >= {"q_proj", "o_proj", "lm_head"}


def test_layers_with_bias() -> None:
    torch.manual_seed(2)
    model = tiny.model("llama", attention_bias=True)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(weight)
    adapted = off_base(add_lora(model, LoRA(rank=4))).train()
    assert any(name.endswith("q_proj.base_layer.bias") for name, _ in adapted.named_parameters())
    lean, plain = Found(adapted, is_lean=True), Found(adapted, is_lean=False)
    lean.assert_is(plain)
    assert lora_layers(adapted) < lean.replaced


def test_rank_stabilized_lora_is_another_scaling() -> None:
    """alpha / sqrt(rank) = 6 / 2 (Kalajdzievski 2023, arXiv 2312.03732)."""
    model = variant(use_rslora=True)
    assert {layer.scaling["default"] for layer in model.modules() if isinstance(layer, Linear)} == {3.0}
    lean = Found(model, is_lean=True)
    lean.assert_is(Found(model, is_lean=False))
    assert lora_layers(model) < lean.replaced
    assert lean.distance(Found(variant(), is_lean=True)) > 0.1


LEFT_TO_PEFT: dict[str, Callable[[], PeftModel]] = {
    "dropout": lambda: policy(dropout=0.5),
    "DoRA": lambda: variant(use_dora=True),
    "a bias in the adapter": lambda: variant(lora_bias=True),
    "a bias that trains": lambda: variant_with_trained_bias(),
    "two adapters at once": lambda: both_active(),
}


def both_active() -> PeftModel:
    model = with_two_adapters()
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.set_adapter(["default", "other"])
    return model


def variant_with_trained_bias() -> PeftModel:
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], bias="lora_only", task_type="CAUSAL_LM")
    model = get_peft_model(tiny.model("llama", attention_bias=True), config)
    assert isinstance(model, PeftModel) and any(n.endswith("bias") and w.requires_grad for n, w in named(model))
    return off_base(model).train()


def named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


@pytest.mark.filterwarnings("ignore:.lora_bias=True. was passed")
@pytest.mark.parametrize("kind", LEFT_TO_PEFT)
def test_what_is_not_plain_lora_is_left_to_peft(kind: str) -> None:
    model = LEFT_TO_PEFT[kind]()
    lean, plain = Found(model, is_lean=True), Found(model, is_lean=False)
    lean.assert_is(plain)
    assert lora_layers(model) and not lora_layers(model) & lean.replaced
    assert lean.replaced  # the linear layers within are lean all the same
    assert all(gradient.norm() > 0 for gradient in plain.gradients)


def test_the_active_one_of_two_adapters_is_computed() -> None:
    model = with_two_adapters()
    losses = set[float]()
    for name in ("default", "other"):
        model.set_adapter(name)
        lean = Found(model, is_lean=True)
        lean.assert_is(Found(model, is_lean=False))
        assert lora_layers(model) < lean.replaced and all(f".{name}." in weight for weight in lean.names)
        losses.add(round(lean.loss, 4))
    assert len(losses) == 2


def test_an_adapter_that_is_off_or_doubled_is_off_or_doubled() -> None:
    model = policy()
    layers = Layers(model)  # found before the switch is thrown

    def loss(switch: AbstractContextManager[None], dtype: torch.dtype = torch.float32) -> tuple[float, float]:
        with switch, torch.no_grad():
            plain = model(input_ids=IDS, labels=IDS).loss.item()
            with lean_training(layers, dtype):
                return model(input_ids=IDS, labels=IDS).loss.item(), plain

    found = [loss(switch) for switch in (nullcontext(), adapter_off(model), adapter_scaled(model, 2.0))]
    assert len({round(plain, 3) for _, plain in found}) == 3
    for lean, plain in found:
        assert lean == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_in_bfloat16_it_is_as_close_to_float32_as_peft_is(architecture: str) -> None:
    model = policy(architecture)
    exact = Found(model, is_lean=False)
    lean, plain = (Found(model, is_lean=is_lean, dtype=torch.bfloat16) for is_lean in (True, False))
    assert 1e-4 < plain.distance(exact) < 0.1
    assert lean.distance(exact) < 1.25 * plain.distance(exact)
    assert lean.loss == pytest.approx(exact.loss, rel=0.01)


class InterruptionError(Exception):
    pass


def test_modules_are_as_before_even_after_an_error() -> None:
    model = policy()
    before = Found(model, is_lean=False)
    forwards = {name: module.forward.__func__ for name, module in model.named_modules()}
    for error in (None, InterruptionError):
        with pytest.raises(error) if error else nullcontext(), lean_training(Layers(model), torch.float32):
            assert lora_layers(model) < names_of_replaced(model)
            if error:
                raise error
        assert names_of_replaced(model) == set()
        assert {name: module.forward.__func__ for name, module in model.named_modules()} == forwards
    Found(model, is_lean=False).assert_is(before)


def test_replacing_ends_with_the_block() -> None:
    layer = nn.Linear(2, 2)
    with replaced({layer: lambda x: x + 1}):
        assert layer(torch.zeros(2)).tolist() == [1, 1]
    assert torch.equal(layer(torch.zeros(2)), layer.bias)


def test_a_cast_is_shared_and_never_that_of_another_tensor() -> None:
    cast, x = Cast(torch.bfloat16), torch.tensor([1.0, 2.0], requires_grad=True)
    same = cast(x)
    assert same.dtype == torch.bfloat16 and same.tolist() == [1, 2] and cast(x) is same
    twin = x.detach().clone()
    assert cast(twin) is not same and not cast(twin).requires_grad  # equal numbers, another tensor
    assert cast(x).requires_grad
    for value in (3.0, 4.0, 5.0):  # memory that is used again at the same address
        assert cast(torch.full((2,), value)).tolist() == [value, value]
    assert cast(same) is same  # nothing to do
    assert Cast(torch.float32)(x) is x


def test_a_cast_is_not_that_of_older_contents() -> None:
    cast, x = Cast(torch.bfloat16), torch.tensor([1.0, 2.0])
    assert cast(x).tolist() == [1, 2]
    x += 1
    assert cast(x).tolist() == [2, 3]


def test_gradients_of_all_readers_of_a_shared_cast_add_up() -> None:
    """d/dx of (2 x) + (3 x) is 5, through the one cast."""
    cast, x = Cast(torch.bfloat16), torch.tensor([1.0], requires_grad=True)
    (2 * cast(x) + 3 * cast(x)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [5.0] and x.grad.dtype == torch.float32
