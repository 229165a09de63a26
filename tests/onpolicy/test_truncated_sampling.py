"""A run that samples from a truncated distribution says so; nothing that it measures would show it."""

from pathlib import Path
from typing import Any

import pytest

from rltk.onpolicy.session import OnPolicyWork
from rltk.run.plan import Plan
from tests.recipes import recipe


def notes(folder: Path, **rollout: Any) -> list[str]:
    """What the run says before it loads weights."""
    return list(OnPolicyWork(Plan(recipe(rollout=rollout), folder / "run", False, None, ())).notes())


@pytest.mark.parametrize("engine", ["native", "generate"])
def test_keys_values_and_what_to_do_are_named(engine: str, tmp_path: Path) -> None:
    (said,) = notes(tmp_path, engine=engine, top_k=20, min_p=0.05)
    assert said.startswith("with rollout.top_k=20 and rollout.min_p=0.05 the likelier tokens alone are sampled")
    assert said.endswith("set rollout.top_k=0 and rollout.min_p=0 unless that is meant")
    (said,) = notes(tmp_path, engine=engine, top_p=0.9)
    assert said.startswith("with rollout.top_p=0.9 ") and said.endswith("set rollout.top_p=1 unless that is meant")


def test_another_temperature_is_what_trains_and_not_worth_a_word(tmp_path: Path) -> None:
    assert notes(tmp_path, temperature=0.7) == []
