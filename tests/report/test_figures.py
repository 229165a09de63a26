"""Charts as files: one file a chart, names that can be read, and a PNG that shows what the SVG shows."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from rltk.cli import main
from rltk.report.chart import WIDTH, Chart, Line, Mark, Rule
from rltk.report.figures import file_names, light_colours, light_strokes, standalone
from rltk.report.legend import LETTER
from rltk.report.raster import Stroke, draw_lines, draw_rules, dress
from tests.report import made
from tests.report.test_page import RANKED

RUNS = [f"gsm8k_grpo/1a2b3c4d000{number}" for number in range(5)]


def test_reward_models_have_a_file_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [made.run(tmp_path / "rm" / name, {}) for name in "ab"]
    for path in paths:
        (path / "scores.json").write_text(json.dumps({"after": {"hh": RANKED}}))
    out = ["--out", str(tmp_path / "page.html"), "--figures", str(tmp_path / "fig"), "--json"]
    assert main(["report", *map(str, paths), *out]) == 0
    figures = [Path(figure) for figure in json.loads(capsys.readouterr().out)["figures"]]
    own = [figure.name for figure in figures if figure.name.startswith("reliability")]
    assert own == [f"reliability-hh-shown-{name}.{kind}" for name in "ab" for kind in ("svg", "png")]
    assert set(figures) == set((tmp_path / "fig").iterdir()) and len(set(figures)) == len(figures)
    assert "Accuracy against confidence, hh, shown/b" in (tmp_path / "fig" / own[2]).read_text()


def test_a_place_that_takes_no_charts_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, file = made.run(tmp_path / "run", {}), tmp_path / "file"
    file.write_text("")
    for place, words in ((file, "is a file; name a folder"), (file / "in", "Not a directory; name another --figures")):
        assert main(["report", str(run), "--figures", str(place)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("rltk: ") and words in said and said.count("\n") == 1


def test_no_file_name_is_given_twice():
    charts = [Chart(key, "K", []) for key in ("a/b", "a b", "A-b", "c")]
    assert file_names(charts) == ["a-b", "a-b-2", "a-b-3", "c"]


@pytest.mark.parametrize(("names", "a_row"), [(RUNS, 2), (["full", "lora-1", "lora-4"], 3), (["x" * 90], 1)])
def test_names_in_a_legend_lie_beside_each_other_and_on_the_picture(names: list[str], a_row: int):
    lines = [Line(name, [(1, 0.1), (2, 0.2)], number) for number, name in enumerate(names)]
    drawn = standalone(Chart("k", "K", lines), "")
    legend = drawn[drawn.rindex("</svg>", 0, drawn.rindex("</svg>")) :]
    placed = [
        (float(x), float(y), name) for x, y, name in re.findall(r'<text x="([\d.]+)" y="(\d+)"[^>]*>(.*?)<', legend)
    ]
    assert len(placed) == len(names) and sum(y == placed[0][1] for _, y, _ in placed) == a_row
    assert all(x + LETTER * len(name) <= WIDTH for x, _, name in placed)
    same_row = [(one, other) for one, other in pairwise(placed) if one[1] == other[1]]
    assert all(x + LETTER * len(name) < other for (x, _, name), (other, _, _) in same_row)


def test_a_png_has_the_axes_the_names_and_the_dashes_of_the_svg():
    room = Line("", [(0.5, None), (2.6, None)])
    lines = [room, *(Line(name, [(1, 0.1), (2, 0.2)], number) for number, name in enumerate(RUNS[:3]))]
    rules = [Rule("margin", 0.01), Rule("no difference", 0.0), Rule("margin", -0.01)]
    chart = Chart("k", "K", lines, [Mark("a", 1, 0.0, (-1.0, 1.0))], rules, x_labels=[(1, "lora")])
    place, strokes = Figure().subplots(), light_strokes(light_colours())
    draw_lines(place, chart, strokes)
    draw_rules(place, chart)
    dress(place, chart)
    assert place.get_xlim() == (0.5, 2.6), "no dot lies on the frame"
    assert [text.get_text() for text in place.texts] == ["margin"], "the others would lie on it, or on a rule"
    styles = [line.get_linestyle() for line in place.get_lines() if line.get_label() and np.size(line.get_xdata()) == 2]
    assert styles[1:4] == ["-", "--", "--"] and strokes[1:3] == [
        Stroke(light_colours()["c1"], (7, 3)), Stroke(light_colours()["c2"], (2, 3))
    ]  # fmt: skip


def test_a_point_without_neighbours_is_a_dot_in_a_png_too():
    place = Figure().subplots()
    line = Line("a", [(1, 1.0), (2, 2.0), (3, None), (4, 3.0)])
    draw_lines(place, Chart("k", "K", [line]), light_strokes(light_colours()))
    assert [np.asarray(line.get_xdata()).tolist() for line in place.get_lines() if line.get_marker() == "o"] == [[4]]
