"""One process that forks for all tests of faults."""

from collections.abc import Iterator

import pytest

from tests.forks import Forks


@pytest.fixture(scope="package")
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks
