"""The page of a comparison: the verdict first, then what it rests on."""

import html
import json
import re
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.compare.plan import Comparison, read_plan
from rltk.recipe.load import load_recipe
from rltk.report.chart import Band, Chart, Line, Rule
from rltk.report.evidence import around, charts, framed, rate_chart, rate_means, spectrum_chart
from rltk.report.figures import write_figures
from rltk.report.page import report_comparison, runs_under
from rltk.report.read import read_comparison
from rltk.report.verdict import changes
from rltk.run.atomic import write_jsonl
from tests.compare import made as compared
from tests.report import made

VERDICT = {
    "verdict": "non_inferior", "sentence": "lora is <not> inferior to full.", "difference": 0.01,
    "interval": [-0.01, 0.03],
}  # fmt: skip
FOUND = {
    "name": "gsm8k", "sentence": "lora: not inferior to full (margin 0.02).", "reference": "full",
    "margin": {"value": 0.02, "rule": "fixed"},
    "arms": {
        "full": {"of": "full", "lr": 1e-5, "score": 0.5, "seeds": {"1": 0.4, "2": 0.6}},
        "lora": {"of": "lora", "lr": 1e-4, "score": 0.51, "seeds": {"1": 0.45, "2": 0.57}},
        "control": {"of": "full", "lr": 1e-7, "score": 0.1, "seeds": {"1": 0.1, "2": 0.1}},
    },
    "verdicts": {"lora": VERDICT},
    "sweep": {
        "lora": [
            {"lr": 1e-4, "seed": 0, "steps": 8, "score": 0.5, "failure": None},
            {"lr": 1e-3, "seed": 0, "steps": 8, "score": None, "failure": "diverged"},
            {"lr": 1e-5, "seed": 0, "steps": 4, "score": 0.2, "failure": None},
        ]
    },
    "notes": ["runs failed"],
}  # fmt: skip
COSTS = {"lora": {"seconds": 12.5, "tokens": 40_000, "peak_memory_bytes": 2**30}}


def comparison(folder: Path) -> Path:
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(FOUND))
    (folder / "costs.json").write_text(json.dumps(COSTS))
    for seed in (1, 2):
        made.run(folder / "confirmation" / f"lora-lr0.0001-seed{seed}-ab", {"after": ["#### 2"]})
    return folder


@pytest.mark.parametrize(
    ("metric", "scores", "limits"),
    [
        ("loss", [0.5, 0.4, 7.0], (-inf, 0.6)),
        ("loss", [0.5, 0.4, 0.55], (-inf, inf)),
        ("loss", [7.0, 8.0, 9.0], (-inf, inf)),
        ("greedy", [0.5, 0.7, 0.1], (-inf, inf)),
    ],
)
def test_a_loss_that_ran_away_does_not_flatten_the_others(
    metric: str, scores: list[float], limits: tuple[float, float], tmp_path: Path
) -> None:
    sweep = [{"lr": 10.0**place, "seed": 0, "steps": 8, "score": score} for place, score in enumerate(scores)]
    found = FOUND | {"metric": metric, "start": {"1": 0.5, "2": 0.7}, "sweep": {"lora": sweep}}
    folder = comparison(tmp_path / "c")
    (folder / "comparison.json").write_text(json.dumps(found))
    chart = rate_chart(read_comparison(folder))
    assert chart is not None and chart.limits == limits
    assert [rule.label for rule in chart.rules] == (["before training"] if limits[1] < inf else [])
    assert ("runs off the chart" in chart.about) == (limits[1] < inf)


def test_curves_can_be_read_however_wide_their_bands_are() -> None:
    lines = [Line("a", [(1, 0.5), (2, None), (3, 0.3)]), Line("b", [(1, 0.4)])]
    chart = Chart("k", "Loss", lines, about="Two seeds.", bands=[Band("a", [(1, 0.2, 0.6)])])
    assert framed(chart) == chart
    wide = framed(chart._replace(bands=[*chart.bands, Band("b", [(1, -9.0, 0.5)])]))
    assert wide.limits == pytest.approx((0.1, 0.7)) and wide.about == "Two seeds. They reach beyond the chart."
    assert around(chart._replace(rules=[Rule("no difference", 0.0)])) == (-0.5, 1.0), "the rule is on the chart"
    assert around(chart._replace(lines=[Line("a", [(1, 0.5), (2, 0.5)])])) == (-inf, inf)


