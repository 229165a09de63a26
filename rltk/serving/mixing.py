"""Many adapters on one base, several of them in one batch.

An adapter is held as two small matrices for each linear layer, and the base stays as it was loaded. A forward pass
computes the base's product once for all rows and adds to each adapter's rows the term of that adapter, in the order of
operations of `rltk.rollout.lean`, so that a row gets what it gets alone, but for rounding. Grouping requests by adapter
and decoding one group after the other would be as correct and would compute the base's large products once a group;
PEFT's own `adapter_names` would do the same as here through layers that cast weights anew at every step.

PEFT reads an adapter's folder, since it knows what ranks, patterns and scales in there mean. What it made is copied
out and compared with what PEFT itself computes; an adapter that this form cannot express (DoRA, fused experts, trained
biases) is refused. Nothing of it is left in the model, so unloading is to forget, and whoever still decodes with an
adapter keeps it alive.

Shapes: B rows, T tokens of each, I inputs, O outputs, R rank.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from peft import PeftModel
from peft.tuners.lora import Linear, LoraLayer
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.errors import UserError
from rltk.evaluation.target import ADAPTER_WEIGHTS, read_adapter_config, refuse_unsafe_adapter
from rltk.models.bases import attach, changes_base, readable
from rltk.models.lean import Forward

TRIED = (1, 2, 3, 4, 5)
"""Tokens on which an adapter's form is compared with PEFT's."""
OTHER_KINDS = (
    "target_parameters",
    "modules_to_save",
    "use_dora",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
"""Keys of adapter_config.json that make an adapter more than two small matrices beside a layer."""
CLOSE = 2e-2
"""By which logits may differ then, relative to the largest: rounding of bfloat16 products."""


class Term(NamedTuple):
    down_RI: Tensor
    up_OR: Tensor
    """Scaled by the adapter's alpha."""


@dataclass(frozen=True, eq=False)
class Adapter:
    terms: dict[nn.Module, Term]
    """By the base's own linear layers."""


class Share(NamedTuple):
    adapter: Adapter
    rows: Tensor | None
    """Which rows of the batch are its own; None is all of them."""


class Mixing:
    """The layers of a base model, and whose rows they compute at the moment."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        head = model.get_output_embeddings()
        self.layers = [layer for layer in model.modules() if type(layer) is nn.Linear and layer is not head]
        self.rows = 0
        self.shares: list[Share] = []

    @contextmanager
    def overlaid(self) -> Iterator[None]:
        """Within it each layer adds the adapters' terms to whatever it computed before."""
        before: dict[nn.Module, Forward] = {layer: layer.forward for layer in self.layers}
        for layer, product in before.items():
            layer.forward = self.forward(layer, product)
        try:
            yield
        finally:
            for layer, product in before.items():
                layer.forward = product

    @contextmanager
    def serving(self, adapters: Sequence[Adapter | None]) -> Iterator[None]:
        """Within it row i of a batch belongs to `adapters[i]`; None is the base."""
        device = next(self.model.parameters()).device
        self.rows, self.shares = len(adapters), list(shares(adapters, device))
        try:
            yield
        finally:
            self.shares = []

    def forward(self, layer: nn.Module, product: Callable[[Tensor], Tensor]) -> Forward:
        def forward(x: Tensor) -> Tensor:
            y = product(x)
            for adapter, rows in self.shares:
                if term := adapter.terms.get(layer):
                    self.add(y, x, term, rows)
            return y

        return forward

    def add(self, y: Tensor, x: Tensor, term: Term, rows: Tensor | None) -> None:
        """Rows come first in every layout of tokens, whether a model's code has flattened them or not."""
        inputs, outputs = x.shape[-1], y.shape[-1]
        if rows is None:
            low = F.linear(x.to(term.down_RI.dtype), term.down_RI).flatten(0, -2)
            y.view(-1, outputs).addmm_(low.to(y.dtype), term.up_OR.t().to(y.dtype))
            return
        x_BTI, y_BTO = x.reshape(self.rows, -1, inputs), y.view(self.rows, -1, outputs)
        low_BTR = F.linear(x_BTI[rows].to(term.down_RI.dtype), term.down_RI)
        y_BTO.index_add_(0, rows, F.linear(low_BTR, term.up_OR).to(y.dtype))

    def load(self, folder: Path, dtype: torch.dtype) -> Adapter:
        """The adapter in `folder`, with its matrices in `dtype`; `overlaid` must be in force."""
        refuse_other_kinds(folder)
        refuse_whole_weights(folder)
        with peft_model(self.model, folder) as adapted:
            adapter = Adapter(dict(read_terms(adapted, dtype, folder)))
            ids_1T = torch.tensor([TRIED], device=next(self.model.parameters()).device)
            expected = adapted(input_ids=ids_1T, use_cache=False).logits.float()
        with self.serving([adapter]):
            found: Any = self.model(input_ids=ids_1T, use_cache=False).logits.float()
        if not (found - expected).abs().max() <= CLOSE * expected.abs().max():
            raise unsupported(folder, "it computes more than a low-rank term beside each linear layer")
        return adapter


