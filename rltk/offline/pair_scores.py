"""How a policy ranks held-out pairs: by its implicit reward, or by the likelihood of the replies.

Shapes: B replies, T tokens.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from rltk_reward_models.accuracy import pair_accuracy
from rltk_reward_models.pairs import ScoredPair
from torch import nn

from rltk.data.preferences import Preference
from rltk.data.transcripts import write_transcript
from rltk.models.modes import computing_in, evaluating
from rltk.models.scoring import make_rows, score
from rltk.offline.rows import Lesson, Pair

Row = TypeVar("Row", Lesson, Pair)

Report = Callable[[int, int], None]


class Likelihood(NamedTuple):
    """Log-probabilities in nats of the two replies, each the sum over its tokens."""

    chosen: float
    rejected: float


class Ranked(NamedTuple):
    """A pair with what its replies are worth to the policy."""

    pair: Preference
    tokens: Pair
    chosen: float
    rejected: float
    logprobs: Likelihood

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.pair.id,
            "prompt": write_transcript(self.pair.prompt),
            "chosen": self.pair.chosen,
            "rejected": self.pair.rejected,
            "chosen_reward": self.chosen,
            "rejected_reward": self.rejected,
            "chosen_logprob": self.logprobs.chosen,
            "rejected_logprob": self.logprobs.rejected,
            "correct": self.chosen > self.rejected,
        }


@torch.no_grad()
def likelihoods(
    model: nn.Module, pairs: Sequence[Pair], dtype: torch.dtype, micro_tokens: int, report: Report
) -> list[Likelihood]:
    """Of each pair, in order."""
    device, found = next(model.parameters()).device, list[Likelihood]()
    with evaluating(model):
        for micro in micro_batches(pairs, micro_tokens):
            replies = [reply for pair in micro for reply in (pair.chosen, pair.rejected)]
            rows = make_rows([pair.prompt for pair in micro for _ in range(2)], [torch.tensor(ids) for ids in replies])
            with computing_in(dtype, device):
                logprobs_BT = score(model, rows.to(device), 1.0).logprobs_BT
            sums = logprobs_BT.double().sum(1).tolist()
            found += [Likelihood(*sides) for sides in zip(sums[::2], sums[1::2], strict=True)]
            report(len(found), len(pairs))
    return found


def micro_batches(rows: Sequence[Row], tokens: int) -> list[list[Row]]:
    """Neighbours, as many as are no more than that many tokens when padded."""
    cut: list[list[Row]] = []
    for row in rows:
        if cut and (len(cut[-1]) + 1) * max(other.width for other in [*cut[-1], row]) <= tokens:
            cut[-1].append(row)
        else:
            cut.append([row])
    return cut


def summarize(ranked: Sequence[Ranked], left_out: int) -> dict[str, Any]:
    """Share of pairs ranked as preferred, ties counting half, with its interval clustered by prompt; means of the rest.

    Pairs whose rewards are no numbers are counted as `unscored`, and neither right nor wrong.
    """
    usable = [one for one in ranked if math.isfinite(one.chosen) and math.isfinite(one.rejected)]
    accuracy = pair_accuracy([scored(one) for one in usable])
    chosen, rejected = (mean([getattr(one, side) for one in usable]) for side in ("chosen", "rejected"))
    nats, tokens = sum(one.logprobs.chosen for one in usable), sum(len(one.tokens.chosen) for one in usable)
    return {
        "accuracy": accuracy.accuracy,
        "ci95": list(accuracy.interval),
        "n": accuracy.pairs,
        "prompts": accuracy.prompts,
        "ties": accuracy.ties,
        "unscored": len(ranked) - len(usable),
        "left_out": left_out,
        "chosen_reward": chosen,
        "rejected_reward": rejected,
        "margin": chosen - rejected,
        "chosen_nll": -nats / tokens if tokens else math.nan,
    }


def scored(one: Ranked) -> ScoredPair:
    lengths = {"chosen_length": len(one.tokens.chosen), "rejected_length": len(one.tokens.rejected)}
    prompt = write_transcript(one.pair.prompt)
    return ScoredPair(prompt=prompt, chosen=one.chosen, rejected=one.rejected, **lengths)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
