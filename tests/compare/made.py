"""Comparisons whose run folders are written by the functions that write a real run's, with scores that we choose."""

import random
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rltk_eval.grading import Completion, Item, grade_items

from rltk.compare.conclusion import conclude
from rltk.compare.margin import fix, look_again
from rltk.compare.plan import CONTROL, Comparison, Planned, begin, check_comparable
from rltk.compare.survey import Survey, survey
from rltk.evaluation.items import score_rows
from rltk.offline.heldout_loss import summarize
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.recipe.schema import LOSS, Recipe
from rltk.run.folder import RunFolder

Accuracy = Callable[[Planned], float]
TASK = "word-problems"
ITEMS = 50
START = 0.2
START_LOSS = 1.0


def recipe(folder: Path, *, arms: Any = ("lora-2", "full"), **compare: Any) -> Recipe:
    base: dict[str, Any] = {
        "arms": arms,
        "rates": {"centre": 1e-3, "points": 3, "most": 5},
        "confirmation_seeds": 6,
        "margin": {"value": 0.08},
    }
    sections = {
        "name": "made",
        "model": {"path": "embedded/policy"},
        "data": {"path": "embedded/word-problems"},
        "algo": {"type": "grpo"},
        "tune": {"type": "lora"},
        "optim": {"steps": 8},
        "run": {"dir": str(folder / "runs")},
        "compare": base | compare,
    }
    return Recipe.model_validate(sections)


def begun(folder: Path, **compare: Any) -> Comparison:
    return begun_of(folder, recipe(folder, **compare))


def begun_of(folder: Path, recipe: Recipe) -> Comparison:
    comparison = Comparison(folder / "comparison", recipe)
    check_comparable(comparison)
    begin(comparison)
    return comparison


def supervised(
    folder: Path,
    *,
    steps: int = 8,
    batch: int = 4,
    size: int | None = None,
    model: str = "embedded/policy",
    **compare: Any,
) -> Comparison:
    """Begun, of SFT and judged by the loss, where a run's "accuracy" is its loss and the start's is `START_LOSS`."""
    asked = {"metric": "loss", "confirmation_seeds": 3, "tuning_seeds": 1, **compare}
    values = recipe(folder, **asked).model_dump(mode="json", exclude_unset=True)
    sections = {"algo": {"type": "sft", "batch": batch}, "optim": {"steps": steps}, "model": {"path": model}}
    sections["data"] = values["data"] | {"size": size}
    return begun_of(folder, Recipe.model_validate(values | sections))


def learns(run: Planned) -> float:
    """0.8 at the middle of an arm's rates, less half a decade away; nothing is learned at the control's rate."""
    if run.arm == CONTROL:
        return START + 0.02
    centre = 1e-3 if run.recipe.tune.type == "full" else 1e-2
    best = 0.8 if 0.9 < run.lr / centre < 1.1 else 0.6
    return best + random.Random(run.id).uniform(-0.04, 0.04)


def lora_at(accuracy: float, spread: float = 0.04) -> Accuracy:
    """As `learns`, but for confirmation runs of LoRA arms."""

    def scored(run: Planned) -> float:
        is_lora = run.phase == "confirmation" and run.arm != CONTROL and run.recipe.tune.type == "lora"
        return accuracy + random.Random(run.id).uniform(-spread, spread) if is_lora else learns(run)

    return scored


def write(comparison: Comparison, run: Planned, accuracy: float, **manifest: Any) -> Path:
    """A finished run of this accuracy; `manifest` is laid over what stands in its manifest."""
    folder = RunFolder(comparison.folder(run))
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    folder.update_manifest(
        **{
            "status": "finished",
            "started": now,
            "finished": now,
            "recipe": resolved(run.recipe),
            "recipe_hash": recipe_hash(run.recipe),
            "data_hash": "d",
            "task_hashes": {TASK: run.phase},
            "peak_memory_bytes": 2**30,
            "commit": "c",
            **manifest,
        }
    )
    numbers = {"sampled_tokens": 10, "rollout_seconds": 1.0, "train_seconds": 0.5}
    for step in range(run.recipe.optim.steps):
        folder.log({"step": step + 1, **numbers})
    if run.recipe.eval.before:
        evaluate(folder, run, "before", START_LOSS if run.recipe.algo.type == "sft" else START)
    evaluate(folder, run, "after", accuracy)
    return folder.path


def evaluate(folder: RunFolder, run: Planned, when: str, accuracy: float) -> None:
    """Items in an order of the seed's own, of which the first are right; graded and summed up as everywhere."""
    if run.recipe.algo.type == "sft":
        solutions = [{"id": f"i{index}", "nats": 3 * accuracy, "tokens": 3} for index in range(ITEMS)]
        folder.write_items(f"{when}-{LOSS}", solutions)
        folder.add_scores(when, {LOSS: summarize(solutions) | {"left_out": 0}})
        return
    order = random.Random(f"{run.seed}").sample(range(ITEMS), ITEMS)
    right = set(order[: round(accuracy * ITEMS)])
    items = [Item(f"i{index}", f"question {index}", "7") for index in range(ITEMS)]
    texts = [[Completion(f"#### {7 if index in right else 8}", 3, False)] for index in range(ITEMS)]
    rows = [{**result.to_json(), "decoding": "greedy"} for result in grade_items(items, texts)]
    folder.write_items(f"{when}-{TASK}", rows)
    folder.add_scores(when, {TASK: score_rows(rows, None, temperature=None)})


def settle(comparison: Comparison) -> Survey:
    """As `rltk compare` goes on: the margin is fixed once the sweep is there."""
    found = survey(comparison)
    if found.fixed is None and found.tuning.is_complete:
        fix(comparison, found.tuning)
        return survey(comparison)
    if found.fixed is not None:
        look_again(comparison, found.fixed, comparison.recipe.compare.confirmation_seeds)
    return survey(comparison)


def fill(comparison: Comparison, accuracy: Accuracy = learns) -> Survey:
    """Makes every run there is to make, phase after phase."""
    while pending := (found := settle(comparison)).pending:
        for run in pending:
            write(comparison, run, accuracy(run))
    return found


def swept(folder: Path, **compare: Any) -> Comparison:
    """A comparison whose margin is fixed and whose confirmation has not begun."""
    comparison = begun(folder, **compare)
    while not settle(comparison).confirmation:
        for run in settle(comparison).pending:
            write(comparison, run, learns(run))
    return comparison


def concluded(folder: Path, accuracy: Accuracy = learns, **compare: Any) -> dict[str, Any]:
    comparison = begun(folder, **compare)
    fill(comparison, accuracy)
    return conclude(comparison)
