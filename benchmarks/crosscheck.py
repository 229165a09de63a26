r"""One set of completions under four checkers: rltk, lm-evaluation-harness' gsm8k (two filters) and TRL's reward.

    python -m venv lm_env && lm_env/bin/pip install lm_eval          an environment of its own
    python -m benchmarks.crosscheck --lm-eval lm_env/bin/python       writes results/crosscheck.json and a page of it

`--items FILE` takes the policy's completions anew from `rltk eval embedded/policy --task word-problems --limit 200
--samples 4 --max-new-tokens 96 --out DIR` (its items/word-problems.jsonl), and keeps them in results/.

Three sets: completions written and labelled by hand (`tests/eval/written.py`); those of the embedded policy; and these
with `#### 72` written as `\boxed{72}`, since TRL reads nothing but LaTeX. The policy is right where its last line is
`#### ` and the gold answer, character for character. gsm8k's filters are not asked about mathematics. TRL gets the gold
answer between dollar signs.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rltk_eval.answers import Kind
from rltk_eval.grading import grade_by_kind

from benchmarks.crosscheck_page import PAGE, page
from benchmarks.record import RESULTS, write_result
from tests.eval.written import CASES

OUTPUTS = RESULTS / "crosscheck_outputs.jsonl"
LM_EVAL = {"strict-match": "lm_eval strict", "flexible-extract": "lm_eval flexible"}
BY_HAND = "written by hand"
CHECKERS = ("rltk", *LM_EVAL.values(), "trl")


class Row(NamedTuple):
    """`correct`: whether the answer is right, whatever any checker says."""

    completion: str
    gold: str
    correct: bool
    kind: Kind = "number"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crosscheck", description=__doc__)
    parser.add_argument("--lm-eval", metavar="PYTHON", required=True, help="a Python that has lm_eval")
    parser.add_argument("--items", type=Path, help="items of `rltk eval`, in place of the kept completions")
    args = parser.parse_args()
    if args.items:
        keep_outputs(args.items)
    sets = {name: compare(rows, args.lm_eval, grouped=name != BY_HAND) for name, rows in row_sets().items()}
    version = lm_eval_verdicts([("#### 1", "1")], args.lm_eval)["version"]
    values: dict[str, Any] = {"lm_eval": version, "checkers": CHECKERS, "sets": sets}
    written = write_result("crosscheck", values, packages=("trl", "math-verify"))
    print(written)
    PAGE.write_text(page(json.loads(written.read_text())))
    print(PAGE)


def keep_outputs(items: Path) -> None:
    rows = [json.loads(line) for line in items.read_text().splitlines()]
    kept = [{key: row[key] for key in ("completion", "gold", "verdict")} for row in rows]
    OUTPUTS.write_text("".join(json.dumps(row) + "\n" for row in kept))


def row_sets() -> dict[str, list[Row]]:
    outputs = [json.loads(line) for line in OUTPUTS.read_text().splitlines()]
    policy = [Row(row["completion"], row["gold"], is_right(row["completion"], row["gold"])) for row in outputs]
    return {
        BY_HAND: [Row(case.completion, case.gold, case.correct, case.kind) for case in CASES],
        "embedded policy": policy,
        "embedded policy, boxed": [row._replace(completion=boxed(row.completion)) for row in policy],
    }


def is_right(completion: str, gold: str) -> bool:
    return completion.rpartition("\n")[2] == f"#### {gold}"


def boxed(completion: str) -> str:
    """The answer on the last line in a box instead."""
    before, mark, answer = completion.rpartition("#### ")
    return rf"{before}\boxed{{{answer}}}" if mark else completion


def compare(rows: Sequence[Row], lm_eval: str, *, grouped: bool) -> dict[str, Any]:
    """Who says what: counts for each checker, and each row about which they do not all agree, or all are wrong.

    grouped: rows with the same truth and the same verdicts are one entry, with the first as an example. Where we are
    wrong comes first.
    """
    found = our_verdicts(rows) | their_verdicts(rows, lm_eval)
    counts = {name: tally(rows, found[name]) for name in CHECKERS}
    entries: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        said = {name: found[name][index] for name in CHECKERS if found[name][index] is not None}
        if set(said.values()) != {row.correct}:
            right = [name for name in said if said[name] == row.correct]
            entry = {"rows": [], **row._asdict(), "verdicts": said, "right": right}
            key = repr((row.correct, said)) if grouped else str(index)
            entries.setdefault(key, entry)["rows"].append(index)
    ours_first = sorted(entries.values(), key=lambda entry: ("rltk" in entry["right"], -len(entry["rows"])))
    correct = sum(row.correct for row in rows)
    return {"n": len(rows), "correct": correct, "counts": counts, "disagreements": ours_first}


def our_verdicts(rows: Sequence[Row]) -> dict[str, list[bool | None]]:
    """Those of `rltk eval` and of training."""
    texts, golds = [row.completion for row in rows], [row.gold for row in rows]
    return {"rltk": [grade.correct for grade in grade_by_kind(texts, golds, [row.kind for row in rows])]}


def their_verdicts(rows: Sequence[Row], lm_eval: str) -> dict[str, list[bool | None]]:
    from trl.rewards import accuracy_reward

    rewards = accuracy_reward([[{"content": row.completion}] for row in rows], [f"${row.gold}$" for row in rows])
    verdicts: dict[str, list[bool | None]] = {"trl": [None if reward is None else reward == 1 for reward in rewards]}
    numbers = [(row.completion, row.gold) for row in rows if row.kind == "number"]
    for name, said in lm_eval_verdicts(numbers, lm_eval)["verdicts"].items():
        answers = iter(said)
        verdicts[LM_EVAL[name]] = [next(answers) if row.kind == "number" else None for row in rows]
    return verdicts


def lm_eval_verdicts(pairs: Sequence[tuple[str, str]], python: str) -> dict[str, Any]:
    script = str(Path(__file__).with_name("lm_eval_gsm8k.py"))
    done = subprocess.run([python, "-E", script], input=json.dumps(pairs), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {script} failed; does it have lm_eval?\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def tally(rows: Sequence[Row], said: Sequence[bool | None]) -> dict[str, int]:
    asked = [(row.correct, verdict) for row, verdict in zip(rows, said, strict=True) if verdict is not None]
    return {
        "asked": len(asked),
        "right": sum(correct == verdict for correct, verdict in asked),
        "false_negative": asked.count((True, False)),
        "false_positive": asked.count((False, True)),
    }


if __name__ == "__main__":
    main()
