"""What an answer's log-probabilities are of: vLLM's `--logprobs-mode`, and one more. Shapes: B rows, V vocabulary."""

from typing import Literal

from torch import Tensor

from rltk.rollout.draw import logprobs_of, truncate
from rltk.rollout.sampler import Sampling

Mode = Literal["sampling", "raw_logprobs", "processed_logprobs"]
SAMPLING: Mode = "sampling"
"""Of the whole softmax at the sampling temperature: what training needs, and vLLM has no name for."""


def told(logits_BV: Tensor, sampling: Sampling, mode: Mode) -> Tensor:
    """[B, V]; minus infinity for what processed_logprobs rules out."""
    if mode == "raw_logprobs":
        return logits_BV.log_softmax(-1)
    logprobs_BV = logprobs_of(logits_BV, sampling)
    if mode == SAMPLING:
        return logprobs_BV
    kept_BV = truncate(logprobs_BV.exp(), sampling)
    return (kept_BV / kept_BV.sum(-1, keepdim=True)).log()
