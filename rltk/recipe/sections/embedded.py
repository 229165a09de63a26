"""What comes with rltk: paths that begin with embedded/, and the refusal of those that do not exist."""

from __future__ import annotations

from collections.abc import Sequence

from rltk.errors import suggestion
from rltk.recipe.fields import broken_rule

EMBEDDED = "embedded/"


def refuse_unknown_embedded(path: str, known: Sequence[str]) -> None:
    if path.startswith(EMBEDDED) and path not in known:
        ending = suggestion(path, known, otherwise="choose")
        raise broken_rule(f"does not come with rltk; {ending}", "path")
