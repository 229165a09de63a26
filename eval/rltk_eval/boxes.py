r"""`\boxed{...}` in a text: nested braces, no braces (`\boxed 2`), several side by side."""

import re
from collections import deque
from typing import NamedTuple

MAX_WORD = 500
"""Characters of an answer without braces; bounds the work on hostile text."""

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*")
_JOINED = re.compile(r"[\s$.,;/&(){}]{0,20}(?:or|and)?[\s$,;(){}]{0,20}", re.IGNORECASE)
_BRACE = re.compile(r"[{}]")


class Box(NamedTuple):
    """`content` is None if the box never closes."""

    start: int
    content: str | None
    end: int


def last_boxes(text: str, most: int) -> list[Box]:
    r"""The last box and those side by side with it ("\boxed{3} or \boxed{4}"), at most `most`, in their order."""
    found = all_boxes(text, most)
    run = found[-1:]
    for box in reversed(found[:-1]):
        if box.content is None or _JOINED.fullmatch(text, box.end, run[0].start) is None:
            break
        run.insert(0, box)
    return run


def all_boxes(text: str, most: int) -> list[Box]:
    """The last `most` boxes wherever they stand, in their order."""
    return [_box(text, match) for match in deque(_BOXED.finditer(text), maxlen=most)]


def _box(text: str, match: re.Match[str]) -> Box:
    start = match.end()
    if not text.startswith("{", start):
        word = "".join(text[start : start + MAX_WORD].split(maxsplit=1)[:1])
        return Box(match.start(), word, start + len(word))
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return Box(match.start(), text[start + 1 : brace.start()], brace.end())
    return Box(match.start(), None, len(text))
