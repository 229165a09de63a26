"""Loads what is served and sets the decoding thread to work."""

import os
from pathlib import Path

import torch

from rltk.errors import UserError
from rltk.evaluation.target import find_target
from rltk.models.adapters import shrink_frozen
from rltk.models.bases import as_numbers
from rltk.models.load import compute_dtype, context_length, load_tokenizer, load_weights, stop_tokens
from rltk.rollout.engines import runs_natively
from rltk.serving.batch import Batch
from rltk.serving.choose import Served, base_words, is_same_base
from rltk.serving.logprobs import SAMPLING, Mode
from rltk.serving.mixing import Adapter
from rltk.serving.scheduler import Scheduler
from rltk.serving.service import Service
from rltk.serving.text import Vocabulary
from rltk.serving.wire import ApiError, Limits


def open_service(served: Served, limits: Limits, logprobs: Mode = SAMPLING) -> Service:
    """Ready to answer, with all its adapters; `logprobs` is what those in its answers are of."""
    tokenizer = load_tokenizer(served.base)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_weights(served.base, device)
    if served.base.quantize is not None:  # the numbers that its adapters were trained beside, for layers that mix them
        as_numbers(model)
    if not runs_natively(model):
        raise UserError(f"{served.base_name} is no model that the native engine runs; serve it with vLLM instead.")
    dtype = compute_dtype(served.base)
    model.requires_grad_(False)
    if dtype == torch.bfloat16:
        shrink_frozen(model)
    batch = Batch(model, stops=stop_tokens(model, tokenizer), dtype=dtype, logprobs=logprobs)
    service = Service(
        Scheduler(batch, most=limits.batch),
        Vocabulary(tokenizer),
        base=served.base_name,
        context=context_length(model.config),
        chat_tokens=served.rollout.max_new_tokens,
        load=lambda folder: load_adapter(batch, served, folder),
        limits=limits,
    )
    add_all(service, served.adapters)
    return service


def add_all(service: Service, adapters: dict[str, Path]) -> None:
    for name, folder in adapters.items():
        try:
            service.add(name, str(folder))
        except ApiError as error:
            service.scheduler.close()
            raise UserError(error.message) from error


def load_adapter(batch: Batch, served: Served, path: Path) -> Adapter:
    """The adapter in a folder, or the one that a run ended with; UserError unless it stands on this base."""
    if not os.path.isdir(path):
        raise UserError(f"{path} is not a folder of this machine")
    target = find_target(str(path))
    if target.adapter is None:
        raise UserError(f"{path} is a whole model and no adapter")
    if not is_same_base(target.model, served.base):
        its, served_here = base_words(target.model, served.base), base_words(served.base, target.model)
        raise UserError(f"the adapter in {path} stands on {its}, and {served_here} is served")
    return batch.load(target.adapter)
