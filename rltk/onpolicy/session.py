"""One process's work on a run: assemble, evaluate, train, evaluate, and leave a folder that says how good it got."""

import json
import sys
import time
from contextlib import nullcontext, suppress
from datetime import datetime, timezone
from shlex import quote
from typing import Any

import torch
from safetensors import SafetensorError

from rltk.data.problems import fingerprint
from rltk.errors import UserError
from rltk.models.save import save_model
from rltk.onpolicy.assemble import Assembled, assemble, learning_rate, load_inputs
from rltk.onpolicy.critic import save_critic
from rltk.onpolicy.loop import train as run_loop
from rltk.onpolicy.overoptimisation import find_turn, look_name, read_looks
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.rewards.judge import RewardGoneError
from rltk.rollout.describe import change, describe
from rltk.run.atomic import remove_leftovers
from rltk.run.checkpoint import Progress, list_checkpoints, load_checkpoint
from rltk.run.folder import RunFolder, resume_command
from rltk.run.interrupt import Stop
from rltk.run.plan import Plan
from rltk.run.progress import Watch, duration
from rltk.run.provenance import commit, hardware, versions
from rltk.run.trackers import Trackers, refuse_absent

INTERRUPTED = 130
"""Exit status, as a shell has it after Ctrl-C."""
DISK_IS_FULL = ("No space left on device", "Disk quota exceeded")


