"""One process's work on a run, whatever it trains: evaluate, train, evaluate, and leave a folder that says the result.

What differs between kinds of training is `Work`: `rltk.onpolicy.session` and `rltk.offline.session` have it.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

import torch

from rltk.distributed import world
from rltk.errors import INTERRUPTED, GoneError, UserError, tell
from rltk.recipe.resolved import resolved
from rltk.rollout.describe import change
from rltk.run.atomic import remove_leftovers
from rltk.run.checkpoint import Progress, list_checkpoints, step_of
from rltk.run.folder import Metrics, RunFolder, can_be_evaluated, resume_command
from rltk.run.interrupt import Stop
from rltk.run.lookback import Damaged, look_back, set_aside
from rltk.run.manifest import Read, note_resumption, now, refuse_other_data, write_manifest
from rltk.run.plan import Plan
from rltk.run.progress import Watch, duration
from rltk.run.provenance import peak_memory
from rltk.run.trackers import Trackers, refuse_absent

Scores = dict[str, Any]
"""A score a task, as scores.json has it."""


@dataclass(frozen=True)
class Desk:
    """Where work leaves what it made, shows how far it is, and hears that it is to stop."""

    folder: RunFolder
    watch: Watch
    trackers: Trackers
    stop: Stop

    def show(self, metrics: Metrics) -> None:
        """A step's metrics, which the work has logged in the folder."""
        self.watch.step(metrics)
        self.trackers.log(metrics)
        if "saturated" in metrics:
            self.watch.say(f"step {metrics['step']}: the adapter is saturated: {metrics['saturated']}; raise tune.rank")

    def is_stopping(self) -> bool:
        """Whether any of the processes that train together was asked to: all of them get the same answer."""
        return world.is_any(self.stop.is_asked)


class Work(Protocol):
    """What one kind of training does. Once made it has read and checked all its data, but no weights."""

    @property
    def read(self) -> Read: ...

    @property
    def statement(self) -> str:
        """What trains, in a sentence; known once assembled."""
        ...

    @property
    def lr(self) -> float:
        """The peak learning rate."""
        ...

    def notes(self) -> Sequence[str]:
        """What a person should know of the data, a sentence each."""
        ...

    def assemble(self, device: torch.device) -> None:
        """Loads the weights."""
        ...

    def resume(self, checkpoint: Path) -> Progress: ...

    def score(self, when: str, desk: Desk) -> Scores:
        """The scores `before` or `after`; their items are written into the folder."""
        ...

    def train(self, progress: Progress, desk: Desk) -> None:
        """From `progress` to the last step, or until the desk is stopping: then with a checkpoint."""
        ...

    def save(self, path: Path) -> None:
        """What was trained."""
        ...

    def describe(self, score: dict[str, Any]) -> str:
        """A task's score in words."""
        ...

    def close(self) -> None:
        """What it holds outside this process is given back."""
        ...


