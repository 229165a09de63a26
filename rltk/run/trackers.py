"""TensorBoard, Weights & Biases and Trackio, by name, through accelerate."""

import math
from importlib import metadata
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from rltk.errors import UserError

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}


def refuse_absent(names: tuple[str, ...]) -> None:
    """Refuses trackers that are not installed; a folder called wandb, as wandb itself leaves, is no package."""
    for name in names:
        try:
            metadata.distribution(PACKAGES[name])
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"run.trackers names {name}, which is not installed; pip install 'rltk[{name}]'."
            ) from error


class Trackers:
    """Forwards metrics to the trackers a recipe names; to none, silently, when it names none."""

    def __init__(self, names: tuple[str, ...], folder: Path, project: str, config: dict[str, Any]) -> None:
        self.accelerator: Accelerator | None = None
        if names:
            self.accelerator = Accelerator(log_with=list(names), project_dir=str(folder))
            self.accelerator.init_trackers(project, config=flat(config))

    def log(self, metrics: dict[str, Any]) -> None:
        if self.accelerator is not None:
            numbers = {key: value for key, value in metrics.items() if isinstance(value, (int, float))}
            finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
            self.accelerator.log(finite, step=metrics["step"])

    def close(self) -> None:
        if self.accelerator is not None:
            self.accelerator.end_training()


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"algo.group": 8}` rather than nested: TensorBoard takes only numbers and strings."""
    rows: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            rows |= flat(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = value if isinstance(value, (int, float, str, bool)) else str(value)
    return rows
