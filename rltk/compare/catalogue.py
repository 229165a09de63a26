"""The catalogue of findings: what the literature says of LoRA against full fine-tuning, and how to measure it here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from rltk.errors import UserError, suggestion
from rltk.recipe.fields import Section, Text

FOLDER = Path(__file__).parent / "findings"
Profile = Literal["laptop", "gpu"]


class Function(Section):
    """Measured by a function of rltk.compare.experiments."""

    type: Literal["function"]
    name: Text
    laptop: dict[str, Any]
    """Settings where there is no accelerator, beside the function's own defaults."""
    gpu: dict[str, Any]


Overrides = tuple[Text, ...]
"""Of a recipe, as on the command line."""


class Variants(Section):
    """A comparison for each of these overrides, laid over the others; none: one comparison."""

    laptop: tuple[Overrides, ...] = ()
    gpu: tuple[Overrides, ...] = ()


class ComparisonOf(Section):
    """Measured by `rltk compare`, from many runs."""

    type: Literal["comparison"]
    recipe: Text | tuple[Text, ...]
    """Several: a comparison of each."""
    reading: Text
    """Function of rltk.compare.readings that makes a result of them."""
    laptop: Overrides
    gpu: Overrides
    each: Variants = Variants()

    @property
    def recipes(self) -> tuple[str, ...]:
        return (self.recipe,) if isinstance(self.recipe, str) else self.recipe

    def overrides(self, profile: Profile) -> Overrides:
        return self.laptop if profile == "laptop" else self.gpu

    def variants(self, profile: Profile) -> tuple[Overrides, ...]:
        return self.each.laptop if profile == "laptop" else self.each.gpu


class Reanalysis(Section):
    """Read from the runs that measure another finding."""

    type: Literal["reanalysis"]
    of: Text
    reading: Text
    not_on_laptop: Text | None = None
    """Where only a GPU's runs can be read: why, and what it takes, as the end of a sentence."""


class Finding(Section):
    id: Annotated[str, Field(pattern=r"^[A-Z]+-\d+$")]
    tier: Literal[0, 1, 2]
    """0: exact and quick, checked by CI; 1: the documented equivalence itself; 2: the rest."""
    claim: Text
    status: Literal["documented", "contested", "folklore", "extension"]
    """folklore: often said, without a primary source; extension: nobody has published it."""
    grade: Literal["exact", "qualitative", "uncertain"]
    """What may be expected of small models: the same number, the same trend, or neither."""
    source: Text
    reference: Text
    """The documented value."""
    measure: Text
    """What is measured, and by which statistic."""
    rule: Text
    """When it counts as reproduced."""
    experiment: Annotated[Function | ComparisonOf | Reanalysis, Field(discriminator="type")]


def load_catalogue() -> dict[str, Finding]:
    """All findings by id, in the order in which they are read: the exact ones first."""
    files = sorted(FOLDER.glob("*.yaml"), key=lambda path: (path.stem != "identities", path.stem))
    rows = [row for path in files for row in yaml.safe_load(path.read_text(encoding="utf-8"))]
    findings = [Finding.model_validate(row) for row in rows]
    assert len({finding.id for finding in findings}) == len(findings), "an id stands for one finding"
    return {finding.id: finding for finding in findings}


def choose(ids: Sequence[str], tier: int | None, catalogue: dict[str, Finding]) -> list[Finding]:
    """The findings of these ids and of this tier, each once."""
    for id in ids:
        if id not in catalogue:
            raise UserError(f"there is no finding {id}; {suggestion(id, list(catalogue), otherwise='they are')}")
    return [finding for id, finding in catalogue.items() if id in ids or finding.tier == tier]
