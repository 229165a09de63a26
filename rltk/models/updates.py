"""The low-rank updates inside a model with adapters, their spectra, and the matrices they belong to.

Shapes: M matrices of one shape, O outputs, I inputs, R rank, K singular values, E experts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from peft.tuners.lora import LoraLayer, ParamWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rltk.models.adapters import expert_weights, linear_layers
from rltk.models.spectra import adapter_spectra


class Update(NamedTuple):
    """scale * B A, and the frozen matrix that it is added to."""

    up_OR: Tensor
    down_RI: Tensor
    scale: float
    base_OI: Tensor
    """As it is held: in four bits it is read with `rltk_reward_models.quantized.numbers`."""

    @property
    def rank(self) -> int:
        return self.down_RI.shape[0]

    def whole(self) -> Tensor:
        return self.scale * self.up_OR.float() @ self.down_RI.float()


def adapter_updates(model: nn.Module) -> dict[str, Update]:
    """The update of every adapted matrix, by its name in the base; an expert's name ends in its number."""
    found: dict[str, Update] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for adapter in [active for active in layer.active_adapters if active in layer.lora_A]:
                found.update(named_updates(name.removeprefix("base_model.model."), layer, adapter))
    return found


def named_updates(name: str, layer: LoraLayer, adapter: str) -> Iterator[tuple[str, Update]]:
    down = layer.lora_A[adapter].get_parameter("weight").detach()
    up = layer.lora_B[adapter].get_parameter("weight").detach()
    scale = float(layer.scaling[adapter])
    if not isinstance(layer, ParamWrapper):
        base = layer.get_base_layer()
        weight = base.get_parameter("weight")
        yield name, Update(up, down, scale, weight.detach().mT if isinstance(base, Conv1D) else weight)
        return
    # PEFT keeps the experts' adapters side by side: A as [experts * rank, I], B as [O, rank * experts].
    base_EXY, experts = layer.get_param().detach(), layer.num_experts
    is_output_first = layer._did_swap_in_out_features or base_EXY.ndim == 2
    for expert in range(experts):
        base = base_EXY[expert] if base_EXY.ndim == 3 else base_EXY
        yield (
            f"{name.removesuffix('.base_layer')}.{layer.parameter_name}.{expert}",
            Update(
                up.reshape(up.shape[0], -1, experts)[..., expert],
                down.reshape(experts, -1, down.shape[-1])[expert],
                scale,
                base if is_output_first else base.mT,
            ),
        )


def spectra(updates: Mapping[str, Update]) -> dict[str, Tensor]:
    """The singular values of each update, on the CPU; updates of one shape are decomposed together."""
    alike: dict[tuple[torch.Size, torch.Size, float], list[str]] = defaultdict(list)
    for name, update in updates.items():
        alike[update.up_OR.shape, update.down_RI.shape, update.scale].append(name)
    found: dict[str, Tensor] = {}
    for (_, _, scale), names in alike.items():
        up_MOR = torch.stack([updates[name].up_OR for name in names]).cpu()
        down_MRI = torch.stack([updates[name].down_RI for name in names]).cpu()
        found.update(zip(names, adapter_spectra(up_MOR, down_MRI, scale), strict=True))
    return {name: found[name] for name in updates}


def parameters(updates: Mapping[str, Update]) -> int:
    return sum(update.up_OR.numel() + update.down_RI.numel() for update in updates.values())


def matrices_of(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    for name, layer in linear_layers(model):
        weight = layer.get_parameter("weight").detach()
        yield name, weight.mT if isinstance(layer, Conv1D) else weight
    for name in expert_weights(model):
        for expert, weight in enumerate(model.get_parameter(name).detach()):
            yield f"{name}.{expert}", weight
