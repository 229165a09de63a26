"""Loads a language model as a reward model: one score a conversation, from a head on its last token.

A head that is new has numbers that depend on the recipe's seed alone, so both arms begin with the same scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rltk_reward_models import quantized
from rltk_reward_models.fingerprint import HEADS
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from rltk.errors import UserError
from rltk.models.adapters import output_head, scoring_head
from rltk.models.experts import follow_autocast
from rltk.models.load import cannot_load, four_bits, load_config, local_path, make_steady, without_noise
from rltk.recipe.schema import Model
from rltk.seeds import derive


def load_reward_weights(
    model: Model, tokenizer: PreTrainedTokenizerBase, device: torch.device, *, seed: int
) -> PreTrainedModel:
    """In float32 on `device`, in evaluation mode; a reward model that is trained further keeps its head."""
    config = without_noise(load_config(model))
    config.num_labels = 1
    config.get_text_config().pad_token_id = padding(tokenizer)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it would warn of the missing head, which is looked at here
    try:
        loaded, found = AutoModelForSequenceClassification.from_pretrained(
            local_path(model.path),
            config=config,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **four_bits(model, device),
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise cannot_load(model, "safetensors weights as those of a reward model", error) from error
    finally:
        logging.set_verbosity(verbosity)
    make_steady(model, loaded)
    missing = sorted(found["missing_keys"])
    if others := [name for name in missing if name.partition(".")[0] not in HEADS]:
        raise UserError(f"model.path = {model.path!r}: its weights lack {others[0]}; download it again.")
    if scoring_head(loaded) is None:
        raise UserError(f"model.path = {model.path!r}: {type(loaded).__name__} has no score head of a known name.")
    if missing:
        begin_head(loaded, seed)
    if model.gradient_checkpointing:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
    follow_autocast(loaded)
    nn.Module.to(loaded, device)
    return loaded.eval()


def begin_head(model: PreTrainedModel, seed: int) -> None:
    """Draws the head's weights as the model's own were drawn."""
    generator = torch.Generator().manual_seed(derive(seed, "score head"))
    head = output_head(model)
    assert head is not None
    for weight in head.parameters():
        drawn = torch.randn(weight.shape, generator=generator) * model.config.get_text_config().initializer_range
        weight.data.copy_(drawn if weight.ndim > 1 else torch.zeros(weight.shape))


def padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills rows up, which the score's place is found by; a tokenizer without one gets its end token."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not isinstance(tokenizer.pad_token_id, int):
        raise UserError("the tokenizer has neither a padding token nor an end-of-text token; name one in its config.")
    return tokenizer.pad_token_id


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Within it frozen weights that are held in bfloat16 are float32, as in a process that loads what is saved.

    Those in four bits stay as they are, and compute in float32.
    """
    small = [weight for weight in model.parameters() if weight.dtype == torch.bfloat16]
    before = [weight.data for weight in small]
    for weight in small:
        weight.data = weight.data.float()
    try:
        with quantized.computing_in(model, torch.float32):
            yield
    finally:
        for weight, data in zip(small, before, strict=True):
            weight.data = data
