"""CAP-3, CAP-4, CAP-5, RANK-1 and SC-3, from curves and losses that are known."""

from collections.abc import Callable
from math import inf, log10
from pathlib import Path

import numpy as np
import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.readings import falling, lines, room
from rltk.errors import UserError
from rltk.recipe.schema import LoRA
from rltk.run.atomic import write_jsonl
from tests.compare import made

A_RANK = 19_456
"""Parameters of rank 1 on all linear layers of the embedded policy."""
TOKENS = 5_000
"""A step."""
Curve = Callable[[Planned, int], float]


def rank(run: Planned) -> int:
    return run.recipe.tune.rank if isinstance(run.recipe.tune, LoRA) else 0


def loss(run: Planned) -> float:
    """At any rate: rank 1 ends 4 % above full fine-tuning, rank 2 2 %, 4 and 8 0.5 %; the control learns nothing."""
    if run.arm == CONTROL:
        return 0.98
    seed = 0.0001 * (run.seed % 3)
    return 0.5 * (1 + {0: 0.0, 1: 0.04, 2: 0.02, 4: 0.005, 8: 0.005}[rank(run)]) + seed * (1 + rank(run))


def log(comparison: Comparison, run: Planned, curve: Curve) -> None:
    seconds = 0.5 + 0.1 * (rank(run) == 8)
    rows = [
        {"step": step, "loss": 1.0, "heldout_loss": curve(run, step), "tokens": TOKENS, "seconds": seconds}
        for step in range(1, run.recipe.optim.steps + 1)
    ]
    write_jsonl(comparison.folder(run) / "metrics.jsonl", rows)


def filled(
    folder: Path, curve: Curve, arms: tuple[str, ...] = ("lora-1", "lora-2", "lora-4", "lora-8", "full")
) -> Evidence:
    comparison = made.supervised(folder, arms=arms, margin={"value": 0.05})
    for run in made.fill(comparison, loss).confirmation:
        log(comparison, run, curve)
    return Evidence(comparison)


def steep(run: Planned, step: int) -> float:
    """A tenth of a nat a tenfold of steps at rank 1, three elsewhere; seeds differ in slope and in small wiggles."""
    slope, spread = (0.1, 0.005) if rank(run) == 1 else (0.3, 0.008)
    slope += spread * (run.seed % 3 - 1)
    return 1 - slope * log10(step) + 0.001 * (-1) ** (step + run.seed)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return filled(tmp_path_factory.mktemp("capacity"), steep)


def test_slopes_and_straightness_are_least_squares() -> None:
    x = np.array([-1.0, 0.0, 1.0])
    curves = np.array([[1.0, 3.0, 5.0], [1.0, 0.0, 1.0], [0.0, 0.0, 3.0], [2.0, 2.0, 2.0]])
    assert lines.slopes_S(x, curves) == pytest.approx([2, 0, 1.5, 0])
    found = lines.straightness_S(x, curves)
    assert found[:3] == pytest.approx([1, 0, 0.75]) and np.isnan(found[3])


def test_a_rank_that_fell_behind_goes_on_learning(evidence: Evidence) -> None:
    found = falling.no_floor([evidence])
    assert found.verdict == "reproduced" and list(found.details["slopes"]) == ["lora-1"], found.summary
    assert found.value == pytest.approx(-0.1, abs=0.005) and found.details["less_reference"]["lora-1"][0] > 0.19
    falls, slower = {"a": (-0.1, -0.2, -0.05)}, {"a": (0.2, 0.1, 0.3)}
    assert falling.floor_verdict(falls, {"a": (-0.2, -0.3, -0.1)}) == "not reproduced"
    assert falling.floor_verdict({"a": (0.1, 0.05, 0.2)}, slower) == "not reproduced"
    assert falling.floor_verdict({"a": (-0.1, -0.2, 0.05)}, slower) == "inconclusive"


def test_where_no_rank_falls_behind_there_is_nothing_to_say(tmp_path: Path) -> None:
    alike = filled(tmp_path, lambda run, step: 1 - 0.3 * log10(step), ("lora-1", "full"))
    found = falling.no_floor([alike])
    assert found.verdict == "inconclusive" and found.summary.startswith("no arm is beyond its capacity")


