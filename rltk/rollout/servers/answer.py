"""From a server's answer to rollouts; what cannot be trained on is refused, never repaired.

Shapes: T tokens of one completion.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch

from rltk.rollout.sampler import Rollout
from rltk.rollout.servers.server import AwayError

ENDINGS = ("stop", "length")


def read_answer(answer: Any, prompt: Sequence[int], group: int, stops: Collection[int]) -> list[Rollout]:
    """The completions of `prompt` in the order of the server's count; ValueError for what is no answer to that."""
    try:
        choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        if [choice["index"] for choice in choices] != list(range(group)):
            raise ValueError(f"{len(choices)} completions for {group}")
        return [read_choice(choice, prompt, stops) for choice in choices]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an answer of another form ({error!r:.100})") from error


def read_choice(choice: Any, prompt: Sequence[int], stops: Collection[int]) -> Rollout:
    if choice["finish_reason"] not in ENDINGS:  # such as vLLM's abort, when it is told to end
        raise AwayError(f"a completion ended by {choice['finish_reason']}")
    if "token_ids" not in choice:
        raise ValueError("no token_ids, which vLLM gives since 0.10.2")
    if choice.get("prompt_token_ids") not in (None, list(prompt)):
        raise ValueError("the answer to another prompt")
    tokens, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
    if len(tokens) != len(logprobs):
        raise ValueError(f"{len(logprobs)} log-probabilities for {len(tokens)} tokens")
    is_truncated = choice["finish_reason"] == "length"
    if not is_truncated and (not tokens or tokens[-1] not in stops):
        raise ValueError("a completion without the token that stopped it")
    return rollout(tokens, logprobs, is_truncated=is_truncated)


def rollout(tokens: Sequence[int], logprobs: Sequence[float | None], *, is_truncated: bool) -> Rollout:
    """Up to the first log-probability that is no number, where there is one."""
    numbers = [math.nan if one is None else float(one) for one in logprobs]
    length = next((at for at, number in enumerate(numbers) if not math.isfinite(number)), len(tokens))
    is_broken = length < len(tokens)
    return Rollout(
        torch.tensor(tokens[:length], dtype=torch.long),
        torch.tensor(numbers[:length], dtype=torch.float32),
        is_truncated or is_broken,
        is_broken,
    )


def broken() -> Rollout:
    """A completion of which there is nothing, since the model's logits were no numbers."""
    return rollout([0], [math.nan], is_truncated=True)
