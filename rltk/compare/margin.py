"""Phase 2: the margin and every arm's learning rate, fixed in margin.json before the first confirmation run begins."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rltk_eval.equivalence.assay import Margin, margin_of_gain

from rltk.compare.looks import read_looks, write_looks
from rltk.compare.measures import item_scores, score_key
from rltk.compare.plan import CONTROL, Comparison
from rltk.compare.tuning import Tuning
from rltk.errors import UserError
from rltk.recipe.resolved import digest
from rltk.run.atomic import write_json

MARGIN, MARGINS = "margin.json", "margins"
"""The second is a folder with a copy by its hash, so that copying one machine's folder over another's keeps both."""
NO_IDENTITY = ("fixed", "confirmation_seeds")
"""Keys in which two machines' margins may differ and be one: when each was written, and for how many seeds at first."""


class Fixed(NamedTuple):
    """What margin.json says."""

    fixed: str
    """When, in UTC; where machines were merged that each fixed the same margin, the first time."""
    margin: Margin
    rates: dict[str, float]
    """The learning rate of every arm, the negative control included."""
    chain: str | None
    """What looks.json is hashed with; None in a comparison of an earlier version."""


def fix(comparison: Comparison, tuning: Tuning) -> Fixed:
    """Writes margin.json from the sweep; refused once there are confirmation runs, which one could have looked at."""
    refuse_late(comparison)
    says, seeds = sweep_says(comparison, tuning), comparison.recipe.compare.confirmation_seeds
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    values = says | {"confirmation_seeds": seeds, "fixed": now}
    write_looks(comparison.path, [seeds], digest(says))
    write_once(comparison.path / MARGIN, values | {"hash": digest(values)})
    first = read_margin(comparison.path / MARGIN)  # another process may have been first
    write_once(comparison.path / MARGINS / f"{digest(first)}.json", first | {"hash": digest(first)})
    fixed = read_fixed(comparison, tuning)
    assert fixed is not None
    return fixed


