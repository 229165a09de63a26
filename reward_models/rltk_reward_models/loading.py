"""Loads a reward model's folder, or refuses it with a sentence: a head made of random numbers also gives scores.

A folder holds a whole transformers model for sequence classification with one label, or a PEFT adapter of one.
"""

import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as verbosity

from rltk_reward_models.base_file import read_base
from rltk_reward_models.fingerprint import HEADS, base_fingerprint
from rltk_reward_models.quantized import options, steady

log = logging.getLogger(__name__)
LOADING = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
ADAPTER = "adapter_model.safetensors"
ENDLESS = 10**12
"""Tokenizers whose length nobody gave have one beyond this."""


class Origin(NamedTuple):
    """Where transformers finds a model, and whether its repository's own code may run."""

    name: str
    """A folder or hub id."""
    revision: str | None
    trust_remote_code: bool

    @property
    def options(self) -> dict[str, Any]:
        # Said, even where it is no: without it transformers asks at a terminal.
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}


class Loaded(NamedTuple):
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    base: str | None
    """Folder or hub id of what the adapter stands on; None for a whole model."""
    is_base_verified: bool
    """Whether the base was seen to be the one trained on (see `fingerprint.record_base`)."""


def load_reward_model(
    path: str | Path,
    *,
    base: str | None,
    device: str,
    dtype: torch.dtype,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """The model in evaluation mode with its tokenizer; ValueError where the folder is not a whole reward model.

    `revision` is the branch, tag or commit of an adapter's base, if not what the adapter names.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder; give the folder of a reward model (download it from the hub first)"
        )
    is_adapter = (folder / "adapter_config.json").is_file()
    if base is not None and not is_adapter:
        raise ValueError(f"{folder} holds a whole model, which has no base; leave base={base!r} out")
    if revision is not None and not is_adapter:
        raise ValueError(f"{folder} is a folder, which has no revisions; leave revision={revision!r} out")
    if trust_remote_code:
        log.warning("trust_remote_code: Python code that comes with %s or its base may run in this process", folder)
    itself = Origin(str(folder), None, trust_remote_code)
    if is_adapter:
        held = options(read_base(folder).quantize, dtype, device)
        loaded = _load_adapter(itself, folder, base, revision, dtype, held)
    else:
        loaded = _load_whole(itself, folder, dtype)
    nn.Module.to(loaded.model, device).eval()
    return loaded


class AdapterFiles(NamedTuple):
    """What an adapter's folder holds, apart from any base."""

    config: PeftConfig
    weights: dict[str, Tensor]
    """Without the head."""
    head: Tensor
    """[1, H]."""
    pad: int | None
    """Trainers pad with the tokenizer's token and pool at the last other one; None where the folder does not say it."""
    most: int | None
    """Tokens of a conversation that it reads, the last ones; None where the folder does not say it."""


def read_adapter(path: str | Path, *, trust_remote_code: bool = False) -> AdapterFiles:
    """For who has the base in memory already; ValueError where the folder is not the adapter of a reward model."""
    folder = Path(path).expanduser()
    config = _adapter_config(folder)
    _saved_keys(folder)
    weights = load_file(folder / ADAPTER)
    heads = [key for key in weights if any(part in HEADS for part in key.split("."))]
    head = weights[heads[0]]
    if len(heads) != 1 or head.ndim != 2 or len(head) != 1:
        raise ValueError(f"{folder}: {ADAPTER} holds {', '.join(heads)}; a reward model's head is one row of weights")
    others = {key: weight for key, weight in weights.items() if key != heads[0]}
    tokenizer = _own_tokenizer(Origin(str(folder), None, trust_remote_code), folder)
    pad = None if tokenizer is None else tokenizer.pad_token_id
    most = None if tokenizer is None else most_read(tokenizer, None)
    return AdapterFiles(config, others, head, pad if isinstance(pad, int) else None, most)


def most_read(tokenizer: PreTrainedTokenizerBase, context: int | None) -> int | None:
    """Tokens of a conversation that a model reads: as many as its tokenizer was saved with (`model_max_length`), which
    is what it was trained on, and no more than its context; None where neither sets a limit."""
    limits = [limit for limit in (tokenizer.model_max_length, context) if limit is not None and limit < ENDLESS]
    return min(limits, default=None)


def model_config(model: nn.Module) -> PretrainedConfig:
    """The text model's configuration, also of a model inside a PEFT wrapper."""
    assert isinstance(model.config, PretrainedConfig)
    return model.config.get_text_config()


def _load_whole(itself: Origin, folder: Path, dtype: torch.dtype) -> Loaded:
    config = _config(itself, folder)
    if config.num_labels != 1:
        raise ValueError(
            f"{folder}: a reward model has one label, this one has {config.num_labels} "
            f"({', '.join(config.architectures or ['no architecture'])}); give a model for sequence classification "
            "trained with num_labels=1"
        )
    model, missing = _classifier(itself, config, dtype, folder)
    if missing:
        raise ValueError(
            f"{folder}: its weights lack {', '.join(missing[:3])}, which would be random; "
            "save the model again with its score head"
        )
    return Loaded(model, _tokenizer(itself, folder), None, True)


def _load_adapter(
    itself: Origin, folder: Path, base: str | None, revision: str | None, dtype: torch.dtype, held: dict[str, Any]
) -> Loaded:
    """`held` is what `from_pretrained` takes for a base in four bits."""
    adapter = _adapter_config(folder)
    name = base or adapter.base_model_name_or_path
    if not name:
        raise ValueError(f"{folder}: adapter_config.json names no base model; give it as base=")
    named = adapter.revision if base in (None, adapter.base_model_name_or_path) else None
    origin = Origin(name, revision or named, itself.trust_remote_code)
    saved = _saved_keys(folder)
    config = _config(origin, folder, num_labels=1)
    own = _own_tokenizer(itself, folder)
    tokenizer = _tokenizer(origin, folder) if own is None else own
    if own is not None and own.pad_token_id is not None:
        config.get_text_config().pad_token_id = own.pad_token_id  # an adapter has no config to say so
    model, missing = _classifier(origin, config, dtype, folder, **held)
    steady(model)
    if lacking := [key for key in missing if key.partition(".")[0] not in HEADS]:
        raise ValueError(f"{folder}: its base {name} lacks {', '.join(lacking[:3])}; download it again")
    is_verified = _check_base(model, name, folder)
    peft_model = _with_adapter(model, saved, name, folder)
    return Loaded(peft_model, tokenizer, name, is_verified)


def _adapter_config(folder: Path) -> PeftConfig:
    try:
        adapter = PeftConfig.from_pretrained(str(folder))
    except (*LOADING, TypeError) as error:
        raise _cannot(folder, "adapter_config.json", error) from error
    if adapter.task_type != "SEQ_CLS":
        raise ValueError(
            f"{folder}: adapter_config.json has task_type {adapter.task_type!r:.40}, a reward model needs SEQ_CLS; "
            "with another type PEFT does not train and save the score head"
        )
    if getattr(adapter, "megatron_config", None):  # PEFT would import the module that it names
        raise ValueError(f"{folder}: adapter_config.json has a megatron_config, which is not read here; remove it")
    return adapter


def _saved_keys(folder: Path) -> set[str]:
    if not (folder / ADAPTER).is_file():
        raise ValueError(f"{folder} has no {ADAPTER}; pickled weights (.bin) can run code and are not read")
    try:
        with safe_open(str(folder / ADAPTER), framework="pt") as file:
            keys = set(file.keys())
    except LOADING as error:
        raise _cannot(folder, ADAPTER, error) from error
    if not any(part in HEADS for key in keys for part in key.split(".")):
        raise ValueError(
            f"{folder}: {ADAPTER} holds no score head, which would be random; train with task_type SEQ_CLS"
        )
    return keys


def _check_base(model: nn.Module, name: str, folder: Path) -> bool:
    recorded = read_base(folder).fingerprint
    if recorded is not None and recorded != base_fingerprint(model):
        raise ValueError(f"{folder}: the adapter was trained on other weights than those of {name}; give its own base=")
    return recorded is not None


def _with_adapter(model: PreTrainedModel, saved: set[str], name: str, folder: Path) -> PeftModel:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT only warns of missing weights; they are compared below.
            peft_model = PeftModel.from_pretrained(model, str(folder))
    except LOADING as error:
        raise ValueError(
            f"{folder}: the adapter does not fit its base {name} ({_first_line(error)}); "
            "give the base it was trained on"
        ) from error
    expected = set(get_peft_model_state_dict(peft_model, save_embedding_layers=False))
    if odd := sorted(key for key in expected ^ saved if "embed" not in key):
        raise ValueError(
            f"{folder}: {len(odd)} weights are in the adapter or in its base {name} but not in both, such as {odd[0]}; "
            "give the base it was trained on"
        )
    return peft_model


def _classifier(
    origin: Origin, config: PretrainedConfig, dtype: torch.dtype, folder: Path, **held: Any
) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the names of weights that its files lack."""
    level = verbosity.get_verbosity()
    verbosity.set_verbosity_error()  # It would warn of the missing head; that is looked at here.
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            origin.name,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **origin.options,
            **held,
        )
    except LOADING as error:
        raise _cannot(folder, f"safetensors weights of {origin.name}", error) from error
    finally:
        verbosity.set_verbosity(level)
    return model, sorted(info["missing_keys"])


def _config(origin: Origin, folder: Path, **changes: int) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(origin.name, **origin.options, **changes)
    except LOADING as error:
        raise _cannot(folder, f"config.json of {origin.name}", error) from error


def _own_tokenizer(itself: Origin, folder: Path) -> PreTrainedTokenizerBase | None:
    return _tokenizer(itself, folder) if (folder / "tokenizer_config.json").is_file() else None


def _tokenizer(origin: Origin, folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(origin.name, **origin.options)
    except LOADING as error:
        raise _cannot(folder, f"tokenizer of {origin.name}", error) from error


def _cannot(folder: Path, what: str, error: Exception) -> ValueError:
    if "trust_remote_code" in str(error):
        return ValueError(
            f"{folder}: the {what} needs Python code that comes with it, which runs only where trust_remote_code is "
            "asked for; read that code first"
        )
    return ValueError(f"{folder}: the {what} could not be loaded ({_first_line(error)}); save or download it again")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
