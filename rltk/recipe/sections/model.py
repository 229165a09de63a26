"""The section `model`: the language model that is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rltk.recipe.fields import Flag, Section, Text, broken_rule
from rltk.recipe.locate import EMBEDDED_MODELS
from rltk.recipe.sections.embedded import EMBEDDED, refuse_unknown_embedded


class Model(Section):
    """The language model that is trained."""

    path: Text
    """A hub id, a local folder, or embedded/policy, the small policy that comes with rltk; embedded/policy-128 and
    embedded/policy-64 are narrower ones, which show what depends on size."""
    revision: Text | None = None
    """Branch, tag or commit of a hub model; null is its main branch."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the arithmetic and of frozen weights; weights that train are always float32. Where a recipe has none, a
    machine without a GPU whose processor has no instructions for bfloat16 takes float32."""
    quantize: Literal["nf4"] | None = None
    """Hold the frozen linear layers beside adapters in four bits (QLoRA, arXiv 2305.14314): a quarter of the memory,
    slower, and a base that is no longer quite the model. For LoRA alone; needs the extra rltk[quantize]."""
    gradient_checkpointing: Flag = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    trust_remote_code: Flag = False
    """Let the model's repository run its own Python here."""

    @model_validator(mode="after")
    def _embedded(self) -> Model:
        refuse_unknown_embedded(self.path, EMBEDDED_MODELS)
        if self.path.startswith(EMBEDDED) and self.revision is not None:
            raise broken_rule(f"has no meaning for {self.path}; set it to null", "revision", "path")
        return self
