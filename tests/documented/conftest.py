"""Runs that documented commands name, made once; and a page tried with them, in a folder of its own."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from rltk.cli import main
from tests.documented.rules import PAIRS, SAMPLED
from tests.documented.tried import TryPage, small_words, tried


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run of a policy, one of a reward model, and another of each."""
    folder = tmp_path_factory.mktemp("trained")
    made = {"policy": ("gsm8k_grpo", SAMPLED), "reward": ("hh_reward_model", PAIRS)}
    for name, (recipe, small) in made.items():
        assert main(["train", recipe, *small_words(small), "--run", str(folder / name), "--quiet"]) == 0
        shutil.copytree(folder / name, folder / f"other_{name}")
    return {name: str(folder / name) for name in (*made, *(f"other_{name}" for name in made))}


@pytest.fixture
def try_page(
    trained: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> TryPage:
    return partial(tried, trained=trained, folder=tmp_path, monkeypatch=monkeypatch, capfd=capfd)
