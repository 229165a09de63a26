"""One number out of untrusted text: exact (`Fraction`, never a float, never `eval`) and in linear time.

`clean` turns LaTeX, markdown and Unicode spellings into plain text, `read_one` reads an answer that must state one
number, `last_number` the last one of a text. Each gives None rather than a guess: two different numbers, an expression,
a clock time, a misplaced comma, a scale word ("2 million" may answer "how many" or "how many millions"), another
script's digits. A percent sign, currencies and units are dropped, never converted.
"""

import re
import unicodedata
from collections import deque
from fractions import Fraction

MAX_DIGITS = 400
MAX_EXPONENT = 400
MAX_ANSWER = 500
"""Characters in a declared answer; a longer one is unreadable. The three bounds keep hostile text cheap."""

_INVISIBLE = [0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFE0F, 0xFEFF]
_SPACES = [0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]
_MINUSES = [0x2D7, 0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0x2796, 0xFE63]
_VULGAR_FRACTIONS = [0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F)]
_DOTS = [0xB7, 0x2219, 0x22C5]
# Not NFKC as a whole: it would turn "5" + superscript two into 52, and "1" + one half into 11/2.
CHARACTERS: dict[int, str | None] = {
    **dict.fromkeys(_INVISIBLE),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_MINUSES, "-"),
    **dict.fromkeys([0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], "\n"),
    **dict.fromkeys([0x2044, 0x2215], "/"),
    **dict.fromkeys(_DOTS, "\u00d7"),
    0x2236: ":",
    **dict.fromkeys([0x2243, 0x2245, 0x2248, 0x2192, 0x21D2], "="),
    **{0xFEE0 + ascii_: chr(ascii_) for ascii_ in range(0x21, 0x7F)},
    **{code: unicodedata.normalize("NFKC", chr(code)).replace("\u2044", "/") for code in _VULGAR_FRACTIONS},
}
_COMMANDS = {
    **dict.fromkeys(["times", "cdot"], "\u00d7"),
    **dict.fromkeys(["approx", "to", "rightarrow", "implies"], "="),
    **dict.fromkeys(["sqrt", "frac", "pi", "pm", "ne", "neq", "le", "leq", "ge", "geq", "lt", "gt"], "\u221a"),
    **{"div": "\u00f7", "boxed": r"\boxed", "fbox": r"\boxed"},
}
"""LaTeX commands that matter: equality, operators, and (as a root sign) what makes the answer an expression."""

_CURRENCY_CODES = r"(?:USD|EUR|GBP|INR|CAD|AUD|RM|Rs)\.?\s?(?=\d)|(?:US|A|C|NZ|HK|S)(?=\$)"
_REWRITES = [
    (re.compile(r"\\!"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,;:])(?=\d{3}(?!\d))"), ","),
    (re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])"), " "),
]
_LATER_REWRITES = [
    (re.compile(r"<<[^<>]{0,200}>>|</?[A-Za-z|][^<>\s]{0,60}>"), " "),  # GSM8K's calculator notes; tags
    (re.compile(r"<([-$.,/\d]{1,20})>"), r"\1"),
    (re.compile(r"\\([$%#&_])"), r"\1"),
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"\^\s?(?:\{\s?\\circ\s?\}|\\circ)"), " "),
    (re.compile(r"\^\s?\{([^{}]{0,20})\}"), r"^\1"),
    (re.compile(r"(?<=\d)\s?(?:[xX*\u00d7]|\\times|\\cdot)\s?10\s?\^\s?([+-]?\d+)"), r"e\1"),
    (re.compile(r"-{1,2}>|=>"), "="),
    (re.compile(r"[<>]="), "\u221a"),
    (re.compile(r"(?i:\b(?:minus|negative)\s+)(?=[^\w\s]{0,3}\d)"), "-"),
    (re.compile(rf"\b(?:{_CURRENCY_CODES})"), "$"),
]
_SUPERSCRIPT = re.compile(r"[\u00b2\u00b3\u00b9\u2070\u2074-\u207b]+")
_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{\s?(-?[\d.,]+)\s?\}|(\d))\s?(?:\{\s?([\d.,]+)\s?\}|(\d))")
_COMMAND = re.compile(r"\\([A-Za-z]+)")

