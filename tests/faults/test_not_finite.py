"""Gradients that are no numbers cost their step, are counted, and end a run when nothing else comes."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rltk.errors import UserError
from rltk.offline.session import OfflineWork
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.onpolicy.loop import train
from rltk.recipe.load import load_recipe
from rltk.run.checkpoint import Progress
from rltk.run.folder import RunFolder
from rltk.run.unusable import GIVE_UP_AFTER, refuse_unusable
from tests import runs
from tests.offline import made

Log = list[dict[str, Any]]


@contextmanager
def exploding(model: nn.Module, value: float, is_due: Callable[[], bool]) -> Iterator[None]:
    """The backward pass of a step that is due brings this value to one weight of many."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]

    def explode(gradient: Tensor) -> Tensor:
        if not is_due():
            return gradient
        spoiled = gradient.clone()
        spoiled.view(-1)[0] = value
        return spoiled

    handle = trained[0].register_hook(explode)
    yield
    handle.remove()


def grpo(folder: Path, guesser: Path) -> tuple[nn.Module, RunFolder, Callable[[], object]]:
    algo = {"kl": 0.05}  # or a step whose groups are all alike would have no gradient
    path = runs.write_recipe(folder, guesser, tune={"type": "full"}, optim={"steps": 5}, algo=algo)
    recipe = load_recipe(str(path)).recipe
    trainer = assemble(recipe, load_inputs(recipe), torch.device("cpu")).trainer
    run = RunFolder(folder / "run")

    def go() -> object:
        parts = {"evaluate": lambda _: {}, "watch": lambda _: None, "is_stopping": lambda: False}
        return train(trainer, run, Progress(0, 0), **parts)

    return trainer.learner.model, run, go


def dpo(folder: Path, guesser: Path) -> tuple[nn.Module, RunFolder, Callable[[], object]]:
    path = made.write_recipe(folder, guesser, "dpo", tune={"type": "full"}, optim={"steps": 5})
    work, desk, _ = made.start(path, folder / "run")
    assert isinstance(work, OfflineWork)
    return work.parts.model, desk.folder, lambda: work.train(Progress(0, 0), desk)


ALGORITHMS = {"grpo": grpo, "dpo": dpo}
VALUES = {"nan": math.nan, "infinite": math.inf, "too large for its norm": 3e38}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_step_whose_gradient_explodes_is_skipped_and_counted(
    algorithm: str, value: str, guesser: Path, tmp_path: Path
) -> None:
    model, run, go = ALGORITHMS[algorithm](tmp_path, guesser)
    with exploding(model, VALUES[value], lambda: len(run.metrics) == 1):
        go()
    assert [row["skipped_updates"] for row in runs.rows(run.path / "metrics.jsonl")] == [0, 1, 0, 0, 0]
    assert runs.rows(run.path / "metrics.jsonl")[1]["grad_norm"] is None, "what is no number is written as none"
    assert all(bool(weight.isfinite().all()) for weight in model.parameters())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_skipped_step_moves_no_weight(algorithm: str, guesser: Path, tmp_path: Path) -> None:
    model, run, go = ALGORITHMS[algorithm](tmp_path, guesser)
    before = [weight.detach().clone() for weight in model.parameters()]
    with (
        exploding(model, math.nan, lambda: True),
        pytest.raises(UserError, match=r"not finite in 3 steps in a row, the last of them step 3; lower optim\.lr"),
    ):
        go()
    assert [row["skipped_updates"] for row in runs.rows(run.path / "metrics.jsonl")] == [1, 1, 1]
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))


def test_a_long_gradient_is_scaled_down_and_counts(guesser: Path, tmp_path: Path) -> None:
    model, run, go = grpo(tmp_path, guesser)
    with exploding(model, 1e15, lambda: len(run.metrics) == 1):
        go()
    assert [row["skipped_updates"] for row in run.metrics] == [0] * 5
    assert run.metrics[1]["grad_norm"] == pytest.approx(1e15)


def rows(*skipped: int) -> Log:
    return [{"step": index + 1, "skipped_updates": count} for index, count in enumerate(skipped)]


def test_only_steps_in_a_row_end_a_run_whatever_process_made_them() -> None:
    assert GIVE_UP_AFTER == 3
    for going_on in (rows(), rows(1, 1), rows(1, 1, 0, 1, 1), rows(2, 2, 2, 0)):
        refuse_unusable(going_on, 0.1)
    with pytest.raises(UserError, match=r"the last of them step 4; lower optim\.lr \(now 0\.1\)"):
        refuse_unusable(rows(0, 1, 2, 1), 0.1)
