"""Every verdict, and every way not to reach one."""

import json
import os
import re
import subprocess
import sys
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rltk_eval.equivalence.assay import Assay, Margin, margin_of_gain
from rltk_eval.equivalence.power import Claim, power
from rltk_eval.equivalence.report import sentence, to_json
from rltk_eval.equivalence.scores import arm_scores, pair
from rltk_eval.equivalence.verdict import Verdict, decide, judge, temper
from rltk_eval.metrics import Interval

from tests.eval.paired_arms import pairs_of, sensitive_assay

SPREAD = np.array([-0.01, 0.01, -0.005, 0.005, 0.0, 0.0])
"""Mean 0, sd sqrt(0.00025 / 5) = 0.0070711, standard error 0.0028868; t(0.95, 5) = 2.015048, t(0.975, 5) = 2.570582."""

SD = np.sqrt(0.00005)


def decided(shift: float, margin: float = 0.02, assay: Assay | None = None, **options: Any):
    return decide(pairs_of(SPREAD + shift), Margin(margin), assay or sensitive_assay(), **options)


@pytest.mark.parametrize(
    ("low", "high", "wide", "verdict"),
    [
        (-0.5, 0.5, 0.1, Verdict.EQUIVALENT),
        (-0.5, -0.2, 0.1, Verdict.DIFFERENT_WITHIN_MARGIN),
        (0.2, 0.5, 0.1, Verdict.DIFFERENT_WITHIN_MARGIN),
        (0.05, 0.5, 0.1, Verdict.EQUIVALENT),  # the one-sided bound is above zero, the two-sided one is not
        (-0.5, 1.5, 0.1, Verdict.NON_INFERIOR),
        (0.05, 1.5, 0.1, Verdict.NON_INFERIOR),
        (0.2, 1.5, 0.1, Verdict.SUPERIOR),
        (1.2, 1.5, 0.1, Verdict.SUPERIOR),
        (-1.5, -1.2, 0.1, Verdict.INFERIOR),
        (-1.5, -0.5, 0.1, Verdict.INCONCLUSIVE),
        (-1.5, 0.5, 0.1, Verdict.INCONCLUSIVE),
        (-1.5, 1.5, 0.1, Verdict.INCONCLUSIVE),
        (-1.0, 0.5, 0.1, Verdict.INCONCLUSIVE),  # a bound on the margin is not inside it
        (-0.5, 1.0, 0.1, Verdict.NON_INFERIOR),
        (-1.5, -1.0, 0.1, Verdict.INCONCLUSIVE),
        (nan, nan, 0.1, Verdict.INCONCLUSIVE),
    ],
)
def test_judged_by_the_intervals(low: float, high: float, wide: float, verdict: Verdict):
    assert judge(Interval(low, high), Interval(low - wide, high + wide), margin=1.0) is verdict


def test_without_proof_that_losses_are_seen_only_a_loss_is_left():
    for verdict in Verdict:
        left = temper(verdict, is_sensitive=False)
        assert left is (Verdict.INFERIOR if verdict is Verdict.INFERIOR else Verdict.ASSAY_INSENSITIVE)
        assert temper(verdict, is_sensitive=True) is verdict


def test_a_decision_by_hand():
    decision = decided(0.001)
    assert decision.verdict is Verdict.EQUIVALENT
    assert decision.paired.mean == pytest.approx(0.001)
    assert decision.interval == pytest.approx((0.001 - 0.0058170, 0.001 + 0.0058170), abs=1e-7)
    assert decision.interval_two_sided == pytest.approx((0.001 - 0.0074207, 0.001 + 0.0074207), abs=1e-7)
    assert decision.margin_achieved == pytest.approx(0.0068170, abs=1e-7)
    assert decision.p.inferiority == pytest.approx(1 - decision.p.non_inferiority)
    assert decision.seeds_if_equal is None


def test_the_margin_achieved_is_where_the_verdict_turns():
    achieved = decided(0.004, margin=0.02).margin_achieved
    assert decided(0.004, margin=achieved * 1.0001).verdict is Verdict.EQUIVALENT
    assert decided(0.004, margin=achieved * 0.9999).verdict is Verdict.NON_INFERIOR


