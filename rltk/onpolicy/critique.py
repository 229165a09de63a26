"""From rewards and values to what each token of a step teaches: the part of PPO between critic and objective.

Shapes: B completions, T completion tokens (padded on the right).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rltk.onpolicy.episodes import Critique, Episode
from rltk.onpolicy.gae import explained_variance, generalized_advantages, token_rewards, whitened
from rltk.recipe.schema import PPO


class Criticised(NamedTuple):
    episodes: list[Episode]
    metrics: dict[str, float]


def criticised(algo: PPO, episodes: Sequence[Episode], values: Sequence[Tensor], kl: float) -> Criticised:
    """The episodes with their critiques; `values` are those of the states before each one's tokens, `kl` is the weight
    of the KL penalty now."""
    values_BT, device = pad(values), values[0].device
    mask_BT = pad([torch.ones_like(row_T) for row_T in values]).bool()
    trains_B = torch.tensor([not episode.is_masked for episode in episodes], device=device)
    trains_BT = mask_BT & trains_B[:, None]
    scores_B = torch.tensor([worth(algo, episode) for episode in episodes], device=device)
    kl_BT = log_ratios(episodes) if algo.kl_in == "reward" and algo.kl > 0 else None
    rewards_BT = token_rewards(scores_B, mask_BT, kl_BT, kl, rewards_within(episodes, device))
    if algo.whiten_rewards:
        rewards_BT = whitened(rewards_BT, trains_BT, keep_mean=True)
    advantages_BT, returns_BT = generalized_advantages(rewards_BT, values_BT, mask_BT, gamma=algo.gamma, lam=algo.lam)
    metrics = {
        "explained_variance": explained_variance(values_BT[trains_BT], returns_BT[trains_BT]),
        "returns": returns_BT[trains_BT].mean().item(),
        "values": values_BT[trains_BT].mean().item(),
        "advantage_std": advantages_BT[trains_BT].std(correction=0).item(),
    }
    if algo.whiten_advantages:
        advantages_BT = whitened(advantages_BT, trains_BT)
    rows = zip(episodes, values_BT, advantages_BT, returns_BT, strict=True)
    return Criticised([with_critique(episode, *tensors) for episode, *tensors in rows], metrics)


def with_critique(episode: Episode, values_T: Tensor, advantages_T: Tensor, returns_T: Tensor) -> Episode:
    length = len(episode.tokens_T)
    return episode._replace(critique=Critique(values_T[:length], advantages_T[:length], returns_T[:length]))


def worth(algo: PPO, episode: Episode) -> float:
    """The completion's reward within its bounds, less the penalty for having been cut off."""
    bound = float("inf") if algo.reward_clip is None else algo.reward_clip
    penalty = algo.missing_stop_penalty if episode.rollout.is_truncated else 0.0
    return min(max(episode.reward, -bound), bound) - penalty


def rewards_within(episodes: Sequence[Episode], device: torch.device) -> Tensor | None:
    """[B, T], what is due at each token; None where it is all at the end."""
    rows = [episode.rewards_T for episode in episodes if episode.rewards_T is not None]
    return pad(rows).to(device) if rows else None


def log_ratios(episodes: Sequence[Episode]) -> Tensor:
    """[B, T], log policy - log reference: what a token costs per unit of KL (Ziegler et al. 2019, equation 2)."""
    rows = [
        episode.old_logprobs_T - episode.reference_logprobs_T
        for episode in episodes
        if episode.old_logprobs_T is not None and episode.reference_logprobs_T is not None
    ]
    assert len(rows) == len(episodes)
    return pad(rows)


def kl_to_reference(episodes: Sequence[Episode]) -> float:
    """In nats a completion, estimated from what the policy sampled and could score."""
    return log_ratios([episode for episode in episodes if episode.is_whole]).sum(1).mean().item()


def pad(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True)
