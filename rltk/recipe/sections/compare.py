"""The section `compare`: how `rltk compare` finds out what an arm costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import AtLeastOne, Count, Flag, Name, Positive, Section, Share, Text, broken_rule

Metric = Literal["greedy", "sampled", "pairs", "reward", "loss"]
SHARES = ("greedy", "sampled", "pairs")
"""Metrics that are shares of items; the others are numbers of any size."""
SAMPLED = ("sampled", "reward")
"""Metrics of sampled completions."""


class LearningRates(Section):
    """The learning rates that every arm is swept over, half a decade apart; all arms are given equally many."""

    centre: Literal["auto"] | Positive = "auto"
    """The middle of full fine-tuning's rates; LoRA's is ten times that. auto: optim.lr, or what it stands for."""
    points: Count = 5
    """Learning rates an arm to begin with."""
    most: Count = 9
    """Half-decades an arm at most: while the best of an arm is its lowest or highest, every arm gets another."""
    refine: Annotated[int, Field(strict=True, ge=0, le=2)] = 0
    """So many times every arm then gets two more rates, halfway between its best one and its neighbors: quarters of a
    decade, then eighths. Half-decades alone leave a factor of four or more between the ends of its interval."""
    halvings: Annotated[int, Field(strict=True, ge=0, le=4)] = 0
    """Successive halving: so many times the better half goes on at twice the steps; 0 runs all of them in full."""

    @model_validator(mode="after")
    def _room(self) -> LearningRates:
        if self.most < self.points:
            raise broken_rule(f"must be at least compare.rates.points ({self.points})", "most", "points")
        return self


class MarginRule(Section):
    """The largest shortfall that does not matter, as the metric counts: a share of full fine-tuning's gain."""

    value: Positive | None = None
    """The margin itself, 0.02 for two points of accuracy, 0.02 nats of loss, or so much reward; null takes the share
    below."""
    share: Annotated[Share, Field(lt=1)] = 0.1
    """0.1 asks that nine tenths of the gain are kept."""
    at_least: Positive = 0.01
    at_most: Positive = 0.03

    @model_validator(mode="after")
    def _in_order(self) -> MarginRule:
        if self.at_most < self.at_least:
            raise broken_rule(f"must be at least compare.margin.at_least ({self.at_least})", "at_most", "at_least")
        return self

    @property
    def largest(self) -> float:
        return self.value or self.at_most


class Control(Section):
    """The negative control: an arm that must come out inferior, or nothing shows that a loss would have been seen."""

    arm: Text | None = None
    """The arm that is repeated at a rate far too low; null is the first one that is not the reference."""
    divisor: Annotated[AtLeastOne, Field(gt=1)] = 30.0
    """Its best learning rate is divided by this."""


class Scaling(Section):
    """The grid of `rltk scaling run`: every arm at every data size, on every model."""

    data: Annotated[tuple[Count, ...], Field(min_length=2)] = (256, 512, 1024, 2048)
    """Examples, or problems, that a run learns from, in one pass; its steps are as many as that takes."""
    models: tuple[Text, ...] = ()
    """Models, whose sizes are then a variable of the law; none: model.path alone."""
    rates: Count = 1
    """Learning rates of every arm at each point, half a decade apart around its centre; the best of them counts."""
    seeds: Count = 1
    """Runs at each point, with seed, seed + 1, ..."""
    loss: Literal["error", "training"] = "error"
    """What a law is fitted to: the share of eval.tasks' first task that is wrong after training, of held-out pairs on
    preferences, or the mean loss of the last tenth of the steps, on examples new to them (all but grpo, rloo, ppo)."""

    @model_validator(mode="after")
    def _points_differ(self) -> Scaling:
        if len(set(self.data)) < len(self.data):
            raise broken_rule("names a size twice", "data")
        if len(set(self.models)) < len(self.models):
            raise broken_rule("names a model twice", "models")
        return self


Overlay = dict[str, Any]


class Compare(Section):
    """How `rltk compare` finds out what an arm costs against full fine-tuning."""

    arms: Annotated[tuple[Text, ...], Field(min_length=2)] | dict[Name, Text | Overlay] = (
        "lora-1",
        "lora-4",
        "lora-8",
        "full",
    )
    """Presets (full, lora-8, qlora-8, dora-8, rslora-8, pissa-8, attention-8, mlp-8, or without a rank that of the
    recipe), or a name for each arm with a preset or the keys in which it differs: {tune: {type: lora, rank: 2}}."""
    reference: Text = "full"
    """The arm that the others are held against."""
    base: Overlay = Field(default={})
    """Laid over the recipe in every arm, such as fewer steps: {optim: {steps: 30}}."""
    metric: Metric = "greedy"
    """Accuracy on the first of eval.tasks, of one greedy completion or of eval.samples sampled ones; pairs: share of
    held-out pairs that a reward model or DPO ranks right; reward: of policies that are trained on prompts of
    preferences, mean reward of eval.samples sampled completions; loss: of SFT, nats a token of held-out solutions."""
    tuning_seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 2
    """Seeds that learning rates are chosen on, with the validation split: seed, seed + 1, ..."""
    confirmation_seeds: Annotated[int, Field(strict=True, ge=2)] = 8
    """Fresh seeds that the verdict rests on, with the test split: seed + 100, seed + 101, ..."""
    rates: LearningRates = LearningRates()
    margin: MarginRule = MarginRule()
    control: Control = Control()
    scaling: Scaling = Scaling()
    minimum_gain: Positive = 0.1
    """What full fine-tuning must be shown to gain over the start, or there was nothing to lose."""
    alpha: Annotated[Positive, Field(lt=0.5)] = 0.05
    """Level of every test."""
    looks: Count = 1
    """How often the verdict may be asked for as confirmation_seeds grows; each look takes its share of alpha."""
    keep_models: Flag = True
    """Keep what each run trained; checkpoints go once a run is finished either way."""

    @model_validator(mode="after")
    def _gain_beyond_margin(self) -> Compare:
        if self.minimum_gain <= self.margin.largest:
            key = "margin.at_most" if self.margin.value is None else "margin.value"
            must = f"must exceed the margin (up to {self.margin.largest:g}), or the start itself could pass"
            raise broken_rule(must, "minimum_gain", key)
        return self
