"""The `generate` engine: Hugging Face's own `generate`, which serves every model there is.

Shapes: B sequences, L prompt tokens (padded on the left), T completion tokens, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from rltk.models.modes import evaluating
from rltk.rollout.sampler import Rollout, Sampling


class GenerateSampler:
    """Samples from `model` as it is at the time of the call; `batch` completions at once."""

    def __init__(self, model: nn.Module, *, stops: tuple[int, ...], pad: int, batch: int, dtype: torch.dtype) -> None:
        self.model, self.stops, self.pad, self.batch, self.dtype = model, stops, pad, batch, dtype

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        rows = [prompt for prompt in prompts for _ in range(group)]
        rollouts: list[Rollout] = []
        with evaluating(self.model), torch.random.fork_rng(devices=cuda_devices(self.model)):
            torch.manual_seed(seed)
            for start in range(0, len(rows), self.batch):
                rollouts += self.complete(rows[start : start + self.batch], sampling)
        return [rollouts[start : start + group] for start in range(0, len(rollouts), group)]

    @torch.no_grad()
    def complete(self, rows: list[Sequence[int]], sampling: Sampling) -> list[Rollout]:
        device = next(self.model.parameters()).device
        ids_BL, attention_BL = pad_left(rows, self.pad)
        recorder = Recorder(sampling.temperature or 1.0)
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = self.model.generate(  # pyright: ignore[reportCallIssue]  # nn.Module's attributes are untyped
                input_ids=ids_BL.to(device),
                attention_mask=attention_BL.to(device),
                generation_config=self.generation_config(sampling),
                logits_processor=LogitsProcessorList([recorder]),
                stopping_criteria=StoppingCriteriaList([recorder.gather]),
            )
        tokens_BT = output[:, ids_BL.shape[1] :].cpu()
        logprobs_BT = torch.stack(recorder.gather.logprobs_B, dim=1).cpu()
        return [self.rollout(*row) for row in zip(tokens_BT, logprobs_BT, strict=True)]

    def rollout(self, tokens_T: Tensor, logprobs_T: Tensor) -> Rollout:
        is_stop_T = torch.isin(tokens_T, torch.tensor(self.stops))
        if not is_stop_T.any():
            return Rollout(tokens_T.clone(), logprobs_T.clone(), is_truncated=True)
        length = int(is_stop_T.int().argmax()) + 1
        return Rollout(tokens_T[:length].clone(), logprobs_T[:length].clone(), is_truncated=False)

    def generation_config(self, sampling: Sampling) -> GenerationConfig:
        """Every option spelled out: `generate` fills what is left unset from the checkpoint's own preferences."""
        is_greedy = sampling.temperature == 0
        choices = {} if is_greedy else {"top_k": sampling.top_k, "top_p": sampling.top_p, "min_p": sampling.min_p}
        return GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=not is_greedy,
            temperature=1.0,  # the recorder has divided by the temperature already
            repetition_penalty=1.0,
            eos_token_id=list(self.stops),
            pad_token_id=self.pad,
            **choices,
        )


class Recorder(LogitsProcessor):
    """Divides by the temperature and keeps the log-softmax, of which `gather` takes the token that gets drawn.

    `generate` runs a caller's processors before its own top-k, top-p and min-p, so this sees the whole softmax.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature, self.gather = temperature, Gather()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores_BV = scores.float() / self.temperature
        self.gather.logprobs_BV = scores_BV.log_softmax(-1)
        return scores_BV


class Gather(StoppingCriteria):
    """Called by `generate` after each draw; it never stops a sequence."""

    def __init__(self) -> None:
        self.logprobs_BV, self.logprobs_B = torch.empty(0), list[Tensor]()

    # transformers types these as aliases of Tensor that no tensor is an instance of.
    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self.logprobs_B.append(self.logprobs_BV.gather(1, input_ids[:, -1:])[:, 0])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [B, L], each row ending at the last column."""
    longest = max(len(row) for row in rows)
    ids_BL = torch.full((len(rows), longest), pad, dtype=torch.long)
    attention_BL = torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        ids_BL[index, longest - len(row) :] = torch.tensor(row)
        attention_BL[index, longest - len(row) :] = 1
    return ids_BL, attention_BL


def cuda_devices(model: nn.Module) -> list[torch.device]:
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []
