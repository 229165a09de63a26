"""What became of a planned run, and what it scored, read from its folder alone."""

from __future__ import annotations

import json
from collections import defaultdict
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

from rltk.compare.plan import Comparison, Phase, Planned, first_difference
from rltk.errors import UserError
from rltk.recipe.resolved import UNHASHED, recipe_from_resolved, recipe_hash, resolved
from rltk.run.folder import read_jsonl, read_manifest
from rltk.run.lock import is_taken

Status = Literal["absent", "unfinished", "failed", "finished"]
AGREE = 1e-9
"""By how much the accuracy in scores.json may differ from that of the items, for rounding."""


class Outcome(NamedTuple):
    status: Status
    manifest: dict[str, Any]
    """Empty where there is no run yet."""

    @property
    def failure(self) -> str | None:
        """The sentence that a run ended with which would end so again, such as one that diverged."""
        return self.manifest.get("failure") if self.status == "failed" else None


def read_outcome(comparison: Comparison, run: Planned) -> Outcome:
    """What became of a run; refused where its folder holds a run of another recipe."""
    path = comparison.folder(run)
    if not is_taken(path):
        return Outcome("absent", {})
    manifest = read_manifest(path)
    refuse_foreign(path, manifest, run)
    status = manifest.get("status")
    if status == "finished":
        return Outcome("finished", manifest)
    # Only a sentence of its own makes a failure final: a full disk or a lack of memory may pass.
    return Outcome("failed" if status == "failed" and manifest.get("failure") else "unfinished", manifest)


def refuse_foreign(path: Path, manifest: dict[str, Any], run: Planned) -> None:
    """A run may differ from the plan in where it is kept and in nothing else."""
    found = recipe_from_resolved(manifest["recipe"], str(path / "manifest.json"))
    if recipe_hash(found) == run.hash == manifest["recipe_hash"]:
        return
    key, has, planned = first_difference(relevant(resolved(found)), relevant(resolved(run.recipe)))
    what = (
        f"its recipe has {key} = {has} where this comparison has {planned}" if key else "its hash is not its recipe's"
    )
    raise UserError(f"{path} is not the {run} ({what}); move it away.")


def relevant(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in UNHASHED}


def refuse_strangers(comparison: Comparison, phase: Phase, runs: list[Planned]) -> None:
    """Refuses folders beside the runs that are none of them."""
    folder = comparison.path / phase
    known = {run.id for run in runs}
    found = sorted(path.name for path in folder.iterdir() if is_taken(path)) if folder.is_dir() else []
    strangers = [name for name in found if name not in known and not name.startswith(".")]
    if strangers:
        raise UserError(
            f"{folder / strangers[0]} is no {phase} run of this comparison ({len(strangers)} such); move it away."
        )


def item_scores(comparison: Comparison, run: Planned, when: str) -> dict[str, float]:
    """What a finished run scored on each item of its first task, before or after training, from 0 to 1."""
    path, metric = comparison.folder(run), comparison.recipe.compare.metric
    file, task = path / "scores.json", task_of(path, when)
    score = read_scores(path)[when][task]
    accuracy = (score if metric == "greedy" else score.get("sampled", {})).get("accuracy")
    if not isinstance(accuracy, float):
        raise UserError(f"{file}: the {metric} accuracy {when} training is {json.dumps(accuracy)}, no number ({run}).")
    rows = read_jsonl(path / "items" / f"{when}-{task}.jsonl")
    by_item: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.get("decoding") == metric:
            by_item[row["id"]].append(float(row["correct"]))
    means = {item: fmean(values) for item, values in by_item.items()}
    if not means or not isclose(fmean(means.values()), accuracy, abs_tol=AGREE):
        raise UserError(f"{file} and the items beside it disagree on the accuracy {when} training ({run}).")
    return means


def task_of(path: Path, when: str) -> str:
    """The name of the first task in a run's scores."""
    scores = read_scores(path).get(when)
    if not scores:
        raise UserError(f"{path / 'scores.json'} has no scores {when} training; make the run anew.")
    return next(iter(scores))


def read_scores(path: Path) -> dict[str, Any]:
    file = path / "scores.json"
    try:
        scores = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is finished and has no scores.json; make the run anew.") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); make the run anew.") from error
    return scores


def refuse_unlike(comparison: Comparison, runs: list[Planned]) -> None:
    """Runs of one phase trained on the same problems and were scored on the same ones, or nothing is paired."""
    seen: dict[str, tuple[Any, Planned]] = {}
    for run in runs:
        manifest = read_manifest(comparison.folder(run))
        for key in ("data_hash", "task_hashes"):
            value, first = seen.setdefault(key, (manifest.get(key), run))
            if value != manifest.get(key):
                what = "trained on" if key == "data_hash" else "evaluated on"
                raise UserError(f"the {run} was {what} other problems than the {first}; make one of them anew.")
