"""Data sets in the hub's layout, of a few rows that rltk makes itself, for `--data-root`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from rltk.data.tasks import MATH_SUBJECTS
from rltk.embedded.equations import equations
from rltk.embedded.word_problems import word_problems
from rltk.evaluation.pairs.tasks import HH_FOLDERS
from tests import files

ROWS = 16
PAIR = {
    "chosen": "\n\nHuman: What is {n} and 2?\n\nAssistant: It is {right}.",
    "rejected": "\n\nHuman: What is {n} and 2?\n\nAssistant: No.",
}


def write_hub(root: Path) -> None:
    """GSM8K, MATH, MATH-500 and HH-RLHF, with their splits, configurations and columns."""
    worded = [{"question": one.question, "answer": one.solution} for one in word_problems("test", ROWS)]
    solved = [
        {"problem": one.question, "solution": one.solution, "answer": one.answer, "level": one.level}
        for one in equations("test", ROWS)
    ]
    pairs = [{side: text.format(n=n, right=n + 2) for side, text in PAIR.items()} for n in range(ROWS)]
    write(root / "openai/gsm8k", {"main": worded})
    subjects = {name: [{**row, "type": name} for row in solved] for name in MATH_SUBJECTS}
    write(root / "EleutherAI/hendrycks_math", subjects)
    write(root / "HuggingFaceH4/MATH-500", {"default": [{**row, "subject": "Algebra"} for row in solved]})
    write(root / "Anthropic/hh-rlhf", dict.fromkeys(HH_FOLDERS, pairs))


def write(folder: Path, rows: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """Both splits of each configuration, and the card that names them."""
    configs = []
    for name, of_config in rows.items():
        (folder / name).mkdir(parents=True)
        for split in ("train", "test"):
            files.jsonl(folder / name / f"{split}.jsonl", of_config)
        found = [{"split": split, "path": f"{name}/{split}.jsonl"} for split in ("train", "test")]
        configs.append({"config_name": name, "data_files": found})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n", encoding="utf-8")
