"""Recipes written to a folder of their own, which is the current one, so that messages begin with x.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rltk.errors import RecipeError
from rltk.recipe import Loaded, load_recipe


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loaded]:
    """Loads a recipe from its text; no profile unless one is asked for."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str, profile: str = "none") -> Loaded:
        Path("x.yaml").write_text(text, encoding="utf-8")
        return load_recipe("x.yaml", overrides, profile)

    return load


@pytest.fixture
def refused(load: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """The sentences with which a recipe is refused."""

    def refused(text: str, *overrides: str, profile: str = "none") -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load(text, *overrides, profile=profile)
        return str(caught.value).split("\n")

    return refused
