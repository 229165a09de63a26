"""The steps of TRL's trainers as rltk runs them: with its seeds, its metrics, its checkpoints and its Ctrl-C.

Transformers' own checkpoints are pickles in part, and hold generators. Here a random draw is a function of the seed and
the step, so a resumed run gives a fresh trainer the rows of the steps that are left, and takes weights and optimizer
from `rltk.run.checkpoint`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from rltk.errors import UserError
from rltk.offline.course import Course
from rltk.plan.schedule import schedule
from rltk.recipe.schema import Recipe
from rltk.run.checkpoint import Progress, save_checkpoint
from rltk.run.folder import Metrics
from rltk.run.session import Desk
from rltk.seeds import derive

OVERWRITTEN = ("use_cache", "bos_token_id", "eos_token_id", "pad_token_id")
GIVE_UP_AFTER = 3
"""Steps in a row whose gradient is not finite."""


@dataclass(frozen=True)
class Stage:
    """What every trainer needs: the model that trains, where in the run it is, and where it reports."""

    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.AdamW
    course: Course
    progress: Progress
    desk: Desk
    heldout: Callable[[int], Metrics]
    """What it scores on what is held out after a step, for the curve."""

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def trained(self) -> list[nn.Parameter]:
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def scheduler(self) -> LambdaLR:
        """Of the steps that are left; it counts them from 0."""
        return LambdaLR(self.optimizer, lambda step: schedule(self.recipe.optim, self.progress.step + step))


def run_steps(trainer: Trainer, stage: Stage, named: Callable[[dict[str, float]], Metrics]) -> None:
    """Trains to the last step, or until the desk is stopping. `named` gives TRL's metrics of a step our names."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Steps(stage, named))
    try:
        trainer.train()
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"out of memory with up to {stage.recipe.optim.micro_tokens} tokens at once; lower optim.micro_tokens, or "
            "set model.gradient_checkpointing=true."
        ) from error
    finally:
        # The model's own forward pass again, as any process that loads it has it.
        trainer.accelerator.unwrap_model(stage.model, keep_fp32_wrapper=False)
        stage.model.eval()


@contextmanager
def lent(model: nn.Module) -> Iterator[str]:
    """Within it TRL builds and runs a trainer on the model, in the folder that it wants, which is yielded.

    The model is given back as it was: TRL replaces its forward pass by one that computes the loss in chunks and cannot
    be sampled from; trainers turn the cache off and write the tokenizer's special tokens into the configurations, where
    chat models may name more tokens that end a text than their tokenizer knows.
    """
    configs: list[Any] = [model.config.get_text_config()]  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    if hasattr(model, "generation_config"):  # a reward model generates nothing
        configs.append(model.generation_config)
    before = [{key: getattr(config, key) for key in OVERWRITTEN if hasattr(config, key)} for config in configs]
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
    def __init__(self, stage: Stage, named: Callable[[dict[str, float]], Metrics]) -> None:
        self.stage, self.named, self.progress = stage, named, stage.progress
        self.began, self.unusable, self.is_skipped = time.monotonic(), 0, False

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        torch.manual_seed(derive(self.stage.recipe.seed, "dropout", self.progress.step))
        self.began = time.monotonic()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """One bad batch must not end in weights of nan: without gradients the optimizer leaves them alone."""
        gradients = [weight.grad for weight in self.stage.trained if weight.grad is not None]
        self.is_skipped = not all(bool(gradient.isfinite().all()) for gradient in gradients)
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
        self.log(logs)
        recipe, done = self.stage.recipe, self.progress.step
        is_last = done == recipe.optim.steps or self.stage.desk.is_stopping()
        if is_last or done % recipe.run.checkpoint_every == 0:
            folder, keep = self.stage.desk.folder.checkpoints, recipe.run.keep
            save_checkpoint(folder, self.stage.model, self.stage.optimizer, self.progress, keep=keep)
        control.should_training_stop = is_last

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
        if recipe.eval.every and done % recipe.eval.every == 0 and done < recipe.optim.steps:
            metrics |= self.stage.heldout(done)
        desk.folder.log(metrics)
        desk.show(desk.folder.metrics[-1])
        self.unusable = self.unusable + 1 if self.is_skipped else 0
        if self.unusable == GIVE_UP_AFTER:
            raise UserError(
                f"the gradient was not finite in {GIVE_UP_AFTER} steps in a row, the last of them step {done}; "
                f"lower optim.lr (now {logs['learning_rate']:g})."
            )
