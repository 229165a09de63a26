"""Findings read from comparisons: the numbers are those of the runs, worked out by hand, and each verdict can fail."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from rltk_eval.equivalence.optimum import Optimum, SweepPoint, best_lr

from rltk.cli import main
from rltk.compare.catalogue import ComparisonOf, Reanalysis, load_catalogue
from rltk.compare.conclusion import COMPARISON
from rltk.compare.evidence import Evidence
from rltk.compare.plan import CONTROL, Comparison, Planned, begin
from rltk.compare.readings import READINGS, batches, behaviour, courses, ranks, rates, verdicts
from rltk.compare.survey import Survey, survey
from rltk.compare.wanted import begun, wanted
from rltk.recipe.schema import Full
from rltk.run.atomic import write_jsonl
from tests.compare import made

CATALOGUE = load_catalogue()
ENTRIES = {id: f.experiment for id, f in CATALOGUE.items() if isinstance(f.experiment, (ComparisonOf, Reanalysis))}
RATES = {"centre": 1e-3, "points": 5, "most": 5}


def scored(run: Planned) -> float:
    """A parabola in log rate whose top LoRA has at ten times full fine-tuning's rate."""
    if run.arm == CONTROL:
        return 0.3
    off = math.log10(run.lr / (1e-3 if isinstance(run.recipe.tune, Full) else 1e-2))
    return 0.8 - 0.6 * off**2 + random.Random(run.id).uniform(-0.03, 0.03)


def log_curves(comparison: Comparison, run: Planned, late: float, kl: float | None = None) -> None:
    """Rewards that rise to 0.8, those of LoRA `late` lower; lengths of 20 and entropies that fall."""
    lora, draw = run.recipe.tune.type == "lora", random.Random(run.id)
    rows = [
        {
            "step": step,
            "reward": 0.8 - 0.4 / step - late * lora + draw.uniform(-0.01, 0.01),
            "completion_tokens": 20 + draw.uniform(-0.2, 0.2),
            "entropy": (0.5 + draw.uniform(-0.005, 0.005)) / step,
            "kl": None if kl is None else kl * (step + draw.uniform(-0.02, 0.02)),
            **{"sampled_tokens": 10, "rollout_seconds": 1.0, "train_seconds": 0.5},
        }
        for step in range(1, 9)
    ]
    write_jsonl(comparison.folder(run) / "metrics.jsonl", rows)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    comparison = made.begun(tmp_path_factory.mktemp("read"), arms=("lora-1", "lora-8", "full"), rates=RATES)
    for run in made.fill(comparison, scored).confirmation:
        log_curves(comparison, run, late=0.0)
    return comparison


def test_every_comparison_has_a_reading_and_every_reading_a_comparison() -> None:
    assert {experiment.reading for experiment in ENTRIES.values()} == READINGS.keys()
    assert len(ENTRIES) >= 26


def test_every_comparison_of_the_catalogue_can_be_begun() -> None:
    comparisons = {id: experiment for id, experiment in ENTRIES.items() if isinstance(experiment, ComparisonOf)}
    assert len(comparisons) >= 15
    for id, experiment in comparisons.items():
        for profile in ("laptop", "gpu"):
            asked = wanted(id, experiment, profile)
            assert len(asked) == len(experiment.recipes) * max(1, len(experiment.variants(profile))), id
            assert all("full" in one.comparison.arms for one in asked), id


def test_a_finding_whose_runs_changed_has_a_folder_beside_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = ENTRIES["LR-1"]
    assert isinstance(experiment, ComparisonOf)
    (first,) = wanted("LR-1", experiment, "laptop")
    assert first.comparison.path == Path("runs/compare/LR-1") and not first.is_begun
    begin(first.comparison)
    changed = experiment.model_copy(update={"laptop": (*experiment.laptop, "compare.rates.refine=1")})
    (other,) = wanted("LR-1", changed, "laptop")
    assert other.comparison.path == Path(f"runs/compare/LR-1-{other.comparison.hash}") and not other.is_begun
    begin(other.comparison)
    for asked, path in ((experiment, first.comparison.path), (changed, other.comparison.path)):
        (again,) = wanted("LR-1", asked, "laptop")
        assert again.is_begun and again.comparison.path == path


