"""What every trainer needs: the model that trains, where in the run it is, and where it reports."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rltk.offline.course import Course
from rltk.plan.schedule import schedule
from rltk.recipe.schema import Recipe
from rltk.run.checkpoint import Progress
from rltk.run.folder import Metrics
from rltk.run.session import Desk


@dataclass(frozen=True)
class Stage:
    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.AdamW
    course: Course
    progress: Progress
    desk: Desk
    heldout: Callable[[int], Metrics]
    """What it scores on what is held out after a step, for the curve."""

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def trained(self) -> list[nn.Parameter]:
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def scheduler(self) -> LambdaLR:
        """Of the steps that are left; it counts them from 0."""
        return LambdaLR(self.optimizer, lambda step: schedule(self.recipe.optim, self.progress.step + step))
