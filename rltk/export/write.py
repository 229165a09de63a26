"""Writes the folder of an export: an adapter, a merged model or a whole model; and checks it before anyone sees it."""

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from rltk_reward_models.base_file import BASE_FILE
from torch import nn
from transformers import GenerationConfig, PreTrainedModel

from rltk.errors import UserError
from rltk.evaluation.target import ADAPTER_WEIGHTS
from rltk.export.adapter import write_portable
from rltk.export.faithful import fresh_logits, logits_of, probes, refuse_unfaithful
from rltk.export.load import load_tokenizer_of, load_trained
from rltk.export.source import Source
from rltk.models.adapters import adapted_parameters
from rltk.models.save import savable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Exported(NamedTuple):
    form: str
    """adapter, merged or model"""
    dtype: str
    difference: float
    """Largest difference of a logit between the run and the folder, loaded by plain transformers and PEFT."""
    texts: int


def write(source: Source, folder: Path, *, is_merged: bool, dtype: str) -> Exported:
    tokenizer = load_tokenizer_of(source)
    ids = probes(source, tokenizer)
    model = load_trained(source)
    expected = logits_of(model, ids)
    if source.adapter is not None and not is_merged:
        write_adapter(source, folder)
        form = "adapter"
    else:
        if is_merged:
            assert isinstance(model, PeftModel)
            model = merged(model, DTYPES[dtype])
        assert isinstance(model, PreTrainedModel)
        if source.is_reward_model:  # in a batch it says where a conversation ends; many bases name none
            model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        write_whole(model, folder, DTYPES[dtype])
        form = "merged" if is_merged else "model"
    tokenizer.save_pretrained(str(folder))
    del model  # the other process needs the memory
    found = fresh_logits(folder, ids, source.recipe.model)
    difference = refuse_unfaithful(expected, found, is_exact=dtype == "float32")
    return Exported(form, dtype, difference, len(ids))


def write_adapter(source: Source, folder: Path) -> None:
    """The weights as the run saved them, what knows their base again, and a configuration that names it in full."""
    assert source.adapter is not None
    for name in (ADAPTER_WEIGHTS, BASE_FILE):
        if (source.saved / name).exists():
            shutil.copyfile(source.saved / name, folder / name)
    write_portable(folder, source.adapter, base=source.base, revision=source.recipe.model.revision)


def merged(model: PeftModel, dtype: torch.dtype) -> PreTrainedModel:
    """The adapter added to the base in float32; refused where `dtype` would round all of it away again."""
    before = {plain_name(name): fingerprint(weight, dtype) for name, weight in adapted_parameters(model).items()}
    whole: Any = model.merge_and_unload(safe_merge=True)
    after = {name: fingerprint(whole.get_parameter(name), dtype) for name in before}
    if before == after:
        rounded = "" if dtype == torch.float32 else ", or --dtype float32"
        raise UserError(
            f"merged in {str(dtype).removeprefix('torch.')}, the model would be identical to its base: the adapter "
            f"changes nothing that this type can hold; train it further{rounded}."
        )
    return whole


def plain_name(name: str) -> str:
    """The weight's name in the base."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def fingerprint(weight: nn.Parameter, dtype: torch.dtype) -> str:
    return sha256(weight.detach().to(dtype).contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def write_whole(model: PreTrainedModel, folder: Path, dtype: torch.dtype) -> None:
    nn.Module.to(model, dtype)
    model.config.dtype = dtype
    if model.can_generate():
        model.generation_config = savable(model.generation_config or GenerationConfig())
    model.save_pretrained(str(folder))
