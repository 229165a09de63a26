"""All that an offline run reads but the weights: examples, or problems to make them from, and what is held out.

Everything is read and checked here, and what the run comes to is measured, before any weights load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from rltk.data import demonstrations, preferences, problems
from rltk.data.demonstrations import Demonstration, load_demonstrations
from rltk.data.fit import Kept, keep_fitting
from rltk.data.preferences import Preference, load_split
from rltk.data.problems import Problem, load_problems
from rltk.data.prompt import PromptRenderer, misfit, render_all
from rltk.data.tasks import Task, load_tasks, short_name
from rltk.errors import UserError
from rltk.models.load import context_length, load_config, load_tokenizer
from rltk.offline.heldout_loss import Solutions
from rltk.offline.rows import Reader
from rltk.recipe.schema import LOSS, SFT, Offline, Recipe
from rltk.run.manifest import Read, Source


class Training(NamedTuple):
    examples: Sequence[Demonstration | Preference]
    """What is learned from; empty where the policy writes it itself."""
    problems: list[Problem]
    """What the policy writes it on."""
    hash: str
    left_out: dict[str, str]
    report: str | None
    """What was found in the rows, where that needs saying."""


class Heldout(NamedTuple):
    name: str
    """As it appears in scores.json."""
    pairs: list[Preference]
    left_out: int
    """Pairs that are too long to be scored."""


@dataclass(frozen=True)
class Inputs:
    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    reader: Reader
    training: Training
    tasks: list[Task]
    heldout: Heldout | None
    """What a run on preferences is scored on, in place of tasks."""
    solutions: Solutions | None
    """Held-out solutions, where the recipe asks for their log-loss."""
    read: Read

    @property
    def context(self) -> int | None:
        return context_length(self.config)


def load_inputs(recipe: Recipe) -> Inputs:
    tokenizer, config = load_tokenizer(recipe.model), load_config(recipe.model)
    context = context_length(config)
    reader, is_preferences = Reader(recipe, tokenizer, context), recipe.data.kind == "preferences"
    training = load_training(recipe, tokenizer, reader, context)
    heldout = load_heldout(recipe, reader) if is_preferences else None
    tasks = [] if is_preferences else load_fitting_tasks(recipe, tokenizer, context)
    sources = {task.name: Source(task.data.path, problems.fingerprint(task.problems)) for task in tasks}
    solutions = load_solutions(recipe, tokenizer, reader) if LOSS in recipe.eval.tasks and not is_preferences else None
    if solutions is not None:
        sources[LOSS] = Source(recipe.data.path, solutions.hash)
    if heldout is not None:
        sources[heldout.name] = Source(recipe.data.path, preferences.fingerprint(heldout.pairs))
    read = Read(Source(recipe.data.path, training.hash), sources, training.left_out)
    return Inputs(tokenizer, config, reader, training, tasks, heldout, solutions, read)


def load_training(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, reader: Reader, context: int | None) -> Training:
    if isinstance(recipe.algo, SFT):
        shown = load_demonstrations(recipe.data, tokenizer)
        kept = fitting(recipe, shown.rows, reader)
        return Training(kept.rows, [], demonstrations.fingerprint(kept.rows), kept.left_out, shown.report)
    if recipe.data.kind == "preferences":
        loaded = load_split(recipe.data, "train")
        kept = fitting(recipe, loaded.pairs, reader)
        return Training(kept.rows, [], preferences.fingerprint(kept.rows), kept.left_out, loaded.report.text)
    asked, left_out = askable(recipe, load_problems(recipe.data, "train"), tokenizer, context)
    return Training([], asked, problems.fingerprint(asked), left_out, None)


def fitting(recipe: Recipe, rows: Sequence[Demonstration] | Sequence[Preference], reader: Reader) -> Kept:
    """The examples without those that are too long; UserError if the run would come to none."""
    assert isinstance(recipe.algo, Offline)
    kept = keep_fitting(rows, recipe.optim.steps * recipe.algo.batch, reader.misfit, seed=recipe.seed)
    if not kept.rows:
        first, reason = next(iter(kept.left_out.items()), ("", ""))
        raise UserError(f"{recipe.data.path} has no example that fits: {first} {reason}")
    return kept


def askable(
    recipe: Recipe, asked: list[Problem], tokenizer: PreTrainedTokenizerBase, context: int | None
) -> tuple[list[Problem], dict[str, str]]:
    """How many problems it takes is seen only as the policy answers them, so every one is measured."""
    renderer, limit = PromptRenderer(tokenizer, recipe.data), recipe.rollout.max_new_tokens
    reasons = {p.id: misfit(renderer.tokens(p), max_new_tokens=limit, context=context) for p in asked}
    left_out = {id: reason for id, reason in reasons.items() if reason is not None}
    if len(left_out) == len(asked):
        first, reason = next(iter(left_out.items()))
        raise UserError(f"no training problem can be asked: problem {first} {reason}")
    return [problem for problem in asked if problem.id not in left_out], left_out


def load_fitting_tasks(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, context: int | None) -> list[Task]:
    options = recipe.eval
    names = [name for name in options.tasks if name != LOSS]
    tasks = load_tasks(names, recipe.data, split=options.split, limit=options.limit, root=options.data_root)
    for task in tasks:
        renderer = PromptRenderer(tokenizer, task.data)
        render_all(renderer, task.problems, max_new_tokens=recipe.rollout.max_new_tokens, context=context)
    return tasks


def load_solutions(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, reader: Reader) -> Solutions:
    shown = load_demonstrations(recipe.data, tokenizer, recipe.eval.split).rows[: recipe.eval.limit]
    short = [one for one in shown if reader.misfit(one) is None]
    if not short:
        raise UserError(f"{recipe.data.path}: all {len(shown)} held-out solutions are too long; raise algo.max_length.")
    lessons = [reader.lesson(one) for one in short]
    return Solutions(short, lessons, demonstrations.fingerprint(short), len(shown) - len(short))


def load_heldout(recipe: Recipe, reader: Reader) -> Heldout:
    pairs = load_split(recipe.data, recipe.eval.split).pairs[: recipe.eval.limit]
    short = [pair for pair in pairs if reader.misfit(pair) is None]
    if not short:
        raise UserError(f"{recipe.data.path}: all {len(pairs)} held-out pairs are too long; raise algo.max_length.")
    return Heldout(short_name(recipe.data.path), short, len(pairs) - len(short))
