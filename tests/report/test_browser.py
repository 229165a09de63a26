"""Pages in a real browser: they open from a file, say nothing on the console, and show what models wrote as text."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from matplotlib.image import imread

from rltk.report.page import report_comparison, report_run
from rltk.run.atomic import write_jsonl
from tests.compare import made as compared
from tests.report import made
from tests.report.browser import MARKS, Seen, ask, browse, room
from tests.report.outline import Outline

pytestmark = MARKS
OPENED = """
const root = document.documentElement;
const there = (done) => root.dataset.items ? done() : new MutationObserver(done).observe(root, {attributes: true});
await new Promise(there);
await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
const cards = document.querySelectorAll(".cards > li").length;
return {milliseconds: performance.now(), items: root.dataset.items, cards};
"""
"""When items stand there, in milliseconds since the page was asked for, and how many."""
HOSTILE = "</script><script>document.title='gone'</script><img src=x onerror=alert(1)>"


class Opened(NamedTuple):
    page: Path
    seen: Seen


def a_run(folder: Path) -> Path:
    return report_run(made.run(folder / "run", {"before": ["#### 3"] * 30, "after": [made.HOSTILE] * 30}))


def a_comparison(folder: Path) -> Path:
    """As `rltk compare` leaves it, with curves, but for a name, a note and a second arm that are markup."""
    compared.concluded(folder)
    path = folder / "comparison"
    for number, run in enumerate(sorted((path / "confirmation").iterdir())):
        rows = [{"step": step, "reward": 0.1 * step + 0.01 * (number % 3)} for step in range(1, 5)]
        write_jsonl(run / "metrics.jsonl", rows)
    found = json.loads((path / "comparison.json").read_text(encoding="utf-8"))
    for of_arm in ("arms", "verdicts", "sweep", "optima"):
        found[of_arm][HOSTILE] = found[of_arm]["lora-2"]
    (path / "comparison.json").write_text(json.dumps(found | {"name": HOSTILE, "notes": [HOSTILE]}))
    return report_comparison(path)


@pytest.fixture(scope="module", params=[a_run, a_comparison], ids=["run", "comparison"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = tmp_path_factory.mktemp("page")
    page = request.param(folder)
    return Opened(page, browse(page, folder / "profile", "--dump-dom"))


def test_a_hostile_page_is_text_and_the_console_is_quiet(opened: Opened):
    dom, log = opened.seen
    assert "CONSOLE" not in log
    assert "gone</title>" not in dom and " - rltk</title>" in dom
    assert "<img" not in dom and "&lt;img" in dom


def test_a_page_can_be_heard_and_reached(opened: Opened):
    outline = Outline(opened.seen.dom)
    assert outline.found() == []
    assert outline.tables >= 2 and outline.figures >= 1


def test_a_page_loads_nothing_and_fits_a_narrow_window(opened: Opened, tmp_path: Path):
    found = room(opened.page, tmp_path / "profile", 500)
    assert found.resources == 0
    assert found.window <= 500 and found.width <= found.window
    assert opened.page.stat().st_size < 3_000_000


@pytest.mark.parametrize(("scheme", "is_dark"), [(0, True), (1, False)], ids=["dark", "light"])
def test_a_page_is_dark_or_light_as_is_wanted(opened: Opened, tmp_path: Path, scheme: int, is_dark: bool):
    picture = tmp_path / "page.png"
    wanted = f"--blink-settings=preferredColorScheme={scheme}"
    browse(opened.page, tmp_path / "profile", wanted, f"--screenshot={picture}", "--window-size=800,600")
    paper = imread(picture)[5, 5, :3].mean()
    assert paper < 0.2 if is_dark else paper == 1


def test_a_page_prints(opened: Opened, tmp_path: Path):
    printed = tmp_path / "page.pdf"
    browse(opened.page, tmp_path / "profile", f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF")


def test_what_matters_comes_first(opened: Opened):
    """Of a comparison its verdict, with every figure behind it; of a run its items, a page of them at a time."""
    dom = opened.seen.dom
    first = re.sub(r"<[^>]+>", " ", dom[dom.index("</h1>") : dom.index("<h2")])
    if opened.page.parent.name == "comparison":
        found = json.loads((opened.page.parent / "comparison.json").read_text(encoding="utf-8"))
        assert found["sentence"] in first and found["verdicts"]["lora-2"]["sentence"] in dom
        assert dom.count('<svg class="chart"') == 4
    else:
        assert "0.0%" in first and "100.0%" in first
        assert dom.count("before: wrong") == 20
        assert "page 1 of 2" in dom and "30 of 30 items" in dom


def test_ten_thousand_items_are_a_small_page_that_opens(tmp_path: Path):
    texts = {when: [f"So {i} and {i * 7919 % 1000} make #### {i % 5}" for i in range(10_000)] for when in made.WHEN}
    page = report_run(made.run(tmp_path / "run", texts))
    assert page.stat().st_size < 3_000_000
    found = ask(page, tmp_path / "profile", OPENED)
    print(f"10,000 items stood on the page after {found['milliseconds']:.0f} ms")
    assert (found["items"], found["cards"]) == ("10000", 20)
    assert found["milliseconds"] < 10_000, "two seconds where nothing else runs"