def test_every_verdict_from_scores():
    found = {shift: decided(shift).verdict for shift in (0.0, -0.01, 0.015, 0.03, -0.03, -0.015)}
    assert found == {
        0.0: Verdict.EQUIVALENT,
        -0.01: Verdict.DIFFERENT_WITHIN_MARGIN,
        0.015: Verdict.SUPERIOR,
        0.03: Verdict.SUPERIOR,
        -0.03: Verdict.INFERIOR,
        -0.015: Verdict.INCONCLUSIVE,
    }
    assert decided(0.002, margin=0.005).verdict is Verdict.NON_INFERIOR


def test_a_control_that_is_not_flagged_forbids_every_claim_of_likeness():
    blind = Assay(sensitive_assay().gain, 0.1, pairs_of(SPREAD - 0.022, arm="control"))  # upper bound -0.016
    for shift in (0.0, -0.01, 0.015, -0.015):
        assert decided(shift, assay=blind).verdict is Verdict.ASSAY_INSENSITIVE
    assert decided(-0.03, assay=blind).verdict is Verdict.INFERIOR
    assert "the negative control control is not shown to be inferior" in sentence(decided(0.0, assay=blind))
    none = Assay(sensitive_assay().gain, 0.1, None)
    assert decided(0.0, assay=none).verdict is Verdict.ASSAY_INSENSITIVE
    assert "no negative control was run" in sentence(decided(0.0, assay=none))


def test_a_reference_that_did_not_learn_forbids_every_claim_of_likeness():
    gain = pairs_of(SPREAD + 0.105, arm="full", reference="start")  # lower bound 0.0992
    flat = Assay(gain, 0.1, sensitive_assay().control)
    assert decided(0.0, assay=flat).verdict is Verdict.ASSAY_INSENSITIVE
    assert decided(0.03, assay=flat).verdict is Verdict.ASSAY_INSENSITIVE
    assert decided(0.0, assay=Assay(gain, 0.09, flat.control)).verdict is Verdict.EQUIVALENT
    assert "full is not shown to gain 0.1 over the start (lower bound +0.09918)" in sentence(decided(0.0, assay=flat))


def test_new_items_are_judged_beside():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 30)) * 0.01 + rng.normal(size=30) * 0.08  # items differ a lot, seeds do not
    decision = decide(pairs_of(table - table.mean()), Margin(0.02), sensitive_assay())
    assert decision.verdict is Verdict.EQUIVALENT
    assert decision.new_items is Verdict.INCONCLUSIVE
    assert decision.new_items_interval.high - decision.new_items_interval.low > 0.04
    one_item = decide(pairs_of(SPREAD[:, None]), Margin(0.02), sensitive_assay())
    assert one_item.verdict is Verdict.EQUIVALENT
    assert one_item.new_items is None
    assert all(map(isnan, one_item.new_items_interval))


def test_seeds_still_needed():
    """At a margin of one spread it takes 11 seeds, at two spreads 4: the table in test_equivalence_power.py."""
    decision = decided(-0.003, margin=SD)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.seeds_if_equal == 11
    assert sentence(decision).endswith(
        "15 more seeds that lora is not inferior, 5 more seeds equivalence if the arms are equal."
    )
    sufficed = decided(-0.01, margin=2 * SD)
    assert sufficed.seeds_if_equal == 4
    observed = sufficed.seeds_as_observed
    assert observed is not None
    reached = [
        power(Claim.EQUIVALENT, seeds=seeds, sd=SD, margin=2 * SD, difference=-0.01)
        for seeds in (observed - 1, observed)
    ]
    assert reached[0] < 0.8 <= reached[1]
    assert f"{observed - 6} more seeds would show equivalence with 80 % power as observed, " in sentence(sufficed)
    assert sufficed.seeds_needed[Claim.EQUIVALENT] == observed
    assert to_json(sufficed)["seeds_needed"] == {claim.value: n for claim, n in sufficed.seeds_needed.items()}
    assert decided(0.0, margin=0.02).seeds_needed == {}  # nothing is left to ask


