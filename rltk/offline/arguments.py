"""What rltk says to both of TRL's trainers in the same way."""

from typing import Any, TypeVar

from transformers import TrainingArguments

from rltk.offline.steps import Stage

Arguments = TypeVar("Arguments", bound=TrainingArguments)


def on_one_device(args: Arguments) -> Arguments:
    """Where several GPUs are visible Trainer would spread a batch over all of them, which TRL refuses; we use one."""
    args._n_gpu = 1
    return args


def shared(stage: Stage, folder: str) -> dict[str, Any]:
    """Keywords of their configurations. `folder` gets nothing, but they want one."""
    recipe = stage.recipe
    batch = len(stage.course.places[0])
    micro = stage.course.micro_batch(recipe.optim.micro_tokens)
    return {
        "output_dir": folder,
        "use_cpu": stage.device.type == "cpu",
        "bf16": recipe.model.dtype == "bfloat16",  # autocast: the weights that train stay float32
        "max_steps": recipe.optim.steps - stage.progress.step,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "max_grad_norm": recipe.optim.max_grad_norm,
        "max_length": None,  # what is longer has been left out, and counted
        "gradient_checkpointing": False,  # the model comes with it where the recipe wants it
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "router_aux_loss_coef": 0.0,  # routers do not train in a LoRA run, so neither arm balances them
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would log an earlier loss in place of one that is no number
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": 0,  # every step is seeded by itself
    }
