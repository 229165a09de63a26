"""A step is timed from builds of one and two layers; no time is asserted, only how it is put together."""

from dataclasses import replace
from typing import Any

import pytest

from rltk.errors import UserError
from rltk.onpolicy import timing
from rltk.onpolicy.timing import Timed, measured_step
from rltk.plan.arms import Subject
from rltk.plan.config import find_shape
from rltk.plan.memory import Layout
from rltk.plan.workload import Assumed, workload_of
from rltk.recipe.schema import SFT
from tests.recipes import FULL, LORA, recipe


def subject(**sections: Any) -> Subject:
    algo = {"prompts": 2, "group": 2, **sections.pop("algo", {})}
    made = recipe(rollout={"max_new_tokens": 4}, algo=algo, **sections)
    return Subject(made, find_shape(made.model), workload_of(made, Assumed(4)), Layout(device="cpu"))


@pytest.mark.parametrize("tune", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("algo", [{"type": "grpo"}, {"type": "ppo", "kl": 0.05}], ids=["grpo", "ppo"])
def test_a_step_is_timed(algo: dict[str, Any], tune: dict[str, Any]) -> None:
    found = measured_step(subject(tune=tune, algo=algo))
    assert found.sampling > 0 and found.training > 0


def test_what_two_layers_take_more_than_one_is_a_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four layers: 1 + 3 * 0.5 s of sampling; 2 + 3 * 1 and 0.1 + 3 * 0.1 s of training."""
    times = {1: Timed(1.0, 2.0, 0.1), 2: Timed(1.5, 3.0, 0.2)}
    monkeypatch.setattr(timing, "timed", lambda _, layers: times[layers])
    found = measured_step(subject())
    assert found.sampling == pytest.approx(2.5) and found.training == pytest.approx(5.4)


def test_what_does_not_sample_is_not_timed() -> None:
    made = subject()
    offline = made.recipe.model_copy(update={"algo": SFT()})
    with pytest.raises(UserError, match=r"algo\.type is sft; leave it out"):
        measured_step(replace(made, recipe=offline))