_NUMBER = re.compile(
    r"""(?<![A-Za-z\d]) (?<![A-Za-z\d]_) (?<!\d[.,:'/]) (?<!\^) (?<!\^-)
        (?: (?P<whole>\d+) [ ]{1,2} (?=\d+[ ]?/[ ]?\d) )?
        (?P<top> \d+(?:,\d+)*(?:\.\d+)? | (?<![\w.])\.\d+ ) (?: [eE](?P<exponent>[+-]?\d+) )?
        (?: [ ]?/[ ]? (?P<bottom>\d+(?:,\d+)*(?:\.\d+)?) )?""",
    re.VERBOSE,
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
# What may not follow a number: more of it, an operator, glued letters that scale or multiply it, a scale word.
_CONTINUES = re.compile(
    r"""[.,:'_]\d | [ ]?\^ | [ ]?(?:\*{1,2}|[/xX\u00d7\u00f7])[ ]?\$?\d | [kKMBxyn](?![^\W_])
        | (?![kcdm]?m[23]\b)[^\W\d_]{1,4}\d
        | (?i:[ -]?(?:hundred|thousand|million|billion|trillion)s?\b)
        | (?i:[ ]and[ ](?:an?[ ]|one[ ])?(?:half|third|quarter))""",
    re.VERBOSE,
)
_SIGN = re.compile(r"([-+\u2014\u2015])( ?)[^\w\s+=:,.;-]{0,6} ?$")
_LOST_SIGN = re.compile(r"(?<![^\W_])-(?=\S)")
_DENIED = re.compile(r"(?i:\bnot|n't)\W{0,4}$")
_EXPRESSION = re.compile(r"[\u03c0\u221a\u00b1\u2260\u2264\u2265]|[<>]\s?[-$]?\d")
_EXPLANATION = re.compile(r"[.!?][*_\"')\]$}]{0,4}\s+(?!(?i:or|and)\b)[^\W\d]|\s(?i:because|since|which|so)\b")
_REMARK = re.compile(r"\s\((?!\s?(?i:or|and)\b)([^()]{0,200})\)")
_WORDED = re.compile(r"[^\W\d_]|=")
_EITHER = re.compile(r"[^\n]{0,40}(?i:\bor)\b\W{0,4}(?:[^\W\d_]+\W{1,4})?")
_BETWEEN = re.compile(r"(?i:\bbetween)\s[^\w\n]{0,4}(?:[^\W\d_]{1,20}\W{1,4}){0,2}$")
_AND = re.compile(r"[^\n.!?;:]{0,40}(?i:\band)\b\W{0,4}(?:[^\W\d_]{1,20}\W{1,4}){0,2}")
_LEADS = """a about all an answer approx approximately are around be equal equals exactly final hence is just only
roughly simply so the therefore thus to total would x y n usd us eur gbp inr rs"""
_LEAD_WORDS = frozenset(_LEADS.split())
_WORD = re.compile(r"[^\W\d_]+")


def clean(text: str) -> str:
    """Plain text: invisible characters gone, minus signs, spaces, fractions and LaTeX in one spelling."""
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _SUPERSCRIPT.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = _FRACTION.sub(_plain_fraction, text.translate(CHARACTERS))
    for pattern, replacement in _LATER_REWRITES:
        text = pattern.sub(replacement, text)
    return _COMMAND.sub(lambda match: _COMMANDS.get(match[1], " "), text)


def read_one(answer: str) -> Fraction | None:
    """The one number that a declared answer (cleaned) states; both sides of an equation must agree."""
    answer = _without_explanation(answer)
    if len(answer) > MAX_ANSWER or _EXPRESSION.search(answer):
        return None
    parts = [part for part in answer.split("=") if part.strip()]
    values = [_only(part) for part in parts]
    agree = len({value for value in values if value is not None}) == 1
    return values[-1] if agree else None


def read_bare(text: str) -> Fraction | None:
    """The value of a cleaned text that is a number and nothing else: a sign, a currency or a percent sign at most."""
    number = _NUMBER.search(text)
    if number is None or _WORD.search(text[: number.start()]) or _WORD.search(text[number.end() :]):
        return None
    return read_one(text)


def last_number(text: str) -> Fraction | None:
    """The last number of a cleaned text; None where it is denied ("not 5"), a choice ("4 or 5") or ends a range."""
    numbers = deque(_NUMBER.finditer(text), maxlen=2)
    if not numbers or (len(numbers) == 2 and _is_one_of_two(text, *numbers)):
        return None
    value = _value(text, numbers[-1])
    return None if value is None else value * (_sign(text, numbers[-1], in_prose=True) or 1)


def ends_a_range(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether two neighbouring finds are those of "between 4 and 5", which names neither as the answer."""
    return bool(_AND.fullmatch(text, first.end(), second.start()) and _BETWEEN.search(text[: first.start()][-64:]))


def _is_one_of_two(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether the numbers are a choice ("4 or 5") or the ends of a range ("between 4 and 5")."""
    return _EITHER.fullmatch(text, first.end(), second.start()) is not None or ends_a_range(text, first, second)


def starts_with_number(answer: str) -> bool:
    """Whether nothing but lead-in words ("about", "x =") stands before the first number."""
    number = _NUMBER.search(answer)
    return number is not None and _LEAD_WORDS.issuperset(_WORD.findall(answer[: number.start()].lower()))


def _plain_fraction(match: re.Match[str]) -> str:
    """`\\frac{3}{4}` as "3/4 ", kept apart from a whole number before it and a digit after it."""
    apart = " " if match.string[: match.start()][-1:].isdigit() else ""
    return f"{apart}{match[1] or match[2]}/{match[3] or match[4]} "


def _without_explanation(answer: str) -> str:
    """The answer up to the end of its sentence or clause, without "(3 boxes of 24)"."""
    number = _NUMBER.search(answer)
    if number is None:
        return answer
    rest = _EXPLANATION.split(answer[number.end() :], maxsplit=1)[0]
    return answer[: number.end()] + _REMARK.sub(lambda remark: "" if _WORDED.search(remark[1]) else remark[0], rest)


def _only(part: str) -> Fraction | None:
    """The value that every number of this text has; None if there is none, they differ, or a sign is unclear."""
    values: set[Fraction | None] = set()
    for number in _NUMBER.finditer(part):
        value, sign = _value(part, number), _sign(part, number)
        values.add(None if value is None or sign is None else value * sign)
        if len(values) > 1 or None in values:
            return None
    return values.pop() if values else None


def _value(text: str, number: re.Match[str]) -> Fraction | None:
    """The unsigned value; None if it is malformed, out of bounds, denied, or goes on in what follows."""
    start, end = number.span()
    if sum(map(str.isdigit, number[0])) > MAX_DIGITS or abs(int(number["exponent"] or 0)) > MAX_EXPONENT:
        return None
    if not number[0].isascii() or text[end : end + 1].isnumeric() or _CONTINUES.match(text, end):
        return None
    if _DENIED.search(text[max(0, start - 12) : start]):
        return None
    top, bottom = _decimal(number["top"], number["exponent"]), _decimal(number["bottom"] or "1")
    if top is None or not bottom:
        return None
    if number["whole"] is None:
        return top / bottom
    return int(number["whole"]) + top / bottom if top < bottom else None


def _decimal(digits: str, exponent: str | None = None) -> Fraction | None:
    """The exact value of a decimal; None where a comma stands anywhere but between thousands."""
    if "," in digits and not _THOUSANDS.fullmatch(digits):
        return None
    return Fraction(digits.replace(",", "") + (f"e{exponent}" if exponent else ""))


def _sign(text: str, number: re.Match[str], *, in_prose: bool = False) -> int | None:
    """1 or -1; None where a dash may be an operator, a range or (in prose) the bullet of a list."""
    before = text[max(0, number.start() - 24) : number.start()].rpartition("\n")[2]
    match = _SIGN.search(before)
    if match is None:
        return None if _LOST_SIGN.search(before) else 1
    left, spaced = before[: match.start()], bool(match[2])
    neighbour = left.rstrip()[-1:]
    if match[1] not in "-+":
        return 1 if spaced else None
    if neighbour.isdigit() or neighbour in tuple(")%+-\u00b1") or (left[-1:].isalpha() and left[-1:].isascii()):
        return None
    if spaced and (neighbour.isalpha() or (in_prose and not neighbour)):
        return None
    return -1 if match[1] == "-" else 1
