"""What trains: the policy, its optimizer and its reference, and one pass of optimizer steps over graded episodes.

Shapes: B completions, T completion tokens (padded on the right).
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rltk.errors import UserError, tell
from rltk.models.adapters import adapter_off
from rltk.models.lean import Layers, lean_training
from rltk.models.load import compute_dtype
from rltk.models.modes import computing_in
from rltk.models.packing import Active, pack, packed
from rltk.models.scoring import Scores, make_rows, score, score_packed
from rltk.onpolicy.episodes import Episode, groups, micro_batches, parts
from rltk.onpolicy.objective import Batch, Objective, k3, policy_objective, token_weights, truncated_importance
from rltk.plan.schedule import schedule
from rltk.recipe.schema import GRPO, RLOO, Recipe


@dataclass
class Tally:
    """Sums over the trained tokens of one step, for its metrics."""

    loss: float = 0.0
    tokens: int = 0
    kl: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    mismatch: float = 0.0
    largest_mismatch: float = 0.0
    grad_norms: list[float] = field(default_factory=list)
    skipped: int = 0

    def mean(self, total: float) -> float:
        """Per trained token; nan when none was trained."""
        return total / self.tokens if self.tokens else math.nan


MOST_SCORES = 2**24
"""Attention scores a layer may hold for a packed micro-batch; longer completions go in rows, with fused attention."""


class Learner:
    def __init__(self, recipe: Recipe, model: nn.Module, *, lr: float, can_pack: bool = False) -> None:
        assert isinstance(recipe.algo, (GRPO, RLOO))
        self.algo, self.optim, self.model, self.lr = recipe.algo, recipe.optim, model, lr
        self.micro_tokens = self.optim.micro_tokens
        self.temperature, self.max_new_tokens = recipe.rollout.temperature, recipe.rollout.max_new_tokens
        self.dtype = compute_dtype(recipe.model)
        self.trained = [weight for weight in model.parameters() if weight.requires_grad]
        assert all(weight.dtype == torch.float32 for weight in self.trained), "weights that train are float32"
        self.device = self.trained[0].device
        self.has_adapter = recipe.tune.type == "lora"
        self.reference = model if self.has_adapter or self.algo.kl == 0 else frozen_copy(model)
        """With LoRA the reference is the policy with its adapter off; full fine-tuning has to keep a copy."""
        self.heads = model.config.get_text_config().num_attention_heads  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        self.layers = Layers(model)
        self.can_pack = can_pack
        """GPUs have fused attention for rows; CPUs gain more from computing each prompt once."""
        self.stale: list[Tensor] | None = None
        """An adapter's weights before the last step's updates, to recognize completions sampled from them."""
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=lr, betas=self.optim.betas, eps=self.optim.eps, weight_decay=self.optim.weight_decay
        )

    def learn(self, episodes: Sequence[Episode], step: int, check: Callable[[float], None] | None = None) -> Tally:
        """All optimizer steps over one step's episodes.

        Before each of them `check` gets the mean mismatch so far, nan if nothing taught; it raises to forbid the step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * schedule(self.optim, step)
        before = [weight.detach().clone() for weight in self.trained] if self.has_adapter else None
        tally = Tally()
        fixed = self.fix_logprobs(episodes)
        self.model.train()
        for _ in range(self.algo.epochs):
            for part in parts(fixed, self.algo.updates):
                tally = self.accumulate(part, tally)
                if check is not None:
                    check(tally.mean(tally.mismatch))
                self.optimizer_step(tally)
        self.model.eval()
        self.stale = before
        return tally

    def accumulate(self, part: Sequence[Episode], tally: Tally) -> Tally:
        """The gradient of one optimizer step; the tally with what it adds."""
        while (added := self.attempt(part, replace(tally))) is None:
            self.micro_tokens = self.halved(part)
        return added

    def attempt(self, part: Sequence[Episode], tally: Tally) -> Tally | None:
        """None if memory ran out: by then it is free again."""
        batch = Batch(len(part), sum(episode.trained_tokens for episode in part), self.max_new_tokens)
        for weight in self.trained:
            weight.grad = torch.zeros_like(weight)  # not None: Adam's momentum moves on though nothing is learned
        learning = [episode for episode in part if self.teaches(episode)]
        try:
            for micro in micro_batches(learning, self.micro_tokens):
                with self.arranged(self.model, micro):
                    objective = self.objective(micro, batch, tally)
                    objective.loss.backward()
                tally.loss += objective.loss.item()
                tally.kl += objective.kl.item()
                tally.clipped += objective.clipped.item()
        except torch.OutOfMemoryError:
            return None
        return tally

    def halved(self, part: Sequence[Episode]) -> int:
        """Fewer tokens at once, said aloud; an error if one completion alone is too much."""
        smaller = min(self.micro_tokens, sum(episode.length for episode in part)) // 2
        if smaller < max(episode.length for episode in part):
            raise UserError(
                "out of memory while training on one completion; set model.gradient_checkpointing=true, "
                "or lower rollout.max_new_tokens."
            )
        tell(f"out of memory with {self.micro_tokens} tokens at once; going on with {smaller} (see optim.micro_tokens)")
        return smaller

    def optimizer_step(self, tally: Tally) -> None:
        norm = float(nn.utils.clip_grad_norm_(self.trained, self.optim.max_grad_norm))
        if not math.isfinite(norm):  # one bad batch must not end in weights of nan
            tally.skipped += 1
            return
        tally.grad_norms.append(norm)
        self.optimizer.step()

    def teaches(self, episode: Episode) -> bool:
        """Without advantage or KL penalty an episode's gradient is zero, so it need not be computed."""
        return not episode.is_masked and (episode.advantage != 0 or self.algo.kl > 0)

    def objective(self, episodes: Sequence[Episode], batch: Batch, tally: Tally) -> Objective:
        scores = self.score(self.model, episodes)
        sampled_BT = self.pad([episode.rollout.logprobs_T for episode in episodes])
        old_BT = self.pad_optional([episode.old_logprobs_T for episode in episodes])
        old_BT = scores.logprobs_BT.detach() if old_BT is None else old_BT
        mask_BT = self.pad([torch.ones(len(episode.tokens_T)) for episode in episodes])
        observe(tally, scores, old_BT, sampled_BT, mask_BT.bool())
        return policy_objective(
            logprobs_BT=scores.logprobs_BT,
            old_logprobs_BT=old_BT,
            advantages_B=torch.tensor([episode.advantage for episode in episodes], device=self.device),
            importance_BT=truncated_importance(old_BT, sampled_BT, self.algo.importance_cap),
            reference_logprobs_BT=self.pad_optional([episode.reference_logprobs_T for episode in episodes]),
            weights_BT=token_weights(mask_BT, self.algo.loss, batch),
            clip_low=self.algo.clip_low,
            clip_high=self.algo.clip_high,
            kl=self.algo.kl,
        )

    def fix_logprobs(self, episodes: Sequence[Episode]) -> list[Episode]:
        """Log-probabilities that later optimizer steps compare with, taken before the first of them."""
        old: Sequence[Tensor | None] = [None] * len(episodes)
        reference: Sequence[Tensor | None] = [None] * len(episodes)
        if self.algo.updates * self.algo.epochs > 1:
            old = self.logprobs(self.model, episodes)
        if self.algo.kl > 0:
            with adapter_off(self.reference):
                reference = self.logprobs(self.reference, episodes)
        return [
            episode._replace(old_logprobs_T=old_T, reference_logprobs_T=reference_T)
            for episode, old_T, reference_T in zip(episodes, old, reference, strict=True)
        ]

    @torch.no_grad()
    def logprobs(self, model: nn.Module, episodes: Sequence[Episode]) -> list[Tensor]:
        """Log-probabilities of each episode's tokens, in the order of `episodes`."""
        model.eval()
        found: dict[int, Tensor] = {}
        for micro in micro_batches(episodes, self.micro_tokens):
            with self.arranged(model, micro):
                logprobs_BT = self.score(model, micro).logprobs_BT
            for episode, row_T in zip(micro, logprobs_BT, strict=True):
                found[id(episode)] = row_T[: len(episode.tokens_T)]
        return [found[id(episode)] for episode in episodes]

    def mismatch(self, episodes: Sequence[Episode]) -> float:
        """KL(sampler || policy) in nats a token, by its k3 estimate over the tokens of `episodes`."""
        logprobs = torch.cat(self.logprobs(self.model, episodes))
        sampled = torch.cat([episode.rollout.logprobs_T for episode in episodes]).to(self.device)
        return k3(logprobs - sampled).mean().item()

    @contextmanager
    def arranged(self, model: nn.Module, episodes: Sequence[Episode]) -> Iterator[None]:
        """Within it `score` computes each prompt once for its group, where that pays; backward passes end within."""
        layers = self.layers if model is self.model else Layers(model)
        with lean_training(layers, self.dtype), self.packing(model, episodes):
            yield

    def packing(self, model: nn.Module, episodes: Sequence[Episode]) -> AbstractContextManager[None]:
        if not self.can_pack:
            return nullcontext()
        layout = pack(groups(episodes), self.device)
        return packed(model, layout) if layout.attention_scores(self.heads) < MOST_SCORES else nullcontext()

    def score(self, model: nn.Module, episodes: Sequence[Episode]) -> Scores:
        """Log-probabilities of these episodes, whose forward pass `arranged` may have prepared."""
        with computing_in(self.dtype, self.device):
            if Active.layout is not None:
                return score_packed(model, Active.layout, self.temperature)
            rows = make_rows([episode.prompt for episode in episodes], [episode.tokens_T for episode in episodes])
            return score(model, rows.to(self.device), self.temperature)

    def pad(self, rows: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(rows), batch_first=True).to(self.device)

    def pad_optional(self, rows: Sequence[Tensor | None]) -> Tensor | None:
        present = [row for row in rows if row is not None]
        return self.pad(present) if present else None


def observe(tally: Tally, scores: Scores, old_BT: Tensor, sampled_BT: Tensor, mask_BT: Tensor) -> None:
    """Adds what does not enter the loss: entropy, and how far the sampler's log-probabilities are from the policy's.

    The mismatch is the k3 estimate of KL(sampler || policy as it was when the step began).
    """
    difference_N = (old_BT - sampled_BT)[mask_BT]
    tally.tokens += len(difference_N)
    tally.entropy += scores.entropy_BT.sum().item()
    tally.mismatch += k3(difference_N).sum().item()
    tally.largest_mismatch = max(tally.largest_mismatch, difference_N.abs().max().item())


def frozen_copy(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    return copied.requires_grad_(False)
