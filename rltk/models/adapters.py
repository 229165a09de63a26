"""LoRA on the layers a recipe names, and a statement of what it covers (Hu et al. 2021, arXiv 2106.09685).

`all-linear` means every weight matrix between the embeddings and the output head. In mixture-of-experts models
transformers keeps the experts as one 3-D parameter rather than as linear layers, so they are adapted as parameters;
routers stay frozen unless they are linear layers and named. What PEFT then does differently is refused: for some
architectures it reads our targets as the names of transformers 4, and drops shared experts without a word.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import filterfalse
from typing import NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer, ParamWrapper
from rltk_reward_models.fingerprint import HEADS
from rltk_reward_models.quantized import kind_of, shape_of
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rltk.errors import UserError
from rltk.models.bases import known_base
from rltk.recipe.schema import LoRA

ATTENTION = ("attn", "attention")
ROUTERS = ("gate", "router", "shared_expert_gate")


class Targets(NamedTuple):
    modules: tuple[str, ...]
    """Names of linear layers."""
    experts: tuple[str, ...]
    """Names of 3-D expert parameters."""

    def weights(self, model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        for name in (*(f"{module}.weight" for module in self.modules), *self.experts):
            yield name, model.get_parameter(name)


class Coverage(NamedTuple):
    trainable: int
    adapted: int
    total: int
    kinds: tuple[str, ...]
    """Last parts of the adapted names: q_proj, down_proj, ..."""
    quantized: str | None
    """What the base is held in, if in less than its numbers."""

    def __str__(self) -> str:
        held = "" if self.quantized is None else f"; the base is held in {self.quantized}"
        return (
            f"LoRA trains {self.trainable:,} parameters ({self.trainable / self.total:.2%} of the model's) and adapts "
            f"{self.adapted / self.total:.1%} of its weights: {', '.join(self.kinds)}{held}"
        )


def add_lora(model: PreTrainedModel, tune: LoRA) -> PeftModel:
    """Wraps the model with a fresh adapter, so that it computes what the base computes: B starts at zero.

    With PiSSA it does so up to rounding: the adapter starts as a part of the weight, which the base no longer has.
    """
    targets = lora_targets(model, tune)
    if tune.targets == "all-linear":
        refuse_gaps(model, targets)
    if targets.experts and tune.dropout:
        raise UserError("tune.dropout must be 0 for experts: their weights, not their inputs, get the adapter.")
    if targets.experts and (tune.use_dora or tune.init != "zero"):
        raise UserError("tune.use_dora and tune.init are for linear layers only, and this model has experts.")
    chosen = {id(weight): name for name, weight in targets.weights(model)}
    if not next(model.parameters()).is_meta:  # a shape without weights is no base
        known_base(model)  # now, since PiSSA takes a part out of its weights
    scorer = scoring_head(model)
    config = LoraConfig(
        r=tune.rank,
        lora_alpha=tune.alpha,  # pyright: ignore[reportArgumentType]  # PEFT types it int and computes with floats
        lora_dropout=tune.dropout,
        target_modules=list(targets.modules),
        target_parameters=list(targets.experts) or None,
        rank_pattern=expert_ranks(model, tune, targets),
        use_dora=tune.use_dora,
        use_rslora=tune.use_rslora,
        init_lora_weights="pissa" if tune.init == "pissa" else True,
        task_type="CAUSAL_LM" if scorer is None else "SEQ_CLS",
        modules_to_save=None if scorer is None else [scorer],
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"PEFT cannot adapt these layers of {model.config.model_type}: {error}") from error
    refuse_others(adapted, chosen)
    return adapted  # pyright: ignore[reportReturnType]  # a PeftMixedModel only where mixed=True


def lora_targets(model: PreTrainedModel, tune: LoRA) -> Targets:
    named, experts = [name for name, _ in linear_layers(model)], list(expert_weights(model))
    modules = [name for name in named if not is_router(name)]
    match tune.targets:
        case "all-linear":
            chosen = Targets(tuple(modules), tuple(experts))
        case "attention":
            chosen = Targets(tuple(filter(is_attention, modules)), tuple(filter(is_attention, experts)))
        case "mlp":
            chosen = Targets(tuple(filterfalse(is_attention, modules)), tuple(filterfalse(is_attention, experts)))
        case names:
            chosen = named_targets(named, experts, names)
    if not chosen.modules and not chosen.experts:
        raise UserError(f"tune.targets = {tune.targets!r} matches no layer of {type(model).__name__}.")
    return chosen


def named_targets(modules: list[str], experts: list[str], names: tuple[str, ...]) -> Targets:
    """Layers whose name is, or ends with, one of `names`; a name that matches nothing is refused."""
    for name in names:
        if not any(ends_with(layer, name) for layer in [*modules, *experts]):
            kinds = sorted({layer.removesuffix(".weight").rsplit(".", 1)[-1] for layer in [*modules, *experts]})
            raise UserError(f"tune.targets names {name!r}, which no layer is called; there are {', '.join(kinds)}.")
    return Targets(
        tuple(layer for layer in modules if any(ends_with(layer, name) for name in names)),
        tuple(layer for layer in experts if any(ends_with(layer, name) for name in names)),
    )


def linear_layers(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Linear layers other than the output head, which maps to the vocabulary and is not a layer of the network."""
    head = output_head(model)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head:
            yield name, module


