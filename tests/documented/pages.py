"""Commands and files of a page: blocks without a language or of `sh` are commands, those with a title are files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NO_PAGES = ("architecture", "results")
"""They tell of the code, not a reader what to type."""
README = "README.md"
PAGES = [
    README,
    *sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "docs").rglob("*.md")
        if not any(name in str(path.relative_to(ROOT)) for name in NO_PAGES)
    ),
]
"""README, tutorials and how-tos, in which every command is tried."""
TUTORIALS = [page for page in PAGES if page.startswith("docs/tutorial/")]
HOW_TOS = [page for page in PAGES if page not in (README, *TUTORIALS)]
VARIABLE = re.compile(r"[A-Z_]+=\S*")
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INNER = re.compile(r"\$\((.*)\)")


class Block(NamedTuple):
    language: str
    title: str
    text: str
    line: int


class Command(NamedTuple):
    place: str
    """Such as README.md:9."""
    text: str
    """As a shell has it, without comment and redirection."""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(match[1], match[2] or "", match[3], text.count("\n", 0, match.start()) + 1)


def files(page: str) -> dict[str, str]:
    """By title."""
    return {block.title: block.text for block in blocks(page) if block.title}


def commands(page: str) -> list[Command]:
    """In order; a block's comments, continued lines, `&&`, pipes and redirections are those of a shell."""
    found = []
    for block in blocks(page):
        if block.language in ("", "sh") and not block.title:
            for offset, line in enumerate(block.text.replace("\\\n", "  ").splitlines(), 1):
                found += [Command(f"{page}:{block.line + offset}", text) for text in simple_commands(line)]
    return found


def simple_commands(line: str) -> Iterator[str]:
    """What a line runs, one after the other; of a pipe only the first, and what `$(...)` holds in its place."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "&&"]:
        if word in ("&&", ";"):
            end = next((index for index, one in enumerate(words) if one in ("|", ">", "<", "&")), len(words))
            inner = INNER.fullmatch(words[-1]) if words else None
            start = next((index for index, one in enumerate(words) if not VARIABLE.fullmatch(one)), end)
            if words:
                yield inner[1] if inner else shlex.join(words[start:end])
            words = []
        else:
            words.append(word)
