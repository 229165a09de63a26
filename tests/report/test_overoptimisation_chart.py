"""Held-out reward and gold reward over KL: where evaluations stand, how means are drawn, and when not at all."""

from pathlib import Path
from typing import Any

import pytest

from rltk.report.chart import Line
from rltk.report.curves import charts
from rltk.report.overoptimisation import Look, looks_of, proxy_and_gold
from rltk.report.read import Row, Run
from rltk.report.table import run_row


def step(number: int, kl: float | None, proxy: float | None = None, gold: float | None = None) -> Row:
    held_out = {} if proxy is None else {"heldout_reward": proxy, "heldout_gold_reward": gold}
    return {"step": number, "kl": kl, "completion_tokens": 25.0, **held_out}


def score(proxy: float, gold: float) -> Row:
    return {"dialogues": {"reward": proxy, "gold_reward": {"reward": gold}}}


BEFORE, AFTER = score(1.0, 0.5), score(5.0, 0.1)
STEPS = [step(1, 0.0), step(2, 0.01, 2.0, 0.9), step(3, 0.04), step(4, 0.09, 4.0, 0.3), step(5, 0.16)]


def run(metrics: list[Row], *, manifest: dict[str, Any] | None = None, **scores: Row) -> Run:
    return Run(Path("runs/t/a"), {"recipe": {}, **(manifest or {})}, metrics, scores, {})


def test_an_evaluation_stands_at_the_root_of_kl_a_completion() -> None:
    """sqrt(KL a token x 25 tokens) of its step."""
    looks = looks_of(run(STEPS, before=BEFORE, after=AFTER))
    assert [look._replace(distance=round(look.distance, 9)) for look in looks] == [
        Look(0, 0.0, 1.0, 0.5),
        Look(2, 0.5, 2.0, 0.9),
        Look(4, 1.5, 4.0, 0.3),
        Look(5, 2.0, 5.0, 0.1),
    ]


def test_a_run_that_ended_at_an_evaluation_has_it_once() -> None:
    looks = list(looks_of(run(STEPS[:4], before=BEFORE, after=score(4.0, 0.3))))
    assert [look.step for look in looks] == [0, 2, 4] and looks[-1].distance == pytest.approx(1.5)


def test_lines_go_from_lowest_to_highest_and_the_most_gold_is_marked() -> None:
    (chart,) = charts([run(STEPS, before=BEFORE, after=AFTER)])["Learning"][2:]
    proxy, gold = chart.lines
    assert (proxy.label, gold.label) == ("reward that is trained on, 1 to 5", "gold reward, 0.1 to 0.9")
    assert heights(proxy) == pytest.approx([0, 0.25, 0.75, 1]) and heights(gold) == pytest.approx([0.5, 1, 0.25, 0])
    assert [(mark.x, mark.y, mark.label) for mark in chart.marks] == [(0.5, 1.0, "most gold, after step 2")]
    assert "square root of the KL" in chart.x_title and "arXiv 2210.10760" in chart.about and chart.has_legend


def heights(line: Line) -> list[float]:
    return [y for _, y in line.points if y is not None]


def test_two_runs_are_not_drawn_into_one_chart() -> None:
    one = run(STEPS, before=BEFORE, after=AFTER)
    assert [chart.key for chart in charts([one, one])["Learning"]] == ["heldout_reward", "heldout_gold_reward"]


@pytest.mark.parametrize(
    ("metrics", "scores"),
    [
        ([step(1, 0.0), step(2, 0.1)], {}),
        ([step(1, None), step(2, None, 2.0, 0.9), step(3, None)], {"before": BEFORE, "after": AFTER}),
        (STEPS[:3], {"before": {"dialogues": {"reward": 1.0}}, "after": {"dialogues": {"accuracy": 0.5}}}),
        ([step(1, 0.0), step(2, 0.01, 0.7, 0.7), step(3, 0.04, 0.9, 0.9)], {}),
    ],
    ids=["no evaluation", "no KL measured", "one evaluation with gold", "the reward is the gold reward"],
)
def test_it_is_drawn_only_where_there_is_something_to_see(metrics: list[Row], scores: Row) -> None:
    assert proxy_and_gold(run(metrics, **scores)) is None


@pytest.mark.parametrize(("status", "shown"), [("finished", "finished early"), ("interrupted", "interrupted")])
def test_a_run_that_ended_early_is_listed_so(status: str, shown: str) -> None:
    ended = run(STEPS, manifest={"status": status, "stopped": {"step": 4, "overoptimised": "so"}})
    row = run_row(ended.path, ended.manifest, ended.metrics, ended.scores)
    assert row.ended_early and (row.status, row.shown_status) == (status, shown)
