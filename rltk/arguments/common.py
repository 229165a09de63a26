"""Arguments that commands of several families take."""

from __future__ import annotations

import argparse


def add_recipe(parser: argparse.ArgumentParser, metavar: str = "RECIPE", also: str = "") -> None:
    parser.add_argument("recipe", metavar=metavar, help=f"a recipe file, or a name that `rltk recipes` lists{also}")
    parser.add_argument("overrides", metavar="key=value", nargs="*", default=[], help="such as optim.lr=1e-5")
    profiles = "lay this profile of the recipe over it; auto (default): laptop where no accelerator is visible; none"
    parser.add_argument("--profile", metavar="NAME", default="auto", help=profiles)


def add_quiet(parser: argparse.ArgumentParser, of: str = "") -> None:
    parser.add_argument("--quiet", action="store_true", help=f"{of}print the result only")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON")
