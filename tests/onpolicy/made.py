"""Episodes made up for tests, and trainers of both arms on the same checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.models.adapters import add_lora
from rltk.onpolicy.assemble import Assembled, assemble, load_inputs
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.recipe.schema import Data, LoRA
from rltk.rollout.sampler import Rollout
from tests import tiny
from tests.recipes import FULL, LORA, recipe

ARMS = {"lora": LORA, "full": FULL}
PROMPTS = (5, 9, 3)
LENGTHS = ((7, 2, 12), (4, 4, 1), (9, 11, 3))
"""Prompt tokens of three groups, and completion tokens of each one's completions."""
ADVANTAGES = ((1.0, -0.5, -0.5), (0.0, 0.0, 0.0), (-1.0, 1.5, -0.5))
"""The second group says nothing."""


def policy(arm: str, architecture: str = "qwen3") -> PreTrainedModel | PeftModel:
    """The same weights at every call; an adapter whose B is not zero, or the gradient of A would be."""
    model = tiny.model(architecture)
    if arm == "full":
        return model
    return off_base(add_lora(model, LoRA(rank=4)))


def off_base(model: PeftModel) -> PeftModel:
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return model


def episodes(seed: int = 0, advantages: Sequence[Sequence[float]] = ADVANTAGES, noise: float = 0.3) -> list[Episode]:
    """Random tokens; `score_as_sampled` gives them log-probabilities."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> Tensor:
        return torch.randint(5, 500, (count,), generator=generator)

    made = []
    for prompt_length, lengths, group in zip(PROMPTS, LENGTHS, advantages, strict=True):
        prompt = tokens(prompt_length).tolist()
        for length, advantage in zip(lengths, group, strict=True):
            logprobs_T = -3 + noise * torch.randn(length, generator=generator)
            rollout = Rollout(tokens(length), logprobs_T, is_truncated=False)
            made.append(Episode(prompt, rollout, reward=0.0, advantage=advantage, is_masked=False))
    return made


def score_as_sampled(learner: Learner, made: Sequence[Episode]) -> list[Episode]:
    """As if the policy as it is now had sampled them."""
    logprobs = learner.forward.logprobs(learner.model, made)
    return [
        episode._replace(rollout=episode.rollout._replace(logprobs_T=row_T))
        for episode, row_T in zip(made, logprobs, strict=True)
    ]


def learner(arm: str, architecture: str = "qwen3", *, can_pack: bool = False, **sections: Any) -> Learner:
    settings: dict[str, Any] = {"algo": {"prompts": 3, "group": 3}, **sections}
    chosen = recipe(tune=ARMS[arm], rollout={"max_new_tokens": 12}, **settings)
    return Learner(chosen, policy(arm, architecture), lr=1e-3, can_pack=can_pack)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def checkpoint(path: Path, architecture: str = "qwen3", dtype: torch.dtype = torch.bfloat16) -> Path:
    """A model folder that holds `dtype`. Many of its tokens are digits that end a completion, often a right one."""
    model, tokens = tiny.model(architecture, tie_word_embeddings=False), tiny.tokenizer()
    digits = [tokens.convert_tokens_to_ids(digit) for digit in "789"]
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(embeddings, nn.Embedding) and isinstance(head, nn.Linear) and model.generation_config is not None
    with torch.no_grad():  # the first channel is the same for all tokens, so that it adds a constant to these logits
        embeddings.weight[:, 0] = 3.0 if architecture == "gemma3" else 12.0
        head.weight[:, 0] = 0.0
        head.weight[digits, 0] = 1.0
    model.generation_config.eos_token_id = [tokens.eos_token_id, *digits]
    model.to(dtype).save_pretrained(path)  # pyright: ignore[reportArgumentType]
    tokens.save_pretrained(path)
    return path


def assembled(checkpoint: Path, arm: str, dtype: str, problems: Path, *, seed: int = 0, **sections: Any) -> Assembled:
    """A trainer for problems whose answers are single digits; sections are laid over its recipe."""
    settings: dict[str, Any] = {
        "model": {"path": str(checkpoint), "dtype": dtype},
        "algo": {"prompts": 4, "group": 4, "mask_truncated": False},
        "rollout": {"max_new_tokens": 6},
        "eval": {"tasks": (str(problems),)},
    }
    for name, value in sections.items():
        settings[name] = {**settings.get(name, {}), **value}
    chosen = recipe(tune=ARMS[arm], seed=seed, **settings)
    chosen = chosen.model_copy(update={"data": Data(path=str(problems))})
    return assemble(chosen, load_inputs(chosen), torch.device("cpu"))
