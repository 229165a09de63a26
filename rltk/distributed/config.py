"""What DeepSpeed is told, from the recipe. Needs neither torch nor DeepSpeed, so it can be shown and planned with."""

from __future__ import annotations

from typing import Any

from rltk.recipe.schema import DeepSpeed, Optim

NEVER = 2**62
"""Steps between DeepSpeed's own reports; the run's metrics say more."""


def deepspeed_config(options: DeepSpeed, optim: Optim) -> dict[str, Any]:
    """Float32 throughout: what trains is float32 in every arm, and autocast computes in what the recipe says.

    One micro-batch a backward pass: rltk says which of them is the last of a step. Weights of zero 3 are neither
    fetched ahead nor kept for later use, which DeepSpeed decides from the order in which modules were called before: of
    two processes with micro-batches of different shapes one would fetch what the other does not, and both would wait
    forever.
    """
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optim.max_grad_norm,
        "steps_per_print": NEVER,
        "zero_allow_untested_optimizer": True,  # AdamW of torch, as without DeepSpeed
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {"stage": options.zero, **partitioned_weights(options), **offloads(options)},
    }


def trainer_config(options: DeepSpeed, optim: Optim, dtype: str) -> dict[str, Any]:
    """The same for transformers' Trainer, which fills in what it decides: batches, accumulation and clipping."""
    own = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    autocast = {"enabled": dtype == "bfloat16", "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return (
        deepspeed_config(options, optim)
        | dict.fromkeys(own, "auto")
        | {
            "bf16": {"enabled": False},  # or DeepSpeed would cast the weights
            "torch_autocast": autocast,
        }
    )


def partitioned_weights(options: DeepSpeed) -> dict[str, Any]:
    if options.zero < 3:
        return {}
    return {"stage3_prefetch_bucket_size": 0, "stage3_max_reuse_distance": 0}


def offloads(options: DeepSpeed) -> dict[str, Any]:
    if options.offload == "none":
        return {}
    device: dict[str, Any] = {"device": options.offload}
    if options.nvme_dir is not None:
        device["nvme_path"] = options.nvme_dir
    pinned = device | {"pin_memory": True}
    return {"offload_optimizer": pinned} | ({"offload_param": pinned} if options.zero == 3 else {})
