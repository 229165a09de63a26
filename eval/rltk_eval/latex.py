r"""One spelling for an answer in LaTeX: cheap, linear in time, no parser.

`\dfrac12`, `\frac {1} {2}` and `\tfrac{1}{2}` all become `\frac{1}{2}`; `\left(`, thin spaces, dollar and percent signs
go; `\text{ Cm }` becomes `\text{Cm}`; Unicode becomes LaTeX or plain. What is unbalanced or over a bound has no
spelling (None), so nothing hostile reaches a parser.
"""

import re
from collections import deque
from functools import lru_cache

from rltk_eval.numbers import CHARACTERS

MAX_ANSWER = 500
MAX_DEPTH = 20
MAX_DIGITS = 400
MAX_EXPONENT = 10_000
MAX_FACTORIAL = 2999
"""Characters, levels of brackets, digits in a row, a number in an exponent and one before a factorial sign."""

_UNICODE: dict[int, str | None] = CHARACTERS | {
    **dict.fromkeys(map(ord, "\u00b7\u2219\u22c5\u00d7"), r"\cdot "),
    **dict.fromkeys(map(ord, "\u20ac\u00a3\u20b9\u00a5"), None),
    **{ord("\u00f7"): "/", ord("\u03c0"): r"\pi ", ord("\u221e"): r"\infty ", ord("\u00b1"): r"\pm "},
    **{ord("\u2264"): r"\le ", ord("\u2265"): r"\ge ", ord("\u2260"): r"\ne ", ord("\u222a"): r"\cup "},
    **{ord("\u2208"): r"\in ", ord("\u03b8"): r"\theta ", ord("\u03b1"): r"\alpha ", ord("\u2248"): r"\approx "},
    **{ord("\u221a"): r"\sqrt ", ord("\u00b0"): r"^\circ ", ord("\u2205"): r"\emptyset "},
    **{ord(sign): f"^{digit}" for digit, sign in zip("123456", "\u00b9\u00b2\u00b3\u2074\u2075\u2076", strict=True)},
}
_DROPPED = {
    *(r"\left", r"\right", r"\big", r"\Big", r"\bigg", r"\Bigg", r"\bigl", r"\bigr", r"\Bigl", r"\Bigr", r"\middle"),
    *(r"\displaystyle", r"\textstyle", r"\limits", r"\quad", r"\qquad", r"\rm", r"\bf", r"\it", r"\boxed"),
    *(r"\!", r"\,", r"\;", r"\:", "\\ ", "~", "$", r"\$", "%", r"\%", r"\(", r"\)", r"\[", r"\]", r"\fbox", "\\\n"),
}
_SPELLINGS = {
    **dict.fromkeys([r"\dfrac", r"\tfrac", r"\cfrac"], r"\frac"),
    **dict.fromkeys([r"\leq", r"\leqslant"], r"\le"),
    **dict.fromkeys([r"\geq", r"\geqslant"], r"\ge"),
    **dict.fromkeys([r"\times", r"\ast", r"\star", "*"], r"\cdot"),
    **dict.fromkeys([r"\lor", r"\vee", ";"], ","),
    **dict.fromkeys([r"\lvert", r"\rvert", r"\vert"], "|"),
    **{r"\lt": "<", r"\gt": ">", r"\neq": r"\ne", r"\div": "/", r"\lbrace": r"\{", r"\rbrace": r"\}"},
    **{r"\lbrack": "[", r"\rbrack": "]", r"\degree": r"^{\circ}", r"\varnothing": r"\emptyset", r"\colon": ":"},
    **{r"\cr": r"\\", r"\dbinom": r"\binom", r"\tbinom": r"\binom", r"\lg": r"\log", r"\simeq": r"\approx"},
}
_TEXT_COMMANDS = r"\\(?:text(?:bf|it|rm|tt|sf|normal)?|mbox|hbox|mathrm|operatorname)"
_FUNCTIONS = "sqrt|pi|sin|cos|tan|sec|csc|cot|arcsin|arccos|arctan|log|ln|exp|theta|alpha|beta|infty"

