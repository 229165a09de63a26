"""The forms of `algo` that learn from data that is there beforehand: SFT, reward models and DPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import Count, Fraction, NonNegative, Positive, Section, broken_rule

DPOLoss = Literal[
    "sigmoid",
    "ipo",
    "hinge",
    "robust",
    "exo_pair",
    "nca_pair",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
    "sigmoid_norm",
]
"""TRL's losses that are a sum over pairs; those that sort or remember a batch would depend on how it is cut."""


class Offline(Section):
    """What SFT, reward models and DPO share: they learn from data that is there before the first step."""

    batch: Count = 32
    """Examples an optimizer step; their order is a function of the seed, and each epoch has its own."""
    max_length: Annotated[int, Field(strict=True, ge=2)] = 1024
    """Tokens of prompt and reply together; longer examples are left out and counted."""


class SFT(Offline):
    """Supervised fine-tuning on solutions or preferred replies; only their tokens are learned, not the prompts'."""

    type: Literal["sft"] = "sft"


class Paired(Offline):
    """What learns from pairs of replies; on problems the starting policy writes them and the answer checker prefers."""

    samples: Annotated[int, Field(strict=True, ge=2)] = 8
    """Completions that the starting policy samples of each problem, to make pairs of."""
    pairs: Count = 4
    """Most pairs of a correct and an incorrect completion from one problem."""


class RewardModel(Paired):
    """A Bradley-Terry reward model; it learns from margins where data.margin names them."""

    type: Literal["reward_model"] = "reward_model"
    max_length: Annotated[int, Field(strict=True, ge=2)] = 1024
    """Tokens of a conversation that the model reads, the last ones, in training and in use; how many are longer is
    said."""
    centring: NonNegative = 0.01
    """Weight of the squared sum of a pair's two rewards, which keeps rewards around zero; 0 leaves them anywhere."""


class DPO(Paired):
    """Direct preference optimization: log-probabilities beside the starting policy's are the reward."""

    type: Literal["dpo"] = "dpo"
    beta: Positive = 0.1
    """How strongly the starting policy holds: a reply's reward is beta times what its log-probability has gained."""
    loss: DPOLoss = "sigmoid"
    """sigmoid is DPO; robust expects flipped labels; the others are those of their papers, as TRL has them."""
    label_smoothing: Annotated[Fraction, Field(lt=0.5)] = 0.0
    """Share of labels taken to be flipped, for robust and exo_pair, which need it."""

    @model_validator(mode="after")
    def _smooths_where_it_counts(self) -> DPO:
        smooths = self.loss in ("robust", "exo_pair")
        if smooths and not self.label_smoothing:
            raise broken_rule(f"must be above 0 with algo.loss {self.loss}", "label_smoothing", "loss")
        if self.label_smoothing and not smooths:
            raise broken_rule("is for algo.loss robust or exo_pair only; set it back to 0", "label_smoothing", "loss")
        return self
