"""Tokens of servers: a recipe names the file that holds one, and nothing that rltk writes ever has what is in it."""

from __future__ import annotations

from rltk.errors import UserError
from rltk.recipe.locate import expanded


def read_token(key: str, file: str | None) -> str | None:
    """What the file holds; `key` is where the recipe names it, for the error. None where it names none."""
    if file is None:
        return None
    try:
        token = expanded(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{key} = {file} cannot be read: {error}.") from error
    if not token:
        raise UserError(f"{key} = {file} is empty; write the server's token into it.")
    return token