def shares(adapters: Sequence[Adapter | None], device: torch.device) -> Iterator[Share]:
    known = {id(adapter): adapter for adapter in adapters if adapter is not None}
    for adapter in known.values():
        rows = [row for row, one in enumerate(adapters) if one is adapter]
        yield Share(adapter, None if len(rows) == len(adapters) else torch.tensor(rows, device=device))


@contextmanager
def peft_model(model: PreTrainedModel, folder: Path) -> Iterator[PeftModel]:
    """PEFT's own around the base within; afterwards the base is as it was."""
    try:
        yield attach(model, folder)
    finally:
        restore(model)


def restore(model: PreTrainedModel) -> None:
    """Takes every layer of PEFT's out again, also after a load that failed half way."""
    replaced: list[str] = []
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer) and not any(name.startswith(f"{outer}.") for outer in replaced):
            parent, _, leaf = name.rpartition(".")
            replaced.append(name)
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def read_terms(model: PeftModel, dtype: torch.dtype, folder: Path) -> Iterator[tuple[nn.Module, Term]]:
    for name, layer in model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        if (
            not isinstance(layer, Linear)
            or type(layer.get_base_layer()) is not nn.Linear
            or "experts" in name.split(".")
        ):
            raise unsupported(folder, f"it adapts {name.removeprefix('base_model.model.')}, which is no plain layer")
        slot = str(model.active_adapter)
        down, up = layer.lora_A[slot].get_parameter("weight"), layer.lora_B[slot].get_parameter("weight")
        scaled = (up.detach() * layer.scaling[slot]).to(dtype)
        yield layer.get_base_layer(), Term(down.detach().to(dtype, copy=True), scaled)


def refuse_other_kinds(folder: Path) -> None:
    """By its configuration, before PEFT changes anything in the model."""
    config = read_adapter_config(folder)
    refuse_unsafe_adapter(folder, config)
    for key in OTHER_KINDS:
        if config.get(key):
            raise unsupported(folder, f"its adapter_config.json has {key}")
    start = config.get("init_lora_weights", True)
    if changes_base(start):
        raise unsupported(folder, f"its init_lora_weights = {start} changes the base too")
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        raise unsupported(folder, "its adapter_config.json has another peft_type than LORA, or trained biases")


def refuse_whole_weights(folder: Path) -> None:
    """PEFT would write these over the base's own, under everyone else who is served."""
    with readable(folder), safe_open(str(folder / ADAPTER_WEIGHTS), framework="pt") as file:
        whole = [name for name in sorted(file.keys()) if "lora_" not in name]
    if whole:
        raise unsupported(folder, f"its {ADAPTER_WEIGHTS} holds weights that are no LoRA's, such as {whole[0]}")


def unsupported(folder: Path, why: str) -> UserError:
    return UserError(
        f"the adapter in {folder} cannot share a batch with others ({why}); "
        "export its run with --merge, and serve the folder that this makes."
    )
