"""`rltk eval` as a program and as a person call it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rltk.cli import main


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def answer(*argv: object) -> Any:
        assert main(["eval", *map(str, argv), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return answer


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def refused(*argv: object) -> str:
        assert main(["eval", *map(str, argv)]) == 2
        printed = capfd.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        return printed.err.removeprefix("rltk: ").strip()

    return refused
