"""A folder in which the commands of a page can be tried: recipes as in a checkout, and files that a reader has."""

from __future__ import annotations

import json
from pathlib import Path

from tests.documented.hub import write_hub
from tests.documented.pages import ROOT, files

QUESTIONS = [
    {"question": f"Ann has {n} hens and buys {n + 1}. How many has she?", "answer": str(2 * n + 1)}
    for n in range(1, 201)
]
LOSSES = [
    {"arm": arm, "data": data, "loss": round(floor + scale * data**-0.3, 4)}
    for arm, floor, scale in (("full", 1.0, 9.0), ("lora-8", 1.05, 8.0))
    for data in (100, 300, 1000, 3000, 10_000, 30_000)
]
MINE = "def mine(problem, completion):\n    return float(problem.answer in completion)\n"
MADE: dict[str, dict[str, object]] = {
    "README.md": {"my.jsonl": QUESTIONS, "my_rewards.py": MINE, "runs/scaling/gsm8k_sft/results.jsonl": LOSSES},
    "docs/tutorial/grpo.md": {"mine.yaml": (ROOT / "recipes/gsm8k_grpo.yaml").read_text(encoding="utf-8")},
}
"""What a page presumes or redirects the output of a command into, by name; lists are written a row a line."""
WRITTEN: dict[str, dict[str, object]] = {
    "docs/tutorial/dpo.md": {"pairs.jsonl": [{"prompt": "a", "chosen": "b", "rejected": "c"}] * 20},
}
"""What the commands of a page write themselves, made for those that only parse."""
LENT = {"docs/howto/vllm.md": {"runs/grpo": "policy"}}
"""Runs that a page presumes, by the name of one that was made beforehand."""


def prepare(folder: Path, page: str, trained: dict[str, str] | None = None) -> None:
    """For commands that run where there are runs that were `trained`, and for parsing them elsewhere."""
    (folder / "recipes").symlink_to(ROOT / "recipes")
    written = WRITTEN.get(page, {}) if trained is None else {}
    for name, content in {**MADE.get(page, {}), **written, **files(page)}.items():
        text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in rows(content))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if trained is not None:
        write_hub(folder / "hub")
        for name, run in LENT.get(page, {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(trained[run])


def rows(content: object) -> list[object]:
    assert isinstance(content, list)
    return content
