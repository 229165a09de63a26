"""What a session does for a reward model: pairs in, TRL's steps, pair accuracy before and after, a checked save."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from rltk.data.preferences import Preference
from rltk.data.tasks import short_name
from rltk.distributed import world
from rltk.evaluation.pairs.rows import summarize_pairs
from rltk.evaluation.pairs.tasks import PairTask
from rltk.models.diagnostics import bits_offered, describe_update
from rltk.models.reward import load_reward_weights
from rltk.models.tune import tuned
from rltk.offline.assemble import hide_four_bits, make_optimizer
from rltk.offline.contests import Contest, make_contest
from rltk.offline.course import make_course
from rltk.offline.reward_inputs import load_reward_inputs
from rltk.offline.reward_model import train_reward_model
from rltk.offline.reward_pairs import sampled_pairs
from rltk.offline.reward_scores import Referee, save_reward_model, write_reward_card
from rltk.offline.stage import Stage
from rltk.plan.learning_rate import peak_learning_rate
from rltk.rollout.describe import interval
from rltk.run.checkpoint import Progress, load_checkpoint
from rltk.run.folder import Metrics, RunFolder
from rltk.run.manifest import Read
from rltk.run.plan import Plan
from rltk.run.scores import accuracy_metrics, heldout
from rltk.run.session import Desk, Scores


class RewardWork:
    """The `Work` of a reward-model run."""

    model: nn.Module
    optimizer: torch.optim.AdamW
    referee: Referee
    statement: str
    lr: float

    def __init__(self, plan: Plan) -> None:
        self.recipe, self.path = plan.recipe, plan.path
        self.inputs = load_reward_inputs(plan.recipe)
        self.training: Sequence[Preference] = [
            row for row in self.inputs.training.examples if isinstance(row, Preference)
        ]
        self.heldout = self.inputs.heldout

    @property
    def read(self) -> Read:
        return self.inputs.read

    def notes(self) -> Sequence[str]:
        training, said = self.inputs.training, list[str]()
        if training.report is not None:
            said.append(training.report)
        if training.left_out:
            first, reason = next(iter(training.left_out.items()))
            said.append(f"left out of training: {len(training.left_out)} pairs; the first, {first}, {reason}")
        return [*said, *(self.inputs.heldout.notes if self.inputs.heldout is not None else ())]

    def assemble(self, device: torch.device) -> None:
        recipe, tokenizer = self.recipe, self.inputs.tokenizer
        base = load_reward_weights(recipe.model, tokenizer, device, seed=recipe.seed)
        self.model, self.statement = tuned(base, recipe)
        hide_four_bits(self.model)
        text = self.inputs.config.get_text_config()
        self.lr = peak_learning_rate(recipe, text.hidden_size, text.model_type)
        self.optimizer = make_optimizer(recipe, self.model, self.lr)
        self.referee = Referee(recipe, self.model, self.inputs.reader)

    def resume(self, checkpoint: Path) -> Progress:
        return load_checkpoint(checkpoint, self.model, self.optimizer)

    def score(self, when: str, desk: Desk) -> Scores:
        task = self.task(desk)
        rows = self.referee.rows(task, lambda done, total: desk.watch.evaluating(f"{task.name} {when}", done, total))
        score = summarize_pairs(rows)
        desk.folder.write_items(f"{when}-{task.name}", rows)
        desk.watch.say(f"{task.name} {when}: {self.describe(score)}")
        if when == "after" and world.is_first():
            write_reward_card(self.recipe, self.path / "model", task, rows, isinstance(self.model, PeftModel))
        return {task.name: score}

    def train(self, progress: Progress, desk: Desk) -> None:
        self.task(desk)  # what is saved is checked on held-out pairs, however little is left to train
        if progress.step < self.recipe.optim.steps:
            train_reward_model(self.stage(progress, desk), self.inputs.tokenizer)
        if not desk.is_stopping():
            desk.folder.write_update(describe_update(self.model, self.load_base, bits_offered(desk.folder.metrics)))

    def load_base(self) -> PreTrainedModel:
        recipe = self.recipe
        return load_reward_weights(recipe.model, self.inputs.tokenizer, torch.device("cpu"), seed=recipe.seed)

    def stage(self, progress: Progress, desk: Desk) -> Stage:
        task = self.task(desk)
        course = make_course(self.recipe, self.training, self.contest)
        long = sum(row.is_truncated for row in course.rows if isinstance(row, Contest))
        if long:
            most = self.inputs.reader.most
            desk.watch.say(
                f"{long} of {len(course.rows)} pairs are longer than {most} tokens, of which the last are read"
            )
        parts = (self.recipe, self.model, self.optimizer, course, progress, desk)
        return Stage(*parts, lambda step: self.accuracy(task, step, desk))

    def contest(self, pair: Preference) -> Contest:
        has_margins = self.recipe.data.margin is not None
        reader = self.inputs.reader
        return make_contest(pair, self.inputs.tokenizer, plain=reader.plain, has_margins=has_margins, most=reader.most)

    def accuracy(self, task: PairTask, step: int, desk: Desk) -> Metrics:
        """Of held-out pairs, for the curve: in the arithmetic of training, whose forward pass is still in place."""
        what = f"{task.name} at step {step}"
        rows = self.referee.rows(task, lambda done, total: desk.watch.evaluating(what, done, total))
        return heldout(accuracy_metrics(summarize_pairs(rows)))

    def task(self, desk: Desk) -> PairTask:
        """The held-out pairs; those of problems are sampled here, once, with those that train."""
        if self.heldout is None:
            device = next(self.model.parameters()).device
            training, heldout = sampled_pairs(self.recipe, self.inputs, device, desk)
            self.training = training
            self.heldout = PairTask(short_name(self.recipe.data.path), self.recipe.data.path, list(heldout), ())
        return self.heldout

    def save(self, path: Path) -> None:
        assert self.heldout is not None
        if world.is_first():
            difference = save_reward_model(self.referee, self.heldout.pairs, path)
            RunFolder(self.path).update_manifest(reload_difference=difference)

    def describe(self, score: dict[str, Any]) -> str:
        """`71.3% [68.8, 73.8] of held-out pairs (n = 1255); always the longer reply: 52.1% [49.3, 54.9]`."""
        baseline = score["length_baseline"]
        alone = f"always the {baseline['prefers']} reply: {interval(baseline)}"
        return f"{interval(score)} of held-out pairs (n = {score['n']}); {alone}"

    def close(self) -> None:
        """There is nothing of it outside this process."""
