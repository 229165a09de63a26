"""Has training begun to please the reward rather than to be good? (Gao et al. 2022, arXiv 2210.10760)

Where the gold reward of held-out prompts is known, evaluations while training show it turn over: the reward that is
trained on goes on rising, and gold falls. Both are compared, prompt by prompt, with the evaluation that had most gold.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rltk_eval.metrics import Interval, clustered_interval

from rltk.evaluation.items import Row
from rltk.run.folder import RunFolder, read_jsonl

CONFIDENCE = 0.99
"""Of both intervals; strict, because the best of many evaluations was also the luckiest."""


class Look(NamedTuple):
    """One evaluation, prompt by prompt in the same order each time."""

    step: int
    proxy: list[float | None]
    gold: list[float]


class Turn(NamedTuple):
    best: int
    """The step that had the most gold."""
    step: int
    gold: Interval
    """Of its change since."""
    proxy: Interval

    def __str__(self) -> str:
        return (
            f"from step {self.best} to step {self.step} the gold reward of held-out prompts changed by "
            f"{middle(self.gold):+.3f} [{self.gold.low:+.3f}, {self.gold.high:+.3f}] and the reward that is trained on "
            f"by {middle(self.proxy):+.3f} [{self.proxy.low:+.3f}, {self.proxy.high:+.3f}] ({CONFIDENCE:.0%} intervals)"
        )


def find_turn(looks: Sequence[Look]) -> Turn | None:
    """None unless, at the last look, gold is below its best and the proxy above what it was then, both beyond noise."""
    if len(looks) < 2:
        return None
    *earlier, now = looks
    best = max(earlier, key=lambda look: fmean(look.gold))
    gold, proxy = change(best.gold, now.gold), change(best.proxy, now.proxy)
    return Turn(best.step, now.step, gold, proxy) if gold.high < 0 < proxy.low else None


def turn_at(run: RunFolder, task: str, step: int) -> Turn | None:
    """What the evaluation after `step` shows, whose items are written already, with those before it."""
    steps = [row["step"] for row in run.metrics if "heldout_gold_reward" in row]
    return find_turn(read_looks(run.path / "items", task, [*steps, step]))


def has_turned(run: RunFolder) -> bool:
    """Whether training ended because the reward was over-optimised."""
    return bool(run.metrics) and "overoptimised" in run.metrics[-1]


def change(before: Sequence[float | None], after: Sequence[float | None]) -> Interval:
    """Over the prompts whose completions could be judged both times."""
    both = [(earlier, later) for earlier, later in zip(before, after, strict=True)]
    differences = [[later - earlier] for earlier, later in both if earlier is not None and later is not None]
    return clustered_interval(differences, CONFIDENCE)


def read_looks(items: Path, task: str, steps: Sequence[int]) -> list[Look]:
    """The evaluation before training, where there is one, and those after these steps."""
    files = [(0, items / f"before-{task}.jsonl"), *((step, items / f"{look_name(step, task)}.jsonl") for step in steps)]
    return [look(step, read_jsonl(file)) for step, file in files if file.exists()]


def look_name(step: int, task: str) -> str:
    """Of the file of items."""
    return f"step-{step:06d}-{task}"


def look(step: int, rows: Sequence[Row]) -> Look:
    greedy = [row for row in rows if row["decoding"] == "greedy"]
    return Look(step, [row["reward"] for row in greedy], [row["gold_reward"] for row in greedy])


def middle(interval: Interval) -> float:
    return (interval.low + interval.high) / 2
