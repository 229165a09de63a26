"""What finished runs can tell without another one: factor norms, intruder dimensions and bits, from their folders.

A run is one draw, however many matrices it has: those of one run are trained together and are no sample of their own.

Shapes: R runs.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from rltk_eval.equivalence.paired import paired_mean, t_quantile
from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval
from scipy.stats import binomtest

from rltk.compare.evidence import mean_interval
from rltk.compare.outcome import Outcome, Verdict, ends, verdict_of
from rltk.errors import UserError
from rltk.recipe.fields import Section, Text

ON_POLICY = ("grpo", "rloo", "ppo")
TIMES = 10
"""As many weights bfloat16 must leave unchanged as float32 does, for rounding to be what did it."""


class Settings(Section):
    runs: Text = "runs"
    """Folder beneath which runs are looked for; those that left no adapter.json are passed over."""


def described(settings: Settings, tune: str | None = None) -> list[dict[str, Any]]:
    """The adapter.json of every finished run, of one kind of tuning or of both."""
    found = [row for row in read_all(Path(settings.runs)) if tune in (None, row["tune"])]
    if not found:
        kind = "run" if tune is None else f"{tune} run"
        raise UserError(f"no finished {kind} with an adapter.json lies beneath {settings.runs}; train one first.")
    return found


def read_all(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("adapter.json")):
        try:
            manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
            row = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise UserError(f"{path.parent} is damaged ({error}); remove it, or train it anew.") from error
        if manifest.get("status") == "finished" and "matrices" in row:
            yield row | {"run": str(path.parent), "algo": manifest["recipe"]["algo"]["type"]}


def factor_norms(settings: Settings) -> Outcome:
    """INV-2: in what share of a run's matrices B has the larger spectral norm."""
    runs = described(settings, "lora")
    share_R = np.array([float(np.mean([m["norm_b"] > m["norm_a"] for m in run["matrices"].values()])) for run in runs])
    interval = share_interval(share_R)
    share = float(share_R.mean())
    summary = f"B is larger in {share:.1%} of a run's matrices, mean of {len(runs)} runs"
    details = {"shares": {run["run"]: each for run, each in zip(runs, share_R.tolist(), strict=True)}}
    return Outcome(above(interval, 0.5), summary, share, ends(interval), details)


def share_interval(share_R: Array) -> Interval:
    """Student's t over runs, within 0 and 1. Where all runs give one share that has no width, and what is known is in
    how many of them most matrices agree: then Clopper and Pearson's, over runs."""
    if len(share_R) < 2:
        return Interval(nan, nan)
    if np.ptp(share_R) > 0:
        _, low, high = mean_interval(share_R, 0.95)
        return Interval(max(0.0, low), min(1.0, high))
    most = len(share_R) * int(share_R[0] > 0.5)
    exact = binomtest(most, len(share_R)).proportion_ci(0.95)
    return Interval(nan, nan) if share_R[0] == 0.5 else Interval(float(exact.low), float(exact.high))


def above(interval: Interval, bound: float) -> Verdict:
    return verdict_of(is_shown=interval.low > bound, is_refuted=interval.high < bound)


def intruder_dimensions(settings: Settings) -> Outcome:
    """SP-1: intruders a matrix with LoRA, less twice those in full fine-tuning."""
    lora_R, full_R = (intruders_a_matrix(described(settings, tune)) for tune in ("lora", "full"))
    interval = welch(lora_R, 2 * full_R)
    means = {"lora": float(lora_R.mean()), "full": float(full_R.mean())}
    summary = (
        f"{means['lora']:.2f} a matrix with LoRA, {means['full']:.2f} with full fine-tuning, means of {len(lora_R)} "
        f"and {len(full_R)} runs"
    )
    value = means["lora"] - 2 * means["full"]
    return Outcome(above(interval, 0.0), summary, value, ends(interval), {"a_matrix": means})


def intruders_a_matrix(runs: Sequence[dict[str, Any]]) -> Array:
    """Of each run, over matrices small enough to have been decomposed; runs without such a one are passed over."""
    counts = [[m["intruders"] for m in run["matrices"].values() if m["intruders"] is not None] for run in runs]
    found = [float(np.mean(of_run)) for of_run in counts if of_run]
    if not found:
        raise UserError("no matrix of these runs was small enough to look for intruder dimensions.")
    return np.array(found)


def welch(one_R: Array, other_R: Array) -> Interval:
    """95 % interval of the difference of two means whose spreads may differ (Welch 1947,
    https://doi.org/10.1093/biomet/34.1-2.28); nan with a single run of either, or without any spread."""
    one, other = paired_mean(one_R), paired_mean(other_R)
    parts = [(mean.sd**2 / mean.seeds, mean.df) for mean in (one, other)]
    total = sum(part for part, _ in parts)
    if not total > 0:
        return Interval(nan, nan)
    freedom = total**2 / sum(part**2 / df for part, df in parts)
    apart, half = one.mean - other.mean, t_quantile(0.975, freedom) * sqrt(total)
    return Interval(apart - half, apart + half)


def unchanged_weights(settings: Settings) -> Outcome:
    """SP-2: shares of weights that full fine-tuning left as they were, as they are and as bfloat16 holds them."""
    runs = described(settings, "full")
    in_float32_R = np.array([share_of(run, lambda matrix: matrix["unchanged"]) for run in runs])
    rounded_R = np.array([share_of(run, lambda matrix: matrix["bf16"]["unchanged"]) for run in runs])
    _, *beyond = mean_interval(rounded_R - TIMES * in_float32_R, 0.95)
    rounded, *bounds = mean_interval(rounded_R, 0.95)
    in_float32 = float(in_float32_R.mean())
    summary = f"{rounded:.1%} unchanged in bfloat16, {in_float32:.1%} in float32, means of {len(runs)} runs"
    details = {"bfloat16": rounded, "float32": in_float32, "bfloat16_less_10_times_float32": ends(Interval(*beyond))}
    return Outcome(above(Interval(*beyond), 0.0), summary, rounded, ends(Interval(*bounds)), details)


def share_of(run: dict[str, Any], of_matrix: Callable[[dict[str, Any]], float]) -> float:
    """Over all weights of a run, of a share that is known of each matrix."""
    matrices = run["matrices"].values()
    return sum(of_matrix(matrix) * weights(matrix) for matrix in matrices) / sum(map(weights, matrices))


def weights(matrix: dict[str, Any]) -> int:
    outputs, inputs = matrix["shape"]
    return outputs * inputs


def outcome_bits(settings: Settings) -> Outcome:
    """RL-5: the capacity of each adapter over the bits that its run offered."""
    runs = [run for run in described(settings, "lora") if run["bits_offered"] and run["algo"] in ON_POLICY]
    if not runs:
        what = "no run of reinforcement learning that was offered something to learn"
        raise UserError(
            f"{what} lies beneath {settings.runs}, so there is no ratio; train one with GRPO or RLOO first."
        )
    ratios = {run["run"]: 1 / run["capacity_used"] for run in runs}
    least = min(ratios.values())
    bits = max(run["bits_offered"] for run in runs)
    summary = f"at least {least:.3g} times the bits offered (up to {bits:,.0f}), over {len(runs)} runs"
    return Outcome("reported", summary, least, None, {"capacity_over_bits": ratios})
