"""The losses as rltk runs TRL's trainer, against their papers' formulas, and their gradient against differences.

Shapes: none; a pair's two replies are numbers here.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rltk.models.adapters import adapter_off
from rltk.offline.dpo import PairTrainer, dpo_trainer
from rltk.offline.pair_scores import likelihoods
from rltk.offline.rows import Pair
from tests.offline.made import Started, start, write_recipe

BETA, FLIPPED = 0.3, 0.1
Loss = Callable[[float, float, Pair], float]
"""Of what a pair's log-probabilities have gained, chosen and rejected."""


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def sigmoid(chosen: float, rejected: float, pair: Pair) -> float:
    return -log_sigmoid(BETA * (chosen - rejected))


def robust(chosen: float, rejected: float, pair: Pair) -> float:
    lead = BETA * (chosen - rejected)
    return ((FLIPPED - 1) * log_sigmoid(lead) + FLIPPED * log_sigmoid(-lead)) / (1 - 2 * FLIPPED)


def hinge(chosen: float, rejected: float, pair: Pair) -> float:
    return max(0.0, 1 - BETA * (chosen - rejected))


def ipo(chosen: float, rejected: float, pair: Pair) -> float:
    return (chosen / len(pair.chosen) - rejected / len(pair.rejected) - 1 / (2 * BETA)) ** 2


LOSSES: dict[str, Loss] = {"sigmoid": sigmoid, "robust": robust, "hinge": hinge, "ipo": ipo}


def test_formulas_by_hand() -> None:
    """BETA * (chosen - rejected) = 0.6 for gains of 1.5 and -0.5; log sigmoid(0.6) = -0.437488."""
    pair = Pair([1], [1, 2, 3], [1])
    expected = {"sigmoid": 0.437488, "robust": 0.362488, "hinge": 0.4, "ipo": (0.5 + 0.5 - 1 / 0.6) ** 2}
    assert {name: loss(1.5, -0.5, pair) for name, loss in LOSSES.items()} == pytest.approx(expected, abs=1e-5)


def trainer_of(loss: str, tune: dict[str, Any], guesser: Path, folder: Path) -> tuple[Started, PairTrainer]:
    """A trainer whose policy is no longer its reference."""
    algo = {"beta": BETA, "loss": loss, "label_smoothing": FLIPPED if loss == "robust" else 0.0}
    started = start(write_recipe(folder, guesser, "dpo", algo=algo, tune=tune), folder / "run")
    trainer = dpo_trainer(started.stage, str(folder / "trl"), started.work.inputs.tokenizer)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in started.stage.trained:
            weight += 0.02 * torch.randn_like(weight)
    return started, trainer


@pytest.mark.parametrize("loss", LOSSES)
def test_trl_computes_the_formula(loss: str, guesser: Path, tmp_path: Path) -> None:
    started, trainer = trainer_of(loss, {"type": "lora", "rank": 4}, guesser, tmp_path)
    model, pairs = started.stage.model, [row for row in started.stage.course.rows if isinstance(row, Pair)]

    def measured() -> list[Any]:
        return likelihoods(model, pairs, torch.float32, 4096, lambda done, total: None)

    policy = measured()
    with adapter_off(model):
        reference = measured()
    expected = [
        LOSSES[loss](now.chosen - then.chosen, now.rejected - then.rejected, pair)
        for now, then, pair in zip(policy, reference, pairs, strict=True)
    ]
    assert max(expected) - min(expected) > 1e-3, "pairs that differ"
    batch = trainer.data_collator([row.to_row() for row in pairs])
    found = trainer.compute_loss(model, batch)
    assert found.item() == pytest.approx(math.fsum(expected) / len(expected), rel=1e-4)


@pytest.mark.parametrize("tune", [{"type": "lora", "rank": 4}, {"type": "full"}], ids=["lora", "full"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_slope(loss: str, tune: dict[str, Any], guesser: Path, tmp_path: Path) -> None:
    started, trainer = trainer_of(loss, tune, guesser, tmp_path)
    batch = trainer.data_collator(list(trainer.train_dataset))  # pyright: ignore[reportArgumentType]

    def measured() -> torch.Tensor:
        return trainer.compute_loss(started.stage.model, dict(batch))

    measured().backward()
    trained = [weight for weight in started.stage.trained if weight.grad is not None]
    gradients = [weight.grad.clone() for weight in trained if weight.grad is not None]
    length = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    sides = list[float]()
    with torch.no_grad():
        for step in (1e-3, -2e-3):  # to one side of where it stands, then as far to the other
            for weight, gradient in zip(trained, gradients, strict=True):
                weight += step / length * gradient
            sides.append(measured().item())
    assert (sides[0] - sides[1]) / 2e-3 == pytest.approx(length, rel=0.02)


def test_no_second_model_and_no_second_adapter(guesser: Path, tmp_path: Path) -> None:
    for tune in ({"type": "lora", "rank": 4}, {"type": "full"}):
        started, trainer = trainer_of("sigmoid", tune, guesser, tmp_path / tune["type"])
        assert trainer.ref_model is None
        assert not [name for name, _ in started.stage.model.named_parameters() if ".ref." in name]
        assert len(started.stage.trained) == sum(len(group["params"]) for group in started.stage.optimizer.param_groups)
