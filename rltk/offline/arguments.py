"""What rltk says to both of TRL's trainers in the same way."""

import os
from typing import Any, TypeVar

from accelerate.state import AcceleratorState, PartialState
from transformers import TrainingArguments

from rltk.distributed import world
from rltk.distributed.config import trainer_config
from rltk.distributed.library import deepspeed
from rltk.offline.stage import Stage

Arguments = TypeVar("Arguments", bound=TrainingArguments)


def on_one_device(args: Arguments) -> Arguments:
    """Where several GPUs are visible Trainer would spread a batch over all of them, which TRL refuses; we use one."""
    args._n_gpu = 1
    return args


def shared(stage: Stage, folder: str) -> dict[str, Any]:
    """Keywords of their configurations. `folder` gets nothing, but they want one."""
    recipe = stage.recipe
    share = len(stage.course.places[0]) // world.size()
    micro = stage.course.micro_batch(recipe.optim.micro_tokens)
    return {
        "output_dir": folder,
        **sharing(stage),
        "bf16": recipe.model.dtype == "bfloat16",  # autocast: the weights that train stay float32
        "max_steps": recipe.optim.steps - stage.progress.step,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        "max_grad_norm": recipe.optim.max_grad_norm,
        "max_length": None,  # what is longer has been left out, and counted
        "gradient_checkpointing": False,  # the model comes with it where the recipe wants it
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "router_aux_loss_coef": 0.0,  # routers do not train in a LoRA run, so neither arm balances them
        "remove_unused_columns": False,
        "dataloader_pin_memory": stage.device.type == "cuda",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would log an earlier loss in place of one that is no number
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": 0,  # every step is seeded by itself
    }


def sharing(stage: Stage) -> dict[str, Any]:
    """How several processes share the work; DeepSpeed's own way on CPUs has to be set up before."""
    options, on_cpu = stage.recipe.hardware.deepspeed, stage.device.type == "cpu"
    if not options.zero:
        backend = "gloo" if on_cpu and world.size() > 1 else None
        return {"use_cpu": on_cpu, "ddp_backend": backend, "ddp_find_unused_parameters": False}
    deepspeed()
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState(backend="gloo" if on_cpu else "nccl")
    return {
        "deepspeed": trainer_config(options, stage.recipe.optim, stage.recipe.model.dtype),
        "accelerator_config": {"use_configured_state": True},
    }
