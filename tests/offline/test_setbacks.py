"""Memory that runs out within a step of a trainer of TRL's: fewer examples at once, and the same steps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rltk.errors import UserError
from rltk.offline.dpo import train_dpo
from rltk.offline.reward_model import train_reward_model
from rltk.offline.sft import train_sft
from tests import tiny
from tests.offline import made
from tests.shortage import short_of_memory

TRAIN: dict[str, Callable[..., None]] = {"sft": train_sft, "dpo": train_dpo, "reward_model": train_reward_model}
RUNS = [("sft", "lora"), ("sft", "full"), ("dpo", "lora"), ("dpo", "full"), ("reward_model", "lora")]


def begun(folder: Path, algorithm: str, tune: str, **optim: int) -> made.Started:
    base = tiny.folder(folder / "base")
    settings = {"steps": 3, "lr": 0.01, **optim}
    recipe = made.write_recipe(folder, base, algorithm, tune=made.TUNES[tune], optim=settings)
    return made.start(recipe, folder / "run")


def train(one: made.Started, algorithm: str) -> None:
    TRAIN[algorithm](one.stage, one.work.inputs.tokenizer)


def trained(one: made.Started) -> list[Tensor]:
    return [weight.detach() for weight in one.stage.trained]


@pytest.mark.parametrize(("algorithm", "tune"), RUNS)
def test_a_step_that_is_too_large_is_halved_and_made(
    algorithm: str, tune: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = (
        begun(tmp_path / "small", algorithm, tune, micro_tokens=1),
        begun(tmp_path / "large", algorithm, tune),
    )
    with short_of_memory(small.stage.model, 10**9) as asked:
        train(small, algorithm)
    capsys.readouterr()
    with short_of_memory(large.stage.model, max(asked)) as tried:
        train(large, algorithm)
    assert max(tried) > max(asked), "otherwise nothing ran out"
    said = capsys.readouterr().err.splitlines()
    assert said and said[0].startswith("rltk: out of memory with 4 examples at once; going on with 2 ")
    assert [row["step"] for row in large.desk.folder.metrics] == [1, 2, 3]
    for row, expected in zip(large.desk.folder.metrics, small.desk.folder.metrics, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    for weight, other in zip(trained(large), trained(small), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-3, atol=1e-5)


def test_one_example_that_is_too_large_is_said(tmp_path: Path) -> None:
    one = begun(tmp_path, "sft", "lora")
    with (
        short_of_memory(one.stage.model, 1),
        pytest.raises(
            UserError, match=r"out of memory with 1 of a step's 4 examples at once; lower optim.micro_tokens"
        ),
    ):
        train(one, "sft")
    assert not one.desk.folder.metrics
