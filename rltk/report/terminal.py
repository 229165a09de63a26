"""What models wrote, as a terminal may show it."""

from rltk.recipe.tree import shortened


def readable(text: str) -> str:
    """Without what a terminal would obey: models may write any character."""
    return "".join(sign if sign in "\n\t" or sign.isprintable() else "\ufffd" for sign in text)


def one_line(text: str, longest: int) -> str:
    return shortened(" ".join(readable(text).split()), longest)
