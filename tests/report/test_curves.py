"""Which charts the metrics of runs become: intervals, memory, and pages of many runs that stay small."""

import random
from pathlib import Path

import pytest

from rltk.report.axis import make_axis, tick_label, ticks, written
from rltk.report.curves import charts
from rltk.report.facts import facts
from rltk.report.metrics import KNOWN
from rltk.report.page import report_runs
from rltk.report.read import read_run
from rltk.run.atomic import write_jsonl
from tests.report import made

GIB = 2**30
LOOKS = {10: [0.2, 0.4], 20: [0.5, 0.7]}


def evaluated(path: Path) -> Path:
    """A run with two evaluations between the one before, which has 1 of 4, and the one after, which has 3 of 4."""
    right, wrong = ["#### 2"], ["#### 3"]
    run = made.run(path, {"before": right + 3 * wrong, "after": 3 * right + wrong}, steps=30)
    looks = {step: {"accuracy": sum(bounds) / 2, "accuracy_ci95": bounds} for step, bounds in LOOKS.items()}
    write_jsonl(path / "metrics.jsonl", [{"step": step} | looks.get(step, {}) for step in range(1, 31)])
    return run


def test_the_interval_of_every_evaluation_is_a_band(tmp_path: Path):
    runs = [read_run(evaluated(tmp_path / str(number)), with_items=False) for number in range(5)]
    (accuracy,) = charts(runs[:1])["Learning"]
    (band,) = accuracy.bands
    before, after = (runs[0].scores[when]["sums"]["ci95"] for when in ("before", "after"))
    assert band.points == [(0, *before), (10, 0.2, 0.4), (20, 0.5, 0.7), (30, *after)]
    assert [y for _, y in accuracy.lines[0].points] == pytest.approx([0.25, 0.3, 0.6, 0.75])
    assert accuracy.about.endswith("Bands: 95 % intervals.")
    assert not charts(runs)["Learning"][0].bands, "of five runs they would hide each other"


def test_an_interval_that_is_undefined_is_left_out(tmp_path: Path):
    path = made.run(tmp_path / "rm", {}, steps=3)
    looks = [{"heldout_accuracy": 1.0, "heldout_accuracy_ci95": bounds} for bounds in ([None, None], [0.8, 1.0])]
    write_jsonl(path / "metrics.jsonl", [{"step": step} | look for step, look in enumerate(looks, 1)])
    found = {chart.key: chart for chart in charts([read_run(path)])["Learning"]}
    assert found["heldout_accuracy"].bands[0].points == [(2, 0.8, 1.0)]


def test_memory_is_shown_over_steps_and_in_all(tmp_path: Path):
    path = made.run(tmp_path / "m", {}, peak_memory_bytes=3 * GIB // 2)
    write_jsonl(path / "metrics.jsonl", [{"step": step, "peak_memory_bytes": step * GIB} for step in range(1, 51)])
    (memory,) = charts([read_run(path)])["Time and memory"]
    assert memory.key == "peak_memory_bytes" and len(memory.lines) == 1, "it only rises: nothing to smooth"
    assert facts(read_run(path))["Peak memory"] == "1.5 GiB"


def test_bytes_are_marked_at_round_gibibytes():
    marked = ticks(make_axis([0.9 * GIB, 3.1 * GIB], 0, 1), 4, per=GIB)
    assert [tick_label(value, "bytes") for value in marked] == ["1", "2", "3"]
    assert written(2.5 * GIB, "bytes") == "2.5 GiB"


def test_a_page_of_many_runs_is_small(tmp_path: Path):
    """24 runs of 400 steps with 26 metrics, all of them noise."""
    draw, keys = random.Random(0), list(KNOWN)[:26]
    paths = [made.run(tmp_path / f"run{number:02}", {}) for number in range(24)]
    for path in paths:
        rows = [{"step": step} | {key: draw.random() for key in keys} for step in range(1, 401)]
        write_jsonl(path / "metrics.jsonl", rows)
    page = report_runs(paths, tmp_path / "page.html")
    drawn = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 3_000_000
    assert drawn.count('data-label="shown/run23"') == 24 * 2 + 2, "each but two settings has its moving mean"
