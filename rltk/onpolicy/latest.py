"""A few completions of the newest step, kept in the run folder for whoever watches."""

from collections.abc import Sequence

from rltk.rewards.judge import Sample
from rltk.run.folder import RunFolder

SHOWN = 4
"""Problems whose first completion is kept."""


def keep_latest(
    run: RunFolder, step: int, group: int, samples: Sequence[Sample], rewards: Sequence[float | None]
) -> None:
    """Of `samples`, which come in groups of `group`, and their rewards."""
    firsts = slice(0, SHOWN * group, group)
    rows = [
        {"step": step, "id": problem.id, "prompt": problem.question, "completion": text, "reward": reward}
        for (problem, _, _, text), reward in zip(samples[firsts], rewards[firsts], strict=True)
    ]
    run.write_latest(rows)
