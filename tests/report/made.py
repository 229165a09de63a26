"""Run folders for tests of pages: written as rltk writes them, with verdicts of its own checker."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rltk_eval.grading import Completion, Item, grade_items

from rltk.evaluation.items import Row, score_rows
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.run.atomic import write_jsonl
from rltk.run.folder import RunFolder
from tests.recipes import recipe

HOSTILE = "</script><script>document.title='gone'</script><img src=x onerror=alert(1)>{{ 7 * 7 }} #### 2"
GOLD = "2"
WHEN = ("before", "after")


def run(path: Path, completions: Mapping[str, Sequence[str]], *, steps: int = 4, **changes: Any) -> Path:
    """A finished run whose items were answered so, before and after; reward is 0.1 at step 1, 0.2 at step 2, ..."""
    folder, made = RunFolder(path), recipe(name="shown", optim={"steps": steps})
    folder.update_manifest(
        **{"name": "shown", "id": path.name, "status": "finished", "seed": 0, "recipe": resolved(made)}
        | {"recipe_hash": recipe_hash(made), "started": "2026-01-02T03:04:05+00:00", **changes}
    )
    rows = [{"step": step, "reward": step / 10, "truncated": 0.0, "kl": None} for step in range(1, steps + 1)]
    write_jsonl(path / "metrics.jsonl", rows)
    for when, texts in completions.items():
        graded = grade(texts)
        folder.write_items(f"{when}-sums", graded)
        folder.add_scores(when, {"sums": score_rows(graded, None, temperature=None)})
    return path


def grade(texts: Sequence[str]) -> list[Row]:
    items = [Item(f"test/{i}", f"What is {i} + {2 - i}?", GOLD) for i in range(len(texts))]
    results = grade_items(items, [[Completion(text, len(text), False)] for text in texts])
    return [{**result.to_json(), "decoding": "greedy"} for result in results]
