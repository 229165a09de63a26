"""How much training offered to learn, and how much the trained parameters can hold, both in bits.

A parameter holds about 2 bits of knowledge (Allen-Zhu & Li 2024, arXiv 2404.05405). An episode of policy gradient
offers at most the entropy of its outcome, so about a bit, and so does a preference; supervised learning offers the
log-loss of its completions ("LoRA Without Regret", Schulman et al. 2025, thinkingmachines.ai/blog/lora).

Shapes: P problems, G completions a problem.
"""

import math
from collections import Counter
from collections.abc import Sequence

from torch import Tensor

BITS_A_PARAMETER = 2.0
MOST_BITS_AN_EPISODE = 1.0


def outcome_bits(rewards_PG: Tensor) -> float:
    """Bits that a step's outcomes offer: for each episode the entropy of its group's rewards, at most 1."""
    judged = ([reward for reward in group if not math.isnan(reward)] for group in rewards_PG.tolist())
    return sum(len(group) * min(MOST_BITS_AN_EPISODE, entropy_bits(group)) for group in judged)


def entropy_bits(outcomes: Sequence[float]) -> float:
    """Entropy of how often each outcome occurs."""
    shares = [count / len(outcomes) for count in Counter(outcomes).values()]
    return sum(-share * math.log2(share) for share in shares)


def loss_bits(mean_nats: float, tokens: int) -> float:
    """Bits that completions offer to supervised learning, from their mean log-loss a token when first seen."""
    return mean_nats * tokens / math.log(2)


def preference_bits(pairs: int) -> float:
    """Bits that pairs of replies offer at most: which of the two is preferred."""
    return float(pairs)


def capacity_used(bits: float, parameters: int) -> float:
    """Bits offered over bits that the parameters hold; above 1 there was more to learn than they can keep."""
    return bits / (BITS_A_PARAMETER * parameters)
