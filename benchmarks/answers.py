r"""Answers checked a second: GSM8K's numbers and MATH's LaTeX, half of them right and half wrong.

    python -m benchmarks.answers                       data in ../shared/data
    python -m benchmarks.answers --data DIR            a folder laid out as on the hub: openai/gsm8k, ...

Right: each dataset's own solutions as completions. Wrong: the same answers with their first number one larger, in
`#### ` or `\boxed{}`. Each repeat starts with empty caches and a fresh checker, so starting its workers is included.
"""

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rltk_eval.answers import Grade, Kind, gold_answer, grade_all
from rltk_eval.latex import canonical
from rltk_eval.maths import quick_match
from rltk_eval.pool import Checker

from benchmarks.record import spread, write_result

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--workers", type=int, default=2, help="processes for algebra")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if not args.data.is_dir():
        parser.error(f"no folder {args.data}: give --data DIR with openai/gsm8k and EleutherAI/hendrycks_math in it")
    gsm8k = pairs(column(args.data / "openai/gsm8k/main", "answer"), "number", "#### {}")
    math = pairs(column(args.data / "EleutherAI/hendrycks_math", "solution"), "math", r"\boxed{{{}}}")
    algebra = [pair for pair in math if needs_algebra(*pair)]
    rows = {
        "gsm8k": measure(gsm8k, lambda: grade_all(*zip(*gsm8k, strict=True)), args.repeats),
        "math": measure(math, lambda: checked(math, args.workers), args.repeats),
        "math, only what needs algebra": measure(algebra, lambda: checked(algebra, args.workers), args.repeats),
    }
    for name, row in rows.items():
        print(f"{name:30} {row['checks_per_second']['median']:10,.0f} checks/s  {row['verdicts']}")
    settings = {"workers": args.workers, "repeats": args.repeats}
    packages = ("math-verify", "latex2sympy2-extended", "sympy")
    print(write_result("answers", {"settings": settings, "rows": rows}, packages=packages))


def column(folder: Path, name: str) -> list[str]:
    return [str(value) for file in sorted(folder.rglob("*.parquet")) for value in pq.read_table(file)[name].to_pylist()]


def pairs(solutions: list[str], kind: Kind, form: str) -> list[tuple[str, str]]:
    """Each solution with its answer, right and then wrong; a row of MATH without an answer is left out."""
    found = []
    for solution in solutions:
        if r"\boxed{}" not in solution:
            gold = gold_answer(solution, kind=kind)
            wrong = re.sub(r"\d+", lambda number: str(int(number[0]) + 1), gold, count=1)
            found += [(solution, gold), (form.format(wrong), gold)]
    return found


def checked(asked: list[tuple[str, str]], workers: int) -> list[Grade]:
    with Checker(workers=workers) as checker:
        return checker.grade(asked)


def measure(asked: list[tuple[str, str]], grade: Callable[[], list[Grade]], repeats: int) -> dict[str, Any]:
    speeds, verdicts = [], Counter[str]()
    for _ in range(repeats):
        canonical.cache_clear()
        started = time.perf_counter()
        grades = grade()
        speeds.append(len(asked) / (time.perf_counter() - started))
        verdicts = Counter(grade.verdict.value for grade in grades)
    return {"checks": len(asked), "checks_per_second": spread(speeds), "verdicts": dict(verdicts)}


def needs_algebra(completion: str, gold: str) -> bool:
    return completion.startswith(r"\boxed") and quick_match(completion[len(r"\boxed{") : -1], gold) is None


if __name__ == "__main__":
    main()
