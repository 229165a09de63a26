"""CAP-6: facts whose bits are known, and what an adapter stored of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rltk.compare.experiments import facts
from rltk.compare.experiments.small import TINY, tokenizer_of

SMALL = facts.Settings(ranks=(8,), seeds=2, targets=("down_proj", "o_proj"), facts=8, digits=3, batch=8, steps=400)


def test_facts_are_new_keys_and_random_digits() -> None:
    settings = facts.Settings(model=TINY, facts=500)
    rows = facts.facts(settings, 0)
    assert torch.equal(rows, facts.facts(settings, 0)) and not torch.equal(rows, facts.facts(settings, 1))
    keys, digits = rows[:, : facts.KEY], rows[:, facts.KEY :]
    assert len({tuple(key) for key in keys.tolist()}) == 500 and digits.shape == (500, 12)
    text = tokenizer_of(TINY).decode(digits[0].tolist())
    assert isinstance(text, str) and len(text) == 12 and text.isdecimal()
    assert not set(keys.unique().tolist()) & set(digits.unique().tolist())
    counts = digits.flatten().unique(return_counts=True)[1]
    assert len(counts) == 10 and counts.min() > 500, "6,000 digits, each about as often"


class Knows(nn.Module):
    """Is sure of every digit of the rows it was given; of `guessed` digits it knows that they are digits."""

    def __init__(self, rows: torch.Tensor, guessed: int) -> None:
        super().__init__()
        self.rows, self.guessed, self.digits = rows, guessed, rows[:, facts.KEY :].unique()

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        logits = torch.full((*input_ids.shape, 1280), -100.0)
        logits[:, :-1].scatter_(2, input_ids[:, 1:, None], 100.0)
        for place in range(facts.KEY - 1, facts.KEY - 1 + self.guessed):
            logits[:, place] = -100.0
            logits[:, place, self.digits] = 0.0
        return type("Output", (), {"logits": logits})


@pytest.mark.parametrize(("guessed", "known"), [(0, 12), (12, 0), (3, 9)])
def test_bits_are_those_of_the_digits_that_are_known(guessed: int, known: int) -> None:
    settings = facts.Settings(model=TINY, facts=100)
    rows = facts.facts(settings, 0)
    found = facts.bits_stored(Knows(rows, guessed), rows, settings)
    assert found == pytest.approx(100 * known * math.log2(10), abs=1e-2)


def test_a_line_through_the_origin_worked_by_hand() -> None:
    slope, interval, straight = facts.through_origin(np.array([1.0, 2.0, 2.0]), [1.0, 5.0, 3.0])
    assert slope == pytest.approx((1 + 10 + 6) / 9)
    left = (1 - slope) ** 2 + (5 - 2 * slope) ** 2 + (3 - 2 * slope) ** 2
    assert straight == pytest.approx(1 - left / 8)
    assert interval.high - slope == pytest.approx(4.302653 * math.sqrt(left / 2 / 9), rel=1e-5)


def test_an_adapter_with_room_for_all_facts_has_no_limit_that_is_known() -> None:
    outcome = facts.measure(SMALL)
    stored = [run["bits"] for run in outcome.details["runs"]]
    assert min(stored) > 0.95 * 8 * 3 * math.log2(10), "few facts, and many parameters"
    assert outcome.verdict == "inconclusive" and "holds all the facts there are" in outcome.summary


def test_who_still_learns_has_no_limit_that_is_known() -> None:
    outcome = facts.measure(SMALL.model_copy(update={"steps": 12, "facts": 64, "lr": 1e-3}))
    assert outcome.verdict == "inconclusive" and outcome.summary.endswith("some were still learning")
