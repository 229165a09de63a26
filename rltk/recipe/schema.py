"""The recipe: its sections, which stand in `sections/` with their keys and defaults, and the rules between them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, model_validator

from rltk.recipe.fields import Name, Section, Whole, broken_rule
from rltk.recipe.rules import refuse_servers_that_cannot_follow, unused_keys
from rltk.recipe.sections.algo import Algo
from rltk.recipe.sections.compare import Compare
from rltk.recipe.sections.data import Data
from rltk.recipe.sections.embedded import EMBEDDED
from rltk.recipe.sections.evaluation import EVAL_BLOCK, EVAL_TASKS, HELDOUT_LIKE, LOSS, PREFERENCE_TASKS, Eval
from rltk.recipe.sections.hardware import DeepSpeed, Hardware
from rltk.recipe.sections.model import Model
from rltk.recipe.sections.offline import DPO, SFT, Offline, Paired, RewardModel
from rltk.recipe.sections.onpolicy import GRPO, PPO, RLOO, Critic, OnPolicy
from rltk.recipe.sections.optim import Optim
from rltk.recipe.sections.rewards import (
    REWARD_NAME,
    AnswerReward,
    GoldReward,
    ModelReward,
    PythonReward,
    Reward,
    ServerReward,
    SolutionReward,
)
from rltk.recipe.sections.rollout import Rollout
from rltk.recipe.sections.run import Run
from rltk.recipe.sections.tune import Full, LoRA, Tune

__all__ = [
    "DPO",
    "EMBEDDED",
    "EVAL_BLOCK",
    "EVAL_TASKS",
    "GRPO",
    "HELDOUT_LIKE",
    "LOSS",
    "PPO",
    "PREFERENCE_TASKS",
    "RLOO",
    "SFT",
    "Algo",
    "AnswerReward",
    "Compare",
    "Critic",
    "Data",
    "DeepSpeed",
    "Eval",
    "Full",
    "GoldReward",
    "Hardware",
    "LoRA",
    "Model",
    "ModelReward",
    "Offline",
    "OnPolicy",
    "Optim",
    "Paired",
    "PythonReward",
    "Recipe",
    "Reward",
    "RewardModel",
    "Rollout",
    "Run",
    "ServerReward",
    "SolutionReward",
    "Tune",
]


class Recipe(Section):
    """One training run."""

    name: Name
    """Names the folder of its runs."""
    seed: Whole = 0
    model: Model
    data: Data
    algo: Algo
    tune: Tune
    rewards: dict[str, Reward] = Field(default_factory=dict)
    """What a completion is worth: the weighted sum of these, by names of your own; none means the answer's."""
    optim: Optim = Optim()
    rollout: Rollout = Rollout()
    eval: Eval = Eval()
    run: Run = Run()
    hardware: Hardware = Hardware()
    compare: Compare = Compare()

    @model_validator(mode="after")
    def _reference_is_the_base(self) -> Recipe:
        starts_elsewhere = isinstance(self.tune, LoRA) and self.tune.init == "pissa"
        if starts_elsewhere and isinstance(self.algo, OnPolicy) and self.algo.kl:
            raise broken_rule("moves the base, which algo.kl > 0 compares with; set one of them back", "tune.init")
        return self

    @model_validator(mode="after")
    def _four_bits_are_frozen(self) -> Recipe:
        if self.model.quantize is not None and not isinstance(self.tune, LoRA):
            must = "is for LoRA alone: weights that train need more than four bits; set it to null"
            raise broken_rule(must, "model.quantize", "tune.type")
        if self.model.quantize is not None and isinstance(self.tune, LoRA) and self.tune.init == "pissa":
            must = "moves the base, which model.quantize holds in four bits; set one of them back"
            raise broken_rule(must, "tune.init", "model.quantize")
        if self.model.quantize is not None and self.rollout.engine == "vllm":
            must = "is not what servers sample from; set it to null, or rollout.engine to auto"
            raise broken_rule(must, "model.quantize", "rollout.engine")
        if self.model.quantize is not None and self.hardware.size > 1:
            must = "is for one process: how ZeRO splits four bits has not been tested here; set it to null"
            raise broken_rule(must, "model.quantize", "hardware.processes", "hardware.nodes")
        return self

    @model_validator(mode="after")
    def _validation_exists(self) -> Recipe:
        needs_it = self.eval.split == "validation" and {"heldout", LOSS} & set(self.eval.tasks)
        if needs_it and not self.data.is_embedded and not self.data.validation:
            raise broken_rule("must be at least 1 when eval.split is validation", "data.validation", "eval.split")
        return self

    @model_validator(mode="after")
    def _processes_share_evenly(self) -> Recipe:
        size = self.hardware.size
        if isinstance(self.algo, Offline) and self.algo.batch % size:
            must = f"must be a multiple of the {size} processes that share it"
            raise broken_rule(must, "algo.batch", "hardware.processes", "hardware.nodes")
        if isinstance(self.algo, PPO) and self.hardware.deepspeed.offload != "none":
            must = "does not go with algo.type ppo, whose policy and critic take turns; set it to none"
            raise broken_rule(must, "hardware.deepspeed.offload", "algo.type")
        if self.model.quantize is not None and self.hardware.deepspeed.zero == 3:
            must = "does not go with hardware.deepspeed.zero 3, which cannot split 4-bit weights; use 0, 1 or 2"
            raise broken_rule(must, "model.quantize", "hardware.deepspeed.zero")
        if size > 1 and self.rollout.engine == "vllm" and isinstance(self.tune, Full):
            must = "moves whole weights from one process alone; use native, or tune.type=lora"
            raise broken_rule(must, "rollout.engine", "hardware.processes", "tune.type")
        return self

    @model_validator(mode="before")
    @classmethod
    def _conversations_have_a_loss_alone(cls, given: Any) -> Any:
        """What stands for `heldout` where there are no answers to check."""
        data, options = (given.get(key, {}) for key in ("data", "eval")) if isinstance(given, dict) else (None, None)
        if not isinstance(data, dict) or not isinstance(options, dict) or data.get("kind") != "messages":
            return given
        return given | {"eval": {"tasks": (LOSS,)} | options}

    @model_validator(mode="after")
    def _conversations_are_imitated(self) -> Recipe:
        if self.data.kind != "messages":
            return self
        if not isinstance(self.algo, SFT):
            must = f"is messages, conversations to imitate, and algo.type {self.algo.type} does not imitate; use sft"
            raise broken_rule(must, "data.kind", "algo.type")
        if "heldout" in self.eval.tasks:
            must = f"has no answers to check where data.kind is messages; name {LOSS}, or problems such as gsm8k"
            raise broken_rule(must, "eval.tasks", "data.kind")
        return self

    @model_validator(mode="after")
    def _solutions_have_a_loss(self) -> Recipe:
        if LOSS in self.eval.tasks and not isinstance(self.algo, SFT):
            must = f"names {LOSS}, which algo.type sft alone is scored by"
            raise broken_rule(must, "eval.tasks", "algo.type")
        return self

    @model_validator(mode="after")
    def _critic_suits_what_trains(self) -> Recipe:
        own = {"lora": "adapter", "full": "model"}[self.tune.type]
        if isinstance(self.algo, PPO) and self.algo.critic.type not in ("auto", "head", own):
            must = f"does not go with tune.type = {self.tune.type}; use {own} or head"
            raise broken_rule(must, "algo.critic.type", "tune.type")
        return self

    @model_validator(mode="after")
    def _rewards_are_known(self) -> Recipe:
        if not isinstance(self.algo, OnPolicy):
            if self.rewards:
                raise broken_rule(f"has no meaning with algo.type {self.algo.type}; remove it", "rewards", "algo.type")
            return self
        if self.data.kind == "preferences" and not self.rewards:
            must = "has prompts without an answer to check: name rewards of type model, server, python or gold"
            raise broken_rule(must, "data.path", "rewards")
        for name, reward in self.rewards.items():
            if not REWARD_NAME.fullmatch(name):
                raise broken_rule(f"has a name, {name!r}, that is more than letters, digits, '_' and '-'", "rewards")
            if reward.type == "answer" and self.data.kind == "preferences":
                must = "needs problems with answers, and data.kind is preferences; use model, server, python or gold"
                raise broken_rule(must, f"rewards.{name}.type", "data.kind")
            if reward.type == "solution" and self.data.kind != "number":
                must = f"follows solutions of problems with numbers, and data.kind is {self.data.kind}; leave it out"
                raise broken_rule(must, f"rewards.{name}.type", "data.kind")
            if reward.type == "gold" and not self.knows_gold:
                must = "is known for embedded/dialogues alone; use model, server or python"
                raise broken_rule(must, f"rewards.{name}.type", "data.path")
        return self

    @model_validator(mode="after")
    def _watches_gold(self) -> Recipe:
        if self.eval.stop_on_overoptimisation and not self.knows_gold:
            must = "needs a gold reward, which embedded/dialogues alone has"
            raise broken_rule(must, "eval.stop_on_overoptimisation", "data.path")
        if self.eval.stop_on_overoptimisation and not self.eval.every:
            must = "looks at the evaluations while training; set eval.every"
            raise broken_rule(must, "eval.stop_on_overoptimisation", "eval.every")
        return self

    @property
    def knows_gold(self) -> bool:
        """Whether the true reward of any completion is known."""
        return self.data.path == "embedded/dialogues"

    @model_validator(mode="after")
    def _servers_can_follow(self) -> Recipe:
        refuse_servers_that_cannot_follow(self.algo, self.tune, self.rollout)
        return self

    @model_validator(mode="after")
    def _data_suits_the_algorithm(self) -> Recipe:
        for key, because in unused_keys(self.algo, is_preferences=self.data.kind == "preferences"):
            section, name = key.split(".")
            value, default = (
                getattr(getattr(self, section), name),
                type(getattr(self, section)).model_fields[name].default,
            )
            if value != default:
                shown = json.dumps(default)
                raise broken_rule(
                    f"has no meaning with {because}; set it back to {shown}", key, "data.kind", "algo.type"
                )
        return self
