"""The learning rate that `optim.lr: auto` stands for: a prior to start from, with its spread, not an optimum.

FullFT's is a tenth of LoRA's: the ratio fitted over 14 models is 9.8, for supervised and reinforcement learning alike
("LoRA Without Regret", Schulman et al. 2025, thinkingmachines.ai/blog/lora). Ratios that others swept spread from 0.2
to 20 for reward models (Sidahmed et al. 2024, arXiv 2403.10704), and one for GRPO is 3, hence `low` and `high`.
"""

from typing import NamedTuple

from rltk.recipe.schema import PPO, Recipe

LORA_OVER_FULL = 10.0
LORA = {"grpo": 8e-5, "rloo": 8e-5, "ppo": 8e-5, "reward_model": 1e-4, "dpo": 1e-5}
"""LoRA's level at the reference size, by algorithm; it falls as 1 / hidden size. SFT has a fitted formula instead."""
REFERENCE_HIDDEN_SIZE = 2048
CRITIC_OVER_POLICY = 3.0
"""A critic has to follow the policy, so it learns faster."""
SHORT = 100
"""Steps up to which the best ratio was seen to be nearer to 15."""
SFT_FULL = 5e-5
SFT_POWERS = {"qwen": 0.0775, "llama": 0.781}
"""Of 2000 / hidden size, by the beginning of the model's type."""
SMALLEST_FITTED = 1024
"""Hidden size of the smallest models that the formula was fitted to; below it the prior falls as 1 / hidden size."""

TINKER = "Tinker cookbook, hyperparam_utils: 5e-5 * 10 * (2000 / hidden)^{power} for LoRA, a tenth for FullFT"
OWN_FORM = "; fitted to Qwen and Llama, and this model is neither, so Qwen's power is taken"
SMALL = "; smaller than any that was fitted, so as 1 / hidden size from 1,024 on"
ON_POLICY = (
    "Tinker cookbook's 8e-5 for GSM8K at hidden size 2048, falling as 1 / hidden (arXiv 2203.03466 table 3); published "
    "recipes spread from 1e-5 to 1e-4 for LoRA"
)
CRITIC = "3 times the policy's, between TRL's 1 and verl's 10 (OpenRLHF: 18); the policy's is "
DPO = "Tinker cookbook's 1e-5 at beta 0.1, taken at hidden size 2048; TRL and the alignment handbook take 5e-6"
REWARD_MODEL = (
    "between DPO's and SFT's, at hidden size 2048, in want of a published level; swept ratios of LoRA to FullFT have a "
    "median of 5 and reach from 0.2 to 20 (arXiv 2403.10704)"
)


class Prior(NamedTuple):
    lr: float
    low: float
    """Between `low` and `high` lie the published recipes and swept optima; outside, a run would be the first."""
    high: float
    source: str


class Level(NamedTuple):
    """LoRA's learning rate, how far either side published ones lie, and who says so."""

    lora: float
    below: float
    above: float
    source: str


def prior(algo: str, tune: str, hidden_size: int, model_type: str = "") -> Prior:
    """`algo`: grpo, rloo, ppo, ppo_critic, sft, dpo or reward_model; `tune`: lora or full."""
    level = level_of(algo, hidden_size, model_type)
    factor = 1.0 if tune == "lora" else 1 / LORA_OVER_FULL
    lr = level.lora if tune == "lora" else level.lora / LORA_OVER_FULL
    tenth = "" if tune == "lora" else f"; FullFT's is LoRA's / {LORA_OVER_FULL:g} (thinkingmachines.ai/blog/lora)"
    return Prior(lr, level.lora * factor / level.below, level.lora * factor * level.above, level.source + tenth)


def level_of(algo: str, hidden_size: int, model_type: str) -> Level:
    if algo == "sft":
        return Level(sft_lora(hidden_size, model_type), 4.0, 4.0, sft_source(hidden_size, model_type))
    policy = LORA["ppo" if algo == "ppo_critic" else algo] * REFERENCE_HIDDEN_SIZE / hidden_size
    match algo:
        case "ppo_critic":
            return Level(CRITIC_OVER_POLICY * policy, 3.0, 6.0, CRITIC + ON_POLICY)
        case "dpo":
            return Level(policy, 10.0, 10.0, DPO)
        case "reward_model":
            return Level(policy, 25.0, 10.0, REWARD_MODEL)
        case _:
            return Level(policy, 8.0, 5.0, ON_POLICY)


def sft_lora(hidden_size: int, model_type: str) -> float:
    fitted = max(hidden_size, SMALLEST_FITTED)
    return SFT_FULL * LORA_OVER_FULL * (2000 / fitted) ** sft_power(model_type) * fitted / hidden_size


def sft_power(model_type: str) -> float:
    known = (power for name, power in SFT_POWERS.items() if model_type.startswith(name))
    return next(known, SFT_POWERS["qwen"])


def sft_source(hidden_size: int, model_type: str) -> str:
    is_fitted = model_type.startswith(tuple(SFT_POWERS))
    endings = ("" if is_fitted else OWN_FORM) + (SMALL if hidden_size < SMALLEST_FITTED else "")
    return TINKER.format(power=sft_power(model_type)) + endings


def peak_learning_rate(recipe: Recipe, hidden_size: int, model_type: str = "") -> float:
    """What the recipe says, or the prior for its algorithm, its tuning and the model."""
    if recipe.optim.lr != "auto":
        return recipe.optim.lr
    return prior(recipe.algo.type, recipe.tune.type, hidden_size, model_type).lr


def critic_learning_rate(recipe: Recipe, hidden_size: int) -> float:
    """What the recipe says, or the prior for the critic of PPO."""
    assert isinstance(recipe.algo, PPO)
    if recipe.algo.critic.lr != "auto":
        return recipe.algo.critic.lr
    return prior("ppo_critic", recipe.tune.type, hidden_size).lr


def on_policy_learning_rate(tune: str, hidden_size: int) -> float:
    """The prior for GRPO, RLOO and the policy of PPO; `tune` is `lora` or `full`."""
    return prior("grpo", tune, hidden_size).lr


def recipe_warning(recipe: Recipe, hidden_size: int, model_type: str = "") -> str | None:
    """What to say of the learning rate that a recipe sets; None where it is within the spread, or auto."""
    if recipe.optim.lr == "auto":
        return None
    found = prior(recipe.algo.type, recipe.tune.type, hidden_size, model_type)
    return warning(recipe.optim.lr, found, recipe.tune.type, recipe.optim.steps)


def warning(lr: float, found: Prior, tune: str, steps: int) -> str | None:
    if lr < found.low:
        usual = "; the most common reason for 'LoRA does not learn' is a full fine-tuning's" if tune == "lora" else ""
        return f"optim.lr = {lr:g} is below {found.low:.1g}, the least that is documented for this{usual}."
    highest = found.high * (1.5 if tune == "lora" and steps <= SHORT else 1.0)
    if lr > highest:
        usual = "; it may be a LoRA's" if tune == "full" else ""
        return f"optim.lr = {lr:g} is above {highest:.1g}, the most that is documented for this{usual}."
    return None