class Session:
    """One process's work on a run, from loading the weights to the last score."""

    def __init__(self, plan: Plan, *, is_quiet: bool, is_json: bool) -> None:
        self.plan, self.recipe, self.is_json = plan, plan.recipe, is_json
        self.started = time.monotonic()
        self.watch = Watch(steps=self.recipe.optim.steps, is_quiet=is_quiet)
        refuse_absent(self.recipe.run.trackers)
        self.folder = RunFolder(plan.path)
        self.inputs = load_inputs(plan.recipe)
        if plan.is_resuming:
            self.refuse_other_data()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.parts: Assembled = assemble(self.recipe, self.inputs, device)
        self.progress = self.reached()
        # Nothing has been written until here, so that what is refused leaves no run behind.
        self.write_manifest(device)
        self.trackers = Trackers(self.recipe.run.trackers, plan.path, self.recipe.name, resolved(self.recipe))

    def run(self) -> int:
        status, stop = "failed", Stop(self.watch.say)
        try:
            with self.watch, stop.listening():
                self.introduce()
                status = "finished" if self.train_and_evaluate(self.progress, stop) else "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
        except RewardGoneError as error:
            command = resume_command(self.plan.path)
            raise RewardGoneError(f"{error} Once it is back, go on with: {command}") from error
        except (OSError, SafetensorError) as error:  # the latter wraps what the system said
            if not any(reason in str(error) for reason in DISK_IS_FULL):
                raise
            command = resume_command(self.plan.path)
            raise UserError(f"the disk of {self.plan.path} is full; make room, then go on with: {command}") from error
        finally:
            self.end(status)
        return self.conclude() if status == "finished" else self.interrupted()

    def end(self, status: str) -> None:
        self.trackers.close()
        finished = {"finished": now()} if status == "finished" else {}
        # On a full disk the manifest may have to go on saying "running": such a run resumes too.
        with suppress(OSError) if status == "failed" else nullcontext():
            self.folder.update_manifest(status=status, **finished)

    def train_and_evaluate(self, progress: Progress, stop: Stop) -> bool:
        """Whether it got to the end, and was not asked to stop."""
        self.folder.forget_after(progress.step)
        if self.recipe.eval.before and "before" not in self.folder.scores() and progress.step == 0:
            self.score("before")
        self.watch.start_steps(progress.step)
        if not self.has_turned():
            with stop.after_this_step():
                run_loop(
                    self.parts.trainer,
                    self.folder,
                    progress,
                    evaluate=self.evaluate,
                    watch=self.show,
                    is_stopping=lambda: stop.is_asked,
                )
        if stop.is_asked:
            return False
        if self.has_turned():
            stopped = {key: self.folder.metrics[-1][key] for key in ("step", "overoptimised")}
            self.folder.update_manifest(stopped=stopped)
            self.watch.say(f"stopped after step {stopped['step']}: {stopped['overoptimised']}")
        learner = self.parts.trainer.learner
        save_model(learner.model, self.inputs.tokenizer, self.plan.path / "model")
        if learner.critic is not None:
            save_critic(learner.critic, self.inputs.tokenizer, self.plan.path / "critic")
        self.score("after")
        return True

    def reached(self) -> Progress:
        """Where to go on from: the newest checkpoint of a resumed run, or the beginning."""
        checkpoints = list_checkpoints(self.folder.checkpoints)
        if not self.plan.is_resuming or not checkpoints:
            return Progress(0, 0)
        learner = self.parts.trainer.learner
        return load_checkpoint(checkpoints[-1], learner.trains_in, learner.optimizer)

    def has_turned(self) -> bool:
        """Whether training ended because the reward was over-optimised."""
        return bool(self.folder.metrics) and "overoptimised" in self.folder.metrics[-1]

    def show(self, metrics: dict[str, Any]) -> None:
        self.watch.step(metrics)
        if "broken_problems" in metrics:
            broken = ", ".join(metrics["broken_problems"])
            self.watch.say(f"step {metrics['step']}: the model's logits are not numbers on {broken}; left out")
        self.trackers.log(metrics)

    def score(self, when: str) -> None:
        """Evaluates every task and writes scores and items under `before` or `after`."""
        scores: dict[str, Any] = {}
        for task in self.inputs.tasks:
            evaluation = self.parts.evaluator.evaluate(
                task,
                samples=self.recipe.eval.samples,
                k=self.recipe.eval.k,
                temperature=self.recipe.eval.temperature,
                seed=self.recipe.seed,
                report=lambda done, total, name=task.name: self.watch.evaluating(f"{name} {when}", done, total),
            )
            scores[task.name] = evaluation.score
            self.folder.write_items(f"{when}-{task.name}", evaluation.rows)
            self.watch.say(f"{task.name} {when}: {describe(evaluation.score)}")
        self.folder.add_scores(when, scores)

    def evaluate(self, step: int) -> dict[str, Any]:
        """Greedy accuracy, or held-out reward, on the first task, for the curve."""
        task = self.inputs.tasks[0]
        evaluation = self.parts.evaluator.evaluate(
            task,
            samples=0,
            temperature=1.0,
            seed=self.recipe.seed,
            report=lambda done, total: self.watch.evaluating(f"{task.name} at step {step}", done, total),
        )
        if "accuracy" in evaluation.score:
            return {"accuracy": evaluation.score["accuracy"]}
        self.folder.write_items(look_name(step, task.name), evaluation.rows)
        found = {"heldout_reward": evaluation.score["reward"]}
        if "gold_reward" not in evaluation.score:
            return found
        return found | {"heldout_gold_reward": evaluation.score["gold_reward"]["reward"]} | self.look(step, task.name)

    def look(self, step: int, task: str) -> dict[str, str]:
        """Says so, and ends training, when this evaluation shows that gold has turned down."""
        if not self.recipe.eval.stop_on_overoptimisation:
            return {}
        steps = [row["step"] for row in self.folder.metrics if "heldout_gold_reward" in row]
        turn = find_turn(read_looks(self.plan.path / "items", task, [*steps, step]))
        return {} if turn is None else {"overoptimised": str(turn)}

    def task_hashes(self) -> dict[str, str]:
        return {task.name: fingerprint(task.problems) for task in self.inputs.tasks}

    def refuse_other_data(self) -> None:
        """A resumed run has to train and be scored on what it began with."""
        manifest, hashes = self.folder.manifest(), self.task_hashes()
        before = manifest.get("task_hashes", {})
        changed = [task.data.path for task in self.inputs.tasks if hashes[task.name] != before.get(task.name)]
        if self.inputs.data_hash != manifest.get("data_hash"):
            changed.insert(0, self.recipe.data.path)
        if changed:
            raise UserError(f"{changed[0]} has changed since {self.plan.path} began; start a new run.")

    def write_manifest(self, device: torch.device) -> None:
        """Says what the run is before anything slow happens, so that even a killed run can be resumed."""
        made_with = {"commit": commit(), "versions": versions(), "hardware": hardware(device)}
        if self.plan.is_resuming:
            self.note_resumption(made_with)
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
            left_out=self.inputs.left_out,
            not_evaluated=self.inputs.not_evaluated,
            task_hashes=self.task_hashes(),
            **made_with,
        )

    def note_resumption(self, made_with: dict[str, Any]) -> None:
        """The manifest keeps what the run began with, and lists beside it what each resumption was made with."""
        manifest = self.folder.manifest()
        changed = [key for key, value in made_with.items() if manifest.get(key) != value]
        if changed:
            self.watch.say(f"not the {' and '.join(changed)} that the run began with: its numbers may differ")
        resumed = [*manifest.get("resumed", []), {"at": now(), **made_with}]
        self.folder.update_manifest(status="running", resumed=resumed)

    def introduce(self) -> None:
        learner = self.parts.trainer.learner
        how = "the documented prior" if self.recipe.optim.lr == "auto" else "as the recipe says"
        self.folder.update_manifest(tuned=self.parts.statement)
        self.watch.say(f"run {self.plan.path}")
        self.watch.say(f"{self.parts.statement}; lr {learner.lr:.3g}, {how}")
        if self.inputs.left_out:
            first, reason = next(iter(self.inputs.left_out.items()))
            self.watch.say(f"left out of training: {len(self.inputs.left_out)} problems; the first, {first}, {reason}")
        if self.inputs.not_evaluated:
            first, reason = next(iter(self.inputs.not_evaluated.items()))
            count = len(self.inputs.not_evaluated)
            self.watch.say(f"left out of evaluation: {count} conversations; the first, {first}, {reason}")
        if self.plan.is_resuming:
            remove_leftovers(self.plan.path)
            self.watch.say(f"going on after step {self.progress.step}")

    def interrupted(self) -> int:
        """Said even where all else is quiet: without it the work so far is lost to who does not know the command."""
        checkpoints = list_checkpoints(self.folder.checkpoints)
        kept = (
            f"after step {checkpoints[-1].name.removeprefix('step-').lstrip('0')}" if checkpoints else "from the start"
        )
        command = resume_command(self.plan.path)
        print(f"interrupted; go on {kept} with: {command}", file=sys.stderr)
        if self.is_json:
            print(json.dumps({"run": str(self.plan.path), "status": "interrupted", "resume": command}))
        return INTERRUPTED

    def conclude(self) -> int:
        """The result, on stdout."""
        scores = self.folder.scores()
        if self.is_json:
            print(json.dumps({"run": str(self.plan.path), "status": "finished", "scores": scores}))
        else:
            for name, after in scores["after"].items():
                before = scores.get("before", {}).get(name)
                print(f"{name}: {describe(after)}{'' if before is None else f', {change(before, after)}'}")
        took = duration(time.monotonic() - self.started)
        self.watch.say(f"done in {took}; evaluate it again with: rltk eval {quote(str(self.plan.path))}")
        return 0


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
