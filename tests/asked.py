"""A command as a program asks it, and the sentence with which it refuses a person."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rltk.cli import main


def answers(command: str, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What `rltk COMMAND ... --json` answers, having printed nothing else."""

    def answer(*argv: object) -> Any:
        capfd.readouterr()
        assert main([command, *map(str, argv), "--json"]) == 0
        printed = capfd.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)

    return answer


def refusals(command: str, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one sentence with which `rltk COMMAND ...` refuses, having said nothing else."""

    def refused(*argv: object) -> str:
        capfd.readouterr()
        assert main([command, *map(str, argv)]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("rltk: ") and printed.err.endswith("\n") and printed.err.count("\n") == 1
        return printed.err.removeprefix("rltk: ").strip()

    return refused
