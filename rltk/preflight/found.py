"""What a look at data, template or disk found."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

EXAMPLES = 5


class Found(NamedTuple):
    level: Literal["error", "warning", "note"]
    """A run refuses to start on an error, goes on after a warning, and may be glad of a note."""
    what: str
    """A sentence."""
    number: int = 0
    """Rows that it concerns."""
    examples: tuple[str, ...] = ()
    """Ids of rows, the first few."""
    kind: str = ""
    """For programs."""

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "what": self.what,
            "count": self.number,
            "examples": list(self.examples),
            "kind": self.kind,
        }

    def __str__(self) -> str:
        named = (
            f" ({', '.join(self.examples)}{', ...' if self.number > len(self.examples) else ''})"
            if self.examples
            else ""
        )
        return f"{self.level:7}  {self.what}{named}"


def of_rows(level: Literal["error", "warning", "note"], kind: str, what: str, ids: Sequence[str]) -> list[Found]:
    """Nothing where no row is concerned; `what` follows the count."""
    if not ids:
        return []
    return [Found(level, f"{len(ids):,} {what}", len(ids), tuple(ids[:EXAMPLES]), kind)]


class Shown(NamedTuple):
    """A row as training will see it."""

    id: str
    text: str
    tokens: int
    answer: str
    """Empty where there is none to compare with."""


class Looked(NamedTuple):
    rows: list[Shown]
    found: list[Found]
    lengths: list[int]
    """Tokens of every prompt, or of the longer side of every pair."""