def test_a_line_over_log_step_is_told_from_a_bend(evidence: Evidence) -> None:
    found = falling.straight([evidence])
    assert found.verdict == "reproduced" and set(found.details["r2"]) == {"full", "lora-8"}, found.summary
    assert falling.straight_verdict({"full": (0.95, 0.94, 0.96)}) == "not reproduced"
    assert falling.straight_verdict({"full": (0.98, 0.96, 1.0)}) == "inconclusive"
    steps = np.arange(1.0, 17)
    bent = falling.foretold(steps, 0.5 + steps**-0.8)
    assert bent["power_law"] < 1e-3 < bent["line"]
    line = falling.foretold(steps, 2 - 0.5 * np.log10(steps))
    assert line["line"] < 1e-9 < line["power_law"]


def test_curves_of_few_evaluations_are_refused(evidence: Evidence, tmp_path: Path) -> None:
    short = made.supervised(tmp_path, steps=4, arms=("lora-1", "full"))
    for run in made.fill(short, loss).confirmation:
        log(short, run, steep)
    with pytest.raises(UserError, match=r"logged heldout_loss at 4 steps, and 6 are needed; .* smaller eval\.every"):
        falling.straight([Evidence(short)])


def test_enough_parameters_are_found_between_the_ratios() -> None:
    """From 2 % at ratio 1 to 0.5 % at ratio 2, 1 % lies two thirds of the way on a logarithmic axis."""
    ratios = np.array([0.5, 1.0, 2.0, 4.0])
    assert room.enough(ratios, np.array([0.04, 0.02, 0.005, 0.0])) == pytest.approx(2 ** (2 / 3))
    assert room.enough(ratios, np.array([0.04, 0.0, 0.02, 0.0])) == pytest.approx(1.0), "the two are pooled at 1 %"
    assert room.enough(ratios, np.array([0.009, 0.0, 0.0, 0.0])) == 0.5
    assert room.enough(ratios, np.array([0.04, 0.03, 0.03, 0.02])) == inf
    assert room.enough_verdict(0.8, (0.5, 1.9), least_tried=0.5) == "reproduced"
    assert room.enough_verdict(0.8, (0.5, 2.1), least_tried=0.5) == "inconclusive"
    assert room.enough_verdict(1.6, (1.1, 3.0), least_tried=0.5) == "not reproduced"
    assert room.enough_verdict(3.0, (3.0, 3.0), least_tried=3.0) == "inconclusive", "of fewer nothing is known"


def test_parameters_are_counted_against_the_tokens_learned_from(evidence: Evidence) -> None:
    found = room.parameters_a_token([evidence])
    assert found.details["tokens"] == 8 * TOKENS
    assert found.details["ratios"]["lora-2"] == pytest.approx(2 * A_RANK / (8 * TOKENS))
    assert found.details["gaps"]["lora-1"] == pytest.approx(0.04, abs=0.001)
    assert found.value == pytest.approx(2 ** (2 / 3) * 2 * A_RANK / (8 * TOKENS), rel=0.05), found.summary
    assert found.verdict == "not reproduced", "1.5 parameters a token, with little spread"


def test_a_doubling_of_the_rank_is_priced(evidence: Evidence) -> None:
    """From 0.52 to 0.51 is 1.9 % of the loss; from rank 4 to 8 nothing."""
    found = room.doublings([evidence])
    gains = found.details["gains"]
    assert list(gains) == ["lora-1 to lora-2", "lora-2 to lora-4", "lora-4 to lora-8"] and found.verdict == "reported"
    assert gains["lora-1 to lora-2"][0] == pytest.approx(0.01 / 0.52, rel=0.02)
    assert found.value == pytest.approx(0, abs=0.002)
    assert found.details["seconds_over_reference"]["lora-8"] == pytest.approx(0.6 / 0.5)
    assert found.details["parameters_over_reference"]["lora-8"] == pytest.approx(8 * A_RANK / 3_476_224)


def test_the_exponent_of_the_rank_is_that_of_the_law(tmp_path: Path) -> None:
    def law(run: Planned, step: int) -> float:
        return 0.3 + 0.5 / max(1, rank(run)) ** (0.04 + 0.001 * (run.seed % 3)) * (4 * step) ** -0.3

    found = room.rank_exponent([filled(tmp_path, law, ("lora-1", "lora-2", "lora-8", "full"))])
    assert found.value == pytest.approx(0.041, abs=0.003) and found.verdict == "reported"
    assert found.interval is not None and found.interval[0] < 0.041 < found.interval[1]
    assert found.details["floors"] == pytest.approx([0.3] * 3, abs=0.02)
