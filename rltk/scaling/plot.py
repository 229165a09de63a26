"""Measured losses and fitted laws against data, an axis a size, as .svg, .png or .pdf."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rltk_eval.scaling_law import Form, ScalingRun

from rltk.errors import UserError
from rltk.scaling.fit import Analysis

ENDINGS = (".svg", ".png", ".pdf")


def draw(path: Path, arms: dict[str, list[ScalingRun]], analysis: Analysis) -> None:
    if path.suffix not in ENDINGS:
        raise UserError(f"--plot {path}: a plot is written as {', '.join(ENDINGS)}; name such a file.")
    sizes = sorted({run.size for runs in arms.values() for run in runs})
    figure = Figure(figsize=(4.5 * len(sizes), 3.6), layout="constrained")
    for axes, size in zip(figure.subplots(1, len(sizes), squeeze=False)[0], sizes, strict=True):
        draw_size(axes, size, arms, analysis)
        if len(sizes) > 1:
            axes.set_title(f"size {size:g}")
    # A hash salt of our own makes the same figure the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "rltk"}):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_size(axes: Axes, size: float, arms: dict[str, list[ScalingRun]], analysis: Analysis) -> None:
    data = [run.data for runs in arms.values() for run in runs]
    grid = np.geomspace(min(data) / 2, max(data) * 4, 200)
    for index, (arm, runs) in enumerate(sorted(arms.items())):
        here, color = [run for run in runs if run.size == size], f"C{index}"
        axes.plot([run.data for run in here], [run.loss for run in here], "o", color=color, label=arm)
        fit = analysis.arms[arm][Form.MULTIPLICATIVE].fit
        if fit is not None:
            axes.plot(grid, [fit.law.predict(size, float(at)) for at in grid], "-", color=color, linewidth=1)
    for found in analysis.crossings:
        if (
            found.size == size
            and found.crossing.data == found.crossing.data
            and grid[0] <= found.crossing.data <= grid[-1]
        ):
            style = ":" if found.crossing.is_extrapolated else "--"
            axes.axvline(found.crossing.data, color="gray", linestyle=style, linewidth=1)
    axes.set(xscale="log", xlabel="fine-tuning data", ylabel="loss")
    axes.legend(frameon=False)
