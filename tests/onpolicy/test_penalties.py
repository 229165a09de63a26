"""PPO's penalty for a missing stop token against the rewards beside it: said once, and only where it drowns them."""

from pathlib import Path

import pytest

from rltk.cli import main
from rltk.onpolicy.penalties import outweighed
from rltk.recipe.schema import GRPO, PPO
from rltk.run.folder import Metrics
from tests import runs

FINED = PPO(missing_stop_penalty=1.0)


def row(step: int, std: float | None, truncated: float) -> Metrics:
    return {"step": step, "reward_std": std, "truncated": truncated}


def test_a_penalty_that_says_more_than_the_rewards_is_told_once() -> None:
    loud = row(1, 0.1, 0.5)  # spreads of 0.5 and 0.1
    said = outweighed([loud], FINED)
    assert said is not None and said.startswith("step 1: rewards differ by 0.1 (their standard deviation), and the 50%")
    assert outweighed([row(1, 0.2, 0.5), row(2, 0.1, 0.5)], FINED) is not None
    assert outweighed([loud, row(2, 0.1, 0.5)], FINED) is None
    assert outweighed([{"step": 1, "truncated": 0.5}, row(2, 0.1, 0.5)], FINED) is not None


@pytest.mark.parametrize(
    "quiet", [row(1, 0.2, 0.5), row(1, 0.1, 0.0), row(1, 0.1, 1.0), row(1, 0.0, 0.5), row(1, None, 0.5)]
)
def test_otherwise_nothing_is_said(quiet: Metrics) -> None:
    """Rewards that all are equal differ at some later step; None stands for nan."""
    assert outweighed([quiet], FINED) is None


def test_there_is_none_without_a_penalty() -> None:
    assert outweighed([row(1, 0.1, 0.5)], PPO()) is None and outweighed([row(1, 0.1, 0.5)], GRPO()) is None


@pytest.mark.parametrize(("penalty", "is_told"), [(20.0, True), (0.01, False)])
def test_a_run_says_it(
    penalty: float, is_told: bool, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "brief.py").write_text("def brief(problem, completion):\n    return -len(completion) / 100\n")
    recipe = runs.write_recipe(
        tmp_path,
        guesser,
        rewards={"brief": {"path": str(tmp_path / "brief.py")}},
        algo={"type": "ppo", "missing_stop_penalty": penalty},
        optim={"steps": 2, "lr": 0.001},
        eval={"limit": 2, "samples": 0},
    )
    assert main(["train", str(recipe), "--run", str(tmp_path / "run")]) == 0
    printed = capfd.readouterr()
    assert ((printed.out + printed.err).count("will learn to stop before anything else") == 1) == is_told
    rows = runs.rows(tmp_path / "run" / "metrics.jsonl")
    assert all(0 < row["truncated"] < 1 and row["reward_std"] > 0 for row in rows)
