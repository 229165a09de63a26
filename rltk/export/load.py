"""Loads what a run trained in float32 on the CPU, policy or reward model, for its logits and for merging."""

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from rltk.errors import UserError
from rltk.export.source import Source
from rltk.models.bases import as_numbers, attach
from rltk.models.load import four_bits, load_tokenizer, load_weights, make_steady
from rltk.recipe.schema import Model


def load_tokenizer_of(source: Source) -> PreTrainedTokenizerBase:
    """The one saved with the model, which is what it was trained with."""
    return load_tokenizer(source.recipe.model.model_copy(update={"path": str(source.saved), "revision": None}))


def load_trained(source: Source) -> PeftModel | PreTrainedModel:
    model = source.recipe.model
    if source.adapter is None:
        return load_whole(model.model_copy(update={"path": str(source.saved), "revision": None}), source)
    base = load_whole(model.model_copy(update={"path": source.base}), source)
    if model.quantize is not None:  # merging into four bits would round most of the adapter away
        as_numbers(base)
    return attach(base, source.saved)


def load_whole(model: Model, source: Source) -> PreTrainedModel:
    if not source.is_reward_model:
        return load_weights(model.model_copy(update={"gradient_checkpointing": False}), torch.device("cpu"))
    try:
        loaded = AutoModelForSequenceClassification.from_pretrained(
            model.path,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            num_labels=1,
            dtype=torch.float32,
            use_safetensors=True,
            **four_bits(model, torch.device("cpu")),
        )
    except (OSError, ValueError, SafetensorError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"{model.path} could not be loaded as a reward model ({first_line}).") from error
    assert isinstance(loaded, PreTrainedModel)
    make_steady(model, loaded)
    return loaded.eval()
