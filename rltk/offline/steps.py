"""The steps of TRL's trainers as rltk runs them: with its seeds, its metrics, its checkpoints and its Ctrl-C.

Transformers' own checkpoints are pickles in part, and hold generators. Here a random draw is a function of the seed and
the step, so a resumed run gives a fresh trainer the rows of the steps that are left, and takes weights and optimizer
from `rltk.run.checkpoint`.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from rltk.distributed import world
from rltk.distributed.world import own_stream
from rltk.errors import UserError, tell
from rltk.models import diagnostics
from rltk.offline.split import Split
from rltk.offline.stage import Stage
from rltk.run.checkpoint import Progress
from rltk.run.folder import Metrics
from rltk.run.interrupt import GraceOverError
from rltk.run.unusable import refuse_unusable
from rltk.seeds import derive

Naming = Callable[[dict[str, float]], Metrics]
"""Of TRL's metrics of a step ours."""
OVERWRITTEN = ("use_cache", "bos_token_id", "eos_token_id", "pad_token_id")


def run_steps(make: Callable[[Stage, str], Trainer], stage: Stage, named: Naming = lambda _: {}) -> None:
    """Trains to the last step, or until the desk is stopping, with half as many examples at once where memory runs out.

    `make` builds TRL's trainer of a stage, in a folder that it may write to; `named` gives the metrics of a step our
    names.
    """
    try:
        while (reached := attempt(make, stage, named)) is not None:
            stage = halved(stage, reached)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"out of memory with {at_once(stage)} of a step's {len(stage.course.places[0])} examples at once; lower "
            "optim.micro_tokens, or set model.gradient_checkpointing=true."
        ) from error


def attempt(make: Callable[[Stage, str], Trainer], stage: Stage, named: Naming) -> Progress | None:
    """None at the end. Where memory ran out within a step, what was done before, which is where the weights are."""
    steps = Steps(stage, named)
    with lent(stage.model) as folder:
        try:
            steps.take(make(stage, folder))
        except torch.OutOfMemoryError:
            # Other processes wait for a pass that does not come; and one example cannot be halved.
            if steps.has_moved or world.size() > 1 or at_once(stage) == 1:
                raise
            return steps.progress
    return None


def at_once(stage: Stage) -> int:
    """Examples that a process computes at once."""
    return stage.course.micro_batch(stage.recipe.optim.micro_tokens)


