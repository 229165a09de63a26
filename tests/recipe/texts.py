"""The least that a recipe must say, as text."""

from __future__ import annotations

SECTIONS = {"name": "x", "model": "{path: a/b}", "data": "{path: c/d}", "algo": "{type: grpo}", "tune": "{type: lora}"}


def recipe_text(**sections: str | None) -> str:
    """A recipe of one line a section: name, model, data, algo and tune on lines 1 to 5; None leaves one out."""
    lines = SECTIONS | sections
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
