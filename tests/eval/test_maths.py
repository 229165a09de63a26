"""Reading and comparing mathematical answers, beyond the corpus: canonical forms, bounds, hostile and random text."""

import random
import resource
from fractions import Fraction
from pathlib import Path

import pytest
from rltk_eval.answers import Verdict, gold_answer, grade_all, grade_number
from rltk_eval.forms import read_form
from rltk_eval.latex import canonical
from rltk_eval.maths import quick_match, read_math, same_math
from rltk_eval.pool import Checker
from rltk_eval.quick import exact_number

from tests.growth import grows_in_proportion


def test_spellings_become_one():
    rows = {
        r"\dfrac12": r"\frac{1}{2}",
        r"\left( 1 , 2 \right)": "(1,2)",
        r"x^2 \cdot y_{1}": r"x^{2}\cdot y_{1}",
        r"\sqrt3x": r"\sqrt{3}x",
        r"12 \text{ square  cm}": r"12\text{square cm}",
        r"\$1,\!000": "1000",
        "3 1/2": r"3\frac{1}{2}",
        "\u22121\u00d72": r"-1\cdot2",
        r"90^\circ": r"90^{\circ}",
    }
    assert {row: canonical(row) for row in rows} == rows


def test_what_is_malformed_or_over_a_bound_has_no_spelling():
    over = [
        "1" * 501,
        "9" * 401,
        "2^{10001}",
        "3000!",
        "9^{9^9}",
        "(" * 21 + "1" + ")" * 21,
        "{1",
        r"\frac{1}",
        "^",
        "",
    ]
    assert [text for text in over if canonical(text) is not None] == []
    under = ["9" * 400, "2^{10000}", "2999!", "(" * 20 + "1" + ")" * 20]
    assert [text for text in under if canonical(text) is None] == []


def test_exact_numbers():
    rows = {
        "-3": Fraction(-3),
        ".5": Fraction(1, 2),
        r"-\frac{3}{4}": Fraction(-3, 4),
        r"\frac{-3}{4}": Fraction(-3, 4),
        r"2\frac{1}{3}": Fraction(7, 3),
        r"-2\frac{1}{3}": Fraction(-7, 3),
        r"0.1\overline{6}": Fraction(1, 6),
        r"1.5\cdot10^{-2}": Fraction(3, 200),
        "3/4": Fraction(3, 4),
        r"2\frac{4}{3}": None,
        r"\frac{1}{0}": None,
        r"1\cdot10^{401}": None,
        "x": None,
    }
    assert {row: exact_number(row) for row in rows} == rows


def test_forms():
    assert [read_form(text).kind for text in ("x+1", "1,2", "(1,2)", "x=1", r"\{1,2\}", "x+1<y+2")] == [
        *("expression", "list", "tuple", "equation", "list", "relation"),
    ]
    assert read_form("(x)") == read_form("x")
    assert read_form(r"1\le x<2") == read_form("[1,2)")
    assert [part.text for part in read_form(r"1\pm\sqrt{2}").parts] == [r"1+\sqrt{2}", r"1-\sqrt{2}"]


def test_what_is_cheap_is_decided_without_algebra():
    assert quick_match(r"\frac{2}{4}", "0.5") is True
    assert quick_match("(1,2)", "(2,1)") is False
    assert quick_match("1+x", "x+1") is True
    assert quick_match("(x+1)^2", "x^2+2x+1") is None
    assert same_math("(x+1)^2", "x^2+2x+1")
    assert not same_math("(x+1)^2", "x^2+2x+2")


def test_where_the_answer_stands():
    assert read_math(r"first \boxed{3}, then \boxed{4}.") == "4"
    assert read_math(r"\boxed{3} or \boxed{4}") == "3, 4"
    assert read_math("It is $x = 3$.") == "x = 3"
    assert read_math("It is $x = 3$.", strict=True) is None
    assert read_math("The answer is $3$. I checked it with $4 - 1$.") == "3"
    assert read_math(r"<think>\boxed{3}</think> The answer is 4.") == "4"


def test_golds():
    assert gold_answer(r"So $x = \boxed{\frac12}$.", kind="math") == r"\frac12"
    assert gold_answer(r"  \frac12 ", kind="math") == r"\frac12"
    assert gold_answer(r"$\boxed{2}$ and $\boxed{3}$", kind="math") == "2, 3"
    prose = "She has three of them and buys two more, so now there are five in all."
    for gold in ("", r"\boxed{}", r"\boxed{5", r"\frac{1}", "9^{9^9}", prose):
        with pytest.raises(ValueError, match="no gold answer in"):
            gold_answer(gold, kind="math")


