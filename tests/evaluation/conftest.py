"""`rltk eval` as a program and as a person call it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests import asked


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    return asked.answers("eval", capfd)


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return asked.refusals("eval", capfd)
