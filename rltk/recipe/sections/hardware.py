"""The section `hardware`: the processes that train together, and what of the training state they split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import Count, Section, Text, broken_rule


class DeepSpeed(Section):
    """What DeepSpeed splits between the processes (ZeRO: Rajbhandari et al. 2020, arXiv 1910.02054)."""

    zero: Annotated[int, Field(strict=True, ge=0, le=3)] = 0
    """Split nothing, without DeepSpeed (0), the optimizer's state (1), gradients too (2), weights too (3)."""
    offload: Literal["none", "cpu", "nvme"] = "none"
    """Where the accelerator's memory is spared: optimizer state, and weights with zero 3, go to the host or to disk."""
    nvme_dir: Text | None = None
    """Folder on a fast disk for offload: nvme."""

    @model_validator(mode="after")
    def _offload_needs_partitions(self) -> DeepSpeed:
        if self.offload != "none" and not self.zero:
            raise broken_rule("moves what ZeRO splits; set hardware.deepspeed.zero to 1, 2 or 3", "offload", "zero")
        if self.offload == "nvme" and self.zero < 3:
            raise broken_rule("needs hardware.deepspeed.zero=3", "offload", "zero")
        if (self.offload == "nvme") != (self.nvme_dir is not None):
            raise broken_rule("goes with offload: nvme, and only with it", "nvme_dir", "offload")
        return self


class Hardware(Section):
    """The processes that train together, one an accelerator; but for rounding and dropout they change no result."""

    processes: Count = 1
    """Processes on each node."""
    nodes: Count = 1
    """Machines; `rltk launch --print` shows what to start on each."""
    deepspeed: DeepSpeed = DeepSpeed()
    """What of the training state they split."""

    @property
    def size(self) -> int:
        """Processes in all."""
        return self.processes * self.nodes
