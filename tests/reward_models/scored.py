"""Scored pairs for the tests."""

import random

from rltk_reward_models.pairs import ScoredPair


def pair(lead: float, prompt: str = "p", *, longer: int = 0) -> ScoredPair:
    """A pair whose chosen reply leads by `lead` and is longer by `longer`."""
    return ScoredPair(prompt=prompt, chosen=lead, rejected=0.0, chosen_length=10 + longer, rejected_length=10)


def simulated(
    count: int, *, temperature: float = 1.0, length_weight: float = 0.0, seed: int = 0, a_prompt: int = 1
) -> list[ScoredPair]:
    """Pairs labelled by sigmoid(score difference / temperature + length_weight * length difference)."""
    draw = random.Random(seed)
    return [_drawn(draw, f"prompt {i // a_prompt}", temperature, length_weight) for i in range(count)]


def _drawn(draw: random.Random, prompt: str, temperature: float, length_weight: float) -> ScoredPair:
    left, right = ((draw.gauss(0, 1.5), draw.randint(5, 50)) for _ in range(2))
    logit = (left[0] - right[0]) / temperature + length_weight * (left[1] - right[1])
    is_left = draw.random() < 1 / (1 + 2.718281828459045**-logit)
    chosen, rejected = (left, right) if is_left else (right, left)
    return ScoredPair(
        prompt=prompt, chosen=chosen[0], rejected=rejected[0], chosen_length=chosen[1], rejected_length=rejected[1]
    )
