"""The completions under way, a token further at every step; others enter and leave between steps.

It is the native engine's decoding with a batch that never ends: rows of several requests, each with its own adapter,
temperature and stream of random numbers, so a completion is what `NativeSampler.sample` gives alone, but for rounding.
Steps are not captured as CUDA graphs, since another request would undo each. Shapes: B rows, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rltk.models.modes import attending_through, evaluating
from rltk.models.scoring import Head
from rltk.rollout.attention import NAME, Decoding
from rltk.rollout.draw import draw
from rltk.rollout.native import COMPACT_BELOW, NativeSampler
from rltk.rollout.sampler import Sampling
from rltk.serving.job import Event, Job, Token
from rltk.serving.logprobs import SAMPLING, Mode, told
from rltk.serving.mixing import Adapter, Mixing


@dataclass(eq=False)
class Row:
    job: Job
    index: int
    """Which completion of the job."""
    length: int = 0
    """Tokens written."""
    is_over: bool = False

    @property
    def sampling(self) -> Sampling:
        return self.job.sampling


@dataclass
class Group:
    """Completions of one prompt, which share its keys and values."""

    prompt: Sequence[int]
    rows: list[Row]

    @property
    def is_cancelled(self) -> bool:
        return all(row.index in row.job.cancelled for row in self.rows)

    def tell_cancelled(self) -> None:
        for row in self.rows:
            row.job.events.put(Event(row.index, None, "cancelled"))


def groups_of(job: Job) -> list[Group]:
    rows = [Row(job, index) for index in range(job.count)]
    return [Group(prompt, rows[at * job.n : (at + 1) * job.n]) for at, prompt in enumerate(job.prompts)]


class Batch:
    def __init__(
        self, model: PreTrainedModel, *, stops: tuple[int, ...], dtype: torch.dtype, logprobs: Mode = SAMPLING
    ) -> None:
        self.logprobs: Mode = logprobs
        self.model, self.stops, self.mixing, self.head = model, frozenset(stops), Mixing(model), Head(model)
        self.engine = NativeSampler(model, stops=stops, batch=None, dtype=dtype)
        self.engine.can_capture = self.engine.steps_are_static = False
        self.attention = "sdpa"
        """What prompts are read through."""
        self.clear()

    def clear(self) -> None:
        self.rows: list[Row] = []
        self.state: Decoding | None = None
        self.tokens_B = torch.arange(0, device=self.engine.device)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """In force while the batch is used, all by one thread."""
        engine = self.engine
        with (
            evaluating(self.model),
            torch.no_grad(),
            engine.lean.computing_in(engine.dtype),
            self.mixing.overlaid(),
            attending_through(self.model, NAME) as self.attention,
        ):
            yield

    def load(self, folder: Path) -> Adapter:
        """The adapter in a folder, for rows of jobs to come; `computing` must be in force."""
        # CPUs multiply small float32 matrices faster than small bfloat16 ones.
        dtype = torch.float32 if self.engine.device.type == "cpu" else self.engine.dtype
        with attending_through(self.model, self.attention):
            return self.mixing.load(folder, dtype)

    @property
    def running(self) -> int:
        return sum(not row.is_over for row in self.rows)

    def enter(self, groups: Sequence[Group]) -> None:
        """Reads these prompts and draws the first token of each of their completions."""
        self.leave()
        for size in sorted({len(group.rows) for group in groups}):
            self.enter_alike([group for group in groups if len(group.rows) == size], size)

    def enter_alike(self, groups: Sequence[Group], size: int) -> None:
        rows = [row for group in groups for row in group.rows]
        owners = [group.rows[0].job.adapter for group in groups]
        with self.mixing.serving(owners), attending_through(self.model, self.attention):
            prefix, hidden_PH = self.engine.prefill([group.prompt for group in groups])
        drawn_B = self.draw(rows, self.head(hidden_PH).repeat_interleave(size, dim=0))
        if self.state is None:
            self.state, self.rows, self.tokens_B = Decoding(prefix, size), rows, drawn_B
        else:
            self.state.join(prefix, size)
            self.rows, self.tokens_B = self.rows + rows, torch.cat([self.tokens_B, drawn_B])

    def step(self) -> None:
        """The next token of every row."""
        if self.running < COMPACT_BELOW * len(self.rows):
            self.leave()
        if self.state is None:
            return
        written_B = torch.tensor([row.length for row in self.rows], device=self.engine.device)
        with self.mixing.serving([row.job.adapter for row in self.rows]):
            positions_B = self.state.lengths_B + written_B - 1
            logits_BV = self.engine.step(self.head, self.state, self.tokens_B, positions_B)
        self.tokens_B = self.draw(self.rows, logits_BV)
        if not self.running:
            self.clear()

    def leave(self) -> None:
        """Drops the rows that are over."""
        staying = [at for at, row in enumerate(self.rows) if not row.is_over]
        if not staying or self.state is None:
            self.clear()
        elif len(staying) < len(self.rows):
            rows_B = torch.tensor(staying, device=self.engine.device)
            self.state.keep(rows_B)
            self.rows, self.tokens_B = [self.rows[at] for at in staying], self.tokens_B[rows_B]

    def draw(self, rows: Sequence[Row], logits_BV: Tensor) -> Tensor:
        """The tokens drawn, [B], each told to whom it belongs."""
        logits_BV = logits_BV.float()
        tokens_B = torch.zeros(len(rows), dtype=torch.long, device=logits_BV.device)
        logprobs_B = torch.zeros(len(rows), device=logits_BV.device)
        tops: dict[int, list[tuple[int, float]]] = {}
        for sampling in {row.sampling._replace(max_new_tokens=1) for row in rows}:
            alike = [at for at, row in enumerate(rows) if row.sampling._replace(max_new_tokens=1) == sampling]
            at_A = torch.tensor(alike, device=logits_BV.device)
            uniforms_A = torch.tensor([uniform(rows[at]) for at in alike], device=logits_BV.device)
            tokens_B[at_A], logprobs_B[at_A] = draw(logits_BV[at_A], uniforms_A, sampling)
            if self.logprobs != SAMPLING or any(rows[at].job.top for at in alike):
                told_AV = told(logits_BV[at_A], sampling, self.logprobs)
                logprobs_B[at_A] = told_AV.gather(1, tokens_B[at_A, None])[:, 0]
                tops |= likeliest(rows, alike, told_AV)
        for at, (row, token, logprob) in enumerate(zip(rows, tokens_B.tolist(), logprobs_B.tolist(), strict=True)):
            self.tell(row, Token(token, logprob, tops.get(at, [])))
        return tokens_B

    def tell(self, row: Row, token: Token) -> None:
        if row.is_over:
            return
        if row.index in row.job.cancelled:
            row.is_over = True
            row.job.events.put(Event(row.index, None, "cancelled"))
            return
        if not abs(token.logprob) < float("inf"):
            row.is_over = True
            row.job.events.put(Event(row.index, None, "broken"))
            return
        row.length += 1
        is_last = row.length == row.sampling.max_new_tokens
        is_stop = token.id in self.stops or token.id in row.job.stops
        ending = "stop" if is_stop else "length" if is_last else None
        row.is_over = ending is not None
        row.job.events.put(Event(row.index, token, ending))


def uniform(row: Row) -> float:
    """Its next random number; of a row that is over any."""
    return float(row.job.uniforms_BT[row.index, min(row.length, row.sampling.max_new_tokens - 1)])


def likeliest(rows: Sequence[Row], alike: Sequence[int], told_AV: Tensor) -> dict[int, list[tuple[int, float]]]:
    """The likeliest tokens of those rows that asked for some; `alike` are the places of those that are told."""
    found = {}
    for at, logprobs_V in zip(alike, told_AV, strict=True):
        if (count := rows[at].job.top) and not rows[at].is_over:
            top = logprobs_V.topk(min(count, int(logprobs_V.isfinite().sum())))
            found[at] = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
    return found
