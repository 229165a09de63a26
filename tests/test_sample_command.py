"""`rltk sample`: graded completions in one file, the pairs that they make, and going on after an interrupt."""

import signal
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.data.pairs import read_samples
from rltk.data.preference_rows import PreferenceSource
from rltk.data.preferences import load_preferences
from tests import runs
from tests.forks import Forks


@pytest.fixture
def argv(guesser: Path, tmp_path: Path) -> list[str]:
    problems = runs.problems(tmp_path / "problems.jsonl", 80)
    return ["sample", str(guesser), "--task", str(problems), "--samples", "4", "--max-new-tokens", "6"]


def test_completions_and_the_pairs_that_they_make(
    argv: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "samples.jsonl"
    assert main([*argv, "--out", str(out), "--quiet"]) == 0
    rows = runs.rows(out)
    assert len(rows) == 80 * 4 and not (tmp_path / "samples.jsonl.parts").exists()
    correct = sum(row["correct"] for row in rows)
    printed = capfd.readouterr()
    assert printed.err == "" and f"320 completions of 80 problems, {correct / 320:.1%} correct." in printed.out
    assert rows[5]["prompt"] == [{"role": "user", "content": "What is 1 times nothing, plus 8?"}]
    assert all(row["correct"] == (row["answer"] == row["gold"]) for row in rows)
    assert [sample.correct for sample in read_samples(out)] == [row["correct"] for row in rows]
    pairs = tmp_path / "pairs.jsonl"
    assert main([*argv, "--pairs", "--per-problem", "1", "--out", str(pairs), "--json"]) == 0
    loaded = load_preferences(PreferenceSource(str(pairs))).pairs
    both = {row["id"] for row in rows if row["correct"] and not row["truncated"]}
    both &= {row["id"] for row in rows if not row["correct"] and not row["truncated"]}
    assert len(loaded) == len(both) > 0


def test_an_interrupted_sampling_goes_on_to_the_same_file(argv: list[str], forks: Forks, tmp_path: Path) -> None:
    assert forks.run(*argv, "--out", str(tmp_path / "whole.jsonl")).code == 0
    out = str(tmp_path / "out.jsonl")
    killed = forks.run(*argv, "--out", out, at="rltk.rollout.evaluate.grade_items", call=2)
    assert killed.code == -signal.SIGKILL and not Path(out).exists()
    again = forks.run(*argv, "--out", out)
    assert again.code == 2 and "add --resume to go on with it" in again.err
    assert forks.run(*argv, "--out", out, "--resume").code == 0
    assert Path(out).read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--out", "x.json"], "name a file that ends in .jsonl."),
        (["--out", "x.jsonl", "--resume"], "no sampling for x.jsonl has begun; leave it out."),
        (["--out", "x.jsonl", "--task", "word-problems"], "would share one file; name one --task a file."),
    ],
)
def test_what_cannot_work_is_refused(
    more: list[str], expected: str, argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, *more]) == 2
    assert expected in capfd.readouterr().err
