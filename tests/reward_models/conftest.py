"""Reward models that several tests read and none changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny
from tests.reward_models import models
from tests.reward_models.processes import Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


@pytest.fixture(scope="session")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.whole(tmp_path_factory.mktemp("reward-model") / "tiny-reward")


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("policy") / "tiny-policy", "llama")


@pytest.fixture(scope="session")
def reward_adapter(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.adapter(tmp_path_factory.mktemp("reward-adapter") / "tiny-adapter", policy)
