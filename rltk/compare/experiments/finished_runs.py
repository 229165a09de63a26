"""What finished runs can tell without another one: factor norms, intruder dimensions and bits, from their folders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from rltk.compare.outcome import Outcome, Verdict, judged
from rltk.errors import UserError
from rltk.recipe.fields import Section, Text

ON_POLICY = ("grpo", "rloo", "ppo")


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
    """INV-2: in how many matrices B has the larger spectral norm."""
    runs = described(settings, "lora")
    matrices = [matrix for run in runs for matrix in run["matrices"].values()]
    larger = sum(matrix["norm_b"] > matrix["norm_a"] for matrix in matrices)
    test = binomtest(larger, len(matrices)).proportion_ci(0.95)
    interval = (float(test.low), float(test.high))
    summary = f"B is larger in {larger} of {len(matrices)} matrices of {len(runs)} runs"
    share = larger / len(matrices)
    return Outcome(above(interval, 0.5), summary, share, interval, {"runs": [run["run"] for run in runs]})


def above(interval: tuple[float, float], bound: float) -> Verdict:
    if interval[0] > bound:
        return "reproduced"
    return "not reproduced" if interval[1] < bound else "inconclusive"


def intruder_dimensions(settings: Settings) -> Outcome:
    """SP-1: intruders a matrix of each arm."""
    means = {tune: intruders_a_matrix(described(settings, tune)) for tune in ("lora", "full")}
    passed = means["lora"] > 0 and means["lora"] > 2 * means["full"]
    summary = f"{means['lora']:.2f} a matrix with LoRA, {means['full']:.2f} with full fine-tuning"
    return Outcome(judged(passed), summary, means["lora"] - means["full"], None, {"a_matrix": means})


def intruders_a_matrix(runs: list[dict[str, Any]]) -> float:
    """Over matrices small enough to have been decomposed."""
    counts = [m["intruders"] for run in runs for m in run["matrices"].values() if m["intruders"] is not None]
    if not counts:
        raise UserError("no matrix of these runs was small enough to look for intruder dimensions.")
    return sum(counts) / len(counts)


def unchanged_weights(settings: Settings) -> Outcome:
    """SP-2: shares of weights that full fine-tuning left as they were, as they are and as bfloat16 holds them."""
    matrices = [matrix for run in described(settings, "full") for matrix in run["matrices"].values()]
    count = sum(weights(matrix) for matrix in matrices)
    in_float32 = sum(matrix["unchanged"] * weights(matrix) for matrix in matrices) / count
    rounded = sum(matrix["bf16"]["unchanged"] * weights(matrix) for matrix in matrices) / count
    summary = f"{rounded:.1%} unchanged in bfloat16, {in_float32:.1%} in float32"
    details = {"bfloat16": rounded, "float32": in_float32, "weights": count}
    return Outcome(judged(rounded > 0 and rounded >= 10 * in_float32), summary, rounded, None, details)


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
