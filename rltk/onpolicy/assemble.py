"""Puts a trainer together from a recipe: what can fail cheaply comes first, the weights last."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from rltk.data.asked import load_asked
from rltk.data.fit import Kept, keep_fitting
from rltk.data.problems import Order, Problem, fingerprint
from rltk.data.prompt import PromptRenderer, misfit, render_all
from rltk.data.tasks import Task, load_tasks
from rltk.distributed.spread import asked_by_first, spread
from rltk.errors import UserError
from rltk.models.load import (
    compute_dtype,
    context_length,
    load_config,
    load_tokenizer,
    load_weights,
    pad_token,
    stop_tokens,
)
from rltk.models.scoring import packs_faithfully
from rltk.models.tune import tuned
from rltk.onpolicy.critic import make_critic
from rltk.onpolicy.learner import Learner
from rltk.onpolicy.loop import Trainer
from rltk.plan.learning_rate import critic_learning_rate, peak_learning_rate
from rltk.recipe.schema import PPO, OnPolicy, Recipe
from rltk.rewards.judge import Judge
from rltk.rewards.look import look_at_rewards
from rltk.rewards.scorers import make_scorers
from rltk.rewards.solution import refuse_unsolved
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.evaluate import Evaluator
from rltk.rollout.servers.fleet import Fleet
from rltk.rollout.servers.open import open_sampler, reach_servers


@dataclass(frozen=True)
class Inputs:
    """All that a run reads but the weights."""

    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    problems: list[Problem]
    tasks: list[Task]
    left_out: dict[str, str]
    """Training problems that cannot be asked, by id: the end of a sentence that says why."""
    not_evaluated: dict[str, str]
    """Conversations held out that cannot be asked, likewise; problems are refused instead."""
    fleet: Fleet | None
    """The servers that sample, where the recipe names some."""

    @property
    def data_hash(self) -> str:
        return fingerprint(self.problems)


@dataclass(frozen=True)
class Assembled:
    trainer: Trainer
    evaluator: Evaluator
    statement: str
    """What trains, in a sentence."""


def load_inputs(recipe: Recipe) -> Inputs:
    """Every problem is read, its gold answer checked and its prompt measured here, before any weights load."""
    look_at_rewards(recipe)
    fleet = reach_servers(recipe)
    tokenizer, config = load_tokenizer(recipe.model), load_config(recipe.model)
    context = context_length(config)
    kept = askable(recipe, load_asked(recipe.data, "train"), tokenizer, context)
    refuse_unsolved(recipe, kept.rows)
    options = recipe.eval
    tasks = load_tasks(options.tasks, recipe.data, split=options.split, limit=options.limit, root=options.data_root)
    not_evaluated: dict[str, str] = {}
    for index, task in enumerate(tasks):
        renderer, limit = PromptRenderer(tokenizer, task.data), recipe.rollout.max_new_tokens
        if task.data.kind == "preferences":
            tasks[index], reasons = fitting(task, renderer, max_new_tokens=limit, context=context)
            not_evaluated |= reasons
        else:
            render_all(renderer, task.problems, max_new_tokens=limit, context=context)
    return Inputs(tokenizer, config, kept.rows, tasks, kept.left_out, not_evaluated, fleet)


def fitting(
    task: Task, renderer: PromptRenderer, *, max_new_tokens: int, context: int | None
) -> tuple[Task, dict[str, str]]:
    """The task without the conversations that the model has no room for, of which real data always has some."""
    found = {
        problem.id: misfit(renderer.tokens(problem), max_new_tokens=max_new_tokens, context=context)
        for problem in task.problems
    }
    reasons = {id: reason for id, reason in found.items() if reason is not None}
    if len(reasons) == len(task.problems):
        first = next(iter(reasons.values()), "there is none.")
        raise UserError(f"no conversation of {task.name} can be asked: the first {first}")
    return task._replace(problems=[problem for problem in task.problems if problem.id not in reasons]), reasons


def askable(
    recipe: Recipe, problems: list[Problem], tokenizer: PreTrainedTokenizerBase, context: int | None
) -> Kept[Problem]:
    """The problems without those among the ones that will be asked whose prompt is empty or too long; and these."""
    assert isinstance(recipe.algo, OnPolicy)
    renderer, limit = PromptRenderer(tokenizer, recipe.data), recipe.rollout.max_new_tokens
    kept = keep_fitting(
        problems,
        recipe.optim.steps * recipe.algo.prompts,
        lambda problem: misfit(renderer.tokens(problem), max_new_tokens=limit, context=context),
        seed=recipe.seed,
    )
    if not kept.rows:
        first, reason = next(iter(kept.left_out.items()))
        raise UserError(f"no training problem can be asked: problem {first} {reason}")
    return kept


def assemble(recipe: Recipe, inputs: Inputs, device: torch.device, *, run: Path = Path("run")) -> Assembled:
    """Loads the weights, adds the adapter, and connects sampler, learner and evaluator to the one model.

    `run` is the run's folder, where adapters for servers are written unless the recipe names another.
    """
    base = load_weights(recipe.model, device)
    stops = stop_tokens(base, inputs.tokenizer)
    pad, dtype = pad_token(inputs.tokenizer, stops), compute_dtype(recipe.model)
    # Tried on the base, so that both arms train and sample in the same way.
    engine, can_pack = choose_engine(recipe.rollout.engine, base), device.type == "cpu" and packs_faithfully(base)
    model, statement = tuned(base, recipe)
    critic = None
    if isinstance(recipe.algo, PPO):
        hidden_size = inputs.config.get_text_config().hidden_size
        critic = make_critic(recipe, model, lr=critic_learning_rate(recipe, hidden_size))
        statement += f"; {critic}"
    if engine != "native":
        statement += f"; completions come from {' and '.join(recipe.rollout.servers) or engine}"
    context = context_length(inputs.config)
    judge = Judge(recipe, make_scorers(recipe, model, inputs.tokenizer, dtype))
    learner = Learner(recipe, model, lr=learning_rate(recipe, inputs.config), can_pack=can_pack, critic=critic)
    if critic is not None:
        statement += f"; {memory_statement(learner)}"
    if engine == "vllm":
        asked = open_sampler(recipe, model, inputs.tokenizer, inputs.fleet, stops=stops, run=run)
        sampler = evaluating = asked_by_first(asked)
    else:
        sampler, evaluating = (
            spread(make_sampler(engine, model, stops=stops, pad=pad, batch=batch, dtype=dtype))
            for batch in (recipe.rollout.batch, recipe.eval.batch)
        )
    trainer = Trainer(
        recipe=recipe,
        learner=learner,
        sampler=sampler,
        order=Order(inputs.problems, seed=recipe.seed),
        renderer=PromptRenderer(inputs.tokenizer, recipe.data),
        tokenizer=inputs.tokenizer,
        judge=judge,
        context=context,
    )
    evaluator = Evaluator(
        evaluating,
        inputs.tokenizer,
        max_new_tokens=recipe.rollout.max_new_tokens,
        context=context,
        judge=judge,
    )
    return Assembled(trainer, evaluator, statement)


def memory_statement(learner: Learner) -> str:
    """What the roles of PPO hold, and what LoRA spares: every weight counted once, however many share it."""
    assert learner.critic is not None
    roles = {"policy": learner.model, "critic": learner.critic.model}
    roles |= {"reference": learner.reference} if learner.kl > 0 else {}
    held = {weight.data_ptr(): weight for role in roles.values() for weight in role.parameters()}
    total, one = (mebibytes(weights) for weights in (held.values(), learner.model.parameters()))
    names = " and ".join(filter(None, [", ".join(list(roles)[:-1]), list(roles)[-1]]))
    if learner.has_adapter:
        return f"one copy of the base serves {names}: {total:,.1f} MiB of weights"
    return f"{names} take {total:,.1f} MiB of weights, {total - one:,.1f} MiB more than the policy alone"


def mebibytes(weights: Iterable[torch.Tensor]) -> float:
    return sum(weight.numel() * weight.element_size() for weight in weights) / 2**20


def learning_rate(recipe: Recipe, config: PretrainedConfig) -> float:
    text = config.get_text_config()
    return peak_learning_rate(recipe, text.hidden_size, text.model_type)