PROBES = [
    *(r"\boxed{17} or \boxed{18}", r"\boxed{17}, \boxed{18}", r"\boxed{17, 18}", r"\boxed{17 \text{ or } 18}"),
    *(r"\boxed{16}\boxed{17}\boxed{18}", r"\boxed{\{17, 18\}}", r"\boxed{17=18}", r"\boxed{(17, 18)}", "17 or 18"),
    *(r"\boxed{17;18}", r"\boxed{17/18}", r"\boxed{17 \pm 1}", r"\boxed{x}", r"\boxed{x=y}", r"\boxed{17x}"),
    *(" ".join(rf"\boxed{{{n}}}" for n in range(30)), ", ".join(map(str, range(1, 30)))),
    *(
        r"\boxed{17}" + "\n" + r"\boxed{}",
        r"\boxed{17} but \boxed{",
        r"The answer is \boxed{17}. Or rather \boxed{18}.",
    ),
    *("Question: boxes of \\boxed{17}? Answer: \\boxed{1}", "#### 17\n#### 18", "#### 17 or 18"),
    *("9**9**9**9", r"\boxed{9**9**9**9}", r"\boxed{9^{9^{9^9}}}", r"\boxed{17 \cdot (9^{9999})^{9999}}"),
    *(r"\boxed{100000!}", r"\boxed{((((2999!)!)!)!)}", r"\boxed{\sum_{k=1}^{10^9} k}"),
    *(r"\boxed{\int_0^{17} dx}", r"\boxed{\int\int\int x}", r"\boxed{\prod_{k=1}^{9} k}"),
    *(
        r"\boxed{" + "(" * 5000 + "17" + ")" * 5000 + "}",
        r"\boxed{" + "{" * 5000 + "17",
        r"\boxed{" + "1+" * 50_000 + "}",
    ),
    *(r"\boxed{" + r"\sqrt{" * 400 + "17" + "}" * 400 + "}", r"\boxed{" + r"\frac{1}{" * 60 + "17" + "}" * 60 + "}"),
    *(
        "\\boxed{\u0661\u0667}",
        "\\boxed{\u096d}",
        "\\boxed{1\u20dd7}",
        "\\boxed{\u2460\u2466}",
        "\\boxed{\U0001d7cf\U0001d7d5}",
    ),
    *("\\boxed{\ud800}", "\\boxed{17\x00 18}", "\\boxed{71\u202e}", "\x00" * 100, "\u200b" * 100),
    *("<script>17</script>18", r"\boxed{<b>18</b>}", r"\boxed{&#49;&#55;}", "```python\nprint(17)\n```\n\\boxed{18}"),
    r"\boxed{__import__('os').system('touch pwned')}",
    r"\boxed{eval(compile('1+16','','eval'))}",
    *(
        r"\boxed{globals()}",
        r"\boxed{[].__class__}",
        r"\boxed{Symbol('x')}",
        r"\boxed{\input{/etc/passwd}}",
    ),
    r"\boxed{\write18{touch pwned}}",
    *(
        r"\boxed{\text{17 or 18}}",
        r"\boxed{\text{any}}",
        r"\boxed{*}",
        r"\boxed{\forall x}",
        r"\boxed{\mathbb{R}}",
        r"\boxed{?}",
    ),
    *(
        r"\boxed{\infty}",
        r"\boxed{\frac{17}{0}}",
        r"\boxed{\frac{0}{0}}",
        r"\boxed{nan}",
        r"\boxed{None}",
        r"\boxed{True}",
    ),
]
MATH_PROBES = [
    r"\boxed{17!!!!!}",
    r"\boxed{\lim_{x\to 17} x}",
    r"\boxed{open('pwned','w').write('17')}",
    r"\boxed{exec(17)}",
    r"\boxed{\def\x{17}\x\x}",
    r"\boxed{\newcommand{\a}{17}\a\a}",
]
"""The reader of numbers takes the one number in these, 17, which is the gold."""