def write_once(file: Path, values: dict[str, Any]) -> None:
    """Unlike a renamed file, one that is linked replaces none: of two processes at work the first one fixes it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    write_json(beside, values)
    with suppress(FileExistsError):
        os.link(beside, file)
    beside.unlink()


def read_fixed(comparison: Comparison, tuning: Tuning) -> Fixed | None:
    """What was fixed, None where nothing is yet; refused where the file, or the runs it rests on, have changed."""
    file = comparison.path / MARGIN
    if not file.exists():
        return None
    values = read_margin(file)
    if tuning.is_complete and sweep_says(comparison, tuning) != identity(values):
        raise UserError(
            f"the tuning runs in {comparison.path} are not those from which {file} was fixed on {values['fixed']}; "
            "put them back, or start the comparison anew."
        )
    chain = digest(identity(values)) if "confirmation_seeds" in values else None
    margin = Margin(values["margin"], values["margin_rule"])
    return Fixed(first_time(comparison, values), margin, values["rates"], chain)


def read_margin(file: Path) -> dict[str, Any]:
    """Without its hash; refused where the file has changed since it was written."""
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        when, hash = values["fixed"], values.pop("hash")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}); put it back as it was fixed.") from error
    if hash != digest(values):
        raise UserError(f"{file} has been edited after it was fixed on {when}; put it back as it was.")
    return values


def identity(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in NO_IDENTITY}


def first_time(comparison: Comparison, values: dict[str, Any]) -> str:
    """When any of the machines whose folders were copied together first fixed this margin."""
    times = [values["fixed"]]
    for file in sorted((comparison.path / MARGINS).glob("*.json")):
        other = read_margin(file)
        if identity(other) != identity(values):
            raise UserError(
                f"{file} fixes another margin, or other rates, than {comparison.path / MARGIN}: machines that share a "
                "comparison have the same tuning runs; remove that file and the runs of the machine that had others."
            )
        times.append(other["fixed"])
    return min(times, key=datetime.fromisoformat)


def sweep_says(comparison: Comparison, tuning: Tuning) -> dict[str, Any]:
    """The margin and the learning rates that a complete sweep comes to, and what they rest on."""
    compare = comparison.recipe.compare
    rates = {arm: chosen(arm, sweep.lr) for arm, sweep in tuning.sweeps.items()}
    gain = reference_gain(comparison, tuning)
    margin = the_margin(comparison, gain)
    return {
        "comparison": comparison.hash,
        "margin": margin.value,
        "margin_rule": margin.rule,
        "reference_gain": gain,
        "minimum_gain": compare.minimum_gain,
        "metric": compare.metric,
        "alpha": compare.alpha,
        "looks": compare.looks,
        "rates": rates | {CONTROL: float(f"{rates[comparison.control] / compare.control.divisor:.3g}")},
        "tuning": {
            run.id: {score_key(compare.metric): score.value, "failure": score.failure}
            for sweep in tuning.sweeps.values()
            for run, score, _ in sweep.tried
        },
    }


def chosen(arm: str, lr: float | None) -> float:
    if lr is None:
        raise UserError(f"arm {arm}: its runs failed at every learning rate; lower compare.rates.centre.")
    return lr


def reference_gain(comparison: Comparison, tuning: Tuning) -> float:
    """What the reference gained over the start at its best learning rate, on the validation split."""
    sweep = tuning.sweeps[comparison.reference]
    starts = [tried.run for tried in sweep.tried if tried.run.recipe.eval.before and tried.score.value is not None]
    if not starts:
        raise UserError("the reference failed at the middle of its learning rates; lower compare.rates.centre.")
    start = fmean(fmean(item_scores(comparison, run, "before").values()) for run in starts)
    longest = max(tried.steps for tried in sweep.tried)
    after = [t.score.value for t in sweep.tried if t.run.lr == sweep.lr and t.steps == longest]
    return comparison.sign * (fmean(score for score in after if score is not None) - start)


def the_margin(comparison: Comparison, gain: float) -> Margin:
    rule = comparison.recipe.compare.margin
    if rule.value is not None:
        return Margin(rule.value, "as the recipe says")
    if gain <= 0:
        raise UserError(
            f"{comparison.reference} did not gain in the sweep ({gain:+.3f} on the validation split), so there is "
            "nothing that could be lost: train longer (compare.base) or set compare.margin.value, with another --out."
        )
    return margin_of_gain(gain, share=rule.share, at_least=rule.at_least, at_most=rule.at_most)


def refuse_late(comparison: Comparison) -> None:
    folder = comparison.path / "confirmation"
    runs = sorted(folder.glob("*/manifest.json")) if folder.is_dir() else []
    if runs:
        raise UserError(
            f"{runs[0].parent} was made before a margin was fixed, and a margin set after looking shows nothing; "
            f"put {MARGIN} back, or move the confirmation runs away and make new ones with another seed."
        )


def refuse_early(fixed: Fixed, manifests: dict[str, dict[str, Any]]) -> None:
    """Confirmation runs begin after the margin was fixed."""
    for name, manifest in manifests.items():
        started = str(manifest.get("started"))
        if datetime.fromisoformat(started) < datetime.fromisoformat(fixed.fixed):
            raise UserError(
                f"confirmation run {name} began on {started}, before the margin was fixed on {fixed.fixed}; a margin "
                "set after looking shows nothing. Move the run away and make it anew."
            )


def look_again(comparison: Comparison, fixed: Fixed, wanted: int) -> None:
    """Takes another look with more seeds, where looks are left; fewer are refused."""
    looks = read_looks(comparison.path, fixed.chain)
    if wanted == looks[-1]:
        return
    if wanted < looks[-1]:
        raise UserError(f"compare.confirmation_seeds = {wanted}: {looks[-1]} were fixed, and none may be left out.")
    if len(looks) >= comparison.recipe.compare.looks:
        raise UserError(
            f"compare.confirmation_seeds = {wanted}: no looks are left, since compare.looks = "
            f"{comparison.recipe.compare.looks} and the verdict with {looks[-1]} seeds was fixed on {fixed.fixed}; "
            "a new comparison (--out) may be given more looks."
        )
    write_looks(comparison.path, [*looks, wanted], fixed.chain)
