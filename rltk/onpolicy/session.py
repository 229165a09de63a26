"""One process's work on a run: assemble, evaluate, train, evaluate, and leave a folder that says how good it got."""

import json
import time
from datetime import datetime, timezone
from typing import Any

import torch

from rltk.models.save import save_model
from rltk.onpolicy.assemble import Assembled, assemble, learning_rate, load_inputs
from rltk.onpolicy.loop import train as run_loop
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.rollout.describe import describe
from rltk.run.checkpoint import Progress, list_checkpoints, load_checkpoint
from rltk.run.folder import RunFolder
from rltk.run.interrupt import Stop
from rltk.run.plan import Plan
from rltk.run.progress import Watch, duration
from rltk.run.provenance import commit, hardware, versions
from rltk.run.trackers import Trackers

INTERRUPTED = 130
"""Exit status, as a shell has it after Ctrl-C."""


class Session:
    """One process's work on a run, from loading the weights to the last score."""

    def __init__(self, plan: Plan, *, is_quiet: bool, is_json: bool) -> None:
        self.plan, self.recipe, self.is_json = plan, plan.recipe, is_json
        self.inputs = load_inputs(plan.recipe)
        self.folder = RunFolder(plan.path)
        self.started = time.monotonic()
        self.watch = Watch(steps=self.recipe.optim.steps, is_quiet=is_quiet)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.trackers = Trackers(self.recipe.run.trackers, plan.path, self.recipe.name, resolved(self.recipe))
        self.write_manifest(device)
        self.parts: Assembled = assemble(self.recipe, self.inputs, device)

    def run(self) -> int:
        self.introduce()
        progress = self.restore()
        try:
            with self.watch:
                progress = self.train_and_evaluate(progress)
        except KeyboardInterrupt:
            return self.interrupted()
        finally:
            self.trackers.close()
        if progress.step < self.recipe.optim.steps:
            return self.interrupted()
        self.folder.update_manifest(status="finished", finished=now())
        self.conclude()
        return 0

    def train_and_evaluate(self, progress: Progress) -> Progress:
        if self.recipe.eval.before and "before" not in self.folder.scores() and progress.step == 0:
            self.score("before")
        stop = Stop(self.watch.say)
        self.watch.start_steps(progress.step)
        with stop.listening():
            progress = run_loop(
                self.parts.trainer,
                self.folder,
                progress,
                accuracy=self.accuracy,
                watch=self.show,
                is_stopping=lambda: stop.is_asked,
            )
        if progress.step == self.recipe.optim.steps:
            save_model(self.parts.trainer.learner.model, self.inputs.tokenizer, self.plan.path / "model")
            self.score("after")
        return progress

    def restore(self) -> Progress:
        """Where to go on from: the newest checkpoint of a resumed run, or the beginning."""
        checkpoints = list_checkpoints(self.folder.checkpoints)
        if not self.plan.is_resuming or not checkpoints:
            self.folder.forget_after(0)
            return Progress(0, 0)
        learner = self.parts.trainer.learner
        progress = load_checkpoint(checkpoints[-1], learner.model, learner.optimizer)
        self.folder.forget_after(progress.step)
        self.watch.say(f"going on after step {progress.step}")
        return progress

    def show(self, metrics: dict[str, Any]) -> None:
        self.watch.step(metrics)
        self.trackers.log(metrics)

    def score(self, when: str) -> None:
        """Evaluates every task and writes scores and items under `before` or `after`."""
        scores: dict[str, Any] = {}
        for task in self.inputs.tasks:
            evaluation = self.parts.evaluator.evaluate(
                task,
                samples=self.recipe.eval.samples,
                temperature=self.recipe.eval.temperature,
                seed=self.recipe.seed,
                report=lambda done, total, name=task.name: self.watch.evaluating(f"{name} {when}", done, total),
            )
            scores[task.name] = evaluation.score
            self.folder.write_items(f"{when}-{task.name}", evaluation.rows)
            self.watch.say(f"{task.name} {when}: {describe(evaluation.score)}")
        self.folder.add_scores(when, scores)

    def accuracy(self, step: int) -> float:
        """Greedy accuracy on the first task, for the curve."""
        task = self.inputs.tasks[0]
        evaluation = self.parts.evaluator.evaluate(
            task,
            samples=0,
            temperature=1.0,
            seed=self.recipe.seed,
            report=lambda done, total: self.watch.evaluating(f"{task.name} at step {step}", done, total),
        )
        return evaluation.score["accuracy"]

    def write_manifest(self, device: torch.device) -> None:
        """Says what the run is before anything slow happens, so that even a killed run can be resumed."""
        if self.plan.is_resuming:
            self.folder.update_manifest(status="running")
            return
        self.folder.update_manifest(
            name=self.recipe.name,
            id=self.plan.path.name,
            status="running",
            started=now(),
            profile=self.plan.profile,
            recipe=resolved(self.recipe),
            recipe_hash=recipe_hash(self.recipe),
            seed=self.recipe.seed,
            lr=learning_rate(self.recipe, self.inputs.config),
            data_hash=self.inputs.data_hash,
            commit=commit(),
            versions=versions(),
            hardware=hardware(device),
        )

    def introduce(self) -> None:
        learner = self.parts.trainer.learner
        how = "the documented prior" if self.recipe.optim.lr == "auto" else "as the recipe says"
        self.folder.update_manifest(tuned=self.parts.statement)
        self.watch.say(f"run {self.plan.path}")
        self.watch.say(f"{self.parts.statement}; lr {learner.lr:.3g}, {how}")

    def interrupted(self) -> int:
        self.folder.update_manifest(status="interrupted")
        steps = len(self.folder.metrics)
        self.watch.say(f"interrupted after step {steps}; go on with: rltk train {self.plan.path} --resume")
        return INTERRUPTED

    def conclude(self) -> None:
        scores = self.folder.scores()
        if self.is_json:
            print(json.dumps({"run": str(self.plan.path), "scores": scores}))
        for name, after in scores["after"].items():
            before = scores.get("before", {}).get(name)
            change = "" if before is None else f", {100 * (after['accuracy'] - before['accuracy']):+.1f} points"
            self.watch.say(f"{name}: {describe(after)}{change}; evaluate again with: rltk eval {self.plan.path}")
        self.watch.say(f"done in {duration(time.monotonic() - self.started)}")


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
