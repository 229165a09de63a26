"""What a session does for SFT and DPO: examples in, TRL's steps, and a score before and after."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rltk.data.demonstrations import Demonstration
from rltk.data.preferences import Preference
from rltk.distributed import world
from rltk.errors import UserError
from rltk.models.save import save_model
from rltk.offline.assemble import Assembled, assemble
from rltk.offline.course import make_course
from rltk.offline.dpo import train_dpo
from rltk.offline.inputs import load_inputs
from rltk.offline.own_pairs import own_pairs
from rltk.offline.ranking import Ranking, describe_ranking
from rltk.offline.sft import train_sft
from rltk.offline.stage import Stage
from rltk.recipe.schema import SFT
from rltk.rollout.describe import describe
from rltk.rollout.scores import curve, score_tasks
from rltk.run.checkpoint import Progress, load_checkpoint
from rltk.run.manifest import Read
from rltk.run.plan import Plan
from rltk.run.session import Desk, Scores


class OfflineWork:
    """The `Work` of a run on data that is there before its first step."""

    parts: Assembled
    ranking: Ranking | None = None

    def __init__(self, plan: Plan) -> None:
        self.recipe = plan.recipe
        self.inputs = load_inputs(plan.recipe)

    @property
    def read(self) -> Read:
        return self.inputs.read

    @property
    def statement(self) -> str:
        return self.parts.statement

    @property
    def lr(self) -> float:
        return self.parts.lr

    def notes(self) -> Sequence[str]:
        training, heldout, said = self.inputs.training, self.inputs.heldout, list[str]()
        if training.report is not None:
            said.append(training.report)
        if training.left_out:
            first, reason = next(iter(training.left_out.items()))
            said.append(f"left out of training: {len(training.left_out)} examples; the first, {first}, {reason}")
        if heldout is not None and heldout.left_out:
            said.append(f"left out of the scores: {heldout.left_out} held-out pairs that are too long")
        return said

    def assemble(self, device: torch.device) -> None:
        self.parts = assemble(self.recipe, self.inputs, device)
        if self.inputs.heldout is not None:
            self.ranking = Ranking(self.recipe, self.inputs.heldout, self.inputs.reader, self.parts)

    def resume(self, checkpoint: Path) -> Progress:
        return load_checkpoint(checkpoint, self.parts.model, self.parts.optimizer)

    def score(self, when: str, desk: Desk) -> Scores:
        if self.ranking is not None:
            return self.ranking.score(when, desk)
        return score_tasks(self.parts.evaluator, self.inputs.tasks, self.recipe, when, desk)

    def train(self, progress: Progress, desk: Desk) -> None:
        if progress.step == self.recipe.optim.steps:
            return
        if self.ranking is not None:
            self.ranking.prepare(desk)
        train = train_sft if isinstance(self.recipe.algo, SFT) else train_dpo
        train(self.stage(progress, desk), self.inputs.tokenizer)

    def stage(self, progress: Progress, desk: Desk) -> Stage:
        reader, parts = self.inputs.reader, self.parts
        read = reader.lesson if isinstance(self.recipe.algo, SFT) else reader.pair
        course = make_course(self.recipe, self.examples(desk), read)
        heldout_accuracy = partial(self.curve, desk=desk)
        return Stage(self.recipe, parts.model, parts.optimizer, course, progress, desk, heldout_accuracy)

    def examples(self, desk: Desk) -> Sequence[Demonstration | Preference]:
        """What is learned from; the policy's own pairs are sampled here, once."""
        training = self.inputs.training
        if training.examples:
            return training.examples

        def report(done: int, total: int) -> None:
            desk.watch.evaluating("pairs", done, total)

        made = own_pairs(self.parts.writer, training.problems, desk.folder.path, report=report)
        if made.report is not None:
            desk.watch.say(made.report.text)
        return self.fitting(made.pairs, desk)

    def fitting(self, pairs: list[Preference], desk: Desk) -> list[Preference]:
        fit = [pair for pair in pairs if self.inputs.reader.misfit(pair) is None]
        if not fit:
            raise UserError(f"all {len(pairs)} pairs that the policy wrote are too long; raise algo.max_length.")
        if len(fit) < len(pairs):
            desk.watch.say(f"left out of training: {len(pairs) - len(fit)} pairs of more than algo.max_length tokens")
        return fit

    def curve(self, step: int, desk: Desk) -> float:
        if self.ranking is not None:
            return self.ranking.accuracy(step, desk)
        return curve(self.parts.evaluator, self.inputs.tasks[0], self.recipe, step, desk)["accuracy"]

    def save(self, path: Path) -> None:
        if world.is_first():
            save_model(self.parts.model, self.inputs.tokenizer, path)

    def describe(self, score: dict[str, Any]) -> str:
        return describe(score) if self.ranking is None else describe_ranking(score)