def test_no_number_of_seeds_shows_what_is_not_so():
    beyond = decided(-1.01 * 2 * SD, margin=2 * SD)
    assert beyond.verdict is Verdict.INCONCLUSIVE
    assert beyond.seeds_as_observed is None
    assert "no number of seeds shows equivalence if the arms differ as observed" in sentence(beyond)
    assert beyond.seeds_needed[Claim.INFERIOR] is None  # a hundredth of the margin is too little to tell in 10,000
    assert "no attainable number of seeds" in sentence(decided(-0.0001, margin=0.0001))


def test_beyond_the_margin_it_is_told_what_shows_the_loss_or_the_gain():
    """Observed 1.4 margins apart, 2 seeds: equivalence is out of reach, and the question is how large the gap is."""
    for sign, claim, says in ((1, Claim.SUPERIOR, "lora is better"), (-1, Claim.INFERIOR, "lora is inferior")):
        pairs = pairs_of(sign * np.array([0.025, 0.031]))
        decision = decide(pairs, Margin(0.02), sensitive_assay())
        needed = decision.seeds_needed[claim]
        assert needed is not None and needed > 2 and decision.seeds_needed[Claim.EQUIVALENT] is None
        sd = decision.paired.sd
        chances = [
            power(claim, seeds=seeds, sd=sd, margin=0.02, difference=sign * 0.028) for seeds in (needed - 1, needed)
        ]
        assert chances[0] < 0.8 <= chances[1]
        said = sentence(decision)
        assert "no number of seeds shows equivalence" in said and said.endswith(f"would show that {says}.")
        assert "if the arms are equal" not in said


