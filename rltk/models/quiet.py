"""What transformers says while a model loads that nobody can act on, silenced; our own messages stay."""

import warnings
from logging import ERROR, getLogger

from transformers.utils import logging


def quiet_libraries() -> None:
    """For the whole process. Bars of downloads stay: they come from huggingface_hub."""
    logging.set_tqdm_hook(lambda factory, args, options: factory(*args, **{**options, "disable": True}))
    # Bitsandbytes warns of kernels that it could do without, and without asking loads none.
    getLogger("bitsandbytes").setLevel(ERROR)
    # transformers 5 renames these, and PEFT and its own older versions know them by the old names only.
    warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
    # transformers 5.24 calls it `cache`; the older versions that rltk runs with do not know that name.
    warnings.filterwarnings("ignore", r"`past_key_values` is deprecated", FutureWarning)
    # PEFT looks for its rank patterns among modules only; ours are of parameters.
    warnings.filterwarnings("ignore", r"The following rank_pattern keys did not match", RuntimeWarning)