def test_a_verdict_is_told_with_its_worst_arm(complete: Comparison) -> None:
    found = verdicts.non_inferior([Evidence(complete)])
    assert found.verdict == "reproduced" and "6 seeds" in found.summary
    worst = min(Evidence(complete).conclusion["verdicts"].values(), key=lambda row: row["difference"])
    assert found.value == worst["difference"] and found.details == {"arm": worst["arm"]}


def test_the_ratio_of_rates_is_that_of_the_sweep(complete: Comparison) -> None:
    found = rates.ratio([Evidence(complete)])
    assert found.value == pytest.approx(10, rel=0.2) and found.interval is not None
    assert (
        found.interval[0] < 5 < 10 < 20 < found.interval[1] and found.verdict == "inconclusive"
    )  # half a decade apart
    assert rates.within([(6.0, 19.0), (6.0, 19.0)]) == "reproduced"
    assert rates.within([(6.0, 19.0), (4.0, 12.0)]) == "inconclusive"
    assert rates.within([(6.0, 19.0), (1.0, 4.0)]) == "not reproduced"
    assert rates.within([(6.0, 19.0), (None, None)]) == "inconclusive"


def test_a_width_is_measured_between_the_rates() -> None:
    """A roof from 0 to 1 to 0 over two decades is within 0.25 of its top for half a decade."""
    roof = rates.Curve(np.array([-3.0, -2.0, -1.0]), np.array([0.0, 1.0, 0.0]), np.zeros(3), 3)
    assert rates.decades(roof, 0.25) == pytest.approx(0.5, abs=0.02)


def test_a_width_does_not_hang_on_where_the_rates_lie_closer() -> None:
    """The same roof, sampled more densely beside its top."""
    x_L = np.array([-3.0, -2.25, -2.125, -2.0, -1.875, -1.5, -1.0])
    roof = rates.Curve(x_L, 1 - np.abs(x_L + 2), np.zeros(7), 3)
    assert rates.decades(roof, 0.25) == pytest.approx(0.5, abs=0.02)


def tops(run: Planned) -> float:
    """Losses in parabolas over log rate, whose bottoms ranks from 4 on have at ten times full fine-tuning's rate, and
    rank 1 at four times."""
    if run.arm == CONTROL:
        return made.START_LOSS
    top = {"full": 1e-3, "lora-1": 4e-3}.get(run.arm, 1e-2)
    return 0.2 + 0.3 * math.log10(run.lr / top) ** 2 + random.Random(run.id).gauss(0, 0.0005)


@pytest.mark.parametrize(("refine", "verdict"), [(0, "inconclusive"), (2, "reproduced")])
def test_refined_rates_decide_what_half_decades_leave_open(tmp_path: Path, refine: int, verdict: str) -> None:
    """LR-1 and LR-2 from one set of runs: the ratio of the higher ranks, and how far ranks are apart."""
    arms = ("lora-1", "lora-4", "lora-16", "full")
    asked = {"centre": 1e-3, "points": 3, "most": 7, "refine": refine}
    comparison = made.supervised(tmp_path, arms=arms, rates=asked, tuning_seeds=2, confirmation_seeds=2)
    made.fill(comparison, tops)
    found, optima = ranks.ranks_share_a_rate([Evidence(comparison)]), Evidence(comparison).conclusion["optima"]
    assert found.verdict == verdict, found.summary
    assert rates.within([optima[arm]["ratio_interval"] for arm in ("lora-4", "lora-16")]) == verdict
    assert rates.within([optima["lora-1"]["ratio_interval"]]) != "reproduced"


