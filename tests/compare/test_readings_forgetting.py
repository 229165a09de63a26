"""FG-1, from runs whose scores on a second task are known."""

import json
import random
from pathlib import Path

import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings.forgetting import forgets_less
from rltk.errors import UserError
from tests.compare import made

SECOND = "equations"


def trained(folder: Path, *, lora: float, full: float, learned: float = 0.8) -> Evidence:
    """What is left of the second task is `lora` and `full`; LoRA learned this much of the first, and full 0.8."""

    def scored(run: Planned) -> float:
        if run.arm == CONTROL:
            return made.START + 0.02
        return (0.8 if run.arm == "full" else learned) + random.Random(run.id).choice((-0.02, 0.0, 0.02))

    comparison = made.begun(folder, confirmation_seeds=4)
    for run in made.fill(comparison, scored).confirmation:
        path = comparison.folder(run) / "scores.json"
        scores = json.loads(path.read_text())
        left = (full if run.arm == "full" else lora) + random.Random(run.id).uniform(-0.01, 0.01)
        for when, score in (("before", 0.6), ("after", left)):
            if when in scores:
                scores[when][SECOND] = {"accuracy": score}
        path.write_text(json.dumps(scores))
    return Evidence(comparison)


@pytest.mark.parametrize(
    ("lora", "full", "learned", "verdict"),
    [
        (0.5, 0.4, 0.8, "reproduced"),
        (0.4, 0.5, 0.8, "not reproduced"),
        (0.45, 0.45, 0.8, "inconclusive"),
        (0.5, 0.4, 0.6, "inconclusive"),  # it learned less, too
        (0.4, 0.5, 1.0, "inconclusive"),  # it learned more, too
        (0.5, 0.4, 1.0, "reproduced"),
    ],
)
def test_what_is_left_counts_where_as_much_was_learned(
    tmp_path: Path, lora: float, full: float, learned: float, verdict: str
) -> None:
    found = forgets_less([trained(tmp_path, lora=lora, full=full, learned=learned)])
    assert found.verdict == verdict, found.summary
    assert found.value == pytest.approx(lora - full, abs=0.02)
    assert "60.0% before" in found.summary


def test_runs_without_a_second_task_are_refused(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, confirmation_seeds=2)
    made.fill(comparison)
    with pytest.raises(UserError, match=r"comparison have no score of a second task after training"):
        forgets_less([Evidence(comparison)])
