"""Training state split between processes by DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.distributed import world
from rltk.distributed.config import deepspeed_config
from rltk.distributed.engine import Engine, Replicas
from rltk.distributed.library import deepspeed
from rltk.recipe.schema import DeepSpeed, Optim, Recipe
from rltk.run.checkpoint import Stored

MOMENTS = ("exp_avg", "exp_avg_sq")
State = dict[nn.Parameter, dict[str, Tensor]]
"""Of an optimizer, by weight."""


class Whole(NamedTuple):
    """An optimizer's state, of whole weights."""

    state: State


class Parts(nn.Module):
    """All models of a run as one, for DeepSpeed, which wants to see a forward pass: whatever calls them is given."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))

    def forward(self, work: Callable[[], Tensor]) -> Tensor:
        return work()


def make_engine(recipe: Recipe, parts: Mapping[str, nn.Module], optimizer: torch.optim.AdamW) -> Engine:
    """The engine that the recipe's hardware asks for; `parts` are all models of the run, by names of their own."""
    options = recipe.hardware.deepspeed
    return Zero(parts, optimizer, options, recipe.optim) if options.zero else Replicas(optimizer)


class Zero:
    """The `Engine` of stages 1 to 3. DeepSpeed takes over at the first step: until then, and so when a checkpoint is
    loaded, models and optimizer are whole and plain."""

    is_even = True

    def __init__(
        self, parts: Mapping[str, nn.Module], optimizer: torch.optim.AdamW, options: DeepSpeed, optim: Optim
    ) -> None:
        self.parts, self.options, self.optim = Parts(parts), options, optim
        self.trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.clips_apart = len(optimizer.param_groups) > 1
        self.optimizer = ApartlyClipped(optimizer, optim.max_grad_norm) if self.clips_apart else optimizer
        self.holds_all = options.zero < 3
        self.engine: Any = None
        self.is_whole = False

    def begin(self) -> None:
        if self.engine is None:
            self.engine = self.started()
        self.engine.optimizer.zero_grad()  # of a step that was computed and not made

    def started(self) -> Any:
        config = deepspeed_config(self.options, self.optim)
        if self.clips_apart:
            config["gradient_clipping"] = 0.0
            config["zero_optimization"]["sub_group_size"] = 2**62  # the optimizer clips what it sees at once
        state = taken_state(self.optimizer, self.trained)
        engine, *_ = deepspeed().initialize(model=self.parts, optimizer=self.optimizer, config=config)
        keep_heads_whole(engine)
        put_state(engine, self.optimizer, state)
        return engine

    def forward(self, work: Callable[[], Tensor]) -> Tensor:
        return self.engine(work)

    def backward(self, loss: Tensor, *, is_last: bool, is_followed: bool = False) -> None:
        """DeepSpeed takes the mean over processes where the sum is wanted."""
        self.engine.set_gradient_accumulation_boundary(is_last)
        self.engine.backward(loss * world.size())
        if is_followed and is_split(self.engine):
            # Stage 3 overwrites the last step's gradients in the first pass and adds in further ones: this is to be the
            # first one for those weights too, so it is not counted.
            self.engine.optimizer._epilogue_ran_this_backward = False

    def add_up(self) -> None:
        """Backward passes have done it."""

    def step(self, max_norm: float) -> list[float] | None:
        self.engine.step()
        if self.engine.optimizer.overflow:
            return None
        if isinstance(self.optimizer, ApartlyClipped):
            return [self.optimizer.norms[number] for number in sorted(self.optimizer.norms)]
        return [float(self.engine.get_global_grad_norm())]

    @contextmanager
    def whole(self) -> Iterator[None]:
        if self.engine is None or self.holds_all or self.is_whole:
            yield
            return
        self.is_whole = True
        try:
            with whole_weights(self.engine):
                yield
        finally:
            self.is_whole = False

    @contextmanager
    def stored(self) -> Iterator[Stored]:
        if self.engine is None:
            yield self.optimizer
            return
        state = whole_state(self.optimizer, self.trained)
        with self.whole():
            yield state

    @contextmanager
    def restoring(self) -> Iterator[Stored]:
        assert self.engine is None, "a checkpoint is loaded before the first step"
        yield self.optimizer


class ApartlyClipped(torch.optim.AdamW):
    """AdamW that clips each group's gradient by itself: one of a critic that is far off must not shrink the policy's.

    DeepSpeed hands it a group at a time, as this process's part of its flattened weights.
    """

    def __init__(self, plain: torch.optim.AdamW, max_norm: float) -> None:
        for number, group in enumerate(plain.param_groups):
            group["number"] = number
        super().__init__(plain.param_groups)
        self.state, self.max_norm, self.norms = plain.state, max_norm, dict[int, float]()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            gradients = [weight.grad for weight in group["params"] if weight.grad is not None]
            if gradients:
                self.norms[group["number"]] = clip_parts(gradients, self.max_norm)
        super().step()


def clip_parts(gradients: list[Tensor], max_norm: float) -> float:
    """Scales gradients, of which every process has a part, down to a norm of at most `max_norm`; the norm before."""
    squares = torch.stack([gradient.double().square().sum() for gradient in gradients]).sum()
    world.add_up([squares])
    norm = math.sqrt(squares.item())
    for gradient in gradients:
        gradient.mul_(min(1.0, max_norm / (norm + 1e-6)))
    return norm


def is_split(engine: Any) -> bool:
    """Whether no process has all weights of its own."""
    return hasattr(engine.optimizer, "parameter_offload")


def keep_heads_whole(engine: Any) -> None:
    """Output heads are called a chunk of positions at a time, as often as a micro-batch happens to need, and a fetch is
    something that all processes do together: so these weights, once fetched in a step, stay until its end."""
    if not is_split(engine):
        return
    models = [module for module in engine.module.modules() if isinstance(module, PreTrainedModel)]
    heads = [head for head in (model.get_output_embeddings() for model in models) if head is not None]
    for weight in {id(weight): weight for head in heads for weight in head.parameters()}.values():
        if not weight.ds_persist:
            weight.ds_persist = True
            engine.optimizer.persistent_parameters.append(weight)


@contextmanager
def whole_weights(engine: Any) -> Iterator[None]:
    """Within it this process has all weights, fetched once, and modules neither fetch nor drop theirs when called."""
    if not is_split(engine):
        yield
        return
    offload = engine.optimizer.parameter_offload
    with deepspeed().zero.GatheredParameters(list(offload.module.parameters())):
        unhook(offload)
        try:
            yield
        finally:
            offload._register_deepspeed_module(offload.module)


def unhook(offload: Any) -> None:
    for weight in offload.module.parameters():
        weight.ds_active_sub_modules.clear()
    for hook in (*offload.forward_hooks, *offload.backward_hooks):
        hook.remove()
    offload.forward_hooks, offload.backward_hooks = [], []


def make_plain(engine: Any) -> None:
    """The modules are ordinary again, with all weights in every process; DeepSpeed is done with them."""
    if not is_split(engine):
        return
    offload = engine.optimizer.parameter_offload
    weights = list(offload.module.parameters())
    with deepspeed().zero.GatheredParameters(weights):
        plain = {
            id(weight): nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad) for weight in weights
        }
    unhook(offload)
    offload.fwd_pre_hook.remove()
    for module in offload.module.modules():
        module._parameters = {
            name: None if weight is None else plain[id(weight)] for name, weight in module._parameters.items()
        }


def flat_weights(engine: Any) -> list[Tensor]:
    """This process's parts of what trains, as the optimizer sees them."""
    names = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups")  # of stage 3, and of 1 and 2
    return next(getattr(engine.optimizer, name) for name in names if hasattr(engine.optimizer, name))


def taken_state(optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter]) -> State:
    """The state that a checkpoint has put there, weight by weight, and no longer there."""
    return {weight: optimizer.state.pop(weight) for weight in weights if weight in optimizer.state}


def put_state(engine: Any, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Gives every process its part of the state of a run that is resumed, or that of one that begins.

    DeepSpeed would find the state where AdamW puts it at the first step, but of the first of its groups alone.
    """
    (step,) = {float(found["step"]) for found in state.values()} or {0.0}
    for flat in flat_weights(engine):
        optimizer.state[flat] = {"step": torch.tensor(step)} | {key: torch.zeros_like(flat) for key in MOMENTS}
    if hasattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
        engine.optimizer._lazy_init_hp_params_optimizer_state()
    for weight, found in state.items():
        for key in MOMENTS:
            deepspeed().utils.safe_set_full_optimizer_state(weight, found[key], key)


def whole_state(optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter]) -> Stored:
    """What the optimizer knows of each weight, put together from all processes; the first alone keeps it."""
    step, whole = next(iter(optimizer.state.values()))["step"], dict[nn.Parameter, dict[str, Tensor]]()
    for weight in weights:
        found = {key: deepspeed().utils.safe_get_full_optimizer_state(weight, key) for key in MOMENTS}
        if world.is_first():
            whole[weight] = {"step": step.clone(), **{key: value.cpu() for key, value in found.items()}}
    return Whole(whole)