def test_the_verdict_comes_first(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index(FOUND["sentence"]) < page.index("<table>")
    assert "lora is &lt;not&gt; inferior" in page and "non inferior" in page and ">1 GiB<" in page
    assert 'href="confirmation/lora-lr0.0001-seed2-ab/"' in page


def test_seeds_are_paired_and_the_margin_is_drawn(tmp_path: Path):
    difference, rates = charts(read_comparison(comparison(tmp_path / "c")), [])
    assert difference.rules[0].y == 0.02 and difference.rules[-1].y == -0.02
    assert [round(mark.y, 9) for mark in difference.marks] == [0.05, -0.03, 0.01]
    assert [(mark.x, mark.y) for mark in rates.marks] == [(1e-4, 0.5)]  # a failure is no number, 4 steps are not 8


def run_with(path: Path, rewards: list[float], seed: int) -> Path:
    made_run = made.run(path, {"after": ["#### 2"]})
    write_jsonl(path / "metrics.jsonl", [{"step": step, "reward": value} for step, value in enumerate(rewards, 1)])
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["recipe"]["seed"] = seed
    (path / "manifest.json").write_text(json.dumps(manifest))
    return made_run


def test_curves_are_means_in_bands_and_differences_are_paired(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    for seed, shift in ((1, 0.0), (2, 0.2), (3, 0.1)):  # seeds differ, and so does by how much the arms do
        run_with(folder / "confirmation" / f"lora-lr0.0001-seed{seed}-ab", [0.3 + shift, 0.5 + shift], seed)
        run_with(folder / "confirmation" / f"full-lr1e-05-seed{seed}-cd", [0.2 + shift, 0.4 + shift / 2], seed)
    runs = runs_under(folder / "confirmation")
    of_two = [run for run in runs if run.manifest["recipe"]["seed"] < 3]
    few, drawn = ({one.key: one for one in charts(read_comparison(folder), chosen)} for chosen in (of_two, runs))
    for key in ("curves", "apart"):
        assert not any(band.points for band in few[key].bands) and few[key].about.endswith("too few for bands.")
        assert all(band.points for band in drawn[key].bands)
    mean = {line.label: [y for _, y in line.points] for line in drawn["curves"].lines}
    assert mean["lora"] == pytest.approx([0.4, 0.6]) and mean["full"] == pytest.approx([0.3, 0.45])
    (apart,) = drawn["apart"].lines
    assert apart.label == "lora" and [y for _, y in apart.points] == pytest.approx([0.1, 0.15])
    (band,) = drawn["apart"].bands
    (_, low, high), (_, lower, higher) = band.points
    assert (low + high) / 2 == pytest.approx(0.1) and low < 0.1, "all seeds differ by the same there, by chance"
    assert lower < 0.15 < higher and higher - 0.15 == pytest.approx(0.15 - lower)


def test_the_bar_at_a_rate_reaches_from_seed_to_seed():
    rows = [{"lr": lr, "seed": seed, "score": lr + 0.2 * seed} for lr in (1.0, 2.0) for seed in (0, 1)]
    first, second = rate_means("lora", rows, 1.0, 0)
    assert first.y == pytest.approx(1.1) and second.y == pytest.approx(2.1)
    assert first.interval == (1.0, 1.2) and second.interval == (2.0, 2.2)


def test_arms_that_stand_apart_at_one_rate_stay_clear_of_the_next_one(tmp_path: Path):
    """Five arms with rates an eighth of a decade apart: at 3.5 hundredths each they would lie among one another."""
    folder = comparison(tmp_path / "c")
    lrs = [1e-4, 1.33e-4, 1.78e-4, 1e-3]
    rows = [{"lr": lr, "seed": 0, "steps": 8, "score": 0.5, "failure": None} for lr in lrs]
    (folder / "comparison.json").write_text(json.dumps(FOUND | {"sweep": {f"arm {k}": rows for k in range(5)}}))
    (rates,) = (chart for chart in charts(read_comparison(folder), []) if chart.key == "rates")
    at = [sorted(mark.x for mark in rates.marks if mark.label.endswith(f"at {lr:g}")) for lr in lrs]
    assert all(len(xs) == 5 for xs in at)
    assert all(lower[-1] < higher[0] for lower, higher in pairwise(at)) and at[0][0] < 1e-4 < at[0][-1]


def test_spectra_are_relative_and_averaged(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    for seed, values in ((1, [4.0, 2.0]), (2, [1.0, 0.1])):
        path = folder / "confirmation" / f"lora-lr0.0001-seed{seed}-ab" / "adapter.json"
        path.write_text(json.dumps({"matrices": {"q": {"singular_values": values}, "k": {"singular_values": None}}}))
    spectrum = spectrum_chart(["full", "lora"], runs_under(folder / "confirmation"))
    assert spectrum is not None and [line.label for line in spectrum.lines] == ["lora"]
    assert spectrum.lines[0].points == [(1, 1.0), (2, pytest.approx(0.3))]


def test_what_bfloat16_keeps_of_an_update_is_shown(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    for seed, cosines in ((1, (0.9, None)), (2, (0.7, 0.8))):
        matrices = {f"m{k}": {"relative_norm": 0.01, "bf16": {"cosine": each}} for k, each in enumerate(cosines)}
        row = {"parameters": 8, "stable_rank": 2.0, "effective_rank": 3.0, "intruders": 4, "capacity_used": 0.5}
        path = folder / "confirmation" / f"lora-lr0.0001-seed{seed}-ab" / "adapter.json"
        path.write_text(json.dumps(row | {"matrices": matrices}))
    (lora,) = changes(read_comparison(folder), runs_under(folder / "confirmation"))
    assert (lora.name, lora.kept) == ("lora", "0.8"), "the mean of three cosines; one was of an update of zero"
    page = report_comparison(folder).read_text(encoding="utf-8")
    assert "Kept by bfloat16" in page and "cosine between what training added" in page


def test_figures_say_what_they_are(tmp_path: Path):
    written = write_figures([comparison(tmp_path / "c")], tmp_path / "figures")
    assert {path.name for path in written} >= {"rates.svg", "rates.png", "difference.svg", "difference.png"}
    rates = (tmp_path / "figures" / "rates.svg").read_text()
    assert "Accuracy over learning rates" in rates and ">lora<" in rates and "var(" not in rates
    before = {path: path.read_bytes() for path in written}
    write_figures([tmp_path / "c"], tmp_path / "figures")
    assert before == {path: path.read_bytes() for path in written}
    assert before[tmp_path / "figures" / "rates.png"].startswith(b"\x89PNG")


def test_the_same_folder_gives_the_same_page(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    first = report_comparison(folder).read_bytes()
    assert report_comparison(folder).read_bytes() == first


def test_a_program_is_told_the_verdict_and_where_page_and_figures_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    found, folder = compared.concluded(tmp_path), tmp_path / "comparison"
    assert main(["report", str(folder), "--figures", str(tmp_path / "figures"), "--json"]) == 0
    printed = capfd.readouterr()
    told = json.loads(printed.out)
    assert printed.err == "" and told["verdicts"] == json.loads(json.dumps(found["verdicts"]))
    assert told["report"] == str(folder / "report.html") and Path(told["report"]).is_file()
    assert len(told["figures"]) >= 4 and all(Path(path).is_file() for path in told["figures"])


def test_a_quiet_comparison_says_what_it_came_to_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    compared.concluded(tmp_path)
    for quiet, said in ([], f"rltk: look at it: {tmp_path / 'comparison' / 'report.html'}\n"), (["--quiet"], ""):
        assert main(["compare", str(tmp_path / "comparison"), *quiet]) == 0
        printed = capfd.readouterr()
        assert "lora-2" in printed.out and printed.err == said


def test_the_recipe_on_the_page_makes_the_same_comparison(tmp_path: Path):
    compared.concluded(tmp_path)
    page = report_comparison(tmp_path / "comparison").read_text(encoding="utf-8")
    text = re.search(r'aria-label="The recipe"><code>(.*?)</code>', page, flags=re.S)
    assert text is not None
    (tmp_path / "recipe.yaml").write_text(html.unescape(text[1]), encoding="utf-8")
    again = load_recipe(str(tmp_path / "recipe.yaml"), [], "none").recipe
    assert Comparison(tmp_path, again).hash == read_plan(tmp_path / "comparison").hash
    assert "6 fresh seeds" in page and "8 points; as the recipe says" in page
