"""What transformers says while a model loads that nobody can act on, silenced; our own messages stay."""

import warnings

from transformers.utils import logging


def quiet_libraries() -> None:
    """For the whole process. Bars of downloads stay: they come from huggingface_hub."""
    logging.set_tqdm_hook(lambda factory, args, options: factory(*args, **{**options, "disable": True}))
    # PEFT asks transformers for an attribute by the name that transformers 5 deprecates.
    warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)
