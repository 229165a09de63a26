"""LR-4, LR-6 and LR-7: sweeps whose tops are known."""

import json
import random
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rltk_eval.equivalence.optimum import SweepPoint, best_lr

from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.readings import moved
from rltk.compare.readings.rates import Curve
from rltk.errors import UserError
from rltk.recipe.schema import LoRA
from tests.compare import made

RATES = {"centre": 1e-3, "points": 5, "most": 5}
ALPHA = 32


def bowl(run: Planned, top: float) -> float:
    """A loss that is lowest, at 0.4, where the rate is `top`."""
    if run.arm == CONTROL:
        return 0.99
    return 0.4 + 0.1 * (log10(run.lr) - log10(top)) ** 2 + random.Random(run.id).uniform(-0.001, 0.001)


def swept(folder: Path, times: float, steps: int) -> Evidence:
    """LoRA's best rate is so many times full fine-tuning's 1e-3."""
    comparison = made.supervised(folder, steps=steps, arms=("lora-8", "full"), rates=RATES, tuning_seeds=2)
    made.fill(comparison, lambda run: bowl(run, 1e-3 * (times if run.recipe.tune.type == "lora" else 1)))
    return Evidence(comparison)


def test_short_runs_are_held_against_long_ones(tmp_path: Path) -> None:
    short, long = swept(tmp_path / "short", 20, steps=4), swept(tmp_path / "long", 10, steps=8)
    found = moved.shorter_runs([long, short])
    assert found.value == pytest.approx(2, rel=0.1) and found.verdict == "inconclusive", found.summary
    assert found.interval is not None and found.interval[0] < 1 < 2 < found.interval[1]
    assert list(found.details["by_steps"]) == [4, 8]
    with pytest.raises(UserError, match="one length of run has no trend"):
        moved.shorter_runs([long])


def test_the_same_ratio_at_both_lengths_is_no_finding(tmp_path: Path) -> None:
    one, other = swept(tmp_path / "a", 10, steps=4), swept(tmp_path / "b", 10, steps=8)
    assert moved.shorter_runs([one, other]).verdict == "inconclusive"
    assert moved.trend_verdict((-0.4, -0.1)) == "not reproduced"
    assert moved.trend_verdict((0.1, 0.4)) == "reproduced"
    assert moved.trend_verdict(None) == "inconclusive"


def test_a_sum_of_optima_has_the_spread_of_all_of_them() -> None:
    def sweep(top: float, seed: int) -> list[SweepPoint]:
        draw = random.Random(seed)
        rates = (-4, -3.5, -3, -2.5, -2)
        return [SweepPoint(10**x, s, 1 - (x - top) ** 2 + draw.gauss(0, 0.001)) for x in rates for s in (0, 1)]

    fits = [best_lr(sweep(-3.0, 1)), best_lr(sweep(-3.0, 1))]
    value, interval = moved.combined(fits, [1.0, -1.0])
    assert value == pytest.approx(0) and interval is not None and interval[0] < -0.01 < 0.01 < interval[1]
    assert moved.combined([fits[0], None], [1.0, -1.0]) == (None, None)


def alpha_arms() -> dict[str, Any]:
    arms: dict[str, Any] = {f"r{rank}": {"tune": {"type": "lora", "rank": rank}} for rank in (4, 16, 64)}
    grown = {f"r{rank}x": {"tune": {"type": "lora", "rank": rank, "alpha": 2 * rank}} for rank in (4, 64)}
    return {"full": "full", **arms, **grown}


def ruled(folder: Path) -> Evidence:
    """With alpha twice the rank the best rate goes with one over the rank; with one alpha it stays."""

    def scored(run: Planned) -> float:
        tune = run.recipe.tune
        if not isinstance(tune, LoRA):
            return bowl(run, 1e-3)
        return bowl(run, 1e-2 * (1.0 if tune.alpha == ALPHA else 16 / tune.rank))

    comparison = made.supervised(folder, arms=alpha_arms(), rates=RATES, tuning_seeds=2)
    made.fill(comparison, scored)
    return Evidence(comparison)


def test_the_rule_for_alpha_moves_the_best_rate(tmp_path: Path) -> None:
    found = moved.alpha_rules([ruled(tmp_path)])
    assert found.verdict == "inconclusive" and found.value == pytest.approx(-1, abs=0.1), found.summary
    assert found.interval is not None and found.interval[1] < -0.4  # rates half a decade apart tell no more
    fixed, interval = found.details["slopes"]["fixed"]
    assert fixed == pytest.approx(0, abs=0.05) and interval[0] < 0 < interval[1]
    assert moved.alpha_verdict((-0.1, 0.1), (-0.1, 0.1)) == "not reproduced"
    assert moved.alpha_verdict((-0.1, 0.1), (-1.2, -0.8)) == "reproduced"
    assert moved.alpha_verdict((-0.3, 0.2), (-1.2, -0.8)) == "inconclusive"
    assert moved.alpha_verdict((0.3, 0.4), (-1.2, -0.8)) == "not reproduced"


def test_arms_of_one_alpha_alone_are_refused(tmp_path: Path) -> None:
    one = Evidence(made.supervised(tmp_path, arms=("lora-4", "lora-8", "full")))
    with pytest.raises(UserError, match="has not two ranks whose alpha is twice the rank, which LR-7 compares"):
        moved.alpha_rules([one])


def test_a_rate_between_two_costs_what_a_straight_line_says() -> None:
    """Losses 2, 1, 2 a decade apart: half a decade from the best it is 1.5, which is half as much again."""
    curve = Curve(np.array([-4.0, -3.0, -2.0]), np.array([-2.0, -1.0, -2.0]), np.full(3, 0.01), 3)
    value, interval = moved.regret(curve, 10**-3.5)
    assert value == pytest.approx(0.5) and interval is not None and interval[0] < 0.5 < interval[1]
    assert moved.regret(curve, 1e-3)[0] == 0 and moved.regret(curve, 1e-5) == (None, None)
    assert moved.regret_verdict((0.0, 0.004)) == "reproduced"
    assert moved.regret_verdict((0.006, 0.02)) == "not reproduced"
    assert moved.regret_verdict((0.001, 0.02)) == moved.regret_verdict(None) == "inconclusive"


def with_config(folder: Path, **config: Any) -> Comparison:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text(json.dumps(config))
    rates = {"centre": 5e-5, "points": 5, "most": 5}
    comparison = made.supervised(
        folder, model=str(folder / "model"), arms=("lora-8", "full"), rates=rates, tuning_seeds=2
    )
    made.fill(comparison, lambda run: bowl(run, 5e-4 if run.recipe.tune.type == "lora" else 5e-5))
    return comparison


def test_the_formula_is_held_against_the_sweep_of_a_model_that_it_is_for(tmp_path: Path) -> None:
    found = moved.formula_regret([Evidence(with_config(tmp_path / "big", model_type="qwen3", hidden_size=1024))])
    assert found.details["rates"]["lora-8"] == pytest.approx(5.27e-4, rel=1e-3)
    assert found.details["rates"]["full"] == pytest.approx(5.27e-5, rel=1e-3)
    assert 0 <= (found.value or 0) < 0.01 and found.interval is not None
    small = with_config(tmp_path / "small", model_type="qwen3", hidden_size=256)
    with pytest.raises(UserError, match=r"\(qwen3, 256 wide\), and LR-6's formula is for Qwen and Llama from 1,024 on"):
        moved.formula_regret([Evidence(small)])
