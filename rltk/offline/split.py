"""A trainer's model where DeepSpeed has split it: as it is while training, whole when looked at, plain in the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import Trainer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from rltk.distributed import world, zero
from rltk.offline.stage import Stage
from rltk.run.checkpoint import Progress, save_checkpoint


class Split:
    """Of a run without DeepSpeed it does nothing but save checkpoints."""

    def __init__(self, trainer: Trainer, stage: Stage) -> None:
        self.trainer, self.stage = trainer, stage
        self.trained = stage.trained
        self.is_used = bool(stage.recipe.hardware.deepspeed.zero)
        self.state = zero.taken_state(stage.optimizer, self.trained) if self.is_used else {}
        if self.is_used:
            keep_given(trainer)

    @property
    def engine(self) -> Any:
        return self.trainer.model_wrapped

    @property
    def is_skipped(self) -> bool:
        """Whether DeepSpeed has left out the last step, as a gradient was not finite."""
        return self.is_used and self.engine.optimizer.overflow

    def begin(self) -> None:
        if self.is_used:
            zero.keep_heads_whole(self.engine)
            zero.put_state(self.engine, self.stage.optimizer, self.state)

    @contextmanager
    def whole(self) -> Iterator[None]:
        if not self.is_used:
            yield
            return
        with zero.whole_weights(self.engine):
            yield

    def save(self, progress: Progress) -> None:
        """A checkpoint of whole weights and state, which any number of processes can go on from."""
        stage = self.stage
        optimizer = zero.whole_state(stage.optimizer, self.trained) if self.is_used else stage.optimizer
        with self.whole():
            if world.is_first():
                keep = stage.recipe.run.keep
                save_checkpoint(stage.desk.folder.checkpoints, stage.model, optimizer, progress, keep=keep)

    def end(self) -> None:
        if self.is_used:
            if hasattr(self.engine, "optimizer"):
                zero.make_plain(self.engine)
            unset_hf_deepspeed_config()  # or models would from now on be loaded in parts


def keep_given(trainer: Trainer) -> None:
    """With DeepSpeed Trainer forgets the optimizer and the schedule that it was given, and asks for others."""
    optimizer, scheduler = trainer.optimizer, trainer.lr_scheduler

    def create_optimizer(*_: Any, **__: Any) -> Any:
        trainer.optimizer = trainer.optimizer or optimizer
        return trainer.optimizer

    def create_scheduler(*_: Any, **__: Any) -> Any:
        trainer.lr_scheduler = scheduler
        return scheduler

    trainer.create_optimizer, trainer.create_scheduler = create_optimizer, create_scheduler