@pytest.mark.parametrize("probe", [*PROBES, *MATH_PROBES], ids=lambda probe: ascii(probe[:40]))
def test_no_probe_is_rewarded_or_has_an_effect(probe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for strict in (False, True):
        assert not grade_all([probe], ["17"], kind="math", strict=strict)[0].correct
        assert probe in MATH_PROBES or not grade_number(probe, "17", strict=strict).correct
    assert list(tmp_path.iterdir()) == []
    assert not (Path(canonical.__wrapped__.__code__.co_filename).parents[1] / "pwned").exists()


def test_an_answer_repeated_often_is_still_the_answer():
    text = r"So it is $\boxed{17}$. " * 3000
    [grade] = grade_all([text], ["17"], kind="math")
    assert grade.correct


HOSTILE = [
    *(
        r"\boxed{",
        r"\boxed{1}",
        r"\boxed",
        r"\boxed{1,2,3,4,5,6,7,8,9,10,11,12}, ",
        "x=1,",
        "{",
        "}",
        "$",
        "$1$",
        r"\(",
        r"\[",
        r"\(1\)",
        "answer is ",
        "answer: $1$ ",
    ),
    *(r"\frac{", r"\sqrt", r"\text{", "^{", "(", ",", "or ", " and ", "=", "1", "1,000", "\\", "\n", " ", "</think>"),
    *("\u00bd", "\u200b", "\ud800", r"\begin{pmatrix}", r"\pm", "-", "!", "9^", r"\left(", "the answer is the answer "),
]


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_text_of_100k_characters_costs_ten_times_what_10k_cost(unit: str):
    for before in ("", r"\boxed{", "The answer is $", "It is $1$ "):

        def read(size: int, before: str = before) -> None:
            answer = read_math(before + (unit * (size // len(unit) + 1))[:size] + "x")
            assert answer is None or quick_match(answer, "17") is not True

        assert grows_in_proportion(read, 10_000, 100_000), before


ATOMS = [
    *("1", "2", "17", "0", "0.5", ".5", "1,000", "x", "y", "i", "e", "n", "R", r"\pi", r"\theta", r"\infty", "-", "+"),
    *("=", "<", r"\le", r"\pm", ",", ", ", r"\cdot ", "/", "!", "^2", "^{3}", "_1", "_{10}", "^", "_", " ", "%", r"\%"),
    *(r"\circ", r"^\circ", r"\text{ cm}", r"\text{ and }", "or", "(", ")", "[", "]", r"\{", r"\}", "{", "}", "|", "&"),
    *(r"\\", r"\cup", r"\in", r"\left(", r"\right)", r"\sin", r"\log", r"\sum", r"\int", "'", '"', ":", ";", ".", "$"),
    *("\u00bd", "\u221a", "\u00b2", "\u2212", "\u0663", "\u200b", "\U0001d7cf", "99", "sin", "Monday", "#### ", "\n"),
]
GROUPS = [r"\frac{%s}{%s}", r"\sqrt{%s}+%s", "(%s, %s)", r"\{%s, %s\}", "%s^{%s}", r"\binom{%s}{%s}", "[%s, %s)"]
GROUPS += [
    r"\begin{pmatrix} %s \\ %s \end{pmatrix}",
    "(%s)(%s)",
    "%s = %s",
    r"\log_{%s} %s",
    r"|%s| - %s",
    r"%s \cup %s",
]
FRAMES = [r"\boxed{%s}", "The answer is $%s$.", "%s", r"\boxed{%s} or \boxed{1}", "So $%s$", r"\fbox{%s}"]


def soup(rng: random.Random, depth: int = 0) -> str:
    """Something like LaTeX: groups within groups, or a run of pieces in no order."""
    if depth < 4 and rng.random() < 0.6:
        return rng.choice(GROUPS) % (soup(rng, depth + 1), soup(rng, depth + 1))
    return "".join(rng.choices(ATOMS, k=rng.randrange(1, 4 if depth else 12)))


def check_soup(number: int, seed: int) -> None:
    """Nothing raises, every verdict comes within its bound, and neither process nor workers grow without end."""
    rng = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Checker(workers=2, seconds=2, memory=512 << 20) as checker:
        for start in range(0, number, 500):
            texts = [rng.choice(FRAMES) % soup(rng) for _ in range(min(500, number - start))]
            golds = [rng.choice(["17", r"\frac{1}{2}", "x^2+2x+1", r"(1, \sqrt{2})", "[0,1)", "x=y+1"]) for _ in texts]
            grades = checker.grade(list(zip(texts, golds, strict=True)))
            assert {grade.verdict for grade in grades} <= set(Verdict)
            for text in texts[:20]:
                grade_number(text, "17")
            assert all(resident(process_id) < 700 << 20 for process_id in checker.processes())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024, f"{grown} kB"


def resident(process_id: int) -> int:
    """Bytes of memory that a process holds; 0 where the system does not tell."""
    status = Path(f"/proc/{process_id}/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() if status.exists() else 0


def test_random_answers_never_raise():
    check_soup(1000, seed=0)


@pytest.mark.slow
def test_many_random_answers_never_raise():
    check_soup(50_000, seed=1)
