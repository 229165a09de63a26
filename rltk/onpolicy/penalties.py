"""Does PPO's penalty for a completion that was cut off say more than the rewards do?"""

import math
from collections.abc import Sequence

from rltk.recipe.schema import PPO, OnPolicy
from rltk.run.folder import Metrics

OUTWEIGHS = 3
"""Times the spread of rewards that the penalty's own has to be."""


def outweighed(history: Sequence[Metrics], algo: OnPolicy) -> str | None:
    """What to say of the last step of `history`, the first at which the penalty is all that a policy would hear.

    Rows that an earlier version logged have no spread.
    """
    if not isinstance(algo, PPO) or not algo.missing_stop_penalty:
        return None
    *before, last = (spread_of_penalty(row, algo) > OUTWEIGHS * (row.get("reward_std") or math.inf) for row in history)
    if not last or any(before):
        return None
    row = history[-1]
    return (
        f"step {row['step']}: rewards differ by {row['reward_std']:.2g} (their standard deviation), and the "
        f"{row['truncated']:.0%} of completions that were cut off are fined algo.missing_stop_penalty = "
        f"{algo.missing_stop_penalty:g}: the policy will learn to stop before anything else; raise the weight of its "
        "rewards, or lower that penalty, where that is not what it should learn"
    )


def spread_of_penalty(row: Metrics, algo: PPO) -> float:
    """Standard deviation over the completions of a step."""
    return algo.missing_stop_penalty * math.sqrt(row["truncated"] * (1 - row["truncated"]))
