"""What trains: policy and critic, their optimizer and reference, and one step's optimizer updates over graded episodes.

Shapes: B completions, T completion tokens (padded on the right).
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rltk.errors import UserError, tell
from rltk.models.adapters import adapter_off
from rltk.models.lean import Layers, lean_training
from rltk.models.load import compute_dtype
from rltk.models.modes import computing_in
from rltk.models.packing import Active, pack, packed
from rltk.models.scoring import (
    Rows,
    Scores,
    evaluate_states,
    evaluate_states_packed,
    make_rows,
    score,
    score_packed,
)
from rltk.onpolicy.critic import Critic
from rltk.onpolicy.critique import criticised, kl_to_reference
from rltk.onpolicy.episodes import Episode, groups, micro_batches, parts
from rltk.onpolicy.gae import adapted_kl, value_loss
from rltk.onpolicy.objective import Batch, Objective, k3, policy_objective, token_weights, truncated_importance
from rltk.onpolicy.tally import Tally, observe
from rltk.plan.schedule import schedule
from rltk.recipe.schema import GRPO, PPO, RLOO, Recipe

MOST_SCORES = 2**24
"""Attention scores a layer may hold for a packed micro-batch; longer completions go in rows, with fused attention."""


class Learner:
    def __init__(
        self, recipe: Recipe, model: nn.Module, *, lr: float, can_pack: bool = False, critic: Critic | None = None
    ) -> None:
        assert isinstance(recipe.algo, (GRPO, RLOO, PPO)) and (critic is not None) == isinstance(recipe.algo, PPO)
        self.algo, self.optim, self.model, self.lr, self.critic = recipe.algo, recipe.optim, model, lr, critic
        self.micro_tokens = self.optim.micro_tokens
        self.temperature, self.max_new_tokens = recipe.rollout.temperature, recipe.rollout.max_new_tokens
        self.dtype = compute_dtype(recipe.model)
        of_critic = [] if critic is None else critic.trained
        others = {id(weight) for weight in of_critic}
        self.policy = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in others]
        self.trained = [*self.policy, *of_critic]
        self.kl = self.algo.kl
        """Weight of the KL divergence to the reference, which algo.kl_target moves."""
        assert all(weight.dtype == torch.float32 for weight in self.trained), "weights that train are float32"
        self.device = self.trained[0].device
        self.has_adapter = recipe.tune.type == "lora"
        self.reference = model if self.has_adapter or self.algo.kl == 0 else frozen_copy(model)
        """With LoRA the reference is the policy with its adapter off; full fine-tuning has to keep a copy."""
        self.heads = model.config.get_text_config().num_attention_heads  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        self.layers = {id(part): Layers(part) for part in (model, *([] if critic is None else [critic.model]))}
        self.can_pack = can_pack
        """GPUs have fused attention for rows; CPUs gain more from computing each prompt once."""
        self.stale: list[Tensor] | None = None
        """An adapter's weights before the last step's updates, to recognize completions sampled from them."""
        self.has_moved = False
        """Whether weights may have changed since the last step that is logged, so that they belong to none."""
        self.optimizer = torch.optim.AdamW(
            [{"params": part} for part in (self.policy, of_critic) if part],
            lr=lr,
            betas=self.optim.betas,
            eps=self.optim.eps,
            weight_decay=self.optim.weight_decay,
        )

    @property
    def trains_in(self) -> nn.Module:
        """Holds all that trains, by names that checkpoints keep."""
        if self.critic is None:
            return self.model
        own = {"critic": self.critic.model} if self.critic.kind == "model" else {}
        return nn.ModuleDict({"policy": self.model, **own, "value_head": self.critic.head})

    def learn(self, episodes: Sequence[Episode], step: int, check: Callable[[float], None] | None = None) -> Tally:
        """All optimizer steps over one step's episodes.

        Before each of them `check` gets the mean mismatch so far, nan if nothing taught; it raises to forbid the step.
        """
        rates = (self.lr,) if self.critic is None else (self.lr, self.critic.lr)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(self.optim, step)
        before = [weight.detach().clone() for weight in self.trained] if self.has_adapter else None
        fixed, tally = self.criticise(self.fix_logprobs(episodes), Tally())
        self.switch_training(True)
        for part in (part for _ in range(self.algo.epochs) for part in parts(fixed, self.algo.updates)):
            earlier, tally = tally, self.accumulate(part, tally)
            if check is not None:
                check(tally.mean(tally.mismatch))
            if self.is_far_gone(earlier, tally):
                break
            self.optimizer_step(tally)
        self.switch_training(False)
        self.stale = before
        self.steer(fixed)
        return tally

    def switch_training(self, is_training: bool) -> None:
        for model in (self.model, *([] if self.critic is None else [self.critic.model])):
            model.train(is_training)

    def criticise(self, episodes: list[Episode], tally: Tally) -> tuple[list[Episode], Tally]:
        """With a critic, the episodes with advantages and returns token by token, and what the critic knew."""
        if self.critic is None:
            return episodes, tally
        assert isinstance(self.algo, PPO)
        judged = criticised(self.algo, episodes, self.values(episodes), self.kl)
        return judged.episodes, replace(tally, critic=judged.metrics, kl_coefficient=self.kl)

    def is_far_gone(self, earlier: Tally, now: Tally) -> bool:
        """Whether the update between the two found the policy too far from the one that sampled to go on."""
        if not isinstance(self.algo, PPO) or self.algo.stop_kl is None or now.tokens == earlier.tokens:
            return False
        return (now.moved - earlier.moved) / (now.tokens - earlier.tokens) > self.algo.stop_kl

    def steer(self, episodes: Sequence[Episode]) -> None:
        """Moves the KL coefficient after what this step's completions showed, where there is a target."""
        if isinstance(self.algo, PPO) and self.algo.kl_target is not None:
            self.kl = adapted_kl(self.kl, kl_to_reference(episodes), self.algo.kl_target)

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
                if self.critic is not None and not self.critic.shares_trunk:
                    with self.critic.chosen(), self.arranged(self.critic.model, micro):
                        loss = self.value_objective(self.state_values(micro), micro, batch, tally)
                        loss.backward()
                    tally.loss += loss.item()
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
        tally.updates += 1
        self.has_moved = True
        # Apart, so that a critic that is far off at first does not scale the policy's gradient down.
        norm, *of_critic = [
            float(nn.utils.clip_grad_norm_(part["params"], self.optim.max_grad_norm))
            for part in self.optimizer.param_groups
        ]
        if not all(map(math.isfinite, (norm, *of_critic))):  # one bad batch must not end in weights of nan
            tally.skipped += 1
            return
        tally.grad_norms.append(norm)
        self.optimizer.step()

    def teaches(self, episode: Episode) -> bool:
        """Without advantage, critic or KL penalty an episode's gradient is zero, so it need not be computed."""
        return not episode.is_masked and (episode.advantage != 0 or episode.critique is not None or self.algo.kl > 0)

    def objective(self, episodes: Sequence[Episode], batch: Batch, tally: Tally) -> Objective:
        shared = self.critic.head if self.critic is not None and self.critic.shares_trunk else None
        scores = self.score(self.model, episodes, shared)
        sampled_BT = self.pad([episode.rollout.logprobs_T for episode in episodes])
        old_BT = self.pad_optional([episode.old_logprobs_T for episode in episodes])
        old_BT = scores.logprobs_BT.detach() if old_BT is None else old_BT
        mask_BT = self.pad([torch.ones(len(episode.tokens_T)) for episode in episodes])
        observe(tally, scores, old_BT, sampled_BT, mask_BT.bool())
        objective = policy_objective(
            logprobs_BT=scores.logprobs_BT,
            old_logprobs_BT=old_BT,
            advantages_BT=self.advantages(episodes),
            importance_BT=truncated_importance(old_BT, sampled_BT, self.algo.importance_cap),
            reference_logprobs_BT=self.pad_optional([episode.reference_logprobs_T for episode in episodes]),
            weights_BT=token_weights(mask_BT, self.algo.loss, batch),
            clip_low=self.algo.clip_low,
            clip_high=self.algo.clip_high,
            kl=0.0 if isinstance(self.algo, PPO) and self.algo.kl_in == "reward" else self.kl,
        )
        if scores.values_BT is None:
            return objective
        return objective._replace(loss=objective.loss + self.value_objective(scores.values_BT, episodes, batch, tally))

    def advantages(self, episodes: Sequence[Episode]) -> Tensor:
        """[B, T] where a critic gave them, otherwise [B, 1]."""
        critiques = [episode.critique for episode in episodes if episode.critique is not None]
        if critiques:
            return self.pad([critique.advantages_T for critique in critiques])
        return torch.tensor([[episode.advantage] for episode in episodes], device=self.device)

    def value_objective(self, values_BT: Tensor, episodes: Sequence[Episode], batch: Batch, tally: Tally) -> Tensor:
        """The critic's loss times its coefficient, every token with the weight it has in the policy's loss."""
        assert isinstance(self.algo, PPO)
        critiques = [episode.critique for episode in episodes if episode.critique is not None]
        found = value_loss(
            values_BT,
            self.pad([critique.values_T for critique in critiques]),
            self.pad([critique.returns_T for critique in critiques]),
            token_weights(self.pad([torch.ones(len(e.tokens_T)) for e in episodes]), self.algo.loss, batch),
            clip=self.algo.clip_value,
        )
        tally.value_loss += found.loss.item()
        tally.values_clipped += found.clipped.item()
        return self.algo.value_coef * found.loss

    def fix_logprobs(self, episodes: Sequence[Episode]) -> list[Episode]:
        """Log-probabilities that later optimizer steps compare with, taken before the first of them."""
        old: Sequence[Tensor | None] = [None] * len(episodes)
        reference: Sequence[Tensor | None] = [None] * len(episodes)
        counts_kl = isinstance(self.algo, PPO) and self.algo.kl > 0
        if self.algo.updates * self.algo.epochs > 1 or counts_kl:
            old = self.logprobs(self.model, episodes)
        if self.algo.kl > 0:
            with adapter_off(self.reference):
                reference = self.logprobs(self.reference, episodes)
        return [
            episode._replace(old_logprobs_T=old_T, reference_logprobs_T=reference_T)
            for episode, old_T, reference_T in zip(episodes, old, reference, strict=True)
        ]

    def logprobs(self, model: nn.Module, episodes: Sequence[Episode]) -> list[Tensor]:
        """Log-probabilities of each episode's tokens, in the order of `episodes`."""
        return self.token_by_token(model, episodes, lambda micro: self.score(model, micro).logprobs_BT)

    def values(self, episodes: Sequence[Episode]) -> list[Tensor]:
        """What the critic says of the state before each token, in the order of `episodes`."""
        assert self.critic is not None
        with self.critic.chosen():
            return self.token_by_token(self.critic.model, episodes, self.state_values)

    @torch.no_grad()
    def token_by_token(
        self, model: nn.Module, episodes: Sequence[Episode], of_batch: Callable[[Sequence[Episode]], Tensor]
    ) -> list[Tensor]:
        """`of_batch` gives [B, T] of a micro-batch, from forward passes of `model`."""
        model.eval()
        found: dict[int, Tensor] = {}
        for micro in micro_batches(episodes, self.micro_tokens):
            with self.arranged(model, micro):
                rows_BT = of_batch(micro)
            for episode, row_T in zip(micro, rows_BT, strict=True):
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
        layers = self.layers.get(id(model)) or Layers(model)
        with lean_training(layers, self.dtype), self.packing(model, episodes):
            yield

    def packing(self, model: nn.Module, episodes: Sequence[Episode]) -> AbstractContextManager[None]:
        if not self.can_pack:
            return nullcontext()
        layout = pack(groups(episodes), self.device)
        return packed(model, layout) if layout.attention_scores(self.heads) < MOST_SCORES else nullcontext()

    def score(self, model: nn.Module, episodes: Sequence[Episode], value_head: nn.Linear | None = None) -> Scores:
        """Log-probabilities of these episodes, whose forward pass `arranged` may have prepared."""
        with computing_in(self.dtype, self.device):
            if Active.layout is not None:
                return score_packed(model, Active.layout, self.temperature, value_head)
            return score(model, self.rows(episodes), self.temperature, value_head=value_head)

    def state_values(self, episodes: Sequence[Episode]) -> Tensor:
        """[B, T], by the critic; `arranged` may have prepared the forward pass."""
        assert self.critic is not None
        with computing_in(self.dtype, self.device):
            if Active.layout is not None:
                return evaluate_states_packed(self.critic.model, Active.layout, self.critic.head)
            return evaluate_states(self.critic.model, self.rows(episodes), self.critic.head)

    def rows(self, episodes: Sequence[Episode]) -> Rows:
        rows = make_rows([episode.prompt for episode in episodes], [episode.tokens_T for episode in episodes])
        return rows.to(self.device)

    def pad(self, rows: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(rows), batch_first=True).to(self.device)

    def pad_optional(self, rows: Sequence[Tensor | None]) -> Tensor | None:
        present = [row for row in rows if row is not None]
        return self.pad(present) if present else None


def frozen_copy(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    return copied.requires_grad_(False)
