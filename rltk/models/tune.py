"""What trains: an adapter, or every weight."""

import torch
from torch import nn
from transformers import PreTrainedModel

from rltk.models.adapters import add_lora, coverage, shrink_frozen
from rltk.models.roles import POLICY
from rltk.recipe.schema import LoRA, Recipe
from rltk.seeds import derive


def tuned(base: PreTrainedModel, recipe: Recipe) -> tuple[nn.Module, str]:
    """The model with what trains set to train; the adapter's initial values depend on the seed alone."""
    if isinstance(recipe.tune, LoRA):
        torch.manual_seed(derive(recipe.seed, "adapter"))
        model = add_lora(base, recipe.tune)
        model.peft_config[POLICY].revision = recipe.model.revision  # or who loads the adapter takes the main branch
        if recipe.model.dtype == "bfloat16":
            shrink_frozen(model)
        return model, str(coverage(model))
    base.requires_grad_(True)
    count = sum(weight.numel() for weight in base.parameters())
    return base, f"full fine-tuning trains all {count:,} parameters"
