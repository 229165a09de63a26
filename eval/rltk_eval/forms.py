r"""The form of an answer in canonical LaTeX: a list, a tuple or interval, a matrix, an equation, or one expression.

Forms are compared here; what stands in their places is compared by a function that the caller gives, so the cheap
comparison (`rltk_eval.maths`) and the one that may parse (`rltk_eval.symbolic`) share one set of rules:

- "1, 2", "1 and 2", `\{1, 2\}`, `x = 1 \cup x = 2`, `\pm 1` are lists: order does not matter, how often does.
- `(1, 2)`, `[1, 2)` are tuples or intervals: brackets and order matter. `1 \le x < 2` is `[1, 2)`, `x > 1` is
  `(1, \infty)`. A parenthesis around one thing is no tuple.
- `x = 5` equals `5` and `AB = 5` equals `5`, but not `y = 5`. The sides of an answer without a name before `=` must
  all be right ("6 * 12 = 72"); a gold answer is right with either side.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from rltk_eval.latex import tokens

Equal = Callable[[str, str], bool]
"""Whether two expressions are equal: the answer's, then the gold's."""


class Form(NamedTuple):
    """`text` is an expression's LaTeX, a tuple's brackets, a matrix's row lengths or a relation's sign."""

    kind: Literal["expression", "list", "tuple", "matrix", "equation", "relation"]
    text: str
    parts: tuple["Form", ...] = ()


_PAIRS = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle", "{": "}"}
_OPENING, _CLOSING = frozenset(_PAIRS), frozenset([*_PAIRS.values()])
_MEMBER = re.compile(r"[A-Za-z]\\in(?![A-Za-z])\s?")
_BUILDER = re.compile(r"[A-Za-z](?:\\in\s?R)?(?:\||\\mid|:)\s?")
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix)\}(.*?)\\end\{\1\}", re.DOTALL)
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne"}
_NAME = re.compile(
    r"(?!\\(?:infty|pi|sqrt|frac))(?:\\angle\s?|\\triangle\s?)?(?:\\text\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]{1,3})'?(?:_\{\w+\})?"
    r"(?:\([A-Za-z](?:,[A-Za-z])*\))?"
)


def read_form(spelling: str) -> Form:
    """The form of a canonical spelling; whatever has none of the other forms is an expression."""
    spelling = _MEMBER.sub("", spelling, count=1) if _MEMBER.match(spelling) else spelling
    for read in (_list, _union, _bracketed, _matrix, _plus_minus, _relation, _equation):
        form = read(spelling)
        if form is not None:
            return form
    return Form("expression", spelling)


def same_form(answer: Form, gold: Form, equal: Equal, proportional: Equal) -> bool:
    """Whether the answer is the gold; `proportional` compares the two sides' differences of equations."""
    if "equation" in (answer.kind, gold.kind):
        return _same_equation(answer, gold, equal, proportional)
    if answer.kind != gold.kind or len(answer.parts) != len(gold.parts):
        return False
    if gold.kind == "expression":
        return answer.text == gold.text or equal(answer.text, gold.text)
    if gold.kind == "list":
        return _same_members(answer.parts, gold.parts, equal, proportional)
    if gold.kind == "relation" and answer.text != gold.text:
        answer = Form("relation", _FLIPPED[answer.text], answer.parts[::-1])
    return answer.text == gold.text and all(
        same_form(ours, theirs, equal, proportional) for ours, theirs in zip(answer.parts, gold.parts, strict=True)
    )


def _same_members(answer: tuple[Form, ...], gold: tuple[Form, ...], equal: Equal, proportional: Equal) -> bool:
    left = list(answer)
    for member in gold:
        place = next((at for at, ours in enumerate(left) if same_form(ours, member, equal, proportional)), None)
        if place is None:
            return False
        del left[place]
    return True


def _same_equation(answer: Form, gold: Form, equal: Equal, proportional: Equal) -> bool:
    if answer.kind == gold.kind:
        if _is_named(answer) and _is_named(gold) and not _is_name(answer.parts[-1]) and not _is_name(gold.parts[-1]):
            answer, gold = _without_middle(answer), _without_middle(gold)
            if answer.parts[0] == gold.parts[0]:
                return same_form(answer.parts[1], gold.parts[1], equal, proportional)
        return answer == gold or (_is_plain(answer) and _is_plain(gold) and proportional(_moved(answer), _moved(gold)))
    if gold.kind == "equation":
        sides = gold.parts[-1:] if _is_named(gold) else gold.parts
        return any(same_form(answer, side, equal, proportional) for side in sides)
    sides = answer.parts[1:] if _is_named(answer) else answer.parts
    return all(same_form(side, gold, equal, proportional) for side in sides)


def _is_name(form: Form) -> bool:
    return form.kind == "expression" and _NAME.fullmatch(form.text) is not None


def _is_named(equation: Form) -> bool:
    return _is_name(equation.parts[0])


def _is_plain(equation: Form) -> bool:
    return len(equation.parts) == 2 and all(side.kind == "expression" for side in equation.parts)


def _without_middle(equation: Form) -> Form:
    return equation._replace(parts=(equation.parts[0], equation.parts[-1]))


