"""What a session does for GRPO, RLOO and PPO: prompts in, the on-policy loop, scores before and after."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rltk.data.problems import fingerprint
from rltk.distributed import world
from rltk.distributed.engine import Engine
from rltk.models.diagnostics import bits_offered, describe_update
from rltk.models.load import load_weights
from rltk.models.save import save_model
from rltk.onpolicy.assemble import Assembled, assemble, load_inputs
from rltk.onpolicy.critic import save_critic
from rltk.onpolicy.identity import doubt
from rltk.onpolicy.learner import Learner
from rltk.onpolicy.loop import train
from rltk.onpolicy.penalties import outweighed
from rltk.recipe.schema import Rollout
from rltk.recipe.sections.rollout import OF_ALL
from rltk.rewards.look import code_hashes
from rltk.rollout.describe import describe
from rltk.run.checkpoint import Progress
from rltk.run.folder import Metrics
from rltk.run.manifest import Read, Source
from rltk.run.overoptimisation import has_turned
from rltk.run.plan import Plan
from rltk.run.scores import curve, score_tasks
from rltk.run.session import Desk, Scores


class OnPolicyWork:
    """The `Work` of a run that samples what it learns from."""

    parts: Assembled

    def __init__(self, plan: Plan) -> None:
        self.recipe, self.run = plan.recipe, plan.path
        self.inputs = load_inputs(plan.recipe)

    @property
    def read(self) -> Read:
        tasks = {task.name: Source(task.data.path, fingerprint(task.problems)) for task in self.inputs.tasks}
        code = code_hashes(self.recipe)
        return Read(Source(self.recipe.data.path, self.inputs.data_hash), tasks, self.inputs.left_out, code=code)

    @property
    def statement(self) -> str:
        return self.parts.statement

    @property
    def lr(self) -> float:
        return self.parts.trainer.learner.lr

    def notes(self) -> Sequence[str]:
        return [*self.left_out(), *truncation_note(self.recipe.rollout)]

    def left_out(self) -> list[str]:
        inputs = self.inputs
        kinds = (("training", "problems", inputs.left_out), ("evaluation", "conversations", inputs.not_evaluated))
        return [
            f"left out of {where}: {len(found)} {what}; the first, {', '.join(next(iter(found.items())))}"
            for where, what, found in kinds
            if found
        ]

    def assemble(self, device: torch.device) -> None:
        self.parts = assemble(self.recipe, self.inputs, device, run=self.run)

    def resume(self, checkpoint: Path) -> Progress:
        return self.parts.trainer.learner.resume(checkpoint)

    def score(self, when: str, desk: Desk) -> Scores:
        with self.engine.whole():
            return score_tasks(self.parts.evaluator, self.inputs.tasks, self.recipe, when, desk)

    @property
    def engine(self) -> Engine:
        return self.parts.trainer.learner.engine

    def train(self, progress: Progress, desk: Desk) -> None:
        if not has_turned(desk.folder):
            train(
                self.parts.trainer,
                desk.folder,
                progress,
                evaluate=lambda step: self.curve(step, desk),
                watch=lambda metrics: show(metrics, desk, self.parts.trainer.learner),
                is_stopping=desk.is_stopping,
            )
        if has_turned(desk.folder):
            stopped = {key: desk.folder.metrics[-1][key] for key in ("step", "overoptimised")}
            desk.folder.update_manifest(stopped=stopped)
            desk.watch.say(f"stopped after step {stopped['step']}: {stopped['overoptimised']}")
        if not desk.is_stopping():
            load_base = partial(load_weights, self.recipe.model, torch.device("cpu"))
            bits = bits_offered(desk.folder.metrics)
            with self.engine.whole():
                desk.folder.write_update(describe_update(self.parts.trainer.learner.model, load_base, bits))

    def curve(self, step: int, desk: Desk) -> Metrics:
        with self.engine.whole():
            return curve(self.parts.evaluator, self.inputs.tasks[0], self.recipe, step, desk)

    def save(self, path: Path) -> None:
        """The policy, and PPO's critic beside it."""
        learner = self.parts.trainer.learner
        with self.engine.whole():
            if world.is_first():
                save_model(learner.model, self.inputs.tokenizer, path)
            if world.is_first() and learner.critic is not None:
                save_critic(learner.critic, self.inputs.tokenizer, path.with_name("critic"))

    def describe(self, score: dict[str, Any]) -> str:
        return describe(score)

    def close(self) -> None:
        if self.inputs.fleet is not None:
            self.inputs.fleet.close()


def truncation_note(rollout: Rollout) -> list[str]:
    """That completions come from another distribution than trains, where they do. Neither the importance ratios nor the
    identity check see it, because log-probabilities are of the whole softmax on both sides."""
    if not rollout.is_truncated:
        return []
    chosen = " and ".join(f"rollout.{key}={value:g}" for key, value in rollout.truncation.items())
    whole = " and ".join(f"rollout.{key}={OF_ALL[key]:g}" for key in rollout.truncation)
    return [
        f"with {chosen} the likelier tokens alone are sampled, but the log-probabilities that train are of all tokens: "
        "the gradient is that of another distribution than completions come from, importance ratios do not correct it, "
        f"and rollout_mismatch_kl does not show it; set {whole} unless that is meant"
    ]


def show(metrics: Metrics, desk: Desk, learner: Learner) -> None:
    desk.show(metrics)
    history = desk.folder.metrics
    for said in (doubt(history, learner.forward.dtype), outweighed(history, learner.algo)):
        if said is not None:
            desk.watch.say(said)
    if "broken_problems" in metrics:
        broken = ", ".join(metrics["broken_problems"])
        desk.watch.say(f"step {metrics['step']}: the model's logits are not numbers on {broken}; left out")
