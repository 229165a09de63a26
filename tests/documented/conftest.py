"""Runs that documented commands name, made once."""

import shutil

import pytest

from rltk.cli import main
from tests.documented.rules import PAIRS, SAMPLED
from tests.documented.tried import small_words


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run of a policy, one of a reward model, and another of each."""
    folder = tmp_path_factory.mktemp("trained")
    made = {"policy": ("gsm8k_grpo", SAMPLED), "reward": ("hh_reward_model", PAIRS)}
    for name, (recipe, small) in made.items():
        assert main(["train", recipe, *small_words(small), "--run", str(folder / name), "--quiet"]) == 0
        shutil.copytree(folder / name, folder / f"other_{name}")
    return {name: str(folder / name) for name in (*made, *(f"other_{name}" for name in made))}