def test_new_items_are_never_surer_than_the_items_at_hand():
    """2 seeds of 40 items, with little between items: the crossed bootstrap alone has 3 seed means to draw."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = 0.003 + rng.normal(size=(2, 1)) * 0.001 + rng.normal(size=(2, 40)) * 0.001
        decision = decide(pairs_of(table), Margin(0.002), sensitive_assay())
        low, high = decision.new_items_interval
        assert low <= decision.interval.low + 1e-12 and high >= decision.interval.high - 1e-12


def test_one_seed_and_no_spread_are_inconclusive_and_say_why():
    one = decide(pairs_of([0.01]), Margin(0.02), sensitive_assay())
    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.seeds_if_equal is None
    assert "one seed shows nothing of how runs differ" in sentence(one)
    same = decide(pairs_of([0.01, 0.01, 0.01]), Margin(0.02), sensitive_assay())
    assert same.verdict is Verdict.INCONCLUSIVE
    assert "every seed gave the same difference" in sentence(same)
    assert to_json(same)["interval"] == [None, None]
    flat_gain = Assay(pairs_of([0.3, 0.3], arm="full"), 0.1, sensitive_assay().control)
    assert "(no spread over two seeds or more)" in sentence(decided(0.0, assay=flat_gain))


def test_each_look_takes_its_share_of_alpha():
    twice = decided(0.0, looks=2)
    assert twice.alpha == 0.025
    assert twice.interval == pytest.approx(decided(0.0, alpha=0.025).interval)
    assert "95 % interval" in sentence(twice)


def test_margin_of_gain():
    options = {"share": 0.1, "at_least": 0.01, "at_most": 0.03}
    assert margin_of_gain(0.178, **options).value == pytest.approx(0.0178)
    assert margin_of_gain(0.05, **options).value == 0.01
    assert margin_of_gain(0.5, **options).value == 0.03
    assert margin_of_gain(0.178, **options).rule == "0.1 of the full arm's gain of 0.178, from 0.01 to 0.03"
    for bad in ({"share": 1.0}, {"at_least": 0.0}, {"at_least": 0.04}):
        with pytest.raises(ValueError, match=r"share|bounds"):
            margin_of_gain(0.2, **{**options, **bad})
    for gain in (0.0, -0.1, nan):
        with pytest.raises(ValueError, match="gain"):
            margin_of_gain(gain, **options)


def test_what_proves_nothing_is_refused():
    assay = sensitive_assay()
    for value in (0.0, -0.01, nan):
        with pytest.raises(ValueError, match="must be above zero"):
            Margin(value)
    with pytest.raises(ValueError, match=r"minimum_gain \(0.1\) must exceed the margin \(0.1\)"):
        decided(0.0, margin=0.1)
    with pytest.raises(ValueError, match="gain is of 'lora'"):
        decided(0.0, assay=Assay(pairs_of(SPREAD, arm="lora"), 0.1, assay.control))
    with pytest.raises(ValueError, match="control was paired with 'lora'"):
        decided(0.0, assay=Assay(assay.gain, 0.1, pairs_of(SPREAD, arm="control", reference="lora")))
    loss = pair(arm_scores("lora", {0: 1.0, 1: 2.0}), arm_scores("full", {0: 1.0, 1: 1.5}), higher_is_better=False)
    with pytest.raises(ValueError, match="higher_is_better must be False"):
        decide(loss, Margin(0.02), assay)
    for alpha in (0.0, 0.5):
        with pytest.raises(ValueError, match="alpha"):
            decided(0.0, alpha=alpha)
    with pytest.raises(ValueError, match="looks"):
        decided(0.0, looks=0)


def test_sentence_and_json():
    lora = arm_scores(
        "lora_r8", {s: {"a": 0.5 + d, "b": 0.7 + d} for s, d in enumerate(SPREAD)} | {9: {"a": 0, "b": 0}}
    )
    full = arm_scores("full", {s: {"a": 0.5, "b": 0.7} for s in range(6)})
    decision = decide(pair(lora, full), Margin(0.02), sensitive_assay())
    assert sentence(decision) == (
        "lora_r8 is equivalent to full: difference +0, 90 % interval -0.005817 to +0.005817, margin 0.02; "
        "6 paired seeds (1 seed without a partner left out), 2 items."
    )
    written = json.loads(json.dumps(to_json(decision), allow_nan=False))
    assert written["verdict"] == "equivalent"
    assert written["dropped_seeds"] == {"lora_r8": [9], "full": []}
    assert written["seeds"] == [0, 1, 2, 3, 4, 5]
    assert (written["items"], written["clusters"], written["margin_rule"]) == (2, 2, "declared")
    assert written["interval"] == pytest.approx([-0.005817, 0.005817], abs=1e-6)
    assert written["assay"]["sensitive"] is True
    assert written["p"].keys() == {"equivalence", "non_inferiority", "inferiority", "difference"}


def test_json_has_null_for_what_is_undefined():
    one = to_json(decide(pairs_of([0.01]), Margin(0.02), Assay(sensitive_assay().gain, 0.1, None)))
    text = json.dumps(one, allow_nan=False)
    assert '"sd": null' in text and '"margin_achieved": null' in text and '"control_interval": null' in text


def test_the_readme_says_what_comes_out():
    readme = (Path(__file__).parents[2] / "eval" / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "decide(" in block]
    said = code.split("sentence(decision)\n# ")[1].split("\n")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert sentence(names["decision"]) == said


SCRIPT = """
import json, random
import numpy as np
from rltk_eval.equivalence.assay import Assay, Margin
from rltk_eval.equivalence.power import Claim, power
from rltk_eval.equivalence.report import to_json
from rltk_eval.equivalence.scores import arm_scores, pair
from rltk_eval.equivalence.verdict import decide
rng = np.random.default_rng(0)
def arm(name, shift):
    rows = {s: {f"q{i}": float(rng.normal(shift)) for i in range(60)} for s in range(5)}
    order = random.sample(range(5), 5)
    return arm_scores(name, {s: dict(random.sample(sorted(rows[s].items()), 60)) for s in order})
full, lora, start, control = arm("full", 0), arm("lora", 0), arm("start", -2), arm("control", -2)
assay = Assay(pair(full, start), 0.8, pair(control, full))
pairs = pair(lora, full, clusters={f"q{i}": f"t{i % 20}" for i in range(60)})
print(json.dumps(to_json(decide(pairs, Margin(0.3), assay))))
"""


def test_the_same_data_give_the_same_bytes_in_whatever_order():
    """Three processes with different hash seeds, and rows and items shuffled differently in each."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert json.loads(outputs[0])["clusters"] == 20
