"""DeepSpeed itself, imported when it is needed and quiet."""

import importlib.util
import logging
import os
import warnings
from types import ModuleType

import torch

from rltk.errors import UserError


def deepspeed() -> ModuleType:
    refuse_absent()
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or it says, on the standard output, that it has to guess
    # It calls two functions of torch by the names that they had before.
    warnings.filterwarnings("ignore", r".*_tensor` is deprecated", FutureWarning)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        # It would try out compilers, aloud, and then compile, for minutes, a way to talk of its own; gloo has one.
        deepspeed.ops.__dict__["__compatible_ops__"] = {}
    return deepspeed


def refuse_absent() -> None:
    if importlib.util.find_spec("deepspeed") is None:
        raise UserError(
            "hardware.deepspeed.zero needs DeepSpeed, which is not installed; set it to 0, or, on Linux, "
            "pip install 'rltk[deepspeed]'."
        )