def swept(top: float, seed: int, noise: float = 0.0002) -> Optimum:
    draw = random.Random(seed)
    return best_lr([SweepPoint(10**x, s, 1 - (x - top) ** 2 + draw.gauss(0, noise))
                    for x in np.arange(-4, -2, 0.05) for s in range(6)])  # fmt: skip


def test_ranks_of_one_optimum_are_one_fold_apart() -> None:
    base, same, far = swept(-3.2, 1), swept(-3.2, 2), swept(-2.7, 3)
    fold, (_, high) = ranks.largest_fold([same], base)
    assert fold < high < 1.2
    fold, (low, _) = ranks.largest_fold([same, far], base)
    assert fold == pytest.approx(10**0.5, rel=0.05) and low > 2


def test_ranks_that_share_a_rate_are_refuted_by_an_interval_alone() -> None:
    """The top of the sweep is known to a few hundredths of a decade with little noise, and hardly with much."""

    def verdict(lower: Optimum, base: Optimum, higher: Optimum) -> str:
        return ranks.shared_verdict(ranks.largest_fold([higher], base)[1][1], lower, base, [higher])

    base, same, lower = swept(-3.2, 1), swept(-3.2, 2), swept(-3.5, 4)
    assert verdict(lower, base, same) == "reproduced"
    assert verdict(swept(-2.9, 5), base, same) == "not reproduced", "rank 1 is shown to want a higher rate"
    assert verdict(lower, base, swept(-2.6, 3)) == "not reproduced"
    vague = [swept(-3.2, seed, noise=0.3) for seed in range(10, 34)]
    found = {verdict(*vague[at : at + 3]) for at in range(0, len(vague), 3)}
    assert any(one.lr > other.lr for one, other in zip(vague[::3], vague[1::3], strict=True))
    assert found == {"inconclusive"}, "which of two equal rates came out higher is a coin's toss"


def test_a_course_that_lags_is_seen(complete: Comparison, tmp_path: Path) -> None:
    found = courses.same_course([Evidence(complete)])
    assert found.verdict == "reproduced" and abs(found.value or 1) < 0.01
    lagging = made.begun(tmp_path, arms=("lora-1", "full"))
    for run in made.fill(lagging, scored).confirmation:
        log_curves(lagging, run, late=0.2)
    found = courses.same_course([Evidence(lagging)])
    assert found.verdict == "not reproduced" and found.value == pytest.approx(-0.2, abs=0.01)


def test_when_a_curve_is_left() -> None:
    steps = np.array([10.0, 20.0, 30.0, 40.0])
    assert courses.leaves_at(steps, np.array([0.3, 0.0, 0.2, 0.3]), 0.1) == 30
    assert courses.leaves_at(steps, np.array([0.3, 0.2, 0.2, 0.3]), 0.1) == 10
    assert courses.leaves_at(steps, np.array([0.3, 0.0, 0.2, 0.1]), 0.1) == math.inf


def test_a_trend_is_as_rare_as_its_permutations() -> None:
    """Three ranks in order in two seeds: 1 of 36 ways for it, and 1 for the reverse. Where all leave at once: zero."""
    ranks = np.array([1.0, 2.0, 4.0])
    value, later, earlier = courses.trend(ranks, np.array([[10, 20, math.inf], [10, 20, 30]]))
    assert value == pytest.approx(1) and later == pytest.approx(1 / 36, abs=0.006) and earlier == 1
    assert courses.trend(ranks, np.array([[math.inf] * 3, [30, 20, 10]]))[0] == pytest.approx(-0.5)


