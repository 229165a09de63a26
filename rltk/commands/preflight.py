"""`rltk check --data`: rows as training will see them, and what is odd about data, chat template and disk."""

import json
import statistics
from typing import Any

from rltk.models.quiet import quiet_libraries
from rltk.preflight.found import Looked, Shown
from rltk.preflight.look import look
from rltk.recipe import Loaded
from rltk.recipe.locate import shown

NOT_READY = 1
"""Exit status where a run would refuse to start."""
WIDTH = 100
"""Characters of a row that are shown."""


def preflight(loaded: Loaded, for_programs: dict[str, Any] | None) -> int:
    """0 unless there is an error; `for_programs` is what `rltk check --json` answers, to be added to."""
    quiet_libraries()
    looked = look(loaded.recipe)
    is_ready = all(found.level != "error" for found in looked.found)
    if for_programs is not None:
        print(json.dumps(for_programs | {"ok": is_ready, "data": as_json(looked)}, indent=2))
    else:
        print(
            "\n".join([f"recipe   {shown(loaded.source)}", *loaded.notes, *for_people(looked), "ok" * is_ready]).strip()
        )
    return 0 if is_ready else NOT_READY


def as_json(looked: Looked) -> dict[str, Any]:
    return {
        "rows": len(looked.lengths),
        "tokens": dict(zip(("least", "median", "most"), spread(looked), strict=True)),
        "shown": [row._asdict() for row in looked.rows],
        "found": [found.to_json() for found in looked.found],
    }


def for_people(looked: Looked) -> list[str]:
    least, middle, most = spread(looked)
    rows = [line for row in looked.rows for line in row_lines(row)]
    tokens = f"{len(looked.lengths):,} training rows of {least} to {most} tokens, the median {middle:g}"
    return ["as training will see them:", *rows, tokens, *map(str, looked.found)]


def row_lines(row: Shown) -> list[str]:
    answer = [f"    -> {shortened(row.answer)}"] if row.answer else []
    return [f"  {row.id}, {row.tokens} tokens: {shortened(row.text)}", *answer]


def shortened(text: str) -> str:
    """On one line with its line breaks visible, the middle left out."""
    line = text.encode("unicode_escape").decode("ascii") if "\n" in text or not text.isascii() else text
    return line if len(line) <= 2 * WIDTH else f"{line[:WIDTH]} ... {line[-WIDTH:]}"


def spread(looked: Looked) -> tuple[int, float, int]:
    return min(looked.lengths), statistics.median(looked.lengths), max(looked.lengths)
