"""What the user's own code raises, as one sentence that names its file and line."""

import traceback
from pathlib import Path
from types import TracebackType

from rltk.errors import OwnRewardError, UserError
from rltk.recipe.locate import expanded

MOST = 200
"""Characters of what was raised that are told."""


class Blaming:
    """Within it runs the user's code and nothing else, so that all that is raised is the user's to put right.

    A context manager rather than a blind `except`: interrupts pass, and what we raise ourselves passes as it is.
    """

    def __init__(self, begins: str, path: str, where: str = "") -> None:
        self.begins, self.path, self.where = begins, path, where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, UserError):
            at = f" at {self.where}" if self.where else ""
            raise OwnRewardError(f"{self.begins}: {told(error, self.path)}{at}.") from error


def told(error: BaseException, path: str) -> str:
    """`my_rewards.py line 4 (return 1 / len(words)) raised ZeroDivisionError: division by zero`."""
    if isinstance(error, SyntaxError) and error.filename is not None and is_same(error.filename, path):
        return f"{path} line {error.lineno} is not Python: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_same(frame.filename, path)]
    line = f" line {frames[-1].lineno} ({frames[-1].line})" if frames else ""
    said = str(error).strip().partition("\n")[0][:MOST].removesuffix(".")
    return f"{path}{line} raised {type(error).__name__}{f': {said}' if said else ''}"


def is_same(filename: str, path: str) -> bool:
    return Path(filename) == expanded(path).resolve()
