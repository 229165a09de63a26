"""RL-10: one comparison for each density of rewards, with accuracies that we choose."""

from pathlib import Path

import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.readings.densities import equivalent_throughout
from rltk.recipe.schema import Recipe
from tests.compare import made

DENSITIES = {
    "answer": {},
    "steps": {"answer": {"type": "answer"}, "steps": {"type": "solution"}},
    "words": {"answer": {"type": "answer"}, "words": {"type": "solution", "by": "words"}},
}


def evidence(folder: Path, accuracies: dict[str, float], spread: float = 0.02) -> list[Evidence]:
    """In each comparison LoRA scores so, and full fine-tuning 0.8."""
    found = []
    for name, accuracy in accuracies.items():
        values = made.recipe(folder / name).model_dump(mode="json", exclude_unset=True) | {"rewards": DENSITIES[name]}
        comparison = made.begun_of(folder / name, Recipe.model_validate(values))
        made.fill(comparison, made.lora_at(accuracy, spread))
        found.append(Evidence(comparison))
    return found


def test_all_must_be_equivalent(tmp_path: Path) -> None:
    outcome = equivalent_throughout(evidence(tmp_path, {"answer": 0.8, "steps": 0.81, "words": 0.79}))
    assert outcome.verdict == "reproduced" and list(outcome.details) == [
        "answer",
        "answer and steps",
        "answer and words",
    ]
    assert outcome.value is not None and outcome.interval is not None and outcome.interval[0] < outcome.value < 0.02
    assert "rewards for answer and steps: lora-2 +" in outcome.summary


@pytest.mark.parametrize(("words", "spread", "verdict"), [(0.5, 0.02, "not reproduced"), (0.72, 0.1, "inconclusive")])
def test_one_that_is_not_decides(words: float, spread: float, verdict: str, tmp_path: Path) -> None:
    found = evidence(tmp_path, {"answer": 0.8, "steps": 0.8})
    outcome = equivalent_throughout([*found, *evidence(tmp_path, {"words": words}, spread)])
    assert outcome.verdict == verdict
    assert outcome.value == pytest.approx(words - 0.8, abs=0.08)
