"""Charts: where values lie, what is marked, and what someone hears who does not see them."""

import re
from xml.etree import ElementTree

import pytest

from rltk.report.axis import make_axis, ticks, written
from rltk.report.chart import Band, Chart, Line, Mark, Rule, axes, draw, with_room
from rltk.report.curves import moving_mean, thinned
from rltk.report.spark import spark


def test_an_axis_maps_its_ends_onto_its_ends():
    axis = make_axis([2.0, 6.0], 100, 300)
    assert (axis(2.0), axis(4.0), axis(6.0)) == (100, 200, 300)
    log = make_axis([1e-4, 1e-2], 0, 100, is_log=True)
    assert log(1e-3) == pytest.approx(50)
    assert log.low < 1e-4 and log.high > 1e-2


def test_an_axis_of_one_value_has_room_around_it():
    axis = make_axis([4.0, 4.0], 0, 100)
    assert axis(4.0) == 50
    assert make_axis([0.0], 0, 100)(0.0) == 50


def test_a_constant_that_is_off_by_rounding_is_a_constant():
    mean = sum([0.05] * 3) / 3
    assert mean != 0.05
    axis = make_axis([0.05, mean], 0, 100)
    assert axis(0.05) == axis(mean) == 50


def test_no_dot_lies_on_the_frame_and_nothing_below_a_lowest_zero():
    assert with_room([1.0, 3.0]) == pytest.approx([1.0, 3.0, 3.1, 0.9])
    assert with_room([0.0, 2.0]) == pytest.approx([0.0, 2.0, 2.1, 0.0])


def test_ticks_are_round():
    assert ticks(make_axis([0.0, 1.0], 0, 1), 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(make_axis([3.0, 17.0], 0, 1), 4) == [5, 10, 15]
    assert ticks(make_axis([1e-4, 1e-3], 0, 1, is_log=True)) == pytest.approx([1e-4, 3e-4, 1e-3])


def test_numbers_as_people_write_them():
    assert [written(0.934, "share"), written(-0.012, "points"), written(12345.6), written(0.01234), written(None)] == [
        "93.4%", "-1.2", "12,346", "0.0123", "-"
    ]  # fmt: skip


def test_an_undefined_value_is_a_gap_and_not_a_zero():
    drawn = draw(
        Chart("k", "KL", [Line("a", [(1, 1.0), (2, 2.0), (3, None), (4, 2.0), (5, 1.0), (6, None), (7, 2.0)])])
    )
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', drawn)
    assert [len(line.split()) for line in lines] == [2, 2]
    assert drawn.count("<circle") == 1  # the last point has no neighbour to be joined to


def test_what_lies_beyond_the_limits_runs_off_the_chart():
    whole = Chart("k", "Loss", [Line("a", [(1, 0.1), (2, 0.2), (3, 9.0)])], bands=[Band("a", [(1, -9.0, 9.0)])])
    cut = whole._replace(limits=(0.0, 0.3))
    assert [axes(chart)[1][:2] for chart in (whole, cut)] == [(-9.0, 9.0), (0.0, 0.3)]
    outer, inner = ElementTree.fromstring(draw(whole)), ElementTree.fromstring(draw(cut)).find("svg")
    assert outer.find("svg") is None and inner is not None
    assert inner.attrib["viewBox"] == " ".join(inner.attrib[key] for key in ("x", "y", "width", "height"))
    line = inner.find("polyline")
    assert line is not None and float(line.attrib["points"].split(",")[-1]) < 0, "it goes on as steeply as it is"


def test_what_a_chart_shows_is_said_in_words():
    line, mark = Line("a", [(1, 0.2), (2, 0.9), (3, 0.5)]), Mark("after", 3, 0.5, (0.4, 0.6))
    root = ElementTree.fromstring(draw(Chart("x", "Accuracy", [line], [mark], [Rule("margin", 0.1)], "share")))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == (
        "Accuracy over step. a: 20.0% at 1, 50.0% at 3, lowest 20.0%, highest 90.0%; "
        "after: 50.0% (40.0% to 60.0%); margin at 10.0%."
    )


def test_names_of_rules_do_not_lie_on_one_another():
    near = [Rule("margin", 0.01), Rule("no difference", 0.0), Rule("margin", -0.01)]
    far = [*near[1:2], Rule("high", 0.5), Rule("low", -0.5)]
    whole = Mark("a", 1, 0.0, (-1.0, 1.0))
    assert named_rules(near, whole) == (3, ["margin"]) and named_rules(far, whole) == (
        3,
        ["no difference", "high", "low"],
    )


def named_rules(rules: list[Rule], mark: Mark) -> tuple[int, list[str]]:
    drawn = draw(Chart("k", "K", [], [mark], rules))
    names = [name for name in re.findall(r">([^<>]+)</text>", drawn) if name in {rule.label for rule in rules}]
    return drawn.count('class="rule"'), names


def test_steps_are_whole():
    texts = re.findall(r'text-anchor="middle">([^<]*)<', draw(Chart("k", "K", [Line("a", [(1, 0.5), (2, 0.7)])])))
    assert texts == ["1", "2", "step"]


def test_names_in_a_chart_are_escaped():
    name = '"><script>alert(1)</script>&'
    drawn = draw(Chart("x", name, [Line(name, [(1, 1.0), (2, 2.0)])], [Mark(name, 1, 1.0)], [Rule(name, 1.5)]))
    assert "<script" not in drawn
    assert name in ElementTree.fromstring(drawn).attrib["aria-label"]


def test_a_long_line_is_drawn_as_means_of_stretches():
    points = thinned([(float(x), float(x)) for x in range(1, 801)], 400)
    assert points[:2] == [(2.0, 1.5), (4.0, 3.5)] and len(points) == 400
    assert thinned([(1.0, None), (2.0, 3.0)] * 400, 400)[0] == (2.0, 3.0)


def test_a_moving_mean_takes_fewer_at_the_ends():
    assert moving_mean([(1, 1.0), (2, 2.0), (3, 6.0)], 3) == [(1, 1.5), (2, 3.0), (3, 4.0)]


def test_a_sparkline_has_a_character_a_value_and_a_blank_for_none():
    assert spark([0.0, None, 7.0], 10) == "\u2581 \u2588"
    assert spark([0, 0, 7, 7], 2) == "\u2581\u2588"
    assert spark([], 5) == ""
