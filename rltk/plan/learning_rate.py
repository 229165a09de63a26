"""The learning rate that `optim.lr: auto` stands for: a prior to start from, not an optimum.

FullFT's is a tenth of LoRA's: the ratio fitted over 14 models is 9.8 ("LoRA Without Regret", Schulman et al. 2025,
thinkingmachines.ai/blog/lora); independently swept ratios spread from 3 (GRPO) to 20 (reward models). LoRA's own level
for on-policy training is the Tinker cookbook's for GSM8K, 8e-5, taken at a hidden size of 2,048; other published
recipes spread from 1e-5 (TRL's guide) to 1e-4. For supervised fine-tuning it is the cookbook's 5e-4, and for DPO its
1e-5 at beta 0.1; that of reward models lies between. It falls as 1 / hidden size, as Adam's does for hidden layers
(Yang et al. 2022, arXiv 2203.03466 table 3).
"""

from rltk.recipe.schema import Recipe

LORA_OVER_FULL = 10.0
LORA = {"grpo": 8e-5, "rloo": 8e-5, "sft": 5e-4, "reward_model": 1e-4, "dpo": 1e-5}
"""LoRA's level at the reference size, by algorithm."""
REFERENCE_HIDDEN_SIZE = 2048


def peak_learning_rate(recipe: Recipe, hidden_size: int) -> float:
    """What the recipe says, or the prior for its algorithm, its tuning and the model's size."""
    if recipe.optim.lr != "auto":
        return recipe.optim.lr
    lora = LORA[recipe.algo.type] * REFERENCE_HIDDEN_SIZE / hidden_size
    return lora if recipe.tune.type == "lora" else lora / LORA_OVER_FULL
