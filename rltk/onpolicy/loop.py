"""The on-policy loop: problems -> rollouts -> grades -> advantages -> optimizer steps -> metrics.

Shapes: P problems, G completions a problem.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from rltk_eval.answers import Grade
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rltk.data.problems import Order, Problem
from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.errors import UserError
from rltk.models import diagnostics
from rltk.models.capacity import outcome_bits
from rltk.onpolicy.advantages import grpo_advantages, rloo_advantages, zero_variance
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.identity import check_sampler
from rltk.onpolicy.learner import Learner, Tally
from rltk.recipe.schema import GRPO, RLOO, Recipe
from rltk.rewards.verifiable import grade, reward, unusable
from rltk.rollout.sampler import Rollout, Sampler, Sampling
from rltk.run.checkpoint import Progress, save_checkpoint
from rltk.run.folder import Metrics, RunFolder
from rltk.seeds import derive

GIVE_UP_AFTER = 3
"""Steps in a row whose gradient is not finite."""


@dataclass(frozen=True)
class Trainer:
    """Everything the loop uses, put together by `assemble.py`."""

    recipe: Recipe
    learner: Learner
    sampler: Sampler
    order: Order
    renderer: PromptRenderer
    tokenizer: PreTrainedTokenizerBase
    context: int | None
    """The longest sequence the model takes."""


def train(
    trainer: Trainer,
    run: RunFolder,
    progress: Progress,
    *,
    accuracy: Callable[[int], float],
    watch: Callable[[Metrics], None],
    is_stopping: Callable[[], bool],
) -> Progress:
    """Trains from `progress` to the last step, or until `is_stopping`; the run folder has what is needed to go on.

    `accuracy` evaluates the policy after a step, `watch` shows a step's metrics.
    """
    recipe = trainer.recipe
    unusable = 0
    for step in range(progress.step, recipe.optim.steps):
        metrics = train_step(trainer, step)
        metrics |= diagnostics.step_metrics(trainer.learner.model, metrics["outcome_bits"], run.metrics)
        done = step + 1
        if recipe.eval.every and done % recipe.eval.every == 0 and done < recipe.optim.steps:
            metrics["accuracy"] = accuracy(done)
        progress = Progress(done, progress.tokens + metrics["sampled_tokens"])
        run.log({"step": done} | metrics)
        watch(run.metrics[-1])
        unusable = unusable + 1 if metrics["skipped_updates"] else 0
        if unusable == GIVE_UP_AFTER:
            raise UserError(
                f"the gradient was not finite in {GIVE_UP_AFTER} steps in a row, the last of them step {done}; "
                f"lower optim.lr (now {trainer.learner.lr:g})."
            )
        is_last = done == recipe.optim.steps or is_stopping()
        if is_last or done % recipe.run.checkpoint_every == 0:
            learner = trainer.learner
            save_checkpoint(run.checkpoints, learner.model, learner.optimizer, progress, keep=recipe.run.keep)
        if is_last:
            break
    return progress


def train_step(trainer: Trainer, step: int) -> Metrics:
    """One step, counted from 0: sample, grade, learn. Every random draw is a function of the seed and the step."""
    recipe, algo, rollout = trainer.recipe, trainer.learner.algo, trainer.recipe.rollout
    torch.manual_seed(derive(recipe.seed, "dropout", step))
    started = time.monotonic()
    problems = trainer.order.take(step, algo.prompts)
    prompts = render_all(trainer.renderer, problems, max_new_tokens=rollout.max_new_tokens, context=trainer.context)
    sampling = Sampling(rollout.max_new_tokens, rollout.temperature, rollout.top_k, rollout.top_p, rollout.min_p)
    groups = trainer.sampler.sample(prompts, algo.group, sampling, seed=derive(recipe.seed, "rollout", step))
    sampled = time.monotonic()
    grades = grade_groups(trainer.tokenizer, problems, groups)
    rewards_PG = torch.tensor([reward(verdict) for verdict in grades]).view(len(groups), -1)
    advantages_PG = advantages(algo, rewards_PG)
    broken = broken_problems(problems, groups, step + 1)
    episodes = [
        Episode(
            prompt,
            completion,
            rewards_PG[p, g].item(),
            advantages_PG[p, g].item(),
            is_masked=(completion.is_truncated and algo.mask_truncated) or problems[p].id in broken,
        )
        for p, (prompt, group) in enumerate(zip(prompts, groups, strict=True))
        for g, completion in enumerate(group)
    ]
    check = partial(check_sampler, trainer.learner, episodes, step + 1)
    tally = trainer.learner.learn(episodes, step, check)
    seconds = (sampled - started, time.monotonic() - sampled)
    metrics = step_metrics(trainer.learner, episodes, rewards_PG, tally, *seconds) | unusable(grades)
    return metrics | ({"broken_problems": broken} if broken else {})


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


def grade_groups(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], groups: Sequence[Sequence[Rollout]]
) -> list[Grade]:
    """The grades of all completions, group after group."""
    rows = [(problem, rollout) for problem, group in zip(problems, groups, strict=True) for rollout in group]
    texts = [completion_text(tokenizer, rollout.tokens_T) for _, rollout in rows]
    return grade([problem for problem, _ in rows], texts)


def advantages(algo: GRPO | RLOO, rewards_PG: Tensor) -> Tensor:
    match algo:
        case GRPO(scale=scale):
            return grpo_advantages(rewards_PG, scale)
        case RLOO():
            return rloo_advantages(rewards_PG)


def step_metrics(
    learner: Learner,
    episodes: Sequence[Episode],
    rewards_PG: Tensor,
    tally: Tally,
    rollout_seconds: float,
    train_seconds: float,
) -> Metrics:
    """Means over completions, or over trained tokens; nan where there was nothing to average."""
    tokens = sum(len(episode.tokens_T) for episode in episodes)
    return {
        "reward": rewards_PG.mean().item(),
        "loss": tally.loss,
        "grad_norm": tally.grad_norms[-1] if tally.grad_norms else math.nan,
        "lr": learner.optimizer.param_groups[0]["lr"],
        "kl": tally.mean(tally.kl) if learner.algo.kl > 0 else math.nan,
        "entropy": tally.mean(tally.entropy),
        "clipped": tally.mean(tally.clipped),
        "completion_tokens": tokens / len(episodes),
        "truncated": sum(episode.rollout.is_truncated for episode in episodes) / len(episodes),
        "zero_variance_groups": int(zero_variance(rewards_PG).sum()),
        "outcome_bits": outcome_bits(rewards_PG),
        "rollout_mismatch_kl": tally.mean(tally.mismatch),
        "largest_logprob_difference": tally.largest_mismatch,
        "skipped_updates": tally.skipped,
        "sampled_tokens": tokens,
        "rollout_seconds": rollout_seconds,
        "train_seconds": train_seconds,
        "sampled_tokens_per_second": tokens / rollout_seconds,
    }
