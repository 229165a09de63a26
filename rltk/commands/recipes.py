"""`rltk recipes`: the recipes that come with rltk, what each is for, and the text of one to start from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rltk.recipe.locate import shipped_recipe, shipped_recipes, shown


def recipes(args: argparse.Namespace) -> None:
    if args.name:
        print_one(args.name, args.json)
    elif args.json:
        print(json.dumps([describe(path) for path in shipped_recipes().values()], indent=2))
    else:
        print_table()


def print_one(name: str, as_json: bool) -> None:
    path = shipped_recipe(name)
    text = path.read_text(encoding="utf-8")
    print(json.dumps(describe(path) | {"text": text}, indent=2) if as_json else text, end="\n" if as_json else "")


def print_table() -> None:
    paths = shipped_recipes()
    width = max(map(len, paths), default=0)
    for name, path in paths.items():
        print(f"{name:{width}}  {describe(path)['about']}")


def describe(path: Path) -> dict[str, str]:
    return {"name": path.stem, "path": shown(path), "about": first_comment(path.read_text(encoding="utf-8"))}


def first_comment(text: str) -> str:
    """The first line of a recipe's header."""
    lines = (line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#"))
    return next(filter(None, lines), "")