def output_head(model: PreTrainedModel) -> nn.Module | None:
    """What maps to the vocabulary or, in a reward model, to the score; that of a reward model always trains whole."""
    scorer = scoring_head(model)
    return model.get_output_embeddings() if scorer is None else model.get_submodule(scorer)


def scoring_head(model: PreTrainedModel) -> str | None:
    """The name of a reward model's head; None for what is none."""
    names = [name for name, _ in model.named_children() if name in HEADS]
    return names[0] if names and model.get_output_embeddings() is None else None


def expert_weights(model: PreTrainedModel) -> Iterator[str]:
    """Parameters that hold a matrix for each expert."""
    for owner, module in model.named_modules():
        if not isinstance(module, nn.modules.conv._ConvNd):
            for leaf, weight in module.named_parameters(recurse=False):
                if weight.ndim == 3:
                    yield f"{owner}.{leaf}"


def expert_rank(model: PreTrainedModel, tune: LoRA) -> int:
    """The recipe's rank divided by how many experts a token visits. An adapter's scale is alpha over its own rank."""
    active = getattr(model.config.get_text_config(), "num_experts_per_tok", None)
    if not isinstance(active, int):
        raise UserError("tune.expert_rank = 'divided' needs a model that says num_experts_per_tok in its config.")
    return max(1, tune.rank // active)


def expert_ranks(model: PreTrainedModel, tune: LoRA, targets: Targets) -> dict[str, int]:
    """PEFT's rank patterns: regular expressions that a target's whole name must match."""
    if tune.expert_rank == "same":
        return {}
    experts = [name for name in (*targets.experts, *targets.modules) if "experts" in name.split(".")]
    if not experts:
        raise UserError("tune.expert_rank = 'divided' needs adapters on experts, and none are among tune.targets.")
    divided = expert_rank(model, tune)
    return {re.escape(name): divided for name in experts}


def refuse_gaps(model: PreTrainedModel, targets: Targets) -> None:
    """An `all-linear` that leaves out a matrix is not what was asked for."""
    covered, head = {id(weight) for _, weight in targets.weights(model)}, output_head(model)
    missing = [
        f"{owner}.{leaf}"
        for owner, module in model.named_modules()
        if module is not head and not isinstance(module, (nn.Embedding, nn.modules.conv._ConvNd))
        for leaf, weight in module.named_parameters(recurse=False)
        if weight.ndim >= 2 and id(weight) not in covered and not is_router(owner) and not leaf.endswith("bias")
    ]
    if missing:
        raise UserError(
            f"tune.targets = 'all-linear' would leave out {len(missing)} weights of {model.config.model_type} that are "
            f"no linear layers ({', '.join(missing[:3])}); name the layers to adapt in tune.targets."
        )


def refuse_others(model: PeftModel, chosen: dict[int, str]) -> None:
    """PEFT has adapted the chosen weights and no others, or the run does not start."""
    adapted = {id(weight): name for name, weight in adapted_parameters(model).items()}
    missing = [name for key, name in chosen.items() if key not in adapted]
    extra = [name.removeprefix("base_model.model.") for key, name in adapted.items() if key not in chosen]
    if missing or extra:
        what = f"leaves out {missing[0]}" if missing else f"also adapts {extra[0]}"
        raise UserError(
            f"PEFT {what} in {model.config.model_type} ({len(missing) or len(extra)} such weights), which is not what "
            "tune.targets asks for; try tune.targets=attention."
        )


def coverage(model: PeftModel) -> Coverage:
    """How many parameters train, and how many weights they sit beside."""
    adapted = adapted_parameters(model)
    kinds = {name.removesuffix(".weight").removesuffix(".base_layer").rsplit(".", 1)[-1] for name in adapted}
    return Coverage(
        trainable=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        adapted=sum(shape_of(weight).numel() for weight in adapted.values()),
        total=sum(
            shape_of(weight).numel()
            for name, weight in model.named_parameters()
            if "lora_" not in name and "original_module" not in name  # the head that a reward model's copy replaces
        ),
        kinds=tuple(sorted(kinds)),
        quantized=kind_of(model),
    )


def adapted_parameters(model: PeftModel) -> dict[str, nn.Parameter]:
    """The frozen weights that an adapter sits beside, by their names in `model.named_parameters()`."""
    adapted = {
        id(layer.get_param() if isinstance(layer, ParamWrapper) else layer.get_base_layer().weight)
        for layer in lora_layers(model)
    }
    return {name: weight for name, weight in model.named_parameters() if id(weight) in adapted}


def shrink_frozen(model: nn.Module) -> int:
    """Holds frozen linear and expert weights in bfloat16 where that loses nothing; the count of bytes saved.

    Autocast rounds them to bfloat16 for every product anyway, so a checkpoint that was bfloat16 computes the same
    numbers from half the memory; only what an adapter adds to experts is then rounded with their sum. Embeddings and
    norms stay float32: they set the dtype of the residual stream, which must be the same with LoRA as in full
    fine-tuning.
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


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Within it a LoRA model computes what its base computes; this is the reference policy of a LoRA run.

    PEFT's own switch makes every adapter but the active one stop training.
    """
    layers = lora_layers(model)
    before = [layer._disable_adapters for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer._disable_adapters = value


@contextmanager
def adapter_chosen(model: nn.Module, name: str) -> Iterator[None]:
    """Within it the base computes with the adapter of this name; which weights train stays as it is.

    Only the layers that have such an adapter get one: the others compute what the base computes, which PEFT sees to.
    """
    layers = lora_layers(model)
    before = [layer._active_adapter for layer in layers]
    try:
        for layer in layers:
            layer._active_adapter = [name]
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer._active_adapter = value


def lora_layers(model: nn.Module) -> list[LoraLayer]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


@contextmanager
def adapter_scaled(model: nn.Module, factor: float) -> Iterator[None]:
    """Within it the adapter adds `factor` times what it adds otherwise."""
    scalings = [layer.scaling for layer in lora_layers(model)]
    before = [dict(scaling) for scaling in scalings]
    try:
        for scaling in scalings:
            scaling.update({name: value * factor for name, value in scaling.items()})
        yield
    finally:
        for scaling, values in zip(scalings, before, strict=True):
            scaling.update(values)


def is_attention(name: str) -> bool:
    return any(word in part for part in name.split(".") for word in ATTENTION)


def is_router(name: str) -> bool:
    return any(part in ROUTERS for part in name.split("."))


def ends_with(layer: str, name: str) -> bool:
    layer = layer.removesuffix(".weight")
    return layer == name or layer.endswith(f".{name}")
