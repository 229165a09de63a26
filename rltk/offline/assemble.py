"""The model that trains, its optimizer, and what samples from it and evaluates it."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from rltk.distributed.spread import spread
from rltk.models.load import compute_dtype, load_weights, pad_token, stop_tokens
from rltk.models.tune import tuned
from rltk.offline.inputs import Inputs
from rltk.offline.own_pairs import Writer
from rltk.plan.learning_rate import peak_learning_rate
from rltk.recipe.schema import Recipe
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.evaluate import Evaluator


@dataclass(frozen=True)
class Assembled:
    model: nn.Module
    optimizer: torch.optim.AdamW
    lr: float
    evaluator: Evaluator
    writer: Writer
    statement: str
    """What trains, in a sentence."""


def assemble(recipe: Recipe, inputs: Inputs, device: torch.device) -> Assembled:
    base = load_weights(recipe.model, device)
    stops = stop_tokens(base, inputs.tokenizer)
    engine = choose_engine(recipe.rollout.engine, base)  # tried on the base, so that both arms sample in the same way
    model, statement = tuned(base, recipe)
    hide_four_bits(model)
    pad, dtype = pad_token(inputs.tokenizer, stops), compute_dtype(recipe.model)
    text = inputs.config.get_text_config()
    lr = peak_learning_rate(recipe, text.hidden_size, text.model_type)
    evaluator = Evaluator(
        spread(make_sampler(engine, model, stops=stops, pad=pad, batch=recipe.eval.batch, dtype=dtype)),
        inputs.tokenizer,
        max_new_tokens=recipe.rollout.max_new_tokens,
        context=inputs.context,
    )
    sampler = spread(make_sampler(engine, model, stops=stops, pad=pad, batch=recipe.rollout.batch, dtype=dtype))
    writer = Writer(recipe, sampler, inputs.tokenizer, inputs.context)
    return Assembled(model, make_optimizer(recipe, model, lr), lr, evaluator, writer, statement)


def hide_four_bits(model: nn.Module) -> None:
    """TRL casts the adapters of a model that says it is quantized to bfloat16, and what trains here is float32."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and getattr(module, "is_loaded_in_4bit", False):
            setattr(module, "is_loaded_in_4bit", False)  # noqa: B010  # the class does not declare it


def make_optimizer(recipe: Recipe, model: nn.Module, lr: float) -> torch.optim.AdamW:
    options, trained = recipe.optim, [weight for weight in model.parameters() if weight.requires_grad]
    assert all(weight.dtype == torch.float32 for weight in trained), "weights that train are float32"
    return torch.optim.AdamW(trained, lr=lr, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay)
