"""Texts that occur twice in a split, or in training and in test: to the letter, and but for white space."""

from collections.abc import Sequence

from rltk.preflight.found import Found, of_rows

Text = tuple[str, str]
"""Id and text."""


def repeats(train: Sequence[Text], test: Sequence[Text], *, what: str) -> list[Found]:
    """`what` names the rows, such as problems. A text that repeats to the letter is not counted again below."""
    seen_exact, seen_bare = first_ids(train, bare=False), first_ids(train, bare=True)
    twice = [id for id, text in train if seen_exact[text] != id]
    nearly = [id for id, text in train if seen_bare[stripped(text)] != id and seen_exact[text] == id]
    leaked = [f"{id} = {seen_exact[text]}" for id, text in test if text in seen_exact]
    leaked_bare = [
        f"{id} = {seen_bare[stripped(text)]}"
        for id, text in test
        if text not in seen_exact and stripped(text) in seen_bare
    ]
    return [
        *of_rows("warning", "duplicate", f"training {what} repeat an earlier one to the letter", twice),
        *of_rows(
            "warning", "duplicate_but_space", f"training {what} repeat an earlier one but for white space", nearly
        ),
        *of_rows("warning", "leaked", f"test {what} are in the training data to the letter", leaked),
        *of_rows(
            "warning", "leaked_but_space", f"test {what} are in the training data but for white space", leaked_bare
        ),
    ]


def first_ids(rows: Sequence[Text], *, bare: bool) -> dict[str, str]:
    """The id of the first row with each text."""
    found: dict[str, str] = {}
    for id, text in rows:
        found.setdefault(stripped(text) if bare else text, id)
    return found


def stripped(text: str) -> str:
    """Without any white space: MATH's leaked problems differ in spaces within formulas."""
    return "".join(text.split())