@pytest.mark.parametrize("seeds", [2, 3])
def test_ranks_without_effect_have_a_trend_as_often_as_is_said(seeds: int) -> None:
    """Six ranks; steps with ties, as runs have them."""
    rng, runs = np.random.default_rng(seeds), 300
    left = rng.choice([6.0, 12.0, 18.0, 24.0, math.inf], (runs, seeds, 6))
    found = [min(courses.trend(np.array([1.0, 2, 4, 8, 16, 32]), one)[1:]) for one in left]
    assert 0.01 < np.mean(np.array(found) <= courses.TAIL) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_width_needs_two_runs_a_rate_and_both_ends_of_the_basin() -> None:
    rng = np.random.default_rng(0)
    whole = rates.Curve(np.array([-4.0, -3.0, -2.0]), np.array([0.0, 1.0, 0.0]), np.full(3, 0.01), 3)
    cut = whole._replace(mean_L=np.array([0.0, 0.99, 1.0]))
    drawn = {name: rates.widths(curve, 0.1, rng) for name, curve in (("whole", whole), ("cut", cut))}
    low, high = rates.gap(0.0, drawn["whole"], rates.widths(whole, 0.1, rng))
    assert -0.2 < low < 0 < high < 0.2
    assert rates.gap(0.3, drawn["whole"], drawn["cut"])[0] == -math.inf
    assert rates.gap(0.3, drawn["cut"], drawn["whole"])[1] == math.inf


def test_one_tuning_seed_decides_no_width(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, arms=("lora-1", "full"), rates=RATES, tuning_seeds=1)
    made.fill(comparison, scored)
    found = rates.width([Evidence(comparison)])
    assert found.verdict == "inconclusive" and "one run a rate says nothing of noise" in found.summary


def test_behaviour_is_compared_where_rewards_are_equal(complete: Comparison) -> None:
    """KL was not logged, and the finding speaks of it too."""
    found = behaviour.alike([Evidence(complete)])
    assert found.verdict == "inconclusive", found.summary
    assert "KL not logged" in found.summary and len(found.details["log_ratios"]) == 4
    assert found.summary.startswith("4 of 4 ratios within a tenth")


def test_behaviour_is_alike_only_if_the_distance_from_the_start_is(tmp_path: Path) -> None:
    comparison = made.begun(tmp_path, arms=("lora-1", "full"), rates={"centre": 1e-3, "points": 3, "most": 3})
    for run in made.fill(comparison).confirmation:
        log_curves(comparison, run, late=0.0, kl=0.02)
    found = behaviour.alike([Evidence(comparison)])
    assert found.verdict == "reproduced" and found.summary.startswith("3 of 3"), found.summary


def test_the_slopes_over_batches_are_judged_seed_by_seed() -> None:
    """An estimate that is more than a quarter lower refutes nothing while seeds differ by more than that."""
    steady = np.array([0.98, 1.0, 1.02])
    assert batches.judge({"lora-4": steady, "lora-32": 0.9 * steady[::-1]}) == "reproduced"
    assert batches.judge({"lora-4": steady, "lora-32": 0.5 * steady[::-1]}) == "not reproduced"
    noisy = np.array([0.6, 0.7, 0.8])
    assert batches.judge({"lora-4": steady, "lora-32": noisy}) == "inconclusive"
    assert batches.judge({"lora-4": steady, "lora-32": np.array([0.1, 1.0, 1.9])}) == "inconclusive"
    assert batches.judge({"lora-4": steady, "lora-32": -steady}) == "not reproduced"


def test_the_slope_over_batches_is_least_squares(tmp_path: Path) -> None:
    """Gaps of about 0.1 and 0.2 nats at batches of 4 and 40: a tenth of a nat a tenfold, seed by seed."""

    def loss(gap: float) -> made.Accuracy:
        def of(run: Planned) -> float:
            spread = 0.001 * (run.seed % 3) * (run.arm != "full")
            return 0.95 if run.arm == CONTROL else 0.5 + gap * (run.arm != "full") + spread * gap / 0.1

        return of

    evidence = []
    for batch, gap in ((4, 0.1), (40, 0.2)):
        comparison = made.supervised(tmp_path / str(batch), batch=batch, margin={"value": 0.05})
        made.fill(comparison, loss(gap))
        evidence.append(Evidence(comparison))
    found = batches.slopes(evidence[::-1])
    gaps = [-one.better_S("lora-2", "full") for one in evidence]
    assert found.value == pytest.approx(float((gaps[1] - gaps[0]).mean())) and found.verdict == "reproduced"


