"""The scorer of each reward that a recipe names, loaded or connected to before training begins."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from rltk.data.prompt import PromptRenderer
from rltk.errors import UserError
from rltk.models.roles import fits, read_role
from rltk.recipe.schema import (
    AnswerReward,
    GoldReward,
    ModelReward,
    PythonReward,
    Recipe,
    ServerReward,
    SolutionReward,
)
from rltk.rewards.call import OwnScorer
from rltk.rewards.dense import Mark, Places, Score
from rltk.rewards.folder import reward_folder
from rltk.rewards.judge import OfStep, Sample, Scorer, Scores, gold_rewards
from rltk.rewards.learned import BaseScorer, ModelScorer
from rltk.rewards.own import ALL, Own, load_own
from rltk.rewards.remote import ServerScorer
from rltk.rewards.solution import solution_marks


def make_scorers(
    recipe: Recipe, policy: nn.Module, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype
) -> dict[str, Scorer]:
    """By the names of the recipe's rewards; those for the answer are not among them."""
    renderer, places = PromptRenderer(tokenizer, recipe.data), Places(tokenizer)
    scorers: dict[str, Scorer] = {}
    for name, reward in recipe.rewards.items():
        match reward:
            case ModelReward():
                scorers[name] = model_scorer(name, reward, recipe, policy, renderer, dtype)
            case ServerReward():
                scorers[name] = ServerScorer(name, reward, renderer)
            case PythonReward():
                scorers[name] = own_scorer(load_own(name, reward), places)
            case SolutionReward():
                scorers[name] = solution_scorer(reward, places)
            case GoldReward():
                scorers[name] = gold_rewards
            case AnswerReward():
                pass
    return scorers


def own_scorer(own: Own, places: Places) -> Scorer:
    call = OwnScorer(own)

    def score(samples: Sequence[Sample]) -> Scores:
        values = call([sample.problem for sample in samples], [sample.text for sample in samples])
        return [score_of(value, sample, places) for value, sample in zip(values, samples, strict=True)]

    return OfStep(score) if own.parameters == ALL else score


def solution_scorer(reward: SolutionReward, places: Places) -> Scorer:
    def score(samples: Sequence[Sample]) -> Scores:
        return [score_of(solution_marks(s.problem, s.text, reward.by), s, places) for s in samples]

    return score


def score_of(value: float | list[Mark] | None, sample: Sample, places: Places) -> Score:
    return places.due(sample.rollout, sample.text, value) if isinstance(value, list) else value


def model_scorer(
    name: str, reward: ModelReward, recipe: Recipe, policy: nn.Module, renderer: PromptRenderer, dtype: torch.dtype
) -> BaseScorer | ModelScorer:
    """On the policy's own base where the reward model is an adapter of it, otherwise a model beside it."""
    key = f"rewards.{name}.path"
    folder, tokens = reward_folder(reward.path, key), recipe.optim.micro_tokens
    try:
        is_here = fits(policy, folder)
        saved = read_role(folder, trust_remote_code=reward.trust_remote_code) if is_here else None
        if saved is not None:
            return BaseScorer(name, policy, saved, dtype, tokens)
        return ModelScorer(name, reward, folder, renderer, next(policy.parameters()).device, tokens)
    except ValueError as error:
        raise UserError(f"{key}: {error}.") from error
