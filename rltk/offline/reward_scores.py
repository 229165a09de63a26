"""What a reward model that trains is worth: its scores of held-out pairs, its card, and the check of what is saved."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from rltk_reward_models.card import Card, measure, write_card
from rltk_reward_models.rescore import TOLERANCE, rescore, worst_difference
from rltk_reward_models.scorer import Identity, Scorer
from torch import nn

from rltk.data.preference_text import preference_text
from rltk.data.preferences import Preference
from rltk.data.transcripts import Plain
from rltk.errors import UserError
from rltk.evaluation.items import Items, Row
from rltk.evaluation.pairs.measure import Report, score_task
from rltk.evaluation.pairs.rows import scored_pair
from rltk.evaluation.pairs.tasks import PairTask
from rltk.models.load import local_path
from rltk.models.modes import evaluating
from rltk.models.reward import in_float32
from rltk.models.save import write_model
from rltk.offline.rows import Reader
from rltk.recipe.resolved import recipe_hash
from rltk.recipe.schema import LoRA, Recipe
from rltk.run.atomic import new_folder

CHECKED = 32
"""Held-out pairs whose scores a fresh process must give again."""


class Referee:
    """The model as a scorer: in float32, without dropout and of as many tokens as it is trained on, as any process that
    loads it has it."""

    def __init__(self, recipe: Recipe, model: nn.Module, reader: Reader) -> None:
        self.recipe, self.model = recipe, model
        self.plain: Plain = reader.plain
        tokenizer = copy.copy(reader.tokenizer)
        tokenizer.model_max_length = reader.most
        identity = Identity(recipe.name, "in training", None, True, reader.most)
        self.scorer = Scorer(model, tokenizer, identity, None, recipe.optim.micro_tokens)

    def rows(self, task: PairTask, report: Report) -> list[Row]:
        with evaluating(self.model), in_float32(self.model):
            return score_task(self.scorer, task, plain=self.plain, items=Items(), report=report)

    def scores(self, texts: Sequence[str]) -> list[float]:
        with evaluating(self.model), in_float32(self.model):
            return [scored.score for scored in self.scorer.scores(texts)]


def save_reward_model(referee: Referee, pairs: Sequence[Preference], path: Path) -> float:
    """Saves it where a fresh process, given the folder, gives the same scores; else UserError and no folder.

    What comes back is the largest difference between the scores.
    """
    tokenizer, model = referee.scorer.tokenizer, referee.model
    with new_folder(path) as beside:
        write_model(model, tokenizer, beside)
        return check_saved(referee, pairs, beside)


def check_saved(referee: Referee, pairs: Sequence[Preference], folder: Path) -> float:
    chosen = [preference_text(pair, referee.scorer.tokenizer, plain=referee.plain) for pair in pairs[:CHECKED]]
    texts = [text.prompt + reply for text in chosen for reply in (text.chosen, text.rejected)]
    is_adapter = isinstance(referee.model, PeftModel)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = referee.recipe.model
    try:
        again = rescore(
            folder,
            texts,
            base=local_path(base.path) if is_adapter else None,
            revision=base.revision if is_adapter else None,
            trust_remote_code=base.trust_remote_code,
            device=device,
        )
        difference = worst_difference(referee.scores(texts), again)
    except ValueError as error:
        raise UserError(f"the reward model was not saved: {error}; go on with the run to try again.") from error
    if not difference <= TOLERANCE:
        raise UserError(
            f"the reward model was not saved: a fresh process that loads it gives other scores, by up to "
            f"{difference:.2g}; its architecture does not load as it was trained."
        )
    return difference


def write_reward_card(recipe: Recipe, path: Path, task: PairTask, rows: Sequence[Row], is_adapter: bool) -> None:
    """README.md of the saved model, from what was measured."""
    tune = recipe.tune
    method = f"LoRA of rank {tune.rank}, alpha {tune.alpha:g}" if isinstance(tune, LoRA) else "full fine-tuning"
    method += "" if recipe.model.quantize is None else f" on a base held in {recipe.model.quantize}"
    data = recipe.data.path if recipe.data.data_dir is None else f"{recipe.data.path} ({recipe.data.data_dir})"
    write_card(
        path,
        Card(
            recipe.name,
            is_adapter=is_adapter,
            measured=measure(scored_pair(row) for row in rows),
            base=recipe.model.path,
            method=f"{method}, Bradley-Terry, {recipe.optim.steps} steps of {recipe.algo.batch} pairs",  # type: ignore[union-attr]
            train_data=f"{data}, training split",
            eval_data=f"{task.source}, {len(rows)} held-out pairs of the {recipe.eval.split} split",
            recipe_hash=recipe_hash(recipe),
            seeds=(recipe.seed,),
            excluded=0,
        ),
    )
