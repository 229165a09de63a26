"""The forms of `algo` that learn from completions of the policy as it is: GRPO, RLOO and PPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import (
    AtLeastOne,
    Count,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    Section,
    Share,
    Text,
    broken_rule,
)


class OnPolicy(Section):
    """What GRPO and RLOO share: a step samples completions, grades them, and learns from the grades."""

    prompts: Count = 32
    """Problems a step."""
    group: Annotated[int, Field(strict=True, ge=2)] = 8
    """Completions a problem: more makes the baseline better and the step dearer."""
    updates: Count = 1
    """Optimizer steps in one pass over a step's completions; it must divide prompts, since groups stay whole."""
    epochs: Count = 1
    """Passes over a step's completions: more learns more from each, from a policy that is no longer the one trained."""
    loss: Literal["grpo", "dr_grpo", "dapo"] = "dr_grpo"
    """Average over tokens: within each completion (grpo), by a constant (dr_grpo), over all tokens at once (dapo)."""
    clip_low: Fraction = 0.2
    """How far a token's probability ratio may fall below 1 before it stops learning."""
    clip_high: NonNegative = 0.2
    """How far a token's probability ratio may rise above 1 before it stops learning."""
    kl: NonNegative = 0.0
    """Weight of the KL divergence to the starting model; 0 loads no reference model."""
    importance_cap: AtLeastOne | None = 2.0
    """Cap of the weights that correct for sampling and training computing probabilities differently; null: none."""
    mask_truncated: Flag = True
    """Learn nothing from a completion that was cut off at rollout.max_new_tokens."""

    @model_validator(mode="after")
    def _whole_groups(self) -> OnPolicy:
        if self.prompts % self.updates:
            raise broken_rule(f"must be a multiple of algo.updates ({self.updates})", "prompts", "updates")
        return self


class GRPO(OnPolicy):
    """Group relative policy optimization: the baseline is the mean reward of the problem's group."""

    type: Literal["grpo"] = "grpo"
    scale: Literal["none", "group", "batch"] = "none"
    """Standard deviation that the centred reward is divided by: none, of its group, of the whole step."""


class RLOO(OnPolicy):
    """REINFORCE leave-one-out: the baseline is the mean reward of the problem's other completions."""

    type: Literal["rloo"] = "rloo"


class Critic(Section):
    """What tells PPO how much reward is still to come: a scalar head, which starts at zero, on a trunk."""

    type: Literal["auto", "head", "adapter", "model"] = "auto"
    """Trunk: the policy's own (head), an adapter of its own on the policy's base (adapter, LoRA only), a whole model of
    its own (model, full fine-tuning only); auto is adapter with LoRA and model with full fine-tuning."""
    from_: Annotated[Text | None, Field(alias="from")] = None
    """Run or folder of a reward model that the critic starts from; null starts it from the policy's own start."""
    lr: Literal["auto"] | Positive = "auto"
    """Peak learning rate of the critic; auto picks one as optim.lr does. A shared trunk learns at optim.lr."""

    @model_validator(mode="after")
    def _has_own_trunk(self) -> Critic:
        if self.from_ is not None and self.type == "head":
            raise broken_rule("would share the policy's trunk, and critic.from starts one of its own", "type", "from")
        return self


class PPO(OnPolicy):
    """Proximal policy optimization: a critic says, token by token, how good it already looked."""

    type: Literal["ppo"] = "ppo"
    group: Count = 1
    """Completions a problem; the critic is the baseline, so 1 will do."""
    epochs: Count = 2
    """Passes over a step's completions: more learns more from each, from a policy that is no longer the one trained."""
    loss: Literal["grpo", "dr_grpo", "dapo"] = "dapo"
    """Average over tokens, of the critic's loss too: within each completion, by a constant, over all tokens at once."""
    mask_truncated: Flag = False
    """Learn nothing from a completion that was cut off at rollout.max_new_tokens."""
    gamma: Share = 1.0
    """Discount of a reward that comes a token later."""
    lam: Annotated[Share, Field(alias="lambda")] = 1.0
    """Lambda of the advantage estimate: 1 takes what was earned and lets the critic be a baseline only, unbiased while
    it still knows nothing; 0.95 trusts the critic's word on what comes more than some 20 tokens later."""
    clip_value: Positive | None = 0.2
    """How far a value may move from what it was when the step began before it stops learning; null: no bound."""
    value_coef: Positive = 0.5
    """Weight of the critic's loss; it matters where the trunk is shared."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where algo.kl acts: in the reward of every token, where the critic sees it, or in the loss."""
    kl_target: Positive | None = None
    """KL divergence to the starting model, in nats a completion, that algo.kl is steered to from where it starts; null
    keeps it."""
    stop_kl: Positive | None = None
    """KL divergence, in nats a token, from the policy that sampled beyond which a step makes no more updates."""
    whiten_advantages: Flag = True
    """Bring a step's advantages to mean 0 and standard deviation 1."""
    whiten_rewards: Flag = False
    """Bring a step's token rewards to standard deviation 1 around their mean, which stays."""
    reward_clip: Positive | None = None
    """Bound of a completion's reward, above and below zero, before the KL penalty; null: none."""
    missing_stop_penalty: NonNegative = 0.0
    """Taken off the reward of a completion that was cut off."""
    critic: Critic = Critic()

    @model_validator(mode="after")
    def _can_act(self) -> PPO:
        if self.kl_target is not None and not self.kl:
            raise broken_rule("steers algo.kl, which is 0; start it above", "kl_target", "kl")
        if self.missing_stop_penalty and self.mask_truncated:
            raise broken_rule(
                "has no effect where completions that were cut off are masked; set algo.mask_truncated=false",
                "missing_stop_penalty",
                "mask_truncated",
            )
        return self
