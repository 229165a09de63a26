"""LoRA on the layers a recipe names, and a statement of what it covers (Hu et al. 2021, arXiv 2106.09685).

`all-linear` means every weight matrix between the embeddings and the output head. In mixture-of-experts models
transformers keeps the experts as one 3-D parameter rather than as linear layers, so they are adapted as parameters;
routers stay frozen unless named.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rltk.errors import UserError
from rltk.recipe.schema import LoRA

ATTENTION = ("attn", "attention")
ROUTERS = ("gate", "router", "shared_expert_gate")


class Targets(NamedTuple):
    modules: tuple[str, ...]
    """Names of linear layers."""
    experts: tuple[str, ...]
    """Names of 3-D expert parameters."""


class Coverage(NamedTuple):
    trainable: int
    adapted: int
    total: int
    kinds: tuple[str, ...]
    """Last parts of the adapted names: q_proj, down_proj, ..."""

    def __str__(self) -> str:
        return (
            f"LoRA trains {self.trainable:,} parameters ({self.trainable / self.total:.2%}) beside "
            f"{self.adapted / self.total:.1%} of the weights: {', '.join(self.kinds)}"
        )


def add_lora(model: PreTrainedModel, tune: LoRA) -> PeftModel:
    """Wraps the model with a fresh adapter. B starts at zero, so the wrapped model computes what the base computes."""
    targets = lora_targets(model, tune)
    config = LoraConfig(
        r=tune.rank,
        lora_alpha=tune.alpha,  # pyright: ignore[reportArgumentType]  # PEFT types it int and computes with floats
        lora_dropout=tune.dropout,
        target_modules=list(targets.modules),
        target_parameters=list(targets.experts) or None,
        rank_pattern={r".*experts.*": expert_rank(model, tune)} if targets.experts else {},
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    if tune.targets == "all-linear":
        refuse_gaps(adapted)
    return adapted  # pyright: ignore[reportReturnType]  # a PeftMixedModel only where mixed=True


def lora_targets(model: PreTrainedModel, tune: LoRA) -> Targets:
    modules = [name for name, module in linear_layers(model)]
    experts = [name for name, weight in model.named_parameters() if weight.ndim == 3 and ".experts." in name]
    match tune.targets:
        case "all-linear":
            chosen = Targets(tuple(name for name in modules if not is_router(name)), tuple(experts))
        case "attention":
            chosen = Targets(tuple(name for name in modules if is_attention(name)), ())
        case "mlp":
            chosen = Targets(
                tuple(name for name in modules if not is_attention(name) and not is_router(name)), tuple(experts)
            )
        case names:
            chosen = named_targets(modules, experts, names)
    if not chosen.modules and not chosen.experts:
        raise UserError(f"tune.targets = {tune.targets!r} matches no layer of {type(model).__name__}.")
    return chosen


def named_targets(modules: list[str], experts: list[str], names: tuple[str, ...]) -> Targets:
    """Layers whose name is, or ends with, one of `names`; a name that matches nothing is refused."""
    for name in names:
        if not any(ends_with(layer, name) for layer in [*modules, *experts]):
            kinds = sorted({layer.rsplit(".", 1)[-1] for layer in [*modules, *experts]})
            raise UserError(f"tune.targets names {name!r}, which no layer is called; there are {', '.join(kinds)}.")
    return Targets(
        tuple(layer for layer in modules if any(ends_with(layer, name) for name in names)),
        tuple(layer for layer in experts if any(ends_with(layer, name) for name in names)),
    )


def linear_layers(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Linear layers other than the output head, which maps to the vocabulary and is not a layer of the network."""
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head:
            yield name, module


def expert_rank(model: PreTrainedModel, tune: LoRA) -> int:
    """The rank in each expert: the recipe's, or that divided by how many experts a token visits."""
    active = getattr(model.config.get_text_config(), "num_experts_per_tok", None)
    if tune.expert_rank == "same":
        return tune.rank
    if not isinstance(active, int):
        raise UserError("tune.expert_rank = 'divided' needs a model that says num_experts_per_tok in its config.")
    return max(1, tune.rank // active)


def refuse_gaps(model: PeftModel) -> None:
    """An `all-linear` that leaves out weights of an MLP or an expert is not what was asked for."""
    adapted = adapted_parameters(model)
    missing = [
        name
        for name, weight in model.named_parameters()
        if weight.ndim >= 2 and "lora_" not in name and name not in adapted and is_mlp(name) and not is_router(name)
    ]
    if missing:
        shown = ", ".join(name.removeprefix("base_model.model.") for name in missing[:3])
        raise UserError(
            f"tune.targets = 'all-linear' would leave out {len(missing)} MLP or expert weights of "
            f"{model.config.model_type} ({shown}), which PEFT cannot adapt; name the layers to adapt in tune.targets."
        )


def coverage(model: PeftModel) -> Coverage:
    """How many parameters train, and how many weights they sit beside."""
    adapted = adapted_parameters(model)
    base = {name: weight for name, weight in model.named_parameters() if "lora_" not in name}
    kinds = {name.removesuffix(".weight").removesuffix(".base_layer").rsplit(".", 1)[-1] for name in adapted}
    return Coverage(
        trainable=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        adapted=sum(base[name].numel() for name in adapted),
        total=sum(weight.numel() for weight in base.values()),
        kinds=tuple(sorted(kinds)),
    )


def adapted_parameters(model: PeftModel) -> set[str]:
    """Names, as in `model.named_parameters()`, of the frozen weights that an adapter sits beside."""
    modules, parameters = model.targeted_module_names, model.targeted_parameter_names
    prefix = "base_model.model."
    found = {f"{prefix}{name}.base_layer.weight" for name in modules}
    for target in parameters:
        owner, _, leaf = target.rpartition(".")
        found.update(
            name for name, _ in model.named_parameters() if name.startswith(prefix + owner) and ends_with(name, leaf)
        )
    return found


def shrink_frozen(model: nn.Module) -> int:
    """Holds frozen linear and expert weights in bfloat16 where that loses nothing; the count of bytes saved.

    Autocast rounds them to bfloat16 for every product anyway, so a checkpoint that was bfloat16 computes the same
    numbers from half the memory. Embeddings and norms stay float32: they set the dtype of the residual stream, which
    must be the same with LoRA as in full fine-tuning.
    """
    saved = 0
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            is_matrix = isinstance(module, (nn.Linear, Conv1D)) or weight.ndim == 3
            is_kept = weight.requires_grad or weight.dtype != torch.float32 or id(weight) in embeddings  # tied heads
            if is_matrix and not is_kept:
                small = weight.data.to(torch.bfloat16)
                if torch.equal(small.float(), weight.data):
                    weight.data, saved = small, saved + 2 * weight.numel()
    return saved


def adapter_off(model: nn.Module) -> AbstractContextManager[None]:
    """Within it a LoRA model computes what its base computes; this is the reference policy of a LoRA run."""
    return model.disable_adapter() if isinstance(model, PeftModel) else nullcontext()


def is_attention(name: str) -> bool:
    return any(word in part for part in name.split(".") for word in ATTENTION)


def is_mlp(name: str) -> bool:
    return any(part in ("mlp", "ffn", "feed_forward", "experts", "block_sparse_moe") for part in name.split("."))


def is_router(name: str) -> bool:
    return any(part in ROUTERS for part in name.split("."))


def ends_with(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")
