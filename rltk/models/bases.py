"""The base that a policy's adapter stands on: recorded beside it, and compared whenever it is put on a base again.

An adapter of another base of the same shape loads without a word and computes something else; and PEFT only warns of
weights that a file lacks, which then stay as they began. What records nothing, like PEFT's own adapters, is accepted.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from peft import PeftConfig, PeftModel, set_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from rltk_reward_models import quantized
from rltk_reward_models.base_file import Base, read_base
from rltk_reward_models.fingerprint import base_of
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from rltk.errors import UserError

HARMLESS_STARTS = ("gaussian", "orthogonal", "eva")
"""How PEFT may begin an adapter without changing the weights beside it, as PiSSA does."""
UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    re.error,
    SafetensorError,
)
"""What PEFT raises of a folder that it cannot read: it looks at few of the values in there."""
KNOWN: WeakKeyDictionary[nn.Module, Base] = WeakKeyDictionary()


def known_base(model: nn.Module) -> Base:
    """Of the frozen base in `model`, as it was when this was first asked: before PiSSA took a part out of its weights,
    before ZeRO split them, and before four bits became numbers. So a server or a run computes it once."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if base not in KNOWN:
        KNOWN[base] = base_of(base)
    return KNOWN[base]


def as_numbers(model: PreTrainedModel) -> None:
    """Puts the numbers that four bits stand for in their place; the base is known as what it was."""
    known_base(model)
    quantized.whole(model)


def attach(base: PreTrainedModel, folder: Path) -> PeftModel:
    """The adapter in `folder` on `base`, to be computed with; UserError unless it is whole and was trained there."""
    refuse_other_base(base, folder)
    with readable(folder):
        config = PeftConfig.from_pretrained(str(folder))
    refuse_other_task(base, config, folder)
    with readable(folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # these are refused
        adapted = PeftModel.from_pretrained(base, str(folder))
        odd = list(odd_weights(adapted, folder))
    if odd:
        raise UserError(
            f"the adapter in {folder} does not fit its base {name_of(base)}: {len(odd)} weights are in one and not in "
            f"the other, such as {odd[0]}; save the adapter again, or give it the base it was trained on."
        )
    return adapted.eval()


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Within it PEFT reads the folder, and what it cannot read is said in one sentence."""
    try:
        yield
    except UNREADABLE as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"the adapter in {folder} could not be loaded ({first_line}).") from error


def refuse_other_base(base: PreTrainedModel, folder: Path) -> None:
    """UserError where the folder records another base than this."""
    try:
        recorded = read_base(folder).fingerprint
    except ValueError as error:
        raise UserError(f"{error}.") from error
    if recorded is not None and recorded != known_base(base).fingerprint:
        raise UserError(
            f"the adapter in {folder} was trained on other weights than those of {name_of(base)}; put its own base "
            "there, or remove base.json from its folder to use it on these all the same."
        )


def refuse_other_task(base: PreTrainedModel, config: PeftConfig, folder: Path) -> None:
    """PEFT would put the adapter of a reward model on a policy, and leave its head out."""
    needed = "SEQ_CLS" if base.get_output_embeddings() is None else "CAUSAL_LM"
    if config.task_type not in (None, needed):
        raise UserError(
            f"the adapter in {folder} has task_type {config.task_type!s:.40} in its adapter_config.json, and what "
            f"is wanted here is {needed}; name another adapter."
        )


def odd_weights(adapted: PeftModel, folder: Path) -> Iterator[str]:
    """Of the file that the adapter lacks, and of the adapter that the file lacks, by PEFT's own reading of both.

    PEFT renames the weights of adapters that were saved before transformers 5, so names in the file alone do not tell.
    """
    name, weights = adapted.active_adapter, load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    assert isinstance(name, str)
    missing, unexpected = set_peft_model_state_dict(adapted, weights, adapter_name=name)
    yield from (key.replace(f".{name}", "") for key in missing if name in key.split("."))
    yield from unexpected


def changes_base(start: object) -> bool:
    """Whether PEFT moves the weights beside an adapter that begins so (`init_lora_weights`), as PiSSA does."""
    return isinstance(start, str) and start not in HARMLESS_STARTS


def name_of(base: PreTrainedModel) -> str:
    return base.name_or_path or type(base).__name__
