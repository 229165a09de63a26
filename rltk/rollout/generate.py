"""The `generate` engine: Hugging Face's own `generate`, which serves every model there is.

Shapes: B sequences, L prompt tokens (padded on the left), T completion tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from rltk.models.modes import computing_in, evaluating
from rltk.rollout.draw import draw
from rltk.rollout.sampler import Rollout, Sampling, uniforms_at


class GenerateSampler:
    """Samples from `model` as it is at the time of the call; `batch` completions at once, None is all."""

    def __init__(
        self, model: nn.Module, *, stops: tuple[int, ...], pad: int, batch: int | None, dtype: torch.dtype
    ) -> None:
        self.model, self.stops, self.pad, self.batch, self.dtype = model, stops, pad, batch, dtype
        self.device = next(model.parameters()).device
        # PEFT's `generate` prepares inputs in a way of its own; called on the base, both arms go the same way.
        self.base = next(module for module in model.modules() if isinstance(module, PreTrainedModel))

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        group: int,
        sampling: Sampling,
        *,
        seed: int,
        places: Sequence[int] | None = None,
    ) -> list[list[Rollout]]:
        rows = [prompt for prompt in prompts for _ in range(group)]
        own = range(len(prompts)) if places is None else places
        uniforms_BT = uniforms_at(own, group, sampling.max_new_tokens, seed).to(self.device)
        rollouts: list[Rollout] = []
        with evaluating(self.model), without_preferences(self.base), torch.no_grad():
            size = self.batch or len(rows)
            for start in range(0, len(rows), size):
                part = slice(start, start + size)
                rollouts += self.complete(rows[part], sampling, uniforms_BT[part])
        return [rollouts[start : start + group] for start in range(0, len(rollouts), group)]

    def complete(self, rows: list[Sequence[int]], sampling: Sampling, uniforms_BT: Tensor) -> list[Rollout]:
        ids_BL, attention_BL = pad_left(rows, self.pad)
        drawing = Drawing(sampling, uniforms_BT)
        with computing_in(self.dtype, self.device):
            output = self.base.generate(  # pyright: ignore[reportCallIssue]  # nn.Module's attributes are untyped
                input_ids=ids_BL.to(self.device),
                attention_mask=attention_BL.to(self.device),
                generation_config=GenerationConfig(
                    max_new_tokens=sampling.max_new_tokens,
                    do_sample=False,  # `drawing` leaves one token to choose from
                    eos_token_id=list(self.stops),
                    pad_token_id=self.pad,
                ),
                logits_processor=LogitsProcessorList([drawing]),
            )
        tokens_BT = output[:, ids_BL.shape[1] :].cpu()
        logprobs_BT = torch.stack(drawing.logprobs, dim=1).cpu()
        return [self.rollout(*row) for row in zip(tokens_BT, logprobs_BT, strict=True)]

    def rollout(self, tokens_T: Tensor, logprobs_T: Tensor) -> Rollout:
        stop = first_true(torch.isin(tokens_T, torch.tensor(self.stops)))
        broken = first_true(~logprobs_T.isfinite())
        is_broken = broken < len(tokens_T) and broken <= stop
        length = broken if is_broken else min(stop + 1, len(tokens_T))
        is_truncated = is_broken or stop == len(tokens_T)
        return Rollout(tokens_T[:length].clone(), logprobs_T[:length].clone(), is_truncated, is_broken)


def first_true(is_it_T: Tensor) -> int:
    """Index of the first; the length if there is none."""
    return int(is_it_T.int().argmax()) if is_it_T.any() else len(is_it_T)


class Drawing(LogitsProcessor):
    """Draws the next token as the native engine does and forbids all others."""

    def __init__(self, sampling: Sampling, uniforms_BT: Tensor) -> None:
        self.sampling, self.uniforms_BT, self.logprobs = sampling, uniforms_BT, list[Tensor]()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        tokens_B, logprobs_B = draw(scores.float(), self.uniforms_BT[:, len(self.logprobs)], self.sampling)
        self.logprobs.append(logprobs_B)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens_B[:, None], 0.0)


@contextmanager
def without_preferences(base: PreTrainedModel) -> Iterator[None]:
    """`generate` fills what we leave unset from the checkpoint: forbidden tokens, beams, penalties. Not within."""
    before, base.generation_config = base.generation_config, GenerationConfig()
    try:
        yield
    finally:
        base.generation_config = before


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [B, L], each row ending at the last column."""
    longest = max(len(row) for row in rows)
    ids_BL = torch.full((len(rows), longest), pad, dtype=torch.long)
    attention_BL = torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        ids_BL[index, longest - len(row) :] = torch.tensor(row)
        attention_BL[index, longest - len(row) :] = 1
    return ids_BL, attention_BL
