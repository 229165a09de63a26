"""Seconds of a recipe's on-policy step on this machine, from builds of its model of one and of two layers.

What the second build takes more is a layer's, the rest is the head's and the step's own; so a model of any depth is
timed in seconds and without its weights. A few tokens are sampled, and one micro-batch trained, for all of them.
"""

import copy
import time
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from rltk.errors import UserError
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.load import compute_dtype
from rltk.models.scoring import packs_faithfully
from rltk.onpolicy.critic import make_critic
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.plan.arms import Subject
from rltk.plan.config import read_config
from rltk.plan.time import StepSeconds
from rltk.recipe.schema import PPO, LoRA, OnPolicy
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Rollout, Sampling

TOKENS = 16
"""Sampled of each completion; a step samples all of them at this pace."""
NEVER = (-1,)
"""No token ends a completion."""


class Timed(NamedTuple):
    """Seconds of a whole step, but for the layers that were left out."""

    sampling: float
    learning: float
    """All forward and backward passes over completions that are there."""
    optimizer: float


def measured_step(subject: Subject) -> StepSeconds:
    if not isinstance(subject.recipe.algo, OnPolicy):
        raise UserError(
            f"--measure times steps that sample, and algo.type is {subject.recipe.algo.type}; leave it out."
        )
    if subject.recipe.rollout.engine == "vllm":
        raise UserError("--measure times sampling in this process, and rollout.engine is vllm; leave it out.")
    one, two = (timed(subject, layers) for layers in (1, 2))
    deep = Timed(*(a + max(0.0, b - a) * (subject.shape.layers - 1) for a, b in zip(one, two, strict=True)))
    return StepSeconds(deep.sampling, deep.learning + deep.optimizer)


def timed(subject: Subject, layers: int) -> Timed:
    """The second of two attempts; the first loads libraries and fills caches."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = AutoModelForCausalLM.from_config(shortened(subject, layers)).bfloat16().float().to(device).eval()
    if subject.work.has_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    can_pack = device.type == "cpu" and packs_faithfully(base)
    model = tuned(base, subject)
    dtype = compute_dtype(subject.recipe.model)
    sampler = NativeSampler(model, stops=NEVER, batch=subject.work.at_once, dtype=dtype)
    critic = make_critic(subject.recipe, model, lr=1e-6) if isinstance(subject.recipe.algo, PPO) else None
    learner = Learner(subject.recipe, model, lr=1e-6, can_pack=can_pack, critic=critic)
    attempts = [attempt(subject, sampler, learner, can_pack) for _ in range(2)]
    return attempts[1]


def shortened(subject: Subject, layers: int) -> PretrainedConfig:
    values = dict(read_config(subject.recipe.model))
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    text = config.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    return copy.deepcopy(config)


def tuned(base: Any, subject: Subject) -> nn.Module:
    if not isinstance(subject.recipe.tune, LoRA):
        return base.requires_grad_(True)
    model = add_lora(base, subject.recipe.tune)
    if subject.work.is_bfloat16:
        shrink_frozen(model)
    return model


def attempt(subject: Subject, sampler: NativeSampler, learner: Learner, can_pack: bool) -> Timed:
    work = subject.work
    prompts = [[1 + p % 7] * work.lengths.prompt for p in range(max(1, work.at_once // work.group))]
    tokens = min(TOKENS, work.lengths.completion)
    started = now()
    sampler.sample(prompts, work.group, Sampling(tokens), seed=0)
    sampled = now() - started
    micro = work.micro_batch(subject.shape.heads, can_pack=can_pack)
    rollout = Rollout(
        torch.full((work.lengths.completion,), 2), torch.full((work.lengths.completion,), -1.0), is_truncated=False
    )
    episodes = [
        Episode([1 + index // work.group % 7, *prompts[0][1:]], rollout, 0.0, 1.0, False)
        for index in range(micro.sequences)
    ]
    started = now()
    fixed, _ = learner.criticise(learner.fix_logprobs(episodes), Tally())
    scored = now() - started
    learner.switch_training(True)
    started = now()
    learner.accumulate(fixed, Tally())
    trained = now() - started
    learner.switch_training(False)
    started = now()
    learner.optimizer_step(Tally())
    stepped = now() - started
    times = work.sequences / micro.sequences
    rounds = work.sequences / len(prompts) / work.group
    return Timed(
        sampled * rounds * work.lengths.completion / tokens,
        times * (scored + work.epochs * trained),
        stepped * work.updates * work.epochs,
    )


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
