"""What a session does for SFT and DPO: examples in, TRL's steps, and a score before and after."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from rltk.data.demonstrations import Demonstration
from rltk.data.preferences import Preference
from rltk.distributed import world
from rltk.errors import UserError
from rltk.models.diagnostics import bits_offered, describe_update
from rltk.models.load import load_weights
from rltk.models.save import save_model
from rltk.offline import dpo, ranking
from rltk.offline.assemble import Assembled, assemble
from rltk.offline.course import make_course
from rltk.offline.dpo import train_dpo
from rltk.offline.heldout_loss import HeldoutLoss
from rltk.offline.inputs import load_inputs
from rltk.offline.own_pairs import own_pairs
from rltk.offline.ranking import Ranking, describe_ranking
from rltk.offline.sft import train_sft
from rltk.offline.stage import Stage
from rltk.recipe.schema import DPO, SFT
from rltk.rollout.describe import describe
from rltk.run.checkpoint import Progress, load_checkpoint
from rltk.run.folder import Metrics
from rltk.run.manifest import Read
from rltk.run.plan import Plan
from rltk.run.scores import curve, heldout, score_tasks
from rltk.run.session import Desk, Scores
from rltk.run.whole import damage


class OfflineWork:
    """The `Work` of a run on data that is there before its first step."""

    parts: Assembled
    ranking: Ranking | None = None
    loss: HeldoutLoss | None = None

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
        if self.inputs.solutions is not None:
            self.loss = HeldoutLoss(self.recipe, self.inputs.solutions, self.parts.model)

    def resume(self, checkpoint: Path) -> Progress:
        """What the starting policy gave cannot be computed from there on, so it must be there as it was written."""
        for kept in self.references(checkpoint.parents[1]):
            if reason := damage(kept):
                raise UserError(f"{kept} is damaged ({reason}); start the run anew.")
        return load_checkpoint(checkpoint, self.parts.model, self.parts.optimizer)

    def references(self, run: Path) -> list[Path]:
        """Folders of what DPO by full fine-tuning keeps of the starting policy."""
        if not isinstance(self.recipe.algo, DPO) or isinstance(self.parts.model, PeftModel):
            return []
        return [(run / file).parent for file in (dpo.FILE, *([ranking.FILE] if self.ranking is not None else []))]

    def score(self, when: str, desk: Desk) -> Scores:
        if self.ranking is not None:
            return self.ranking.score(when, desk)
        scores = {} if self.loss is None else self.loss.score(when, desk)
        found = score_tasks(self.parts.evaluator, self.inputs.tasks, self.recipe, when, desk) | scores
        return {task: found[task] for task in self.inputs.read.tasks}

    def train(self, progress: Progress, desk: Desk) -> None:
        if progress.step < self.recipe.optim.steps:
            if self.ranking is not None:
                self.ranking.prepare(desk)
            train = train_sft if isinstance(self.recipe.algo, SFT) else train_dpo
            train(self.stage(progress, desk), self.inputs.tokenizer)
        if not desk.is_stopping():
            load_base = partial(load_weights, self.recipe.model, torch.device("cpu"))
            desk.folder.write_update(describe_update(self.parts.model, load_base, bits_offered(desk.folder.metrics)))

    def stage(self, progress: Progress, desk: Desk) -> Stage:
        reader, parts = self.inputs.reader, self.parts
        read = reader.lesson if isinstance(self.recipe.algo, SFT) else reader.pair
        course = make_course(self.recipe, self.examples(desk), read)
        return Stage(self.recipe, parts.model, parts.optimizer, course, progress, desk, partial(self.curve, desk=desk))

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

    def curve(self, step: int, desk: Desk) -> Metrics:
        if self.ranking is not None:
            return self.ranking.accuracy(step, desk)
        found = {} if self.loss is None else self.loss.curve(step, desk)
        for task in self.inputs.tasks[:1]:
            found |= heldout(curve(self.parts.evaluator, task, self.recipe, step, desk))
        return found

    def save(self, path: Path) -> None:
        if world.is_first():
            save_model(self.parts.model, self.inputs.tokenizer, path)

    def describe(self, score: dict[str, Any]) -> str:
        return describe(score) if self.ranking is None else describe_ranking(score)

    def close(self) -> None:
        """There is nothing of it outside this process."""
