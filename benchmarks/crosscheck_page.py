"""The cross-check as a page: counts for each checker, and every disagreement with who is right."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "results" / "crosscheck.md"
MOST_SHOWN = 90
"""Characters of a completion; its end is shown."""

_HEAD = """# Who is right about an answer

The same completions judged by rltk, by the `strict-match` and `flexible-extract` filters of lm-evaluation-harness'
gsm8k (lm_eval {lm_eval}) and by TRL's `accuracy_reward` (trl {trl}). `python -m benchmarks.crosscheck` made this page
and says how to run it; `benchmarks/results/crosscheck.json` has the same for programs. A checker is right where it says
what a person says of the answer that is given in the end: a list of guesses is wrong, and 6 million is 6000000.

What each is made for differs. The strict filter wants `#### 72` from a model that was shown how; TRL's reward reads
LaTeX, and no `####`. So `embedded policy, boxed` is `embedded policy` with `\\boxed{{72}}` for `#### 72`. gsm8k's
filters are not asked about mathematics.

False negative: right, and not judged so. False positive: wrong, and judged right.
"""
_LEGEND = """C: judged correct; I: not; bold: who is right; -: not asked. `rows`: how many have the same verdicts. Where
rltk is wrong comes first.
"""


def page(result: dict[str, Any]) -> str:
    sections = [_HEAD.format(lm_eval=result["lm_eval"], trl=result["versions"]["trl"]), counts_table(result)]
    sections += [f"## Disagreements\n\n{_LEGEND}"]
    for name, found in result["sets"].items():
        differing = sum(len(entry["rows"]) for entry in found["disagreements"])
        sections += [f"### {name}: {differing:,} of {found['n']:,}\n"]
        sections += [disagreement_table(found["disagreements"], result["checkers"])]
    return "\n".join(sections)


def counts_table(result: dict[str, Any]) -> str:
    lines = ["| set | checker | asked | right | false negative | false positive |", "|---|---|---:|---:|---:|---:|"]
    for name, found in result["sets"].items():
        for checker, counts in found["counts"].items():
            values = (f"{counts[key]:,}" for key in ("asked", "right", "false_negative", "false_positive"))
            lines.append(f"| {name} | {checker} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def disagreement_table(entries: list[dict[str, Any]], checkers: list[str]) -> str:
    lines = [
        f"| rows | completion | gold | truth | {' | '.join(checkers)} |",
        "|---:|---|---|---" + "|---" * len(checkers) + "|",
    ]
    for entry in entries:
        shown = [f"{len(entry['rows']):,}", code(entry["completion"]), code(entry["gold"]), letter(entry["correct"])]
        lines.append(f"| {' | '.join(shown + [cell(entry, name) for name in checkers])} |")
    return "\n".join(lines) + "\n"


def cell(entry: dict[str, Any], checker: str) -> str:
    if checker not in entry["verdicts"]:
        return "-"
    said = letter(entry["verdicts"][checker])
    return f"**{said}**" if checker in entry["right"] else said


def letter(verdict: bool) -> str:
    return "C" if verdict else "I"


def code(text: str) -> str:
    """The end of a text as code inside a table; a line break, a bar or a backtick would end it."""
    flat = re.sub(r"\s*\n\s*", " / ", text).replace("|", "\\|").replace("`", "'")
    shown = flat if len(flat) <= MOST_SHOWN else f"... {flat[4 - MOST_SHOWN :]}"
    return f"`{shown}`".encode("ascii", "backslashreplace").decode()
