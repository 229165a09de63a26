"""The page of a run: what is on it, that no text of a model becomes markup, and that the recipe on it runs."""

import gzip
import html
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from rltk.recipe.load import load_recipe
from rltk.recipe.resolved import recipe_hash
from rltk.report.chart import COLOURS, RIGHT, WIDTH
from rltk.report.embed import embed
from rltk.report.items import counts, entries
from rltk.report.page import report_run, report_runs
from rltk.report.ranking import rankings
from rltk.report.read import Run, read_run
from tests.report import made
from tests.report.contrast import contrast, page_colours
from tests.report.outline import Outline

BEFORE = ["#### 3", "#### 2", "I do not know", "#### 2", "#### 9"]
AFTER = ["#### 2", "#### 7", made.HOSTILE, "#### 2", "#### 8"]
BOTH = {"before": BEFORE, "after": AFTER}
UNKNOWN = {"weight": None, "ci95": [None, None]}
ACCURACY = {"accuracy": 0.75, "ci95": [0.5, 0.9], "n": 4, "prompts": 4, "ties": 0}
CURVE = [{"confidence": 0.6, "accuracy": 0.5, "interval": [0.2, 0.8], "pairs": 2}]
MEASURED = {"log_loss": 0.5, "brier": 0.2, "expected_error": 0.1, "kernel_error": 0.0, "curve": CURVE}
RANKED = {
    **ACCURACY,
    "length_baseline": {"prefers": "longer", **ACCURACY},
    "lead": {"difference": 0.25, "ci95": [0.1, 0.4]},
    "length_bias": {"chosen_longer": ACCURACY, "pearson": 0.3, "length_effect": UNKNOWN},
    "calibration": {"temperature": 1.5, "fitted_on": 2, "before": MEASURED, "after": None},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.run(tmp_path / "runs" / "a", BOTH)


def unpacked(page: str) -> list[dict[str, Any]]:
    found = re.search(r'id="packed">([^<]*)</script>', page)
    assert found is not None
    return json.loads(gzip.decompress(b64decode(found[1])))


def test_every_change_of_a_verdict_is_counted(run: Path):
    found = entries(read_run(run))
    assert counts(found) == {
        "all": 5, "newly right": 2, "newly wrong": 1, "still right": 1, "still wrong": 1, "unreadable": 1
    }  # fmt: skip
    assert [entry["change"] for entry in found] == [
        "newly right", "newly wrong", "newly right", "still right", "still wrong"
    ]  # fmt: skip


def test_the_page_has_the_items_with_what_was_read(run: Path):
    items = unpacked(report_run(run).read_text(encoding="utf-8"))
    assert items[2]["before"] == {
        "text": "I do not know", "answer": None, "verdict": "unreadable", "tokens": 13, "truncated": False
    }  # fmt: skip
    assert (items[2]["after"]["text"], items[2]["after"]["answer"]) == (made.HOSTILE, "2")


def test_what_a_model_wrote_never_stands_in_the_page_as_markup(tmp_path: Path):
    path = made.run(tmp_path / "x", BOTH, name="<script>alert('name')</script>", tuned='"><img src=x onerror=alert(2)>')
    page = report_run(path).read_text(encoding="utf-8")
    assert made.HOSTILE not in page and "alert('name')" not in page and "<img" not in page
    assert html.escape("<script>alert(") in page
    assert page.count("</script>") == page.count("<script")


def test_scores_stand_on_the_page_with_their_intervals(run: Path):
    page = report_run(run).read_text(encoding="utf-8")
    # 2 and 3 of 5; Wilson's interval of 3 of 5 is 23.1 to 88.2 %.
    assert "40.0% [11.8%, 76.9%]" in page and "60.0% [23.1%, 88.2%]" in page and "+20.0 points" in page
    assert "0 at every step, so not drawn: truncated completions." in page


def test_the_page_needs_nothing_from_elsewhere(run: Path):
    page = report_run(run).read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', page)
    assert "default-src 'none'" in page


def test_the_recipe_on_the_page_trains_the_same_again(run: Path, tmp_path: Path):
    page = report_run(run).read_text(encoding="utf-8")
    text = re.search(r'aria-label="The recipe"><code>(.*?)</code>', page, flags=re.S)
    assert text is not None
    (tmp_path / "recipe.yaml").write_text(html.unescape(text[1]), encoding="utf-8")
    loaded = load_recipe(str(tmp_path / "recipe.yaml"), [], "none")
    assert recipe_hash(loaded.recipe) == read_run(run).manifest["recipe_hash"]


def test_a_page_of_too_many_items_takes_every_so_many_th():
    rows = [{"text": f"{number * 7919 % 100_003:x}" * 20} for number in range(2000)]
    whole, part = embed(rows), embed(rows, limit=4_000)
    assert (whole.shown, whole.stride) == (2000, 1)
    assert len(part.text) <= 4_000 < len(whole.text)
    assert part.stride > 1 and part.shown == len(rows[:: part.stride])


def test_a_run_without_scores_or_metrics_has_a_page(tmp_path: Path):
    path = made.run(tmp_path / "begun", {}, steps=1, status="interrupted")
    (path / "metrics.jsonl").unlink()
    assert "interrupted" in report_run(path).read_text(encoding="utf-8")


def test_preferences_and_unknown_rows(tmp_path: Path):
    path = made.run(tmp_path / "p", {})
    row = {"id": "0", "prompt": [{"role": "user", "content": "hi"}], "chosen": "a", "rejected": "b"}
    for when, scores in (("before", (0.0, 0.0, False)), ("after", (2.0, 1.0, True))):
        values = dict(zip(("chosen_score", "rejected_score", "correct"), scores, strict=True))
        (path / "items").mkdir(exist_ok=True)
        text = json.dumps(row | values) + "\n" + json.dumps({"id": "1", "other": 1}) + "\n"
        (path / "items" / f"{when}-chats.jsonl").write_text(text)
    (entry,) = unpacked(report_run(path).read_text(encoding="utf-8"))
    assert (entry["kind"], entry["prompt"], entry["change"]) == ("pairs", "user: hi", "newly right")
    assert entry["before"] == {"verdict": "tie", "chosen": 0.0, "rejected": 0.0}
    assert "2 rows of another kind" in report_run(path).read_text(encoding="utf-8")


def test_calibration_and_length_bias_are_shown_where_scores_have_them(tmp_path: Path):
    (found,) = rankings(Run(tmp_path, {"recipe": {}}, [], {"after": {"hh": RANKED}}, {}))
    assert ("Lead of the model over that", "+25.0 points [+10.0, +40.0]") in found.length
    assert ("Weight of length at equal score", "- [-, -]") in found.length
    assert found.calibration[0] == ("Log loss at temperature 1 (a coin: 0.693)", "0.5")
    assert [(mark.x, mark.y) for mark in found.charts[0].marks] == [(0.6, 0.5)]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_what_is_written_can_be_read(scheme: str):
    """WCAG AA: 4.5 to 1 for text; 3 to 1 for what is drawn."""
    colours = page_colours()[scheme]
    for paper in ("paper", "panel"):
        faint = {ink: contrast(colours[ink], colours[paper]) for ink in ("ink", "soft", "accent", "good", "bad")}
        assert min(faint.values()) >= 4.5, faint
    drawn = {f"c{number}": contrast(colours[f"c{number}"], colours["paper"]) for number in range(COLOURS)}
    assert min(drawn.values()) >= 3, drawn


def test_a_page_names_its_sections_tables_and_figures(tmp_path: Path):
    path = made.run(tmp_path / "x", BOTH)
    (path / "scores.json").write_text(json.dumps({"after": {"hh": RANKED}}))
    for page in (report_run(path), report_runs([path, path], tmp_path / "both.html")):
        assert Outline(page.read_text(encoding="utf-8")).found() == []


def test_an_evaluation_alone_stands_at_its_step(tmp_path: Path):
    """At step 4 of 4, the right end, and what was not evaluated before is not drawn as a dash."""
    page = report_run(made.run(tmp_path / "x", {"after": AFTER})).read_text(encoding="utf-8")
    chart = next(part for part in page.split("<figure>") if "<h3>Accuracy, held out</h3>" in part)
    assert 'data-x="0' in chart and f'cx="{WIDTH - RIGHT}' in chart
    assert "after training" in page and "&rarr;" not in page


def test_several_runs_are_laid_over_each_other(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other, out = made.run(tmp_path / "runs" / "b", {"after": AFTER}), tmp_path / "both.html"
    assert main(["report", str(run), str(other), "--out", str(out), "--figures", str(tmp_path / "fig"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    page = out.read_text(encoding="utf-8")
    assert answer["report"] == str(out) and 'href="runs/b/"' in page
    assert page.count('data-label="shown/a"') == 2, "reward, and accuracy from before to after"
    assert page.count('data-label="shown/b"') == 1, "reward; a single accuracy is a dot"
    assert [Path(figure).name for figure in answer["figures"]] == [
        "reward.svg",
        "reward.png",
        "accuracy.svg",
        "accuracy.png",
    ]
    assert "var(--" not in Path(answer["figures"][0]).read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{here}"], "{here} is not a run folder: it has no manifest.json."),
        (["{run}", "{run}"], "a page of several runs belongs into none of their folders; add --out FILE."),
        (["{run}", "--out", "{here}"], "--out {here} is a folder; name a file, such as {here}/report.html."),
    ],
)
def test_what_cannot_be_shown_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words, says):
    places = {"run": run, "here": tmp_path}
    assert main(["report", *(word.format(**places) for word in words)]) == 2
    assert capsys.readouterr().err == f"rltk: {says.format(**places)}\n"