def _moved(equation: Form) -> str:
    """All on one side."""
    return f"{equation.parts[0].text}-({equation.parts[1].text})"


def split_outside(spelling: str, separators: frozenset[str]) -> list[tuple[str, str]]:
    """The parts between separators outside all brackets, each with the separator before it."""
    parts, depth = [("", "")], 0
    for token in tokens(spelling):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth == 0 and token in separators:
            parts.append((token, ""))
        else:
            parts[-1] = (parts[-1][0], parts[-1][1] + token)
    return [(separator, part.strip()) for separator, part in parts]


def _list(spelling: str) -> Form | None:
    parts = [part for _, part in split_outside(spelling, frozenset(",")) if part]
    if len(parts) < 2 or _MATRIX.search(spelling):
        return None
    return _as_list([read_form(part) for part in parts])


def _union(spelling: str) -> Form | None:
    parts = [part for _, part in split_outside(spelling, frozenset([r"\cup"]))]
    return _as_list([read_form(part) for part in parts]) if len(parts) > 1 and all(parts) else None


def _plus_minus(spelling: str) -> Form | None:
    signs = [token for token in tokens(spelling) if token in (r"\pm", r"\mp")]
    if signs != [r"\pm"] or "=" in spelling:
        return None
    both = [spelling.replace(r"\pm", sign, 1).replace(f"{sign} ", sign).lstrip("+") for sign in "+-"]
    return _as_list([read_form(part) for part in both])


def _as_list(members: list[Form]) -> Form:
    """Lists within a list are their members: `1 \\pm 2, 5` has three."""
    flat = [part for member in members for part in (member.parts if member.kind == "list" else (member,))]
    return Form("list", "", tuple(flat)) if len(flat) > 1 else flat[0]


def _bracketed(spelling: str) -> Form | None:
    pieces = tokens(spelling)
    if len(pieces) < 3 or pieces[0] not in _OPENING - {"{"} or not _closes_last(pieces):
        return None
    inner = spelling[len(pieces[0]) : -len(pieces[-1])].strip()
    if pieces[0] == r"\{" and (builder := _BUILDER.match(inner)):
        inner = inner[builder.end() :]
    parts = tuple(read_form(part) for _, part in split_outside(inner, frozenset(",")) if part)
    if pieces[0] == r"\{":
        return _as_list(list(parts)) if parts else None
    if len(parts) == 1 and (pieces[0] + pieces[-1] == "()" or parts[0].kind == "matrix"):
        return parts[0]
    return Form("tuple", pieces[0] + pieces[-1], parts) if len(parts) > 1 else None


def _closes_last(pieces: list[str]) -> bool:
    """Whether the bracket that opens a text is closed by its last token; of an interval either kind closes it."""
    depth = 0
    for at, token in enumerate(pieces):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth == 0:
            return at == len(pieces) - 1
    return False


def _matrix(spelling: str) -> Form | None:
    match = _MATRIX.fullmatch(spelling)
    if match is None or match[1] in ("vmatrix", "Vmatrix"):
        return None
    rows = [row.split("&") for row in match[2].split(r"\\") if row.strip()]
    cells = tuple(read_form(cell.strip()) for row in rows for cell in row)
    return Form("matrix", str([len(row) for row in rows]), cells)


def _relation(spelling: str) -> Form | None:
    """An inequality; as an interval if it bounds one name."""
    parts = split_outside(spelling, frozenset(_FLIPPED))
    if not 2 <= len(parts) <= 3 or not all(side for _, side in parts):
        return None
    signs, sides = [sign for sign, _ in parts[1:]], [read_form(side) for _, side in parts]
    if len(parts) == 2 and signs[0] != r"\ne":
        if _is_name(sides[1]) and not _is_name(sides[0]):
            signs, sides = [_FLIPPED[signs[0]]], sides[::-1]
        return _half_line(signs[0], sides[1]) if _is_name(sides[0]) else Form("relation", signs[0], tuple(sides))
    if len(parts) == 3 and _is_name(sides[1]):
        if signs[0] in (">", r"\ge"):
            signs, sides = [_FLIPPED[signs[1]], _FLIPPED[signs[0]]], sides[::-1]
        if not {"<", r"\le"}.issuperset(signs):
            return None
        brackets = ("[" if signs[0] == r"\le" else "(") + ("]" if signs[1] == r"\le" else ")")
        return Form("tuple", brackets, (sides[0], sides[2]))
    return Form("relation", signs[0], tuple(sides)) if len(parts) == 2 else None


def _half_line(sign: str, bound: Form) -> Form:
    if sign in ("<", r"\le"):
        return Form("tuple", "(" + ("]" if sign == r"\le" else ")"), (Form("expression", r"-\infty"), bound))
    return Form("tuple", ("[" if sign == r"\ge" else "(") + ")", (bound, Form("expression", r"\infty")))


def _equation(spelling: str) -> Form | None:
    """Sides of `=`; of an approximation only what stands before it counts."""
    exact = split_outside(spelling, frozenset([r"\approx"]))[0][1]
    sides = [side for _, side in split_outside(exact, frozenset("=")) if side]
    if len(sides) == 1:
        return read_form(exact) if exact and exact != spelling else None
    return Form("equation", "", tuple(read_form(side) for side in sides)) if len(sides) > 1 else None