class Session:
    """One process's work on a run, from loading the weights to the last score."""

    def __init__(self, plan: Plan, begin: Callable[[Plan], Work], *, is_quiet: bool, is_json: bool) -> None:
        self.plan, self.recipe, self.is_json = plan, plan.recipe, is_json
        self.started = time.monotonic()
        self.watch = Watch(steps=self.recipe.optim.steps, is_quiet=is_quiet or not world.is_first())
        refuse_absent(self.recipe.run.trackers)
        self.folder = RunFolder(plan.path, self.memory)
        self.work = begin(plan)
        if plan.is_resuming:
            refuse_other_data(self.work.read, self.folder)
        self.device = world.device()
        self.work.assemble(self.device)
        self.damaged: list[Damaged] = []
        self.progress = self.reached()
        # Nothing has been written until here, so that what is refused leaves no run behind.
        self.write_manifest()
        names = self.recipe.run.trackers if world.is_first() else ()
        trackers = Trackers(names, plan.path, self.recipe.name, resolved(self.recipe))
        self.desk = Desk(self.folder, self.watch, trackers, Stop(self.watch.say, self.recipe.run.grace))

    def memory(self) -> Metrics:
        """Nothing where no one counts it."""
        peak = peak_memory(self.device)
        return {} if peak is None else {"peak_memory_bytes": peak}

    def run(self) -> int:
        status = "failed"
        try:
            with self.watch, self.desk.stop.listening():
                self.introduce()
                status = "finished" if self.train_and_evaluate() else "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
        except GoneError as error:
            command = resume_command(self.plan.path)
            raise type(error)(f"{error} {error.once}, go on with: {command}") from error
        except UserError as error:
            self.folder.update_manifest(failure=str(error))  # it would end so again
            raise
        finally:
            self.end(status)
        if not world.is_first():
            return 0 if status == "finished" else INTERRUPTED
        return self.conclude() if status == "finished" else self.interrupted()

    def end(self, status: str) -> None:
        self.desk.trackers.close()
        finished = {"finished": now(), "peak_memory_bytes": peak_memory(self.device)} if status == "finished" else {}
        # On a full disk the manifest may have to go on saying "running": such a run resumes too.
        try:
            with suppress(OSError) if status == "failed" else nullcontext():
                self.folder.update_manifest(status=status, **finished)
        finally:
            self.work.close()

    def train_and_evaluate(self) -> bool:
        """Whether it got to the end, and was not asked to stop."""
        step = self.progress.step
        self.folder.forget_after(step)
        if self.recipe.eval.before and "before" not in self.folder.scores() and step == 0:
            self.score("before")
        self.watch.start_steps(step)
        with self.desk.stop.after_this_step():
            self.work.train(self.progress, self.desk)
        if self.desk.is_stopping():
            return False
        self.work.save(self.plan.path / "model")
        self.score("after")
        return True

    def score(self, when: str) -> None:
        self.folder.add_scores(when, self.work.score(when, self.desk))

    def reached(self) -> Progress:
        """Where to go on from: the newest whole checkpoint of a resumed run, or the beginning."""
        if not self.plan.is_resuming:
            return Progress(0, 0)
        checkpoint, self.damaged = world.of_first(lambda: look_back(self.folder))
        return Progress(0, 0) if checkpoint is None else self.work.resume(checkpoint)

    def write_manifest(self) -> None:
        if not self.plan.is_resuming:
            write_manifest(self.folder, self.plan, self.work.read, lr=self.work.lr, device=self.device)
            return
        if world.is_first():
            remove_leftovers(self.plan.path)
            set_aside(self.damaged)
        for path, reason in self.damaged:
            tell(f"{path} is damaged ({reason}) and set aside; going on after step {self.progress.step}")
        if warning := note_resumption(self.folder, self.work.read, self.device):
            self.watch.say(warning)

    def introduce(self) -> None:
        how = "the documented prior" if self.recipe.optim.lr == "auto" else "as the recipe says"
        self.folder.update_manifest(tuned=self.work.statement)
        self.watch.say(f"run {self.plan.path}")
        self.watch.say(f"{self.work.statement}; lr {self.work.lr:.3g}, {how}")
        for note in self.work.notes():
            self.watch.say(note)
        if self.plan.is_resuming:
            self.watch.say(f"going on after step {self.progress.step}")

    def interrupted(self) -> int:
        """Said even where all else is quiet: without it the work so far is lost to who does not know the command."""
        checkpoints = list_checkpoints(self.folder.checkpoints)
        kept = f"after step {step_of(checkpoints[-1])}" if checkpoints else "from the start"
        command = resume_command(self.plan.path)
        print(f"interrupted; go on {kept} with: {command}", file=sys.stderr)
        if self.is_json:
            print(json.dumps({"run": str(self.plan.path), "status": "interrupted", "resume": command}))
        return INTERRUPTED

    def conclude(self) -> int:
        """The result, on stdout."""
        scores, stopped = self.folder.scores(), self.folder.manifest().get("stopped")
        if self.is_json:
            early = {"stopped": stopped} if stopped else {}
            print(json.dumps({"run": str(self.plan.path), "status": "finished", "scores": scores, **early}))
        else:
            if stopped:
                print(f"ended early, after step {stopped['step']} of {self.recipe.optim.steps}: over-optimised")
            for name, after in scores["after"].items():
                before = scores.get("before", {}).get(name)
                print(f"{name}: {self.work.describe(after)}{'' if before is None else f', {change(before, after)}'}")
        self.write_report()
        took = duration(time.monotonic() - self.started)
        is_evaluable = can_be_evaluated(self.recipe.data.kind, self.recipe.algo.type)
        again = f"; evaluate it again with: rltk eval {quote(str(self.plan.path))}" if is_evaluable else ""
        self.watch.say(f"done in {took}{again}")
        return 0

    def write_report(self) -> None:
        """A page to look at. A run is finished without it, so a failure to write it is said and fails nothing."""
        from rltk.report.page import report_run  # only now: templates are not needed to train

        try:
            self.watch.say(f"look at it: {report_run(self.plan.path)}")
        except (OSError, UserError) as error:
            tell(f"no report was written ({error}); try again with: rltk report {quote(str(self.plan.path))}")
