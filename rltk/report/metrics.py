"""What the metrics of a step are called on a page, in which unit, and what each says; the order is that of the page."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    title: str
    about: str = ""
    unit: str = ""


LEARNING = {
    "reward": Metric("Reward", "Mean over the completions of a step."),
    "gold_reward": Metric("Gold reward", "The truth that embedded dialogues have, of the same completions."),
    "accuracy": Metric("Accuracy", "", "share"),
    "heldout_accuracy": Metric("Accuracy, held-out pairs", "Share whose chosen reply is ranked right.", "share"),
    "heldout_reward": Metric("Reward, held out", "Greedy."),
    "heldout_gold_reward": Metric("Gold reward, held out", "Greedy."),
    "loss": Metric("Loss"),
    "heldout_loss": Metric("Loss, held out", "Nats a token."),
    "margin": Metric("Margin", "Reward of the chosen reply less that of the rejected one."),
    "chosen_reward": Metric("Reward of chosen replies"),
    "rejected_reward": Metric("Reward of rejected replies"),
}
HEALTH = {
    "kl": Metric("KL to the starting model", "Nats a token."),
    "entropy": Metric("Entropy", "Nats a token; near 0 the policy has stopped exploring."),
    "completion_tokens": Metric("Completion length", "Mean tokens."),
    "truncated": Metric("Truncated completions", "Cut off at the longest length allowed.", "share"),
    "unreadable": Metric("Unreadable answers", "Completions in which no answer could be read.", "share"),
    "unjudged": Metric("Unjudged completions", "A reward gave None; nothing is learned from them.", "share"),
    "timeout": Metric("Timed-out checks", "Answers whose check ran over its bound.", "share"),
    "zero_variance_groups": Metric("Groups without contrast", "All completions of the problem got the same reward."),
    "rollout_mismatch_kl": Metric("Mismatch KL", "Between what sampled and what trains; rounding leaves little."),
    "largest_logprob_difference": Metric(
        "Largest mismatch", "Of one token's log-probability, between what sampled and what trains."
    ),
    "clipped": Metric("Clipped tokens", "Whose probability moved too far for the gradient to go on.", "share"),
    "policy_moved_kl": Metric("KL since the rollouts", "Nats a token that the step's own updates moved the policy."),
    "kl_coefficient": Metric("Weight of KL", "What a nat of KL to the starting model costs in reward."),
    "grad_norm": Metric("Gradient norm", "Before clipping."),
    "lr": Metric("Learning rate"),
    "skipped_updates": Metric("Skipped updates", "Steps whose gradient was not finite."),
    "updates": Metric("Optimizer updates a step"),
    "reward_std": Metric("Spread of rewards", "Standard deviation over the completions of a step."),
    "reward_max": Metric("Highest reward", "Of the replies of a step."),
    "reward_mean": Metric("Mean reward", "Of the replies of a step, chosen and rejected."),
    "reward_min": Metric("Lowest reward", "Of the replies of a step."),
}
CRITIC = {
    "explained_variance": Metric(
        "Explained variance", "Of the returns, by the critic: 1 is right, 0 no better than a mean."
    ),
    "value_loss": Metric("Loss of the critic"),
    "values": Metric("Values", "Mean of what the critic expects at a token."),
    "returns": Metric("Returns", "Mean of what came of a token."),
    "advantage_std": Metric("Spread of advantages", "Standard deviation over tokens."),
    "values_clipped": Metric("Clipped values", "Tokens whose value moved too far for the gradient to go on.", "share"),
    "critic_lr": Metric("Learning rate of the critic"),
}
WEIGHTS = {
    "update_norm": Metric("Size of the update", "Frobenius norm of all that training has added to the weights."),
    "stable_rank": Metric("Stable rank", "Of the update, mean over matrices: how many directions share it."),
    "evenly_filled": Metric("Evenly filled adapters", "Adapters that use nearly all of their rank.", "share"),
    "outcome_bits": Metric("Bits a step", "That the outcomes of the step offer to learn from, at most 1 a completion."),
    "bits_offered": Metric("Bits so far", "That training has offered to learn from."),
    "capacity_used": Metric("Capacity used", "Bits so far, of the two that a trained parameter can hold.", "share"),
}
COST = {
    "sampled_tokens_per_second": Metric("Tokens sampled a second"),
    "sampled_tokens": Metric("Tokens sampled a step"),
    "rollout_seconds": Metric("Seconds sampling"),
    "train_seconds": Metric("Seconds training"),
    "seconds": Metric("Seconds a step"),
    "tokens": Metric("Tokens a step"),
    "peak_memory_bytes": Metric("Peak memory", "GiB; the most that the process has held until then.", "bytes"),
}
SECTIONS = {"Learning": LEARNING, "Health": HEALTH, "Critic": CRITIC, "Weights": WEIGHTS, "Time and memory": COST}
REST = "Further metrics"
"""Those that are not known here, each under its own name."""
KNOWN = {key: metric for section in SECTIONS.values() for key, metric in section.items()}
