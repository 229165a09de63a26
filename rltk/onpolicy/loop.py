"""The on-policy loop: problems -> rollouts -> rewards -> advantages -> optimizer steps -> metrics.

Shapes: P problems, G completions a problem.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rltk.data.problems import Order, Problem
from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.distributed.world import own_stream
from rltk.errors import GoneError, OwnRewardError, UserError
from rltk.models import diagnostics
from rltk.models.capacity import outcome_bits
from rltk.onpolicy.advantages import grpo_advantages, rloo_advantages, std_of_judged, zero_variance
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.identity import check_sampler
from rltk.onpolicy.latest import keep_latest
from rltk.onpolicy.learner import Learner, Tally
from rltk.onpolicy.within import spread_rewards
from rltk.recipe.schema import GRPO, PPO, RLOO, Recipe
from rltk.rewards.judge import Judge, Sample
from rltk.rollout.sampler import Rollout, Sampler, Sampling
from rltk.run.checkpoint import Progress
from rltk.run.folder import Metrics, RunFolder
from rltk.run.interrupt import GraceOverError
from rltk.run.unusable import refuse_unusable
from rltk.seeds import derive

Show = Callable[[list[Sample], Sequence[float | None]], None]
"""Is given a step's completions and their rewards."""


@dataclass(frozen=True)
class Trainer:
    """Everything the loop uses, put together by `assemble.py`."""

    recipe: Recipe
    learner: Learner
    sampler: Sampler
    order: Order
    renderer: PromptRenderer
    tokenizer: PreTrainedTokenizerBase
    judge: Judge
    context: int | None
    """The longest sequence the model takes."""


def train(
    trainer: Trainer,
    run: RunFolder,
    progress: Progress,
    *,
    evaluate: Callable[[int], Metrics],
    watch: Callable[[Metrics], None],
    is_stopping: Callable[[], bool],
) -> Progress:
    """Trains from `progress` to the last step, or until `is_stopping`; the run folder has what is needed to go on.

    `evaluate` gives metrics of the policy after a step, and among them `overoptimised` where training should end;
    `watch` shows a step's metrics.
    """
    recipe, learner = trainer.recipe, trainer.learner
    learner.kl = learner.kl if progress.kl is None else progress.kl
    for step in range(progress.step, recipe.optim.steps):
        try:
            metrics = train_step(trainer, step, partial(keep_latest, run, step + 1, learner.algo.group))
        except (GoneError, GraceOverError) as error:
            # Nothing was learned from this step yet: none that was made is lost. Where weights are split a checkpoint
            # takes all processes, and a grace time ends for each of them at another place.
            is_together = isinstance(error, GoneError) or not learner.engine.is_even
            if is_together and not learner.has_moved:
                learner.save(run.checkpoints, progress, keep=recipe.run.keep)
            raise
        with learner.engine.whole():
            metrics |= diagnostics.step_metrics(learner.model, metrics["outcome_bits"], run.metrics)
        done = step + 1
        if recipe.eval.every and done % recipe.eval.every == 0 and done < recipe.optim.steps:
            metrics |= evaluate(done)
        progress = Progress(done, progress.tokens + metrics["sampled_tokens"], learner.kl)
        run.log({"step": done} | metrics)
        learner.has_moved = False
        watch(run.metrics[-1])
        refuse_unusable(run.metrics, learner.lr)
        is_last = done == recipe.optim.steps or is_stopping() or "overoptimised" in metrics
        if is_last or done % recipe.run.checkpoint_every == 0:
            learner.save(run.checkpoints, progress, keep=recipe.run.keep)
        if is_last:
            break
    return progress


def train_step(trainer: Trainer, step: int, show: Show | None = None) -> Metrics:
    """One step, counted from 0: sample, judge, learn. Every random draw is a function of the seed and the step."""
    recipe, algo, rollout = trainer.recipe, trainer.learner.algo, trainer.recipe.rollout
    torch.manual_seed(derive(recipe.seed, "dropout", step, *own_stream()))
    started = time.monotonic()
    problems = trainer.order.take(step, algo.prompts)
    prompts = render_all(trainer.renderer, problems, max_new_tokens=rollout.max_new_tokens, context=trainer.context)
    sampling = Sampling(rollout.max_new_tokens, rollout.temperature, rollout.top_k, rollout.top_p, rollout.min_p)
    with trainer.learner.engine.whole():
        groups = trainer.sampler.sample(prompts, algo.group, sampling, seed=derive(recipe.seed, "rollout", step))
        sampled = time.monotonic()
        made = samples(trainer.tokenizer, problems, prompts, groups)
        judgement = trainer.judge.judge(made)
    if show is not None:
        show(made, judgement.totals)
    rewards_PG = as_tensor(judgement.totals, step + 1).view(len(groups), -1)
    advantages_PG = advantages(algo, rewards_PG)
    broken = broken_problems(problems, groups, step + 1)
    episodes = [
        Episode(
            prompt,
            completion,
            rewards_PG[p, g].nan_to_num(0.0).item(),  # a number, for arithmetic under a mask
            advantages_PG[p, g].item(),
            is_masked=(completion.is_truncated and algo.mask_truncated)
            or problems[p].id in broken
            or bool(rewards_PG[p, g].isnan()),
        )
        for p, (prompt, group) in enumerate(zip(prompts, groups, strict=True))
        for g, completion in enumerate(group)
    ]
    due = trainer.judge.due(judgement, made)
    if due is not None:
        episodes = spread_rewards(algo, episodes, due, rewards_PG)
    check = partial(check_sampler, trainer.learner, episodes, step + 1, engine=rollout.engine)
    tally = trainer.learner.learn(episodes, step, check)
    seconds = (sampled - started, time.monotonic() - sampled)
    metrics = step_metrics(trainer.learner, episodes, rewards_PG, tally, *seconds) | judgement.metrics()
    return metrics | ({"broken_problems": broken} if broken else {})


