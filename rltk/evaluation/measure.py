"""Makes an evaluation: loads the model, completes what is not there yet, and keeps each block once it is graded."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from rltk.data.prompt import PromptRenderer, render_all
from rltk.data.tasks import Task
from rltk.evaluation.earlier import ITEMS, SETTINGS
from rltk.evaluation.items import Items
from rltk.evaluation.plan import Live
from rltk.evaluation.target import Target
from rltk.models.adapters import shrink_frozen
from rltk.models.bases import attach
from rltk.models.load import (
    compute_dtype,
    context_length,
    load_config,
    load_tokenizer,
    load_weights,
    pad_token,
    stop_tokens,
)
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.evaluate import Evaluation, Evaluator
from rltk.run.atomic import write_json
from rltk.run.progress import Watch


def measure(side: Live, watch: Watch, *, k: Sequence[int], label: str) -> dict[str, Evaluation]:
    """The evaluation of each task, by its name; `label` goes before that on the progress line."""
    tokenizer = load_tokenizer(side.target.model)
    refuse_long(side.target, tokenizer, side.tasks)
    evaluator = make_evaluator(side.target, tokenizer)
    if side.folder is not None:  # only now, so that what is refused leaves nothing behind
        write_json(side.folder / SETTINGS, side.settings)
    return {
        task.name: complete(evaluator, side, task, k, reporter(watch, f"{label}{task.name}")) for task in side.tasks
    }


def complete(
    evaluator: Evaluator, side: Live, task: Task, k: Sequence[int], report: Callable[[int, int], None]
) -> Evaluation:
    options = side.target.eval
    items = Items(None if side.folder is None else side.folder / ITEMS / f"{task.name}.jsonl")
    return evaluator.evaluate(
        task,
        samples=options.samples,
        temperature=options.temperature,
        seed=side.target.seed,
        report=report,
        k=k,
        items=items,
    )


def reporter(watch: Watch, what: str) -> Callable[[int, int], None]:
    return lambda done, total: watch.evaluating(what, done, total)


def refuse_long(target: Target, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task]) -> None:
    """Every prompt is measured before any weights load."""
    context = context_length(load_config(target.model))
    for task in tasks:
        renderer = PromptRenderer(tokenizer, task.data)
        render_all(renderer, task.problems, max_new_tokens=target.rollout.max_new_tokens, context=context)


def make_evaluator(target: Target, tokenizer: PreTrainedTokenizerBase) -> Evaluator:
    base = load_weights(target.model, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    stops, engine = stop_tokens(base, tokenizer), choose_engine(target.rollout.engine, base)
    model: nn.Module = base if target.adapter is None else attach(base, target.adapter)
    dtype = compute_dtype(target.model)
    if dtype == torch.bfloat16:
        shrink_frozen(model.requires_grad_(False))
    sampler = make_sampler(
        engine, model, stops=stops, pad=pad_token(tokenizer, stops), batch=target.eval.batch, dtype=dtype
    )
    context = context_length(load_config(target.model))
    return Evaluator(sampler, tokenizer, max_new_tokens=target.rollout.max_new_tokens, context=context)
