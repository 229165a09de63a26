"""The learning rate that `optim.lr: auto` stands for: a prior to start from, with its spread, not an optimum.

FullFT's is a tenth of LoRA's: the ratio fitted over 14 models is 9.8, for supervised and reinforcement learning alike
("LoRA Without Regret", Schulman et al. 2025, thinkingmachines.ai/blog/lora). Ratios that others swept spread from 0.2
to 20 for reward models (Sidahmed et al. 2024, arXiv 2403.10704), and one for GRPO is 3, hence `low` and `high`.
"""

from typing import NamedTuple

LORA_OVER_FULL = 10.0
LORA_ON_POLICY = 8e-5
REFERENCE_HIDDEN_SIZE = 2048
SHORT = 100
"""Steps up to which the best ratio was seen to be nearer to 15."""
SFT_FULL = 5e-5
SFT_POWERS = {"qwen": 0.0775, "llama": 0.781}
"""Of 2000 / hidden size, by the beginning of the model's type."""

TINKER = "Tinker cookbook, hyperparam_utils: 5e-5 * 10 * (2000 / hidden)^{power} for LoRA, a tenth for FullFT"
OWN_FORM = "; fitted to Qwen and Llama, and this model is neither, so Qwen's power is taken"
ON_POLICY = (
    "Tinker cookbook's 8e-5 for GSM8K at hidden size 2048, falling as 1 / hidden (arXiv 2203.03466 table 3); published "
    "recipes spread from 1e-5 to 1e-4 for LoRA"
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
    match algo:
        case "grpo" | "rloo":
            return Level(LORA_ON_POLICY * REFERENCE_HIDDEN_SIZE / hidden_size, 8.0, 5.0, ON_POLICY)
        case "ppo":
            return Level(LORA_ON_POLICY * REFERENCE_HIDDEN_SIZE / hidden_size, 8.0, 5.0, f"as GRPO: {ON_POLICY}")
        case "ppo_critic":
            source = "as the policy's, in want of sweeps; PE-RLHF uses 1e-5 for both (arXiv 2403.10704)"
            return Level(LORA_ON_POLICY * REFERENCE_HIDDEN_SIZE / hidden_size, 8.0, 10.0, source)
        case "sft":
            return Level(sft_lora(hidden_size, model_type), 4.0, 4.0, sft_source(model_type))
        case "dpo":
            source = "Tinker cookbook's 1e-5 at beta 0.1; TRL and the alignment handbook take 5e-6"
            return Level(1e-5, 10.0, 10.0, source)
        case "reward_model":
            source = (
                "the SFT formula, halved as ratios swept for reward models have a median of 5 rather than 10 and "
                "reach from 0.2 to 20 (arXiv 2403.10704)"
            )
            return Level(sft_lora(hidden_size, model_type) / 2, 25.0, 4.0, source)
    raise AssertionError(f"no prior for {algo}")


def sft_lora(hidden_size: int, model_type: str) -> float:
    return SFT_FULL * LORA_OVER_FULL * (2000 / hidden_size) ** sft_power(model_type)


def sft_power(model_type: str) -> float:
    known = (power for name, power in SFT_POWERS.items() if model_type.startswith(name))
    return next(known, SFT_POWERS["qwen"])


def sft_source(model_type: str) -> str:
    is_fitted = model_type.startswith(tuple(SFT_POWERS))
    return TINKER.format(power=sft_power(model_type)) + ("" if is_fitted else OWN_FORM)


def on_policy_learning_rate(tune: str, hidden_size: int) -> float:
    """The prior for GRPO and RLOO; `tune` is `lora` or `full`."""
    return prior("grpo", tune, hidden_size).lr


def warning(lr: float, found: Prior, tune: str, steps: int) -> str | None:
    """What to say of a recipe's own learning rate; None where it is within the spread."""
    if lr < found.low:
        usual = "; the most common reason for 'LoRA does not learn' is a full fine-tuning's" if tune == "lora" else ""
        return f"optim.lr = {lr:g} is below {found.low:.1g}, the least that is documented for this{usual}."
    highest = found.high * (1.5 if tune == "lora" and steps <= SHORT else 1.0)
    if lr > highest:
        usual = "; it may be a LoRA's" if tune == "full" else ""
        return f"optim.lr = {lr:g} is above {highest:.1g}, the most that is documented for this{usual}."
    return None