_WHOLE_TEXT = re.compile(rf"{_TEXT_COMMANDS}\s*\{{([^{{}}]*)\}}")
_TEXT = re.compile(rf"\s*{_TEXT_COMMANDS}\s*\{{([^{{}}]*)\}}")
_OPENS = re.compile(r"(?:^|[(\[]|(?<!\\),)\s*$")
_LINK = re.compile(r"[,\s]*(?:and|or)[,\s]*|[,\s]+", re.IGNORECASE)
_THOUSANDS = re.compile(r"[^\d,(\[{]*[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)[^,]*")
_APART = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_REWRITES = [
    (re.compile(r"\\math(?:bf|it|sf|bb|cal|normal)\s*\{(\w+)\}"), r"\1"),
    (re.compile(r",\s*\\!\s*(?=\d{3})|(?<=\d)\{,\}(?=\d{3})"), ""),
    (re.compile(r"(?<=\d)(?:\\[,;: ]|~)(?=\d{3}(?!\d))"), ""),
    (re.compile(rf"(?<![\\A-Za-z])(?=(?:{_FUNCTIONS})(?![A-Za-z]))"), r"\\"),
    (re.compile(r"(?<![\\A-Za-z])(?:infinity|inf)(?![A-Za-z])"), r"\\infty"),
    (re.compile(r"\s+(?:and|or)\s+", re.IGNORECASE), ","),
    (re.compile(r"(\\[dtc]?frac)\s*(\d)\s+(\d)"), r"\1{\2}{\3}"),
    (re.compile(r"(?<![\d.])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])"), r"\1\\frac{\2}{\3}"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\phantom\s*(?:\{[^{}]*\}|[^{}\\])"), ""),
    (re.compile(r"\\begin\{array\}\s*\{[clr|\s]*\}"), r"\\begin{matrix}"),
    (re.compile(r"\\end\{array\}"), r"\\end{matrix}"),
]
_UNIT_WORDS = re.compile(
    r"(?<=[\d})])\s+((?!(?:" + _FUNCTIONS + r"|mod)\b)(?:[ckm]m|kg|ft|in|lb|oz|[A-Za-z]{3,})"
    r"(?:[\s.]+[A-Za-z]{2,})*)\.?(\s*\^?\{?[23]?\}?)$"
)
_GLUED_UNIT = re.compile(r"(?<=\d)(cm|mm|km|kg|ft|mph|inches|feet|dollars|cents|degrees|percent)(\^?\{?[23]?\}?)$")
_TWO_NUMBERS = re.compile(r"(?<![_^\d])\d+\s+\d")
_SPACED_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(?: \d{3})+")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_ENDS_IN_COMMAND = re.compile(r"\\[A-Za-z]+$")
_TOWER = re.compile(r"\^\{[^{}]*[\d)]\^|\^\{(?!\\circ)[^{}]*\}\^")
_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_POWER = re.compile(r"\^\{-?(\d+)")
_BASE_OF_FACTORIAL = re.compile(r"(\d*)!")
_OPENING, _CLOSING = frozenset(["{", "(", "[", r"\{"]), frozenset(["}", ")", "]", r"\}"])


class _MalformedError(Exception):
    """A brace without its partner or a command without its argument."""


@lru_cache(maxsize=4096)
def canonical(answer: str) -> str | None:
    """The one spelling of an answer; None if it is empty, malformed or over a bound."""
    if len(answer) > MAX_ANSWER:
        return None
    text = _prepared(answer)
    if text is None or _depth(text) > MAX_DEPTH:
        return None
    try:
        spelling = _until(deque(_TOKEN.findall(text)), None)
    except _MalformedError:
        return None
    spelling = re.sub(r",{2,}", ",", spelling).lstrip(",").rstrip(".,:")
    spelling = re.sub(r"^(?:=|\\approx)\s?", "", spelling)
    return spelling if spelling and _in_bounds(spelling) else None


def tokens(spelling: str) -> list[str]:
    """Commands and single characters; joined again they are the text."""
    return _TOKEN.findall(spelling)


def _prepared(answer: str) -> str | None:
    """Plain-text habits as LaTeX; None where spaces leave it open what number is meant."""
    text = _APART.sub(" ", answer).translate(_UNICODE).lstrip(" \t\n$").rstrip(" \t\n$.")
    whole = _WHOLE_TEXT.fullmatch(text)
    text = whole[1].strip() if whole else text
    if _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "")
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    for unit in (_UNIT_WORDS, _GLUED_UNIT):
        text = unit.sub(r"\\text{\1}\2", text)
    text = _TEXT.sub(_one_text, text)
    if any(character.isdigit() and not character.isascii() for character in text):
        return None
    return None if _TWO_NUMBERS.search(text) else text