def as_tensor(totals: Sequence[float | None], step: int) -> Tensor:
    """nan where a completion could not be judged; refused if it is all."""
    if all(total is None for total in totals):
        raise OwnRewardError(f"step {step}: the rewards gave None for all {len(totals)} completions.")
    return torch.tensor([math.nan if total is None else total for total in totals])


def broken_problems(problems: Sequence[Problem], groups: Sequence[Sequence[Rollout]], step: int) -> list[str]:
    """Ids of the problems that nothing is learned from, since the model gave no numbers; refused if it is all."""
    broken = [
        problem.id
        for problem, group in zip(problems, groups, strict=True)
        if any(completion.is_broken for completion in group)
    ]
    if len(broken) == len(problems):
        raise UserError(
            f"step {step}: the model's logits are not numbers on any problem (first {broken[0]}); "
            "lower optim.lr, or set model.dtype=float32."
        )
    return broken


def samples(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    prompts: Sequence[Sequence[int]],
    groups: Sequence[Sequence[Rollout]],
) -> list[Sample]:
    """All completions, group after group."""
    return [
        Sample(problem, prompt, rollout, completion_text(tokenizer, rollout.tokens_T))
        for problem, prompt, group in zip(problems, prompts, groups, strict=True)
        for rollout in group
    ]


def advantages(algo: GRPO | RLOO | PPO, rewards_PG: Tensor) -> Tensor:
    """How much better than its group each completion is; of PPO, whose critic judges every token, nothing yet."""
    match algo:
        case GRPO(scale=scale):
            return grpo_advantages(rewards_PG, scale)
        case RLOO():
            return rloo_advantages(rewards_PG)
        case PPO():
            return torch.zeros_like(rewards_PG)


def step_metrics(
    learner: Learner,
    episodes: Sequence[Episode],
    rewards_PG: Tensor,
    tally: Tally,
    rollout_seconds: float,
    train_seconds: float,
) -> Metrics:
    """Means over completions, over trained tokens, or of losses over passes; nan where there was nothing to average."""
    tokens = sum(len(episode.tokens_T) for episode in episodes)
    return {
        "reward": rewards_PG.nanmean().item(),
        "reward_std": std_of_judged(rewards_PG).item(),
        "loss": tally.loss_of(tally.loss),
        "grad_norm": tally.grad_norms[-1] if tally.grad_norms else math.nan,
        "lr": learner.optimizer.param_groups[0]["lr"],
        "kl": tally.mean(tally.kl) if learner.algo.kl > 0 else math.nan,
        "entropy": tally.mean(tally.entropy),
        "clipped": tally.mean(tally.clipped),
        "completion_tokens": tokens / len(episodes),
        "truncated": sum(episode.rollout.is_truncated for episode in episodes) / len(episodes),
        "zero_variance_groups": int(zero_variance(rewards_PG).sum()) if learner.critic is None else math.nan,
        "outcome_bits": outcome_bits(rewards_PG),
        "rollout_mismatch_kl": tally.mean(tally.mismatch),
        "largest_logprob_difference": tally.largest_mismatch,
        "skipped_updates": tally.skipped,
        **(critic_metrics(learner, tally) if learner.critic is not None else {}),
        "sampled_tokens": tokens,
        "rollout_seconds": rollout_seconds,
        "train_seconds": train_seconds,
        "sampled_tokens_per_second": tokens / rollout_seconds,
    }


def critic_metrics(learner: Learner, tally: Tally) -> Metrics:
    """What PPO has beside."""
    return {
        "value_loss": tally.loss_of(tally.value_loss),
        "values_clipped": tally.mean(tally.values_clipped),
        **tally.critic,
        "critic_lr": learner.optimizer.param_groups[-1]["lr"],
        "policy_moved_kl": tally.mean(tally.moved),
        "updates": tally.updates,
        "kl_coefficient": tally.kl_coefficient,
    }
