"""Puts a trainer together from a recipe: what can fail cheaply comes first, the weights last."""

from dataclasses import dataclass

import torch
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from rltk.data.fit import Kept, keep_fitting
from rltk.data.problems import Order, Problem, fingerprint, load_problems
from rltk.data.prompt import PromptRenderer, misfit, render_all
from rltk.data.tasks import Task, load_tasks
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
from rltk.onpolicy.learner import Learner
from rltk.onpolicy.loop import Trainer
from rltk.plan.learning_rate import peak_learning_rate
from rltk.recipe.schema import OnPolicy, Recipe
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.evaluate import Evaluator


@dataclass(frozen=True)
class Inputs:
    """All that a run reads but the weights."""

    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    problems: list[Problem]
    tasks: list[Task]
    left_out: dict[str, str]
    """Training problems that cannot be asked, by id: the end of a sentence that says why."""

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
    tokenizer, config = load_tokenizer(recipe.model), load_config(recipe.model)
    context = context_length(config)
    kept = askable(recipe, load_problems(recipe.data, "train"), tokenizer, context)
    options = recipe.eval
    tasks = load_tasks(options.tasks, recipe.data, split=options.split, limit=options.limit, root=options.data_root)
    for task in tasks:
        renderer = PromptRenderer(tokenizer, task.data)
        render_all(renderer, task.problems, max_new_tokens=recipe.rollout.max_new_tokens, context=context)
    return Inputs(tokenizer, config, kept.rows, tasks, kept.left_out)


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


def assemble(recipe: Recipe, inputs: Inputs, device: torch.device) -> Assembled:
    """Loads the weights, adds the adapter, and connects sampler, learner and evaluator to the one model."""
    base = load_weights(recipe.model, device)
    stops = stop_tokens(base, inputs.tokenizer)
    # Tried on the base, so that both arms train and sample in the same way.
    engine, can_pack = choose_engine(recipe.rollout.engine, base), device.type == "cpu" and packs_faithfully(base)
    model, statement = tuned(base, recipe)
    if engine != "native":
        statement += f"; completions come from {engine}"
    pad, dtype = pad_token(inputs.tokenizer, stops), compute_dtype(recipe.model)
    context = context_length(inputs.config)
    trainer = Trainer(
        recipe=recipe,
        learner=Learner(recipe, model, lr=learning_rate(recipe, inputs.config), can_pack=can_pack),
        sampler=make_sampler(engine, model, stops=stops, pad=pad, batch=recipe.rollout.batch, dtype=dtype),
        order=Order(inputs.problems, seed=recipe.seed),
        renderer=PromptRenderer(inputs.tokenizer, recipe.data),
        tokenizer=inputs.tokenizer,
        context=context,
    )
    evaluator = Evaluator(
        make_sampler(engine, model, stops=stops, pad=pad, batch=recipe.eval.batch, dtype=dtype),
        inputs.tokenizer,
        max_new_tokens=recipe.rollout.max_new_tokens,
        context=context,
    )
    return Assembled(trainer, evaluator, statement)


def learning_rate(recipe: Recipe, config: PretrainedConfig) -> float:
    text = config.get_text_config()
    return peak_learning_rate(recipe, text.hidden_size, text.model_type)