def halved(stage: Stage, reached: Progress) -> Stage:
    """The stage from there on with fewer examples at once, said aloud; nothing of the broken step is left."""
    stage.optimizer.zero_grad()
    widest, tokens = max(row.width for row in stage.course.rows), stage.recipe.optim.micro_tokens
    optim = stage.recipe.optim.model_copy(update={"micro_tokens": at_once(stage) * widest // 2})
    smaller = replace(stage, recipe=stage.recipe.model_copy(update={"optim": optim}), progress=reached)
    tell(
        f"out of memory with {at_once(stage)} examples at once; going on with {at_once(smaller)} "
        f"(see optim.micro_tokens, which is {tokens})"
    )
    return smaller


@contextmanager
def lent(model: nn.Module) -> Iterator[str]:
    """Within it TRL builds and runs a trainer on the model, in the folder that it wants, which is yielded.

    The model is given back as it was: TRL replaces its forward pass by one that computes the loss in chunks and cannot
    be sampled from; trainers turn the cache off and write the tokenizer's special tokens into the configurations, where
    chat models may name more tokens that end a text than their tokenizer knows; and they tag the model, by which its
    card would say whether the process that saved it had a step left to train.
    """
    configs: list[Any] = [model.config.get_text_config()]  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    if hasattr(model, "generation_config"):  # a reward model generates nothing
        configs.append(model.generation_config)
    before = [{key: getattr(config, key) for key in OVERWRITTEN if hasattr(config, key)} for config in configs]
    tags = {part: copy.copy(part.model_tags) for part in model.modules() if isinstance(part, PreTrainedModel)}
    forwards = {module: vars(module).get("forward") for module in model.modules()}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with TemporaryDirectory() as folder:
            yield folder
    finally:
        logging.set_verbosity(verbosity)
        for module, forward in forwards.items():
            restore_forward(module, forward)
        for part, named in tags.items():
            part.model_tags = named
        for config, tokens in zip(configs, before, strict=True):
            for key, token in tokens.items():
                setattr(config, key, token)


def restore_forward(module: nn.Module, forward: Callable[..., Any] | None) -> None:
    """`forward` is what the module itself had, None if its class's; a wrapper that stays would be called ever after."""
    if forward is None:
        vars(module).pop("forward", None)
    else:
        vars(module)["forward"] = forward


class Steps(TrainerCallback):
    split: Split

    def __init__(self, stage: Stage, named: Naming) -> None:
        self.stage, self.named, self.progress = stage, named, stage.progress
        self.began, self.norm, self.is_skipped = time.monotonic(), math.nan, False
        self.has_moved = False
        """Whether weights may have changed since the last step that is logged, so that they belong to none."""

    def take(self, trainer: Trainer) -> None:
        """All that are left, or until the desk is stopping."""
        trainer.remove_callback(PrinterCallback)
        self.split = Split(trainer, self.stage)
        trainer.add_callback(self)
        trainer.accelerator.clip_grad_norm_ = self.noting_norm(trainer.accelerator.clip_grad_norm_)
        try:
            trainer.train()
        except GraceOverError:
            if not self.split.is_used:  # a checkpoint would take all processes, whose grace times end at other places
                self.keep()
            raise
        finally:
            self.split.end()
            # The model's own forward pass again, as any process that loads it has it.
            trainer.accelerator.unwrap_model(self.stage.model, keep_fp32_wrapper=False)
            self.stage.model.eval()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.split.begin()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        torch.manual_seed(derive(self.stage.recipe.seed, "dropout", self.progress.step, *own_stream()))
        self.began = time.monotonic()

    def noting_norm(self, clip: Callable[..., Any]) -> Callable[..., Any]:
        """Scales gradients as `clip` does. Of a norm that overflows this leaves zeros, which no longer show it."""

        def noted(*args: Any, **options: Any) -> Any:
            norm = clip(*args, **options)
            self.norm = float(norm)
            return norm

        return noted

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """One bad batch must not end in weights of nan: without gradients the optimizer leaves them alone."""
        self.has_moved = True
        self.is_skipped = not math.isfinite(self.norm)
        if self.is_skipped:
            for weight in self.stage.trained:
                weight.grad = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs is None or "loss" not in logs:  # the trainer's last word is a summary
            return
        self.is_skipped = self.is_skipped or self.split.is_skipped
        self.log(logs)
        recipe, done = self.stage.recipe, self.progress.step
        is_last = done == recipe.optim.steps or self.stage.desk.is_stopping()
        if is_last or done % recipe.run.checkpoint_every == 0:
            self.keep()
        control.should_training_stop = is_last

    def keep(self) -> None:
        """A checkpoint of the steps that are logged, unless a further one has begun to move the weights."""
        if not self.has_moved:
            self.split.save(self.progress)

    def log(self, logs: dict[str, float]) -> None:
        recipe, desk, step = self.stage.recipe, self.stage.desk, self.progress.step
        seconds, tokens, done = time.monotonic() - self.began, self.stage.course.learned(step), step + 1
        self.progress = Progress(done, self.progress.tokens + tokens)
        metrics: Metrics = {
            "step": done,
            "loss": logs["loss"],
            "grad_norm": logs["grad_norm"],
            "lr": logs["learning_rate"],
            **self.named(logs),
            "skipped_updates": int(self.is_skipped),
            "tokens": tokens,
            "seconds": seconds,
        }
        bits = self.stage.course.bits(step, logs["loss"])
        with self.split.whole():
            metrics |= diagnostics.step_metrics(self.stage.model, bits, desk.folder.metrics)
        if recipe.eval.every and done % recipe.eval.every == 0 and done < recipe.optim.steps:
            with self.split.whole():
                metrics |= self.stage.heldout(done)
        desk.folder.log(metrics)
        self.has_moved = False
        desk.show(desk.folder.metrics[-1])
        refuse_unusable(desk.folder.metrics, logs["learning_rate"])
