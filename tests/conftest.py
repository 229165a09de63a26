"""Fixtures that every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forks

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real datasets beside the checkout, laid out as on the hub; skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"REAL DATA NOT FOUND: expected {SHARED_DATA} (hub layout, such as openai/gsm8k/main/*.parquet)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def guesser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a tiny policy that learns something within a few steps."""
    from tests import runs

    return runs.guesser(tmp_path_factory.mktemp("guesser"), tie_word_embeddings=True)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """One process that has imported torch, and forks for all tests that end runs, or start several together."""
    with Forks() as forks:
        yield forks


@pytest.fixture
def patient_checker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mathematical answers have minutes: what is right is asked, and a busy machine must not fail the test."""
    from rltk_eval.pool import Checker

    with Checker(seconds=600) as checker:
        monkeypatch.setattr("rltk_eval.answers._CHECKER", checker)
        yield
