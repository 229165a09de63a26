"""The section `run`: where a run is kept and how it is watched."""

from __future__ import annotations

from typing import Literal

from rltk.recipe.fields import Count, Positive, Section, Text


class Run(Section):
    """Where a run is kept and how it is watched; nothing here changes a result."""

    dir: Text = "runs"
    """Folder of all runs; this one goes into <dir>/<name>/<id>."""
    checkpoint_every: Count = 20
    """Steps between checkpoints: the most that a killed run loses."""
    keep: Count = 2
    """Checkpoints kept, the newest."""
    grace: Positive = 20.0
    """Seconds that a step may still take after Ctrl-C or SIGTERM, before it is ended and the steps before it kept."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Where metrics go beside the run folder."""
