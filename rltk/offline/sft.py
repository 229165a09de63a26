"""Supervised fine-tuning by TRL's `SFTTrainer`: the mean log-loss of the replies' tokens."""

import copy
from collections.abc import Sequence
from functools import partial

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from rltk.offline.arguments import on_one_device, shared
from rltk.offline.stage import Stage
from rltk.offline.steps import run_steps


class LessonTrainer(SFTTrainer):
    """Takes rows in our order. TRL has no other place to say so, or this would not be a class of its own."""

    order: Sequence[int]

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sequence[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.order


def train_sft(stage: Stage, tokenizer: PreTrainedTokenizerBase) -> None:
    run_steps(partial(sft_trainer, tokenizer=tokenizer), stage)


def sft_trainer(stage: Stage, folder: str, tokenizer: PreTrainedTokenizerBase) -> LessonTrainer:
    trainer = LessonTrainer(
        model=stage.model,  # pyright: ignore[reportArgumentType]  # a PreTrainedModel or a PeftModel
        args=on_one_device(SFTConfig(**shared(stage, folder), dataset_kwargs={"skip_prepare_dataset": True})),
        train_dataset=stage.course.dataset,
        processing_class=copy.deepcopy(tokenizer),  # it is given a padding token where it has none
        optimizers=(stage.optimizer, stage.scheduler()),
    )
    trainer.order = stage.course.order(stage.progress.step, stage.recipe.optim.micro_tokens)
    return trainer
