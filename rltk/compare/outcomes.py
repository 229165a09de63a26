"""What became of a planned run, read from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from rltk.compare.plan import Comparison, Phase, Planned, Project, first_difference, folder_of
from rltk.errors import UserError
from rltk.recipe.resolved import NO_RESULT, recipe_from_resolved, recipe_hash, resolved, without
from rltk.run.folder import read_manifest
from rltk.run.lock import is_taken

Status = Literal["absent", "unfinished", "failed", "finished"]
UNLIKE = {
    "data_hash": "trained on other problems",
    "task_hashes": "evaluated on other problems",
    "code": "rewarded by another version of a file of yours",
}
"""Keys of a manifest that must be equal for two runs to be paired, and what two that differ in one are."""


class Outcome(NamedTuple):
    status: Status
    manifest: dict[str, Any]
    """Empty where there is no run yet."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be made of it."""
        return self.status in ("finished", "failed")

    @property
    def failure(self) -> str | None:
        """The sentence that a run ended with which would end so again, such as one that diverged."""
        return self.manifest.get("failure") if self.status == "failed" else None


def read_outcome(project: Project, run: Planned) -> Outcome:
    """What became of a run; refused where its folder holds a run of another recipe."""
    path = folder_of(project, run)
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
    """A run may differ from the plan in what changes no result and in nothing else."""
    found = recipe_from_resolved(manifest["recipe"], str(path / "manifest.json"))
    if recipe_hash(found) == run.hash == manifest["recipe_hash"]:
        return
    key, has, planned = first_difference(without(resolved(found), NO_RESULT), without(resolved(run.recipe), NO_RESULT))
    what = f"its recipe has {key} = {has} where the plan has {planned}" if key else "its hash is not its recipe's"
    raise UserError(f"{path} is not the {run} ({what}); move it away.")


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


def refuse_unlike(comparison: Comparison, runs: list[Planned]) -> None:
    """Runs of one phase trained on the same problems and rewards, and were scored alike, or nothing is paired."""
    seen: dict[str, tuple[Any, Planned]] = {}
    for run in runs:
        manifest = read_manifest(comparison.folder(run))
        for key, difference in UNLIKE.items():
            value, first = seen.setdefault(key, (manifest.get(key), run))
            if value != manifest.get(key):
                raise UserError(f"the {run} was {difference} than the {first}; make one of them anew.")
