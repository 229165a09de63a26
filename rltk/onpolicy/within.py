"""Rewards that are due within completions, on their way to tokens: for PPO as they are, otherwise as advantages.

Shapes: P problems, G completions a problem, T completion tokens.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rltk.onpolicy.advantages import advantages_to_go, divisor, less_the_mean, rloo_advantages
from rltk.onpolicy.episodes import Episode
from rltk.recipe.schema import GRPO, PPO, RLOO
from rltk.rewards.dense import Dense

Algo = GRPO | RLOO | PPO


def spread_rewards(
    algo: Algo, episodes: Sequence[Episode], due: Mapping[str, Sequence[Dense]], rewards_PG: Tensor
) -> list[Episode]:
    """The episodes, group after group, with what each of their tokens is worth; `due` has one entry a named reward."""
    if isinstance(algo, PPO):
        rows = [token_by_token([row[i] for row in due.values()], episode) for i, episode in enumerate(episodes)]
        return [episode._replace(rewards_T=row_T) for episode, row_T in zip(episodes, rows, strict=True)]
    advantages = token_advantages(algo, episodes, due, rewards_PG)
    return [
        episode._replace(advantage=0.0, advantages_T=row_T) for episode, row_T in zip(episodes, advantages, strict=True)
    ]


def token_by_token(rewards: Sequence[Dense], episode: Episode) -> Tensor:
    """[T]"""
    found_T = torch.zeros(len(episode.tokens_T))
    for one in (one for reward in rewards for one in reward):
        found_T[one.token] += one.reward
    return found_T


def token_advantages(
    algo: GRPO | RLOO, episodes: Sequence[Episode], due: Mapping[str, Sequence[Dense]], rewards_PG: Tensor
) -> list[Tensor]:
    """[T] of each: rewards of different names are compared apart, and added."""
    divisor_P1 = divisor(rewards_PG, algo.scale) if isinstance(algo, GRPO) else torch.ones(len(rewards_PG), 1)
    centre = less_the_mean if isinstance(algo, GRPO) else rloo_advantages
    size, found = rewards_PG.shape[1], list[Tensor]()
    for p, judged in enumerate(rewards_PG.isfinite().tolist()):
        group = slice(p * size, (p + 1) * size)
        lengths = [len(episode.tokens_T) for episode in episodes[group]]
        parts = [advantages_to_go(row[group], judged, lengths, centre) for row in due.values()]
        found += [torch.stack(of_one).sum(0) / divisor_P1[p] for of_one in zip(*parts, strict=True)]
    return found
