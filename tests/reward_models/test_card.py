"""The model card: from measurements only, the same every time, and safe against names that hold markup."""

from pathlib import Path

import pytest
import yaml
from rltk_reward_models.accuracy import length_baseline, pair_accuracy
from rltk_reward_models.card import Card, Measurements, escaped, measure, render_card, write_card

from tests.reward_models.scored import pair, simulated


def front(text: str) -> dict[str, object]:
    start, matter, _ = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(matter)


def test_numbers_are_those_that_were_measured():
    """70 right of 100, 4 of them longer, all others equally long: the baseline has 4 + 48 of 100."""
    pairs = [pair(1.0 if i < 70 else -1.0, str(i), longer=int(i < 4)) for i in range(100)]
    card = Card("m", is_adapter=True, measured=measure(pairs), excluded=3, seeds=(0, 1))
    text = render_card(card)
    assert "| this model | 70.0 % [60.4 %, 78.1 %], 100 pairs of 100 prompts |" in text
    assert "| always the longer reply | 52.0 % [" in text and "96 ties" in text
    assert "| difference in points | +18.0 [" in text
    assert "| accuracy where the preferred reply is longer | 100.0 % [" in text
    assert "| accuracy where it is shorter | not measured |" in text
    assert "| pairs without a score, left out | 3 |" in text
    assert "| seeds | 0, 1 |" in text


def test_calibration_is_shown_before_and_after():
    pairs = simulated(2000, temperature=3.0)
    measured = measure(pairs)
    report = measured.calibration
    assert report is not None and report.after is not None
    text = render_card(Card("m", is_adapter=False, measured=measured))
    assert f"of one half of the prompts, is {report.temperature:.3f}; divide scores by it" in text
    assert f"| Brier score | {report.before.brier:.3f} | {report.after.brier:.3f} |" in text
    assert text.count(" % |") >= 10
    for part in report.before.curve:
        assert f"| {part.confidence:.3f} | {100 * part.accuracy:.1f} % |" in text


def test_what_was_not_measured_is_said_and_no_number_is_there():
    text = render_card(Card("m", is_adapter=False))
    _, body = text.split("# m", 1)
    assert body.count("not measured") == 5 and body.count("not stated") == 7
    assert not any(character.isdigit() for character in body.replace("95 %", ""))


def test_what_is_undefined_is_no_number():
    pairs = [pair(1.0)] * 3
    text = render_card(Card("m", is_adapter=False, measured=measure(pairs)))
    assert "nan" not in text
    assert "| this model | 100.0 % [undefined, undefined], 3 pairs of 1 prompts |" in text
    assert "has no estimate" in text
    assert "nan" not in render_card(Card("m", is_adapter=False, measured=measure([])))
    partial = Measurements(accuracy=pair_accuracy(pairs), baseline=length_baseline(pairs))
    assert "nan" not in render_card(Card("m", is_adapter=False, measured=partial))


def test_the_front_matter_is_yaml_for_the_hub():
    card = Card("m", is_adapter=True, base="Qwen/Qwen3-0.6B", datasets=("Anthropic/hh-rlhf",), license="apache-2.0")
    assert front(render_card(card)) == {
        "library_name": "peft",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model", "rltk"],
        "base_model": "Qwen/Qwen3-0.6B",
        "datasets": ["Anthropic/hh-rlhf"],
        "license": "apache-2.0",
    }
    local = front(render_card(Card("m", is_adapter=False, base="../some/folder of mine")))
    assert "base_model" not in local and local["library_name"] == "transformers"


HOSTILE = [
    "<script>alert(1)</script>",
    "a | b\n| c | d |",
    "[x](javascript:alert(1))",
    "![x](http://x)",
    "`code` *bold* _under_ # head",
    "x\n---\nlicense: mit\n---\n# other",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_write_markup(name: str):
    card = Card(name, is_adapter=True, base=name, method=name, train_data=name, datasets=(name,), license=name)
    text = render_card(card)
    assert front(text)["license"] == name and front(text)["datasets"] == [name] and "base_model" not in front(text)
    _, body = text.split("\n---\n", 1)
    plain, named = (render_card(c).split("\n---\n", 1)[1] for c in (Card("m", True, base="m", method="m"), card))
    assert [line[:2] for line in plain.splitlines()] == [line[:2] for line in named.splitlines()]
    row = next(line for line in body.splitlines() if line.startswith("| base |"))
    assert row.replace("\\|", "").count("|") == 3
    assert "<" not in body and "](" not in body.replace("\\](", "").replace("\\]\\(", "")


def test_escaping_by_hand():
    assert escaped("a|b\n<c> [d](e) & `f`") == r"a\|b &lt;c&gt; \[d\]\(e\) &amp; \`f\`"


def test_the_file_is_written_whole_and_the_same(tmp_path: Path):
    card = Card("m", is_adapter=False, measured=measure(simulated(300)))
    for _ in range(2):
        write_card(tmp_path, card)
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == render_card(card)
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
