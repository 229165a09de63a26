"""The learning rate that `optim.lr: auto` stands for: a prior to start from, not an optimum.

FullFT's is a tenth of LoRA's: the ratio fitted over 14 models is 9.8 ("LoRA Without Regret", Schulman et al. 2025,
thinkingmachines.ai/blog/lora); independently swept ratios spread from 3 (GRPO) to 20 (reward models). LoRA's own level
for on-policy training is the Tinker cookbook's for GSM8K, 8e-5, taken at a hidden size of 2,048; other published
recipes spread from 1e-5 (TRL's guide) to 1e-4. It falls as 1 / hidden size, as Adam's does for hidden layers (Yang et
al. 2022, arXiv 2203.03466 table 3).
"""

LORA_OVER_FULL = 10.0
LORA_ON_POLICY = 8e-5
REFERENCE_HIDDEN_SIZE = 2048


CRITIC_OVER_POLICY = 3.0
"""A critic has to follow the policy, so it learns faster; published recipes have 1 (TRL), 10 (verl) and 18 (OpenRLHF)
times the policy's rate, and the geometric middle of 1 and 10 is taken."""


def value_learning_rate(tune: str, hidden_size: int) -> float:
    """The prior for the critic of PPO; `tune` is `lora` or `full`."""
    return CRITIC_OVER_POLICY * on_policy_learning_rate(tune, hidden_size)


def on_policy_learning_rate(tune: str, hidden_size: int) -> float:
    """The prior for GRPO, RLOO and the policy of PPO; `tune` is `lora` or `full`."""
    lora = LORA_ON_POLICY * REFERENCE_HIDDEN_SIZE / hidden_size
    return lora if tune == "lora" else lora / LORA_OVER_FULL
