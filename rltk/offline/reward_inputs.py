"""All that a reward-model run reads before any weights load: pairs, or problems to sample them from; held-out pairs."""

from dataclasses import dataclass

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from rltk.data import preferences, problems
from rltk.data.preferences import load_split
from rltk.data.problems import Problem, load_problems
from rltk.data.tasks import short_name
from rltk.evaluation.pairs.tasks import PairTask
from rltk.models.load import context_length, load_config, load_tokenizer
from rltk.offline.inputs import Training, askable, load_training
from rltk.offline.rows import Reader
from rltk.recipe.schema import Recipe
from rltk.run.manifest import Read, Source


@dataclass(frozen=True)
class RewardInputs:
    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    reader: Reader
    training: Training
    heldout: PairTask | None
    """None where the pairs are sampled: then on `asked`."""
    asked: list[Problem]
    read: Read


def load_reward_inputs(recipe: Recipe) -> RewardInputs:
    tokenizer, config = load_tokenizer(recipe.model), load_config(recipe.model)
    context = context_length(config)
    reader = Reader(recipe, tokenizer, context)
    heldout, asked = None, list[Problem]()
    if recipe.data.kind == "preferences":
        loaded = load_split(recipe.data, "train")
        training = Training(loaded.pairs, [], preferences.fingerprint(loaded.pairs), {}, loaded.report.text)
        heldout = load_heldout_task(recipe)
        source = Source(recipe.data.path, preferences.fingerprint(heldout.pairs))
    else:
        training = load_training(recipe, tokenizer, reader, context)
        asked, _ = askable(recipe, load_problems(recipe.data, recipe.eval.split, recipe.eval.limit), tokenizer, context)
        source = Source(recipe.data.path, problems.fingerprint(asked))
    read = Read(Source(recipe.data.path, training.hash), {short_name(recipe.data.path): source}, training.left_out)
    return RewardInputs(tokenizer, config, reader, training, heldout, asked, read)


def load_heldout_task(recipe: Recipe) -> PairTask:
    """Long pairs too: they are scored by their last tokens, as the model is used, and counted as truncated."""
    loaded = load_split(recipe.data, recipe.eval.split)
    pairs = loaded.pairs[: recipe.eval.limit]
    return PairTask(short_name(recipe.data.path), recipe.data.path, pairs, (loaded.report.text,))
