"""What is known about LoRA and full fine-tuning, with the grade of its evidence: `advice.yaml` is the text."""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

Grade = Literal["measured", "documented", "contested", "folklore"]
FILE = Path(__file__).parent / "advice.yaml"
MEANINGS: dict[Grade, str] = {
    "measured": "measured here",
    "documented": "a primary source has the data",
    "contested": "sources disagree",
    "folklore": "widely repeated, without a primary source",
}


class Advice(NamedTuple):
    about: str
    grade: Grade
    says: str
    source: str
    tune: str | None = None
    """lora or full where it applies to one of them alone."""
    algos: tuple[str, ...] = ()
    """Where it applies; none: everywhere."""


@cache
def all_advice() -> tuple[Advice, ...]:
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Advice(**row | {"algos": tuple(row.get("algos", ()))}) for row in rows)


def advice_for(algo: str, tune: str) -> list[Advice]:
    return [one for one in all_advice() if (not one.algos or algo in one.algos) and one.tune in (None, tune)]