def _one_text(match: re.Match[str]) -> str:
    content = " ".join(match[1].split())
    if not content:
        return ""
    if _LINK.fullmatch(content):
        return ","
    if content.isascii() and content.isalnum() and (content.isdigit() or _OPENS.search(match.string[: match.start()])):
        return content
    return rf"\text{{{content}}}"


def _until(rest: deque[str], closing: str | None) -> str:
    """What comes before the closing token, rewritten; the token is taken too."""
    pieces: list[str] = []
    while rest:
        token = rest.popleft()
        if token == closing:
            return "".join(pieces)
        if token == "}":
            raise _MalformedError
        piece = _rewritten(token, rest)
        if piece[:1].isalpha() and pieces and _ENDS_IN_COMMAND.search(pieces[-1]):
            piece = " " + piece
        if piece:
            pieces.append(piece)
    if closing is not None:
        raise _MalformedError
    return "".join(pieces)


def _rewritten(token: str, rest: deque[str]) -> str:
    if token in _DROPPED or token.isspace():
        return ""
    token = _SPELLINGS.get(token, token)
    match token:
        case "{":
            content = _until(rest, "}")
            return content if content.isalnum() or not content else f"{{{content}}}"
        case r"\frac" | r"\binom":
            return f"{token}{{{_argument(rest)}}}{{{_argument(rest)}}}"
        case r"\sqrt":
            _skip_spaces(rest)
            root = f"[{_after_opening(rest, ']')}]" if rest and rest[0] == "[" else ""
            return rf"\sqrt{root}{{{_argument(rest)}}}"
        case "^" | "_" | r"\overline":
            return f"{token}{{{_argument(rest)}}}"
        case r"\text" | r"\begin" | r"\end":
            return f"{token}{{{_raw_group(rest)}}}"
    return token


def _argument(rest: deque[str]) -> str:
    """The next group or token, as LaTeX takes arguments; for `\\sqrt(2)` the parenthesis."""
    _skip_spaces(rest)
    if not rest:
        raise _MalformedError
    token = rest.popleft()
    if token == "{":
        return _until(rest, "}")
    if token == "(":
        return _until(rest, ")")
    if token == "-" and rest and rest[0].isdigit():
        return "-" + rest.popleft()
    if token in ("}", "^", "_"):
        raise _MalformedError
    return _rewritten(token, rest)


def _after_opening(rest: deque[str], closing: str) -> str:
    rest.popleft()
    return _until(rest, closing)


def _raw_group(rest: deque[str]) -> str:
    """The characters of a group as they are: words, or the name of an environment."""
    if not rest or rest.popleft() != "{":
        raise _MalformedError
    pieces: list[str] = []
    while rest and (token := rest.popleft()) != "}":
        pieces.append(token)
    return "".join(pieces).strip()


def _skip_spaces(rest: deque[str]) -> None:
    while rest and (rest[0].isspace() or rest[0] in (r"\,", r"\!", r"\ ")):
        rest.popleft()


def _depth(text: str) -> int:
    """Levels of brackets of any kind, whether or not they match."""
    depth = deepest = 0
    for token in tokens(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        deepest = max(deepest, abs(depth))
    return deepest


def _in_bounds(spelling: str) -> bool:
    return (
        _depth(spelling) <= MAX_DEPTH
        and not _LONG_NUMBER.search(spelling)
        and not _TOWER.search(spelling)
        and "!!" not in spelling
        and all(int(power) <= MAX_EXPONENT for power in _POWER.findall(spelling))
        and all(int(base or 0) <= MAX_FACTORIAL for base in _BASE_OF_FACTORIAL.findall(spelling))
    )
