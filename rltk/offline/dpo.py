"""DPO by TRL's `DPOTrainer` (Rafailov et al. 2023, arXiv 2305.18290).

The reference is the starting policy: with LoRA the model with its adapter off; in full fine-tuning the numbers that it
gives the replies, computed once, before the first step, so that no second model is in memory.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase, TrainingArguments
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config
from trl import DPOConfig, DPOTrainer

from rltk.offline.arguments import on_one_device, shared
from rltk.offline.stage import Stage
from rltk.offline.steps import run_steps
from rltk.recipe.schema import DPO
from rltk.run.atomic import new_folder
from rltk.run.folder import Metrics
from rltk.run.whole import seal

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
FILE = "reference/train/logprobs.safetensors"
NAMES = {
    "chosen_reward": "rewards/chosen",
    "rejected_reward": "rewards/rejected",
    "margin": "rewards/margins",
    "accuracy": "rewards/accuracies",
}
"""TRL's names of our metrics."""


class PairTrainer(DPOTrainer):
    """Takes token ids in our order. TRL has no other place to say so, or this would not be a class of its own."""

    order: Sequence[int]

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sequence[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.order

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:  # pyright: ignore[reportIncompatibleMethodOverride]
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:  # pyright: ignore[reportIncompatibleMethodOverride]
        """TRL's own would look for a cache outside the run folder, and show a bar."""
        if set(REFERENCE) <= set(dataset.column_names):
            return dataset
        loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator)  # pyright: ignore[reportArgumentType]
        batches = (self._prepare_inputs(batch) for batch in loader)  # of all examples, in every process
        with weights_whole(self.args):
            sides = zip(*(self.compute_ref_log_probs(self.model, batch) for batch in batches), strict=True)
        columns = {key: torch.cat(side).tolist() for key, side in zip(REFERENCE, sides, strict=True)}
        return with_columns(dataset, columns)


@contextmanager
def weights_whole(options: TrainingArguments) -> Iterator[None]:
    """Within it TRL does not look for weights to gather, as under ZeRO 3 it does before DeepSpeed has split any."""
    unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if options.deepspeed:
            set_hf_deepspeed_config(options.hf_deepspeed_config)


def train_dpo(stage: Stage, tokenizer: PreTrainedTokenizerBase) -> None:
    run_steps(partial(dpo_trainer, tokenizer=tokenizer), stage, named)


def named(logs: dict[str, float]) -> Metrics:
    return {ours: logs[theirs] for ours, theirs in NAMES.items()}


def dpo_trainer(stage: Stage, folder: str, tokenizer: PreTrainedTokenizerBase) -> PairTrainer:
    algo, has_adapter = stage.recipe.algo, isinstance(stage.model, PeftModel)
    assert isinstance(algo, DPO)
    kept = stage.desk.folder.path / FILE
    options = DPOConfig(
        **shared(stage, folder),
        beta=algo.beta,
        loss_type=[algo.loss],
        label_smoothing=algo.label_smoothing,
        precompute_ref_log_probs=not has_adapter,
        disable_dropout=False,  # the base has none, and that of the adapter is what tune.dropout asks for
    )
    trainer = PairTrainer(
        model=stage.model,  # pyright: ignore[reportArgumentType]  # a PreTrainedModel or a PeftModel
        args=on_one_device(options),
        train_dataset=with_reference(stage.course.dataset, kept),
        processing_class=copy.deepcopy(tokenizer),  # it is given a padding token where it has none
        optimizers=(stage.optimizer, stage.scheduler()),
    )
    if isinstance(stage.model, PeftModel):
        # TRL adds a copy of the adapter to be the reference. Of a fresh adapter it is the same as none; in a resumed
        # run it would be the trained policy; and it would be saved.
        stage.model.delete_adapter("ref")
    else:
        keep_reference(trainer.train_dataset, kept)
    trainer.order = stage.course.order(stage.progress.step, stage.recipe.optim.micro_tokens)
    return trainer


def with_reference(dataset: Dataset, kept: Path) -> Dataset:
    """The dataset with the log-probabilities that an earlier process computed, if one has."""
    if not kept.exists():
        return dataset
    return with_columns(dataset, {key: values.tolist() for key, values in load_file(kept).items()})


def keep_reference(dataset: Dataset, kept: Path) -> None:
    """For a resumed run, whose weights are no longer the starting policy's."""
    with new_folder(kept.parent) as beside:
        save_file({key: torch.tensor(dataset[key][:]) for key in REFERENCE}, beside / kept.name)
        seal(beside)


def with_columns(dataset: Dataset, columns: dict[str, list[float]]) -> Dataset:
    for key, values in columns.items():
        dataset = dataset.add_column(key, values)  # pyright: ignore[reportCallIssue]
    return dataset
