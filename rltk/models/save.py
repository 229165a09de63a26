"""Writes what was trained: an adapter or a whole model, as safetensors with its tokenizer beside it."""

import copy
from collections.abc import Iterator
from pathlib import Path

from peft import PeftModel
from rltk_reward_models.base_file import write_base
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from rltk.models.bases import known_base
from rltk.models.roles import POLICY
from rltk.run.atomic import new_folder


def save_model(model: nn.Module, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Complete or not at all. Trained weights keep their float32."""
    with new_folder(path) as beside:
        write_model(model, tokenizer, beside)


def write_model(model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    assert isinstance(model, (PeftModel, PreTrainedModel))
    if isinstance(model, PeftModel):
        write_adapter(model, folder)
    else:
        if model.can_generate():
            model.generation_config = savable(model.generation_config or GenerationConfig())
        model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def write_adapter(model: PeftModel, folder: Path) -> None:
    """The policy's, without the others on its base; base.json beside it knows that base again."""
    # Or PEFT asks the hub whether the embeddings have grown; they are never adapted here.
    model.save_pretrained(str(folder), save_embedding_layers=False, selected_adapters=[POLICY])
    write_base(folder, known_base(model))


def savable(config: GenerationConfig) -> GenerationConfig:
    """As it is, or as near as transformers saves: it loads a temperature without `do_sample` but does not save it."""
    for candidate in attempts(config):
        try:
            candidate.validate(strict=True)
        except ValueError:
            continue
        return candidate
    raise AssertionError("token ids are always valid")


def attempts(config: GenerationConfig) -> Iterator[GenerationConfig]:
    yield config
    sampling = copy.deepcopy(config)
    sampling.do_sample = True
    yield sampling
    yield GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
