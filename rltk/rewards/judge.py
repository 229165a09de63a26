"""What completions are worth: named rewards, each with a weight, and their sum; and the gold reward where it is known.

A new kind of reward is a section in the recipe's schema and a case in `rltk.rewards.scorers.make_scorers`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from statistics import fmean
from typing import NamedTuple

from rltk_eval.answers import Grade

from rltk.data.problems import Problem
from rltk.distributed import world
from rltk.distributed.deal import collected, deal
from rltk.embedded.gold import gold_reward
from rltk.recipe.schema import AnswerReward, Recipe, Reward
from rltk.rewards.dense import Dense, Score, amount, weighted
from rltk.rewards.verifiable import grade, unusable
from rltk.rewards.verifiable import reward as reward_of
from rltk.rollout.sampler import Rollout

DEFAULT: dict[str, Reward] = {"answer": AnswerReward()}


class Sample(NamedTuple):
    """A completion of a problem that was asked."""

    problem: Problem
    prompt: Sequence[int]
    rollout: Rollout
    text: str
    """The completion without special tokens."""


Scores = Sequence[Score]
"""Of samples, in order."""
Scorer = Callable[[Sequence[Sample]], Scores]


class OfStep(NamedTuple):
    """A scorer that may compare the samples of a step, and so is given all of them, in one process."""

    score: Scorer

    def __call__(self, samples: Sequence[Sample]) -> Scores:
        return self.score(samples)


class Judgement(NamedTuple):
    """Of samples, in order."""

    totals: list[float | None]
    """None where any of the rewards is."""
    by_name: dict[str, Scores]
    """Before their weights."""
    grades: list[Grade]
    """None at all where no reward is for the answer."""
    gold: list[float] | None
    """None where it is not known."""

    def metrics(self) -> dict[str, float]:
        """Means, for `metrics.jsonl`; a single reward of weight 1 has its mean under `reward` already."""
        amounts = {name: [amount(score) for score in scores] for name, scores in self.by_name.items()}
        named = {f"reward/{name}": mean_of_judged(values) for name, values in amounts.items()}
        is_told = len(named) == 1 and self.totals == next(iter(amounts.values()))
        gold = {} if self.gold is None else {"gold_reward": fmean(self.gold)}
        unjudged = {"unjudged": self.totals.count(None) / len(self.totals)} if None in self.totals else {}
        return ({} if is_told else named) | gold | unjudged | (unusable(self.grades) if self.grades else {})


class Judge:
    """`scorers` has a function for each of the recipe's rewards that is not for the answer."""

    def __init__(self, recipe: Recipe, scorers: Mapping[str, Scorer]) -> None:
        self.rewards, self.scorers, self.knows_gold = recipe.rewards or DEFAULT, scorers, recipe.knows_gold

    def judge(self, samples: Sequence[Sample]) -> Judgement:
        """All samples in one call, so that what takes processes, batches or requests is done side by side.

        Of processes that train together each judges its share; what compares the samples is asked by the first.
        """
        dealt = deal([len(sample.rollout.tokens_T) for sample in samples], world.size())
        mine = dealt[world.rank()]
        told = {name: [values[place] for place in mine] for name, values in self.compared(samples).items()}
        return joined(dealt, world.share(lambda: self.judge_here([samples[place] for place in mine], told)))

    def due(self, judgement: Judgement, samples: Sequence[Sample]) -> dict[str, list[Dense]] | None:
        """By the name of each reward what is due at which token of each sample, with the weights; None where every
        reward is of a whole completion."""
        if not any(isinstance(score, tuple) for scores in judgement.by_name.values() for score in scores):
            return None
        lengths = [len(sample.rollout.tokens_T) for sample in samples]
        return {
            name: [
                weighted(score, self.rewards[name].weight, length)
                for score, length in zip(scores, lengths, strict=True)
            ]
            for name, scores in judgement.by_name.items()
        }

    def compared(self, samples: Sequence[Sample]) -> dict[str, Scores]:
        """By the names of the rewards that take all of a step together."""
        of_step = {name: scorer for name, scorer in self.scorers.items() if isinstance(scorer, OfStep)}
        if not of_step or not samples:
            return {}
        return world.of_first(lambda: {name: scorer(samples) for name, scorer in of_step.items()})

    def judge_here(self, samples: Sequence[Sample], told: Mapping[str, Scores]) -> Judgement:
        """`told` are the scores of these samples that have been given already, by the names of their rewards."""
        if not samples:
            return Judgement([], {name: [] for name in self.rewards}, [], [] if self.knows_gold else None)
        grades: list[Grade] = []
        if any(reward.type == "answer" for reward in self.rewards.values()):
            grades = grade([sample.problem for sample in samples], [sample.text for sample in samples])
        by_name: dict[str, Scores] = {}
        for name, reward in self.rewards.items():
            if reward.type == "answer":
                by_name[name] = [reward_of(verdict) for verdict in grades]
            else:
                by_name[name] = told[name] if name in told else self.scorers[name](samples)
        weights = [reward.weight for reward in self.rewards.values()]
        totals = [total(weights, values) for values in zip(*by_name.values(), strict=True)]
        return Judgement(totals, by_name, grades, gold_rewards(samples) if self.knows_gold else None)


def joined(dealt: Sequence[Sequence[int]], shares: Sequence[Judgement]) -> Judgement:
    """The judgement of all samples, which were dealt so."""
    golds = [share.gold for share in shares if share.gold is not None]
    return Judgement(
        collected(dealt, [share.totals for share in shares]),
        {name: collected(dealt, [share.by_name[name] for share in shares]) for name in shares[0].by_name},
        collected(dealt, [share.grades for share in shares]) if any(share.grades for share in shares) else [],
        collected(dealt, golds) if golds else None,
    )


def total(weights: Sequence[float], values: Scores) -> float | None:
    """The weighted sum; None with a part of it unknown, because a sum without that part would be another reward."""
    known = [value for value in map(amount, values) if value is not None]
    if len(known) < len(values):
        return None
    return sum((weight * value for weight, value in zip(weights, known, strict=True)), 0.0)


def mean_of_judged(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else nan


def gold_rewards(samples: Sequence[Sample]) -> list[float]:
    return [gold_reward(sample.problem.messages, sample.text) for sample in samples]
