"""Loads tokenizer, configuration and weights of a causal language model, from a hub id, a folder or `embedded/policy`.

Weights come in float32, whatever the checkpoint holds: what trains is float32 in every arm, and compute runs under
bfloat16 autocast. A frozen weight may go back to bfloat16 afterwards (`adapters.shrink_frozen`), never one that trains.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from rltk_reward_models import quantized
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rltk.errors import UserError, tell
from rltk.hub import seek_hub
from rltk.models.experts import follow_autocast
from rltk.models.scoring import has_known_head
from rltk.recipe.locate import embedded_folder
from rltk.recipe.schema import Model


def local_path(path: str) -> str:
    """Where transformers finds the model: a hub id or folder as given, one that comes with rltk in this package."""
    if (embedded := embedded_folder(path)) is not None:
        return str(embedded)
    folder = Path(path).expanduser()
    if not folder.exists():
        seek_hub()
    return str(folder)


def load_config(model: Model) -> PretrainedConfig:
    if model.trust_remote_code:
        say_code_may_run(model.path)
    try:
        return AutoConfig.from_pretrained(
            local_path(model.path), revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise cannot_load(model, "config.json", error) from error


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    if model.trust_remote_code:
        say_code_may_run(model.path)
    try:
        return AutoTokenizer.from_pretrained(
            local_path(model.path), revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise cannot_load(model, "tokenizer", error) from error


def load_weights(model: Model, device: torch.device) -> PreTrainedModel:
    """The model in float32 on `device`, in evaluation mode. Only safetensors are read: pickles can run code."""
    config = without_noise(load_config(model))
    refuse_classifier(model, config)
    auto: Any = AutoModelForCausalLM  # whose type knows of no loading info
    try:
        loaded, info = auto.from_pretrained(
            local_path(model.path),
            config=config,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **four_bits(model, device),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise cannot_load(model, "safetensors weights", error) from error
    refuse_random(model, sorted(info["missing_keys"]))
    make_steady(model, loaded)
    if model.gradient_checkpointing:
        loaded.gradient_checkpointing_enable({"use_reentrant": False})
    follow_autocast(loaded)
    nn.Module.to(loaded, device)
    if not has_known_head(loaded):
        raise UserError(
            f"model.path = {model.path!r}: {loaded.config.model_type} scales its logits in a way that rltk does not "
            "know, so every log-probability would be wrong; take another model."
        )
    return loaded.eval()


def refuse_classifier(model: Model, config: PretrainedConfig) -> None:
    """transformers would give it an output head of random numbers."""
    for name in config.architectures or ():
        if "ForSequenceClassification" in name or "ForTokenClassification" in name:
            raise UserError(
                f"model.path = {model.path!r} is a reward model or another classifier ({name}), which writes nothing; "
                "name a language model."
            )


def refuse_random(model: Model, missing: list[str]) -> None:
    """transformers draws at random what the files lack, such as the output head of a model that was saved without."""
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"model.path = {model.path!r}: its weights lack {missing[0]}{more}, which would be random numbers; save it "
            "again with all that it computes with."
        )


def four_bits(model: Model, device: torch.device) -> dict[str, Any]:
    """What `from_pretrained` takes where the recipe wants the base quantized."""
    refuse_no_four_bits(model)
    return quantized.options(model.quantize, compute_dtype(model), device)


def refuse_no_four_bits(model: Model) -> None:
    """If the recipe wants what this machine cannot do; imports the package only then."""
    if model.quantize is not None:
        try:
            quantized.refuse_absent()
        except ValueError as error:
            raise UserError(f"model.quantize = {model.quantize}: {error}.") from error


def make_steady(model: Model, loaded: PreTrainedModel) -> None:
    """Four-bit layers compute alike in training and evaluation; refused where there are none or one is read wrong."""
    if model.quantize is None:
        return
    try:
        count = quantized.steady(loaded)
    except ValueError as error:
        raise UserError(f"model.quantize = {model.quantize}: {error}.") from error
    if not count:
        raise UserError(
            f"model.quantize = {model.quantize} changes nothing: {loaded.config.model_type} has no linear layers that "
            "can be held so; set it to null."
        )


def without_noise(config: PretrainedConfig) -> PretrainedConfig:
    """Noise in the base's training mode would make the policy that trains another than the one that sampled."""
    for name, value in vars(config.get_text_config()).items():
        if any(word in name for word in ("dropout", "pdrop", "jitter")) and isinstance(value, float):
            setattr(config.get_text_config(), name, 0.0)
    return config


@cache
def say_code_may_run(path: str) -> None:
    """Once a process for each model."""
    tell(f"model.trust_remote_code = true: Python code that comes with {path} may run here, with all your rights")


def cannot_load(model: Model, what: str, error: Exception) -> UserError:
    if "trust_remote_code" in str(error):
        return UserError(
            f"model.path = {model.path!r}: its {what} needs Python code that comes with it, which runs only where the "
            "recipe says model.trust_remote_code: true; read that code first."
        )
    first_line = str(error).strip().split("\n")[0]
    return UserError(
        f"model.path = {model.path!r}: its {what} could not be loaded ({first_line}); "
        "give a folder that holds it, or a hub id while online."
    )


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every token that ends a completion: those of the generation config, the model config and the tokenizer.

    Chat models name several (Phi-3.5, Llama 3); honouring only the tokenizer's makes finished answers look truncated.
    """
    generation = model.generation_config or GenerationConfig()
    found: set[int] = set()
    for ids in (generation.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if ids is not None:
            found.update(int(stop) for stop in ([ids] if isinstance(ids, int) else ids))
    if not found:
        raise UserError(
            f"{model.name_or_path or 'the model'} names no end-of-text token, so no completion would ever end; "
            "set eos_token_id in its generation_config.json."
        )
    known = len(model.get_input_embeddings().get_parameter("weight"))
    for stop in sorted(found):
        if not 0 <= stop < known:
            raise UserError(
                f"{model.name_or_path or 'the model'} names {stop} as a token that ends a text, but its vocabulary has "
                f"{known}; correct eos_token_id in its generation_config.json."
            )
    return tuple(sorted(found))


def pad_token(tokenizer: PreTrainedTokenizerBase, stops: tuple[int, ...]) -> int:
    """What fills the unused end of a row. It is masked everywhere, so any id serves when the tokenizer has none."""
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) else stops[0]


def context_length(config: PretrainedConfig) -> int | None:
    """The longest sequence the model takes; None where its config names no limit."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def compute_dtype(model: Model) -> torch.dtype:
    """What products are computed in; what trains is float32 either way."""
    return torch.bfloat16 if model.dtype == "bfloat16" else torch.float32
