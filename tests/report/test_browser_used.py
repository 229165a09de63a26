"""Pages that are used: items filtered, searched and turned over, charts read by pointer and by key."""

from pathlib import Path

from rltk.report.page import report_run, report_runs
from rltk.run.atomic import write_jsonl
from tests.report import made
from tests.report.browser import MARKS, ask

pytestmark = MARKS
RIGHT, WRONG = "#### 2", "#### 3"
ITEMS = """
const root = document.documentElement;
if (!root.dataset.items) await new Promise((done) => new MutationObserver(done).observe(root, {attributes: true}));
const find = (selector) => document.querySelector(selector);
const seen = () => [
  find(".status").textContent, find(".place").textContent, document.querySelectorAll(".cards > li").length,
  find(".cards h3") && find(".cards h3").textContent, find(".cards").start,
];
const search = find("[type=search]");
const type = (words) => { search.value = words; search.dispatchEvent(new Event("input", {bubbles: true})); };
const steps = [seen()];
find("input[value='newly wrong']").click();
steps.push(seen());
find("[data-move='1']").click();
steps.push(seen());
type("WHAT is 3");
steps.push(seen());
type("nowhere");
steps.push(seen());
type("");
find("input[value='all']").click();
steps.push(seen());
return steps;
"""
CHARTS = """
const figures = [...document.querySelectorAll("figure")];
const figure = (title) => figures.find((one) => one.querySelector("h3").textContent === title);
const told = (title) => figure(title).querySelector(".readout").textContent.split("\\n");
const chart = (title) => figure(title).querySelector("svg");
const press = (title, key) => {
  chart(title).focus();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  return told(title);
};
const point = (title, step, first, last) => {
  const box = chart(title).getBoundingClientRect(), x = 60 + 376 * (step - first) / (last - first);
  const where = {clientX: box.left + x / 460 * box.width, clientY: box.top + 50, bubbles: true};
  chart(title).dispatchEvent(new PointerEvent("pointermove", where));
  return told(title);
};
"""


def test_items_are_filtered_searched_and_turned_over(tmp_path: Path):
    """Of 60, 45 were right before and the first 10 are after: 35 are newly wrong, of which 30 to 39 ask of 3..."""
    texts = {"before": [RIGHT] * 45 + [WRONG] * 15, "after": [RIGHT] * 10 + [WRONG] * 50}
    page = report_run(made.run(tmp_path / "run", texts))
    assert ask(page, tmp_path / "profile", ITEMS) == [
        ["60 of 60 items", "page 1 of 3", 20, "test/0 - still right", 1],
        ["35 of 60 items", "page 1 of 2", 20, "test/10 - newly wrong", 1],
        ["35 of 60 items", "page 2 of 2", 15, "test/30 - newly wrong", 21],
        ["10 of 60 items", "page 1 of 1", 10, "test/30 - newly wrong", 1],
        ["0 of 60 items", "page 1 of 1", 0, None, 1],
        ["60 of 60 items", "page 1 of 3", 20, "test/0 - still right", 1],
    ]


def test_a_chart_says_each_name_once_and_only_what_is_near(tmp_path: Path):
    """Run a is undefined from step 10 to 20 but for 15; run b ends at 15."""
    paths = [made.run(tmp_path / name, {}) for name in "ab"]
    gap = {step for step in range(10, 21) if step != 15}
    for path, last in zip(paths, (30, 15), strict=True):
        values = {step: None if path.name == "a" and step in gap else step / 100 for step in range(1, last + 1)}
        write_jsonl(path / "metrics.jsonl", [{"step": step, "reward": value} for step, value in values.items()])
    page = report_runs(paths, tmp_path / "both.html")
    script = CHARTS + "return [5, 12, 15, 25].map((step) => point('Reward', step, 1, 30));"
    assert ask(page, tmp_path / "profile", script) == [
        ["5", "shown/a 0.05", "shown/b 0.05"],
        ["12: shown/b 0.12"],
        ["15", "shown/a 0.15", "shown/b 0.15"],
        ["25: shown/a 0.25"],
    ]


def test_a_chart_is_read_with_the_arrow_keys(tmp_path: Path):
    page = report_run(made.run(tmp_path / "run", {"before": [WRONG, RIGHT], "after": [RIGHT, RIGHT]}))
    keys = ["ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home", "Tab", "Escape"]
    script = CHARTS + f"return [{keys}.map((key) => press('Reward', key)), press('Accuracy, held out', 'End')];"
    reward, accuracy = ask(page, tmp_path / "profile", script)
    assert reward == [["1: 0.1"], ["2: 0.2"], ["4: 0.4"], ["3: 0.3"], ["1: 0.1"], ["1: 0.1"], [""]]
    assert accuracy == ["4: after, shown/run: 100.0% (34.2% to 100.0%)"]
