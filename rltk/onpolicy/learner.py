"""What trains: policy and critic, their optimizer and reference, and one step's optimizer updates over graded episodes.

Shapes: B completions, T completion tokens (padded on the right).
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from rltk.distributed import world
from rltk.distributed.engine import even
from rltk.distributed.zero import make_engine
from rltk.errors import UserError, tell
from rltk.models.adapters import adapter_off
from rltk.onpolicy.critic import Critic
from rltk.onpolicy.critique import criticised, kl_to_reference
from rltk.onpolicy.episodes import Episode, dealt, micro_batches, parts
from rltk.onpolicy.forward import Forward
from rltk.onpolicy.gae import adapted_kl, value_loss
from rltk.onpolicy.objective import Batch, Objective, k3, policy_objective, token_weights, truncated_importance
from rltk.onpolicy.tally import Tally, observe
from rltk.plan.schedule import schedule
from rltk.recipe.schema import GRPO, PPO, RLOO, Recipe
from rltk.run.checkpoint import Progress, load_checkpoint, save_checkpoint

STEPS_KEPT = 3
"""Adapters of so many steps ago are recognized. Training notices a lag of one step only where steps are large."""


class Learner:
    def __init__(
        self, recipe: Recipe, model: nn.Module, *, lr: float, can_pack: bool = False, critic: Critic | None = None
    ) -> None:
        assert isinstance(recipe.algo, (GRPO, RLOO, PPO)) and (critic is not None) == isinstance(recipe.algo, PPO)
        self.algo, self.optim, self.model, self.lr, self.critic = recipe.algo, recipe.optim, model, lr, critic
        self.max_new_tokens = recipe.rollout.max_new_tokens
        of_critic = [] if critic is None else critic.trained
        others = {id(weight) for weight in of_critic}
        self.policy = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in others]
        self.trained = [*self.policy, *of_critic]
        self.kl = self.algo.kl
        """Weight of the KL divergence to the reference, which algo.kl_target moves."""
        assert all(weight.dtype == torch.float32 for weight in self.trained), "weights that train are float32"
        self.device = self.trained[0].device
        self.has_adapter = recipe.tune.type == "lora"
        self.has_dropout = recipe.tune.type == "lora" and recipe.tune.dropout > 0
        self.reference = model if self.has_adapter or self.algo.kl == 0 else frozen_copy(model)
        """With LoRA the reference is the policy with its adapter off; full fine-tuning has to keep a copy."""
        self.earlier: deque[list[Tensor]] = deque(maxlen=STEPS_KEPT)
        """An adapter's weights before the updates of each of the last steps, in the memory of the host, to recognize
        completions sampled from them."""
        self.has_moved = False
        """Whether weights may have changed since the last step that is logged, so that they belong to none."""
        optimizer = torch.optim.AdamW(
            [{"params": part} for part in (self.policy, of_critic) if part],
            lr=lr,
            betas=self.optim.betas,
            eps=self.optim.eps,
            weight_decay=self.optim.weight_decay,
        )
        self.engine = make_engine(recipe, self.models(), optimizer)
        self.optimizer = self.engine.optimizer
        self.forward = Forward(recipe, model, critic, self.engine, can_pack=can_pack)

    @property
    def trains_in(self) -> nn.Module:
        """Holds all that trains, by names that checkpoints keep."""
        if self.critic is None:
            return self.model
        own = {"critic": self.critic.model} if self.critic.kind == "model" else {}
        return nn.ModuleDict({"policy": self.model, **own, "value_head": self.critic.head})

    def models(self) -> dict[str, nn.Module]:
        """All that this run holds, by name."""
        reference = {} if self.reference is self.model else {"reference": self.reference}
        own = {} if self.critic is None else {"critic": self.critic.model, "value_head": self.critic.head}
        return {"policy": self.model, **reference, **own}

    def save(self, folder: Path, progress: Progress, *, keep: int) -> None:
        """A checkpoint of whole weights and state, which any number of processes can go on from."""
        with self.engine.stored() as optimizer:
            if world.is_first():
                save_checkpoint(folder, self.trains_in, optimizer, progress, keep=keep)

    def resume(self, checkpoint: Path) -> Progress:
        with self.engine.restoring() as optimizer:
            return load_checkpoint(checkpoint, self.trains_in, optimizer)

    def learn(self, episodes: Sequence[Episode], step: int, check: Callable[[float], None] | None = None) -> Tally:
        """All optimizer steps over one step's episodes.

        Before the first of them `check` gets the mean mismatch, nan if nothing taught; it raises to forbid the step.
        """
        rates = (self.lr,) if self.critic is None else (self.lr, self.critic.lr)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(self.optim, step)
        before = [weight.detach().to("cpu", copy=True) for weight in self.trained] if self.keeps_earlier else []
        fixed, tally = self.criticise(self.fix_logprobs(episodes), Tally())
        mismatch = mean_mismatch(fixed)
        if check is not None and mismatch is not None:
            check(mismatch)
        self.switch_training(True)
        for part in (part for _ in range(self.algo.epochs) for part in parts(fixed, self.algo.updates)):
            earlier, tally = tally, self.accumulate(part, tally)
            if check is not None and mismatch is None:  # then this is the only update
                check(tally.mean(tally.mismatch))
            if self.is_far_gone(earlier, tally):
                break
            self.optimizer_step(tally)
        self.switch_training(False)
        if self.keeps_earlier:
            self.earlier.appendleft(before)
        self.steer(fixed)
        return tally

    @property
    def keeps_earlier(self) -> bool:
        return self.has_adapter and self.engine.holds_all

    def switch_training(self, is_training: bool) -> None:
        for model in (self.model, *([] if self.critic is None else [self.critic.model])):
            model.train(is_training)

    def criticise(self, episodes: list[Episode], tally: Tally) -> tuple[list[Episode], Tally]:
        """With a critic, the episodes with advantages and returns token by token, and what the critic knew."""
        if self.critic is None:
            return episodes, tally
        assert isinstance(self.algo, PPO)
        judged = criticised(self.algo, episodes, self.forward.values(episodes), self.kl)
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
        """The gradient of one optimizer step, of which each process computes a share; the tally with what it adds."""
        while (added := self.attempt(part)) is None:
            self.forward.micro_tokens = self.halved(part)
        self.engine.add_up()
        return tally.with_parts(world.gather(added))

    def attempt(self, part: Sequence[Episode]) -> Tally | None:
        """Of this process's share; None if memory ran out in any process: by then it is free again."""
        batch = Batch(len(part), sum(episode.trained_tokens for episode in part), self.max_new_tokens)
        tally, has_failed = Tally(), False
        self.engine.begin()
        try:
            for micro, counts, is_last in self.passes(part):
                self.learn_from(micro, batch, tally if counts else Tally(), 1.0 if counts else 0.0, is_last=is_last)
        except torch.OutOfMemoryError:
            if self.engine.is_even:  # the others wait for a pass that does not come
                raise UserError(
                    f"out of memory with {self.forward.micro_tokens} tokens at once; lower optim.micro_tokens, or set "
                    "model.gradient_checkpointing=true."
                ) from None
            has_failed = True
        return None if world.is_any(has_failed) else tally

    def passes(self, part: Sequence[Episode]) -> Iterator[tuple[list[Episode], bool, bool]]:
        """This process's micro-batches, each with whether it counts and whether it is the last."""
        learning = [episode for episode in part if self.teaches(episode)]
        own = [learning[place] for place in dealt(learning, keeps_groups=self.forward.can_pack)[world.rank()]]
        batches = [(micro, True) for micro in micro_batches(own, self.forward.micro_tokens)]
        if self.engine.is_even:
            whole = [episode for episode in part if episode.is_whole]
            batches = even([micro for micro, _ in batches], [min(whole or part, key=lambda episode: episode.length)])
        for number, (micro, counts) in enumerate(batches, start=1):
            yield micro, counts, number == len(batches)

    def learn_from(self, micro: Sequence[Episode], batch: Batch, tally: Tally, weight: float, *, is_last: bool) -> None:
        """Adds the gradients of policy and critic, times `weight`, on a micro-batch."""
        has_own_trunk = self.critic is not None and not self.critic.shares_trunk
        with self.forward.arranged(self.model, micro):
            found: list[Objective] = []

            def policy_loss() -> Tensor:
                found.append(self.objective(micro, batch, tally))
                return found[0].loss

            loss, ends = self.engine.forward(policy_loss), is_last and not has_own_trunk
            self.engine.backward(weight * loss, is_last=ends, is_followed=has_own_trunk)
        (objective,) = found
        tally.loss += objective.loss.item()
        tally.kl += objective.kl.item()
        tally.clipped += objective.clipped.item()
        if self.critic is not None and has_own_trunk:
            with self.critic.chosen(), self.forward.arranged(self.critic.model, micro):
                loss = self.engine.forward(lambda: self.value_loss(micro, batch, tally))
                self.engine.backward(weight * loss, is_last=is_last)
            tally.loss += loss.item()

    def value_loss(self, micro: Sequence[Episode], batch: Batch, tally: Tally) -> Tensor:
        return self.value_objective(self.forward.state_values(micro), micro, batch, tally)

    def halved(self, part: Sequence[Episode]) -> int:
        """Fewer tokens at once, said aloud; an error if one completion alone is too much."""
        smaller = min(self.forward.micro_tokens, sum(episode.length for episode in part)) // 2
        if smaller < max(episode.length for episode in part):
            raise UserError(
                "out of memory while training on one completion; set model.gradient_checkpointing=true, "
                "or lower rollout.max_new_tokens."
            )
        tokens = self.forward.micro_tokens
        tell(f"out of memory with {tokens} tokens at once; going on with {smaller} (see optim.micro_tokens)")
        return smaller

    def optimizer_step(self, tally: Tally) -> None:
        tally.updates += 1
        self.has_moved = True
        norms = self.engine.step(self.optim.max_grad_norm)
        if norms is None:
            tally.skipped += 1
        else:
            tally.grad_norms.append(norms[0])

    def teaches(self, episode: Episode) -> bool:
        """Without advantage, critic or KL penalty an episode's gradient is zero, so it need not be computed."""
        return not episode.is_masked and (episode.says_something or self.algo.kl > 0)

    def objective(self, episodes: Sequence[Episode], batch: Batch, tally: Tally) -> Objective:
        shared = self.critic.head if self.critic is not None and self.critic.shares_trunk else None
        scores = self.forward.score(self.model, episodes, shared)
        sampled_BT = self.forward.pad([episode.rollout.logprobs_T for episode in episodes])
        old_BT = self.forward.pad_optional([episode.old_logprobs_T for episode in episodes])
        old_BT = scores.logprobs_BT.detach() if old_BT is None else old_BT
        mask_BT = self.forward.pad([torch.ones(len(episode.tokens_T)) for episode in episodes])
        observe(tally, scores, old_BT, sampled_BT, mask_BT.bool())
        objective = policy_objective(
            logprobs_BT=scores.logprobs_BT,
            old_logprobs_BT=old_BT,
            advantages_BT=self.advantages(episodes),
            importance_BT=truncated_importance(old_BT, sampled_BT, self.algo.importance_cap),
            reference_logprobs_BT=self.forward.pad_optional([episode.reference_logprobs_T for episode in episodes]),
            weights_BT=token_weights(mask_BT, self.algo.loss, batch),
            clip_low=self.algo.clip_low,
            clip_high=self.algo.clip_high,
            kl=0.0 if isinstance(self.algo, PPO) and self.algo.kl_in == "reward" else self.kl,
        )
        if scores.values_BT is None:
            return objective
        return objective._replace(loss=objective.loss + self.value_objective(scores.values_BT, episodes, batch, tally))

    def advantages(self, episodes: Sequence[Episode]) -> Tensor:
        """[B, T] where each token has its own, otherwise [B, 1]."""
        own_BT = self.forward.pad_optional([episode.own_advantages_T for episode in episodes])
        if own_BT is not None:
            return own_BT
        return torch.tensor([[episode.advantage] for episode in episodes], device=self.device)

    def value_objective(self, values_BT: Tensor, episodes: Sequence[Episode], batch: Batch, tally: Tally) -> Tensor:
        """The critic's loss times its coefficient, every token with the weight it has in the policy's loss."""
        assert isinstance(self.algo, PPO)
        critiques = [episode.critique for episode in episodes if episode.critique is not None]
        found = value_loss(
            values_BT,
            self.forward.pad([critique.values_T for critique in critiques]),
            self.forward.pad([critique.returns_T for critique in critiques]),
            token_weights(self.forward.pad([torch.ones(len(e.tokens_T)) for e in episodes]), self.algo.loss, batch),
            clip=self.algo.clip_value,
        )
        tally.value_loss += found.loss.item()
        tally.values_clipped += found.clipped.item()
        return self.algo.value_coef * found.loss

    def fix_logprobs(self, episodes: Sequence[Episode]) -> list[Episode]:
        """Log-probabilities that later optimizer steps compare with, taken before the first of them.

        With dropout the passes that train are not of the policy that sampled, so a single step compares, too.
        """
        old: Sequence[Tensor | None] = [None] * len(episodes)
        reference: Sequence[Tensor | None] = [None] * len(episodes)
        counts_kl = isinstance(self.algo, PPO) and self.algo.kl > 0
        if self.algo.updates * self.algo.epochs > 1 or counts_kl or self.has_dropout:
            old = self.forward.logprobs(self.model, episodes)
        if self.algo.kl > 0:
            with adapter_off(self.reference):
                reference = self.forward.logprobs(self.reference, episodes)
        return [
            episode._replace(old_logprobs_T=old_T, reference_logprobs_T=reference_T)
            for episode, old_T, reference_T in zip(episodes, old, reference, strict=True)
        ]

    def mismatches(self, episodes: Sequence[Episode]) -> list[float]:
        """KL(sampler || policy) in nats a token, by its k3 estimate over the tokens of each episode."""
        rows = zip(episodes, self.forward.logprobs(self.model, episodes), strict=True)
        return [k3(row_T - episode.rollout.logprobs_T.to(self.device)).mean().item() for episode, row_T in rows]


def mean_mismatch(episodes: Sequence[Episode]) -> float | None:
    """KL(sampler || policy) in nats a token; None where the policy's log-probabilities are not fixed."""
    rows = [
        k3(episode.old_logprobs_T - episode.rollout.logprobs_T.to(episode.old_logprobs_T.device))
        for episode in episodes
        if episode.is_whole and episode.old_logprobs_T is not None
    ]
    return torch.cat(rows).mean().item() if rows else None


def frozen_copy(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    return copied.requires_grad_(False)
