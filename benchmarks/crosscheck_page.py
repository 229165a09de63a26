"""The cross-check as a page: counts for each checker, and every disagreement with who is right."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "results" / "crosscheck.md"
MOST_LISTED = 150
"""Disagreements of a set that are listed one by one; more are counted by who is right."""

_HEAD = """# Who is right about an answer

The same completions judged by `rltk`, by the `strict-match` and `flexible-extract` filters of lm-evaluation-harness'
gsm8k ({lm_eval}), and by TRL's `accuracy_reward`. Made by `python -m benchmarks.crosscheck`, which says how to run it;
all verdicts are in `benchmarks/results/crosscheck.json`. A checker is right where it says what a person says of the
answer that is given in the end: a list of guesses is wrong, and 6 million is 6000000. `fn` (false negative): right, and
not judged so; `fp` (false positive): wrong, and judged right.

What each is made for differs. gsm8k's strict filter wants `#### 72` and a completion that was asked for it; TRL's
reward wants LaTeX, and reads no `####`. So `embedded policy, boxed` holds the completions of `embedded policy` with the
last `#### 72` written as `\\boxed{{72}}`.
"""


def page(result: dict[str, Any]) -> str:
    sections = [_HEAD.format(lm_eval=f"lm_eval {result['lm_eval']}"), counts_table(result)]
    for name, found in result["sets"].items():
        listed = dispute_table if len(found["disagreements"]) <= MOST_LISTED else pattern_table
        sections += [f"## {name}\n", listed(found["disagreements"], result["checkers"])]
    return "\n".join(sections)


def counts_table(result: dict[str, Any]) -> str:
    lines = ["| set | checker | asked | right | fn | fp |", "|---|---|---:|---:|---:|---:|"]
    for name, found in result["sets"].items():
        for checker, counts in found["counts"].items():
            values = (counts[key] for key in ("asked", "right", "false_negative", "false_positive"))
            lines.append(f"| {name} | {checker} | {' | '.join(map(str, values))} |")
    return "\n".join(lines) + "\n"


def dispute_table(disputes: list[dict[str, Any]], checkers: list[str]) -> str:
    """One line a disagreement: C judged correct, I not; bold where that is right, - where not asked."""
    lines = [f"| completion | gold | truth | {' | '.join(checkers)} |", "|---|---|---" + "|---" * len(checkers) + "|"]
    for dispute in disputes:
        shown = [code(dispute["completion"]), code(dispute["gold"]), letter(dispute["correct"])]
        lines.append(f"| {' | '.join(shown + cells(dispute, checkers))} |")
    return "C: judged correct, I: not; bold: right; -: not asked.\n\n" + "\n".join(lines) + "\n"


def pattern_table(disputes: list[dict[str, Any]], checkers: list[str]) -> str:
    """One line for all disagreements in which the same checkers are right, with the first as an example."""
    seen = Counter((dispute["correct"], *cells(dispute, checkers)) for dispute in disputes)
    lines = [
        f"| rows | for example | gold | truth | {' | '.join(checkers)} |",
        "|---:|---|---|---" + "|---" * len(checkers) + "|",
    ]
    for pattern, rows in seen.most_common():
        first = next(d for d in disputes if (d["correct"], *cells(d, checkers)) == pattern)
        shown = [f"{rows:,}", code(first["completion"]), code(first["gold"]), letter(first["correct"])]
        lines.append(f"| {' | '.join(shown + cells(first, checkers))} |")
    return "C: judged correct, I: not; bold: right.\n\n" + "\n".join(lines) + "\n"


def cells(dispute: dict[str, Any], checkers: list[str]) -> list[str]:
    said = dispute["verdicts"]
    return [
        "-" if name not in said else f"**{letter(said[name])}**" if name in dispute["right"] else letter(said[name])
        for name in checkers
    ]


def letter(verdict: bool) -> str:
    return "C" if verdict else "I"


def code(text: str) -> str:
    """The end of a text as code inside a table: line breaks, bars and backticks would end it."""
    flat = re.sub(r"\s*\n\s*", " / ", text).replace("|", "\\|").replace("`", "'")
    return f"`{flat if len(flat) <= 90 else '... ' + flat[-86:]}`".encode("ascii", "backslashreplace").decode()
