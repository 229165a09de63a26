"""A reward model by TRL's `RewardTrainer`: the Bradley-Terry loss, with margins where there are some, and centring."""

import copy
from collections.abc import Sequence
from functools import partial

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import RewardConfig, RewardTrainer

from rltk.offline.arguments import shared
from rltk.offline.stage import Stage
from rltk.offline.steps import run_steps
from rltk.recipe.schema import RewardModel
from rltk.run.folder import Metrics

NAMES = {
    "reward_mean": "mean_reward",
    "reward_min": "min_reward",
    "reward_max": "max_reward",
    "margin": "margin",
    "accuracy": "accuracy",
}
"""TRL's names of our metrics, which are of the step's own pairs."""
NOT_ITS = ("router_aux_loss_coef",)
"""Keywords of the other trainers that this one lacks."""


class ContestTrainer(RewardTrainer):
    """Takes rows in our order. TRL has no other place to say so, or this would not be a class of its own."""

    order: Sequence[int]

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sequence[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.order


def train_reward_model(stage: Stage, tokenizer: PreTrainedTokenizerBase) -> None:
    run_steps(partial(reward_trainer, tokenizer=tokenizer), stage, named)


def named(logs: dict[str, float]) -> Metrics:
    return {ours: logs[theirs] for ours, theirs in NAMES.items()}


def reward_trainer(stage: Stage, folder: str, tokenizer: PreTrainedTokenizerBase) -> ContestTrainer:
    algo = stage.recipe.algo
    assert isinstance(algo, RewardModel)
    keywords = {key: value for key, value in shared(stage, folder).items() if key not in NOT_ITS}
    trainer = ContestTrainer(
        model=stage.model,  # pyright: ignore[reportArgumentType]  # a PreTrainedModel or a PeftModel
        args=RewardConfig(
            **keywords,
            center_rewards_coefficient=algo.centring or None,
            disable_dropout=False,  # the base has none, and that of the adapter is what tune.dropout asks for
        ),
        train_dataset=stage.course.dataset,
        processing_class=copy.deepcopy(tokenizer),
        optimizers=(stage.optimizer, stage.scheduler()),
    )
    trainer.order = stage.course.order(stage.progress.step, stage.recipe.optim.micro_tokens)
    return trainer
