"""LAY-2, RL-6 and RL-8, from runs whose scores and rewards are known."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rltk.compare.catalogue import load_catalogue
from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings import collapse, places, variants
from rltk.compare.reread import reread
from rltk.errors import UserError
from rltk.recipe.schema import LoRA
from rltk.run.atomic import write_jsonl
from tests.compare import made

FEW: dict[str, Any] = {"confirmation_seeds": 4, "tuning_seeds": 2, "rates": {"centre": 1e-3, "points": 3, "most": 3}}


def places_of(folder: Path, attention: float, control: float = made.START + 0.02, **compare: Any) -> Evidence:
    def scored(run: Planned) -> float:
        if run.arm == CONTROL:
            return control
        return (attention if run.arm == "attention-14" else 0.8) + random.Random(run.id).choice((-0.02, 0.0, 0.02))

    comparison = made.begun(folder, arms=("lora-8", "mlp-8", "attention-14", "full"), **FEW, **compare)
    made.fill(comparison, scored)
    return Evidence(comparison)


def test_attention_that_falls_short_is_inferior(tmp_path: Path) -> None:
    worse = places_of(tmp_path / "worse", 0.5)
    found = places.attention_inferior([worse])
    assert found.verdict == "reproduced" and found.value == pytest.approx(0.3, abs=0.03), found.summary
    assert found.details["parameters"] == {"lora-8": 155_648, "mlp-8": 98_304, "attention-14": 100_352}
    assert places.attention_inferior([places_of(tmp_path / "same", 0.8)]).verdict == "not reproduced"
    assert reread(load_catalogue()["LAY-1"], [worse], "laptop")["verdict"] == "reproduced"


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "not reproduced"), (0.9, "inconclusive")])
def test_where_full_fine_tuning_gains_too_little_nothing_is_decided(tmp_path: Path, gain: float, verdict: str) -> None:
    """It gains 0.6 here, and attention does as well as the MLPs in either case."""
    found = reread(load_catalogue()["LAY-2"], [places_of(tmp_path, 0.8, minimum_gain=gain)], "laptop")
    assert found["verdict"] == verdict
    assert ("could not have shown a loss" in found["summary"]) == (verdict == "inconclusive")


def test_arms_are_not_found_alike_where_the_control_is_too(tmp_path: Path) -> None:
    """Attention is inferior, which needs no control; that all layers and the MLPs are alike (LAY-1) does."""
    one = places_of(tmp_path, 0.5, control=0.8)
    assert one.conclusion["family"]["verdict"] == "inferior"
    found = {id: reread(load_catalogue()[id], [one], "laptop") for id in ("LAY-1", "LAY-2", "RL-1")}
    verdicts = {id: result["verdict"] for id, result in found.items()}
    assert verdicts == {"LAY-1": "inconclusive", "LAY-2": "reproduced", "RL-1": "not reproduced"}
    assert "could not have shown a loss" in found["LAY-1"]["summary"]


def test_a_shortfall_is_judged_by_the_margin() -> None:
    assert places.shortfall_verdict((0.04, 0.06), 0.03) == "reproduced"
    assert places.shortfall_verdict((-0.01, 0.02), 0.03) == "not reproduced"
    assert places.shortfall_verdict((0.01, 0.05), 0.03) == "inconclusive"


def test_a_run_that_ends_below_half_of_its_peak_has_collapsed() -> None:
    rise = np.linspace(0.2, 0.8, 10)
    assert not collapse.has_collapsed(rise)
    assert collapse.has_collapsed(np.concatenate([rise, np.full(6, 0.3)]))
    assert not collapse.has_collapsed(np.concatenate([rise, np.full(6, 0.5)]))
    assert not collapse.has_collapsed(np.append(np.full(9, 0.8), 0.0)), "one bad batch is no collapse"


def test_collapsed_runs_are_counted_by_rank_and_rule(tmp_path: Path) -> None:
    """Of 10 runs a group, 6 in the sweep and 4 afterwards, all that have a high rank and alpha of twice it collapse."""
    arms = {"full": "full", "r8": "lora-8", "r64": "lora-64", "r64x": {"tune": {"rank": 64, "alpha": 128}}}
    comparison = made.begun(tmp_path, arms=arms, **FEW)
    runs = made.fill(comparison).runs
    with pytest.raises(UserError, match="logged no reward, and RL-6 looks for its peak"):
        collapse.collapses([Evidence(comparison)])
    for run in runs:
        falls = isinstance(run.recipe.tune, LoRA) and run.recipe.tune.alpha == 128
        rewards = [0.2, 0.5, 0.8, 0.8, 0.8, 0.8, 0.8] + [0.1 if falls else 0.8] * 6
        rows = [{"step": step, "reward": reward} for step, reward in enumerate(rewards, 1)]
        write_jsonl(comparison.folder(run) / "metrics.jsonl", rows)
    found = collapse.collapses([Evidence(comparison)])
    assert found.verdict == "reported" and found.value == 1.0
    assert found.details["arms"] == {"r8": [0, 10], "r64": [0, 10], "r64x": [10, 10]}
    assert found.details["p_against_low_rank"]["high rank"] == 1.0
    assert found.details["p_against_low_rank"]["high rank, alpha grows"] == pytest.approx(2 / 184_756), "20 choose 10"
    assert "rank 8 0 of 10, higher 0 of 10, higher with alpha twice the rank 10 of 10" in found.summary


def test_without_high_ranks_there_is_nothing_to_count(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, arms=("lora-8", "full"), **FEW)
    for run in made.fill(comparison).runs:
        write_jsonl(comparison.folder(run) / "metrics.jsonl", [{"step": 1, "reward": 0.5}])
    with pytest.raises(UserError, match="RL-6 compares ranks up to 8 with higher ones"):
        collapse.collapses([Evidence(comparison)])


def test_variants_are_compared_at_one_rate_and_each_at_its_own(tmp_path: Path) -> None:
    """PiSSA falls apart at LoRA's rate, 1e-2, and is as good at a third of it."""

    def scored(run: Planned) -> float:
        if run.arm == CONTROL:
            return made.START + 0.02
        top = {"full": 1e-3, "pissa-8": 3.16e-3}.get(run.arm, 1e-2)
        at_top = 0.9 < run.lr / top < 1.1
        return 0.8 + random.Random(run.id).choice((-0.02, 0.0, 0.02)) if at_top else 0.3

    comparison = made.begun(tmp_path, arms=("lora-8", "pissa-8", "dora-8", "full"), **FEW)
    made.fill(comparison, scored)
    found = variants.at_both_rates([Evidence(comparison)])
    shared, own = found.details["at_the_rate_of_plain"], found.details["at_own_rates"]
    assert found.verdict == "reported" and found.details["plain"] == "lora-8"
    assert shared["pissa-8"]["lr"] == 1e-2 and shared["pissa-8"]["difference"] == pytest.approx(-0.5, abs=0.03)
    assert abs(shared["dora-8"]["difference"]) <= 0.04 and abs(own["pissa-8"][0]) <= 0.04
    assert "at its rate pissa-8 -5" in found.summary or "at its rate pissa-8 -4" in found.summary


def test_without_a_variant_there_is_nothing_to_compare(tmp_path: Path) -> None:
    one = Evidence(made.begun(tmp_path, arms=("lora-4", "lora-8", "full"), **FEW))
    with pytest.raises(UserError, match="has no plain LoRA or no variant of it, and RL-8 compares them"):
        variants.at_both_rates([one])
