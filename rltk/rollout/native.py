"""The `native` engine: each prompt is read once for its whole group, finished completions leave, waiting prompts enter.

It runs the model's own code through transformers' `Cache` and `AttentionInterface`; `cache.py` and `attention.py` have
the parts that are rltk's. Shapes: P prompts, G completions a prompt, B rows still decoded, L prompt tokens (padded on
the right), T completion tokens, H hidden size.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PretrainedConfig

from rltk.errors import UserError, tell
from rltk.models.modes import attending_through, evaluating
from rltk.models.scoring import Head, last_hidden
from rltk.rollout.attention import NAME, Decoding, decoding
from rltk.rollout.cache import Prefix
from rltk.rollout.draw import Draw, draw
from rltk.rollout.graphs import CapturedStep, Run
from rltk.rollout.lean import LeanLayers
from rltk.rollout.sampler import Rollout, Sampling, rows_of, uniforms_at

COMPACT_BELOW = 0.8
"""Finished rows are computed along until this share is left: copying the cache at every exit would cost more."""
CAPTURED_COMPACT_BELOW = 0.5
"""The same where a smaller batch means another CUDA graph, which costs about three steps."""
ENTER_ABOVE = 0.25
"""Waiting prompts enter when this share of the batch is free."""


class NativeSampler:
    """Samples from `model` as it is at the time of the call; at most `batch` completions at once (one group at least).

    None is all of them, on a GPU as many as its free memory holds. Which completions share a batch changes nothing
    about them but rounding.
    """

    def __init__(self, model: nn.Module, *, stops: tuple[int, ...], batch: int | None, dtype: torch.dtype) -> None:
        self.model, self.most, self.dtype = model, batch, dtype
        self.device = next(model.parameters()).device
        self.stops = torch.tensor(stops, device=self.device)
        self.lean = LeanLayers(model)
        self.steps_are_static = self.can_capture = self.device.type == "cuda"
        """Capturing is tried once, and given up for good where the model's code does not bear it."""
        self.has_captured = False
        self.pool = torch.cuda.graph_pool_handle() if self.can_capture else None

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        group: int,
        sampling: Sampling,
        *,
        seed: int,
        places: Sequence[int] | None = None,
    ) -> list[list[Rollout]]:
        own = range(len(prompts)) if places is None else places
        uniforms_BT = uniforms_at(own, group, sampling.max_new_tokens, seed)
        self.batch = self.fitting(len(prompts) * group, max(map(len, prompts), default=0) + sampling.max_new_tokens)
        while (written := self.attempt(prompts, group, sampling, uniforms_BT)) is None:
            self.batch = self.most = halved(self.batch, group)
        rollouts = written.rollouts()
        return [rollouts[start : start + group] for start in range(0, len(rollouts), group)]

    def fitting(self, rows: int, tokens: int) -> int:
        """Completions at once."""
        if self.most is not None or self.device.type != "cuda":
            return min(rows, self.most or rows)
        config = self.model.config.get_text_config()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        return min(rows, max(1, free_memory(self.device) // bytes_a_row(config, tokens, self.dtype)))

    def attempt(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, uniforms_BT: Tensor
    ) -> "Written | None":
        """None if memory ran out: by then it is free again."""
        written = Written(uniforms_BT, sampling, self.stops)
        try:
            with (
                evaluating(self.model),
                torch.no_grad(),
                self.lean.computing_in(self.dtype),
                attending_through(self.model, NAME) as before,
            ):
                self.write(written, prompts, group, before)
        except torch.OutOfMemoryError:
            return None
        return written

    def write(self, written: "Written", prompts: Sequence[Sequence[int]], group: int, attention: str) -> None:
        """All completions: row i of `written` continues prompt i // group. Prompts are read through `attention`."""
        head, waiting, state = Head(self.model), deque(range(len(prompts))), None
        rows_B = tokens_B = torch.arange(0, device=self.device)
        while True:
            running = written.running(rows_B)
            entering = self.entering(waiting, len(running), group)
            share = CAPTURED_COMPACT_BELOW if self.can_capture else COMPACT_BELOW
            if len(running) < share * len(rows_B) or entering:
                rows_B, tokens_B = rows_B[running], tokens_B[running]
                if state is not None and len(running):
                    state.keep(running)
            if entering:
                with attending_through(self.model, attention):
                    prefix, hidden_PH = self.prefill([prompts[index] for index in entering])
                new_B = rows_of(entering, group).to(self.device)
                drawn = written.add(new_B, head(hidden_PH).repeat_interleave(group, dim=0))
                if state is None or not len(rows_B):
                    state = Decoding(prefix, group, is_static=self.steps_are_static)
                else:
                    state.join(prefix, group)
                rows_B, tokens_B = torch.cat([rows_B, new_B]), torch.cat([tokens_B, drawn.tokens_B])
            elif not len(running):
                return
            else:
                assert state is not None
                logits_BV = self.step(head, state, tokens_B, state.lengths_B + written.length_B[rows_B] - 1)
                tokens_B = written.add(rows_B, logits_BV).tokens_B

    def entering(self, waiting: deque[int], running: int, group: int) -> list[int]:
        """The prompts whose turn it is, taken from those that wait."""
        free = self.batch - running
        if not waiting or (running and free < max(group, ENTER_ABOVE * self.batch)):
            return []
        return [waiting.popleft() for _ in range(min(len(waiting), max(1, free // group)))]

    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[Prefix, Tensor]:
        """Keys and values of all layers, and the hidden state that predicts the first token of each completion."""
        lengths_P = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        ids_PL = nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        cache = DynamicCache()
        hidden_PLH = last_hidden(self.model, ids_PL.to(self.device), past_key_values=cache)
        # CPUs multiply small float32 matrices faster than small bfloat16 ones.
        dtype = torch.float32 if self.device.type == "cpu" else self.dtype
        prefix = Prefix(
            keys=[layer.keys.to(dtype).transpose(2, 3).contiguous() for layer in attention_layers(cache)],
            values=[layer.values.to(dtype).contiguous() for layer in attention_layers(cache)],
            lengths_P=lengths_P,
        )
        return prefix, hidden_PLH[torch.arange(len(prompts), device=self.device), lengths_P - 1]

    def step(self, head: Head, state: Decoding, tokens_B: Tensor, positions_B: Tensor) -> Tensor:
        """Logits of the next token, after reading this one."""
        state.make_room()
        state.suffix.column_1.fill_(state.suffix.length)
        with decoding(state):
            hidden_BH = self.hidden(state, tokens_B, positions_B)
        state.suffix.length += 1
        return head(hidden_BH)

    def hidden(self, state: Decoding, tokens_B: Tensor, positions_B: Tensor) -> Tensor:
        def run(tokens_B: Tensor, positions_B: Tensor) -> Tensor:
            inputs = {"position_ids": positions_B[:, None], "past_key_values": state.suffix}
            return last_hidden(self.model, tokens_B[:, None], **inputs)[:, 0]

        if self.can_capture and state.captured is None:
            state.captured = self.capture(run, tokens_B, positions_B)
        return run(tokens_B, positions_B) if state.captured is None else state.captured(tokens_B, positions_B)

    def capture(self, run: Run, tokens_B: Tensor, positions_B: Tensor) -> CapturedStep | None:
        """A step captured once is a step that can be captured; the first is compared with what it was captured from."""
        try:
            captured = CapturedStep(run, tokens_B, positions_B, self.pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # the model's code waits for the GPU, which a graph cannot
            reason = str(error).strip().split("\n")[0]
        else:
            if self.has_captured or captured.is_faithful():
                self.has_captured = True
                return captured
            reason = "a replay gave other numbers"
        self.can_capture = False
        tell(f"sampling goes on without CUDA graphs, which this model does not bear ({reason})")
        return None


class Written:
    """Tokens and log-probabilities of all completions, as they grow. Row i draws from a stream of its own."""

    def __init__(self, uniforms_BT: Tensor, sampling: Sampling, stops: Tensor) -> None:
        self.sampling, self.stops, device, rows = sampling, stops, stops.device, len(uniforms_BT)
        # One column more than is drawn: what rows write that are done but not yet dropped.
        columns = sampling.max_new_tokens + 1
        self.uniforms_BT = uniforms_BT.to(device)
        self.tokens_BT = torch.zeros(rows, columns, dtype=torch.long, device=device)
        self.logprobs_BT = torch.zeros(rows, columns, device=device)
        self.length_B = torch.zeros(rows, dtype=torch.long, device=device)
        self.is_stopped_B = torch.zeros(rows, dtype=torch.bool, device=device)
        self.is_broken_B = torch.zeros_like(self.is_stopped_B)

    def add(self, rows_B: Tensor, logits_BV: Tensor) -> Draw:
        """The next token of each of these rows; that of a row which is done goes where nobody looks."""
        at_B, limit = self.length_B[rows_B], self.sampling.max_new_tokens
        drawn = draw(logits_BV, self.uniforms_BT[rows_B, at_B.clamp(max=limit - 1)], self.sampling)
        is_running_B = self.is_running(rows_B)
        is_broken_B = ~drawn.logprobs_B.isfinite()
        self.is_broken_B[rows_B] |= is_broken_B & is_running_B
        is_running_B &= ~is_broken_B
        at_B = at_B.where(is_running_B, limit)
        self.tokens_BT[rows_B, at_B], self.logprobs_BT[rows_B, at_B] = drawn
        self.length_B[rows_B] += is_running_B.long()
        self.is_stopped_B[rows_B] |= torch.isin(drawn.tokens_B, self.stops) & is_running_B
        return drawn

    def running(self, rows_B: Tensor) -> Tensor:
        """Which of these rows go on, as indices into them."""
        return self.is_running(rows_B).nonzero()[:, 0]

    def is_running(self, rows_B: Tensor) -> Tensor:
        is_over_B = self.is_stopped_B | self.is_broken_B | (self.length_B == self.sampling.max_new_tokens)
        return ~is_over_B[rows_B]

    def rollouts(self) -> list[Rollout]:
        columns = (self.tokens_BT.cpu(), self.logprobs_BT.cpu(), self.length_B.tolist(), self.is_stopped_B.tolist())
        return [
            Rollout(tokens_T[:length].clone(), logprobs_T[:length].clone(), not is_stopped, is_broken)
            for tokens_T, logprobs_T, length, is_stopped, is_broken in zip(
                *columns, self.is_broken_B.tolist(), strict=True
            )
        ]


def free_memory(device: torch.device) -> int:
    """Bytes on the GPU that a rollout may fill: a fifth stays free for what comes and goes."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(0.8 * (torch.cuda.mem_get_info(device)[0] + unused))


def bytes_a_row(config: PretrainedConfig, tokens: int, dtype: torch.dtype) -> int:
    """Memory that one completion of so many tokens takes at most.

    Keys and values, and twice their room beside them while the cache grows; six float32 numbers a word while a token
    is drawn.
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    depth = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * depth * tokens * dtype.itemsize
    return 3 * cache + 6 * 4 * config.vocab_size


def halved(batch: int, group: int) -> int:
    """Fewer completions at once, said aloud; for whoever has one group at once already, an error."""
    if batch <= group:
        raise UserError(
            f"out of memory while sampling one group of {group} completions; "
            "lower rollout.max_new_tokens or algo.group, or take a smaller model."
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    smaller = max(group, batch // 2)
    tell(f"out of memory with {batch} completions at once; going on with {smaller} (see rollout.batch)")
    return smaller


def attention_layers(cache: DynamicCache) -> list[Any]:
    """The cache's layers; transformers types them as ones that may hold no keys."""
    return list(cache.layers)
