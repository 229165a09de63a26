"""Fixtures of serving."""

from pathlib import Path

import pytest

from tests.serving import made


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base and four adapters of it, by name."""
    return made.family(tmp_path_factory.mktemp("family"))