def test_the_accuracy_of_ranks_is_compared_pair_by_pair(tmp_path: Path) -> None:
    """Two ranks that are each within the margin, 10 points, of full fine-tuning may lie 12 points apart."""
    level = {"lora-1": 0.64, "lora-2": 0.7, "lora-4": 0.76, "full": 0.7, CONTROL: 0.22}
    comparison = made.begun(
        tmp_path,
        arms=("lora-1", "lora-2", "lora-4", "full"),
        rates={"centre": 1e-3, "points": 1, "most": 1},
        tuning_seeds=1,
        margin={"value": 0.1},
        minimum_gain=0.2,
    )
    made.fill(comparison, lambda run: level[run.arm] + random.Random(run.id).choice((-0.02, 0.0, 0.02)))
    assert verdicts.equivalent([Evidence(comparison)]).verdict == "reproduced"
    found = ranks.ranks_alike([Evidence(comparison)])
    assert found.verdict != "reproduced" and found.value == pytest.approx(0.12, abs=0.02), found.summary
    assert found.summary.startswith("2 of 3 pairs of ranks within 10.0 points; farthest: lora-4 less lora-1 +1")


def test_a_finished_comparison_is_read_back(
    complete: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rltk.commands.findings.PUBLISHED", tmp_path / "none")
    out = ["--out", str(tmp_path)]
    assert main(["findings", "RL-1", "RL-2", "--from", str(complete.path), *out]) == 0
    assert capsys.readouterr().out.startswith("RL-1: reproduced: lora-1 ")
    kept = json.loads((tmp_path / "RL-1.json").read_text())
    (summary,) = kept["comparisons"]
    assert summary["arms"]["full"]["seeds"].keys() == {str(seed) for seed in range(100, 106)}
    assert {row["lr"] for row in summary["sweep"]["full"]} == {1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2}
    assert kept["commit"] == "c" and kept["command"] == f"rltk findings RL-1 --from {complete.path}"
    assert main(["findings", "RL-1", "RL-3", "--status", "--markdown", *out]) == 0
    page = capsys.readouterr().out
    assert "1 of 2 findings measured" in page and "| RL-1 |" in page and "`rltk findings RL-3`" in page


def test_reading_a_comparison_leaves_its_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And looks at it once for a finding: with many runs, that is what takes the time."""
    comparison = made.begun(tmp_path, arms=("lora-1", "full"))
    made.fill(comparison)
    looks: list[Path] = []

    def counted(comparison: Comparison) -> Survey:
        looks.append(comparison.path)
        return survey(comparison)

    for module in ("rltk.compare.evidence", "rltk.compare.conclusion"):
        monkeypatch.setattr(f"{module}.survey", counted)
    before = {path: path.stat().st_mtime_ns for path in comparison.path.rglob("*")}
    assert main(["findings", "RL-1", "--from", str(comparison.path), "--out", str(tmp_path / "out")]) == 0
    assert {path: path.stat().st_mtime_ns for path in comparison.path.rglob("*")} == before
    assert not (comparison.path / COMPARISON).exists() and looks == [comparison.path]
    named = ["--from", str(comparison.path)] * 2
    assert main(["findings", "BS-1", *named, "--out", str(tmp_path / "out")]) == 2
    assert "which has no supervised batch" in capsys.readouterr().err


def test_a_comparison_is_found_by_its_recipe(complete: Comparison, tmp_path: Path) -> None:
    asked = Comparison(tmp_path / "elsewhere", complete.recipe)
    found = begun(complete.path.parent, asked)
    assert found is not None and found.path == complete.path
    assert begun(tmp_path, asked) is None


def test_what_is_not_finished_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swept = made.swept(tmp_path)
    assert main(["findings", "RL-1", "--from", str(swept.path), "--out", str(tmp_path / "out")]) == 2
    assert "is not finished; go on with: rltk compare" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
