"""RL-9: parameters for nine tenths of the gain, read from comparisons in which those are known."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings import needed
from rltk.errors import UserError
from tests.compare import made

LAST = "3.self_attn"
ARMS: dict[str, Any] = {
    "v": {"tune": {"type": "lora", "rank": 1, "targets": [f"{LAST}.v_proj"]}},
    "qv": {"tune": {"type": "lora", "rank": 1, "targets": [f"{LAST}.q_proj", f"{LAST}.v_proj"]}},
    "lora-1": "lora-1",
    "lora-8": "lora-8",
    "full": "full",
}
SIZES = [384, 896, 19_456, 155_648]
"""Parameters of the adapters: 256 + 128, and 256 + 256 more, on a model 256 wide."""
Shares = Mapping[str, float]
ENOUGH = {"v": 1.0, "qv": 1.0, "lora-1": 1.0, "lora-8": 1.0}
LATE = {"v": 0.1, "qv": 0.2, "lora-1": 0.95, "lora-8": 1.0}
NEVER = {"v": 0.1, "qv": 0.2, "lora-1": 0.5, "lora-8": 0.7}


def share(run: Planned, shares: Shares) -> float:
    if run.arm == CONTROL:
        return 0.0
    return shares.get(run.arm, 1.0) + random.Random(run.id).uniform(-0.01, 0.01)


def reinforced(folder: Path, shares: Shares) -> Evidence:
    comparison = made.begun(folder, arms=ARMS, confirmation_seeds=3, tuning_seeds=1)
    made.fill(comparison, lambda run: made.START + 0.6 * share(run, shares))
    return Evidence(comparison)


def supervised(folder: Path, shares: Shares) -> Evidence:
    """Judged by the loss, of which less is better."""
    comparison = made.supervised(folder, arms=ARMS, margin={"value": 0.05})
    made.fill(comparison, lambda run: made.START_LOSS - 0.6 * share(run, shares))
    return Evidence(comparison)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return reinforced(tmp_path_factory.mktemp("few"), ENOUGH)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return supervised(tmp_path_factory.mktemp("many"), LATE)


def test_what_supervision_needs_more_of_is_told(few: Evidence, many: Evidence) -> None:
    found = needed.fewer_parameters([many, few])
    assert found.verdict == "reproduced", found.summary
    assert found.details["supervised"]["parameters"] == SIZES
    assert found.details["supervised"]["shares"] == pytest.approx(list(LATE.values()), abs=0.03)
    # 0.9 lies 14/15 of the way from 0.2 at 896 to 0.95 at 19,456, on a scale of logarithms.
    assert found.value == pytest.approx(896 * (19_456 / 896) ** (14 / 15) / 384, rel=0.1)
    assert found.interval is not None and found.interval[0] > 10 and "384 or fewer" in found.summary


def test_the_other_way_round_refutes_it(tmp_path: Path) -> None:
    found = needed.fewer_parameters([reinforced(tmp_path / "r", LATE), supervised(tmp_path / "s", ENOUGH)])
    assert found.verdict == "not reproduced" and found.interval is not None and found.interval[1] < 10, found.summary


def test_what_was_never_reached_has_no_number(few: Evidence, tmp_path: Path) -> None:
    found = needed.fewer_parameters([few, supervised(tmp_path / "never", NEVER)])
    assert found.value is None and found.verdict == "reproduced" and "more than 155,648" in found.summary
    neither = needed.fewer_parameters([reinforced(tmp_path / "r", NEVER), supervised(tmp_path / "s", NEVER)])
    assert neither.verdict == "inconclusive", neither.summary
    both = needed.fewer_parameters([few, supervised(tmp_path / "both", ENOUGH)])
    assert both.verdict == "inconclusive", "either might do with fewer yet"


def test_comparisons_of_one_kind_and_gains_of_nothing_are_refused(few: Evidence, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one comparison of reinforcement learning and one of SFT"):
        needed.fewer_parameters([few, few])
    worse = supervised(tmp_path, dict.fromkeys(ARMS, -1.0))
    with pytest.raises(UserError, match="full fine-tuning gained nothing in"):
        needed.fewer_parameters([few, worse])
