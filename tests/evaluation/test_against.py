"""`rltk eval A --against B`: the paired difference of runs, models and earlier evaluations, and what is refused."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rltk_eval.paired import compare

from rltk.cli import main
from tests import files, runs


@pytest.fixture(scope="module")
def run(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run that learned something."""
    folder = tmp_path_factory.mktemp("run")
    evaluation = {"samples": 3, "k": [1, 3], "before": True}
    recipe = runs.write_recipe(folder, guesser, optim={"steps": 6}, eval=evaluation)
    assert main(["train", str(recipe), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def right(rows: list[dict[str, Any]], decoding: str) -> list[list[float]]:
    """Of each item, which samples are right."""
    items: dict[str, list[float]] = {}
    for row in rows:
        if row["decoding"] == decoding:
            items.setdefault(row["id"], []).append(float(row["correct"]))
    return list(items.values())


def test_a_run_against_the_model_it_began_with(
    run: Path, guesser: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    """A bare model is asked what the run was asked, in its words and with its streams."""
    given = answer(run, "--against", guesser, "--out", tmp_path / "out")
    scores = runs.read(run / "scores.json")
    assert given["scores"] == scores["after"]
    assert given["against_scores"]["test"]["n"] == 12 and given["against_scores"]["test"]["prompt"]["name"] == "plain@1"
    a, b = (runs.rows(tmp_path / "out" / place / "test.jsonl") for place in ("items", "against/items"))
    assert [row["prompt"] for row in a] == [row["prompt"] for row in b]
    for decoding, test in (("greedy", "exact McNemar"), ("sampled", "clustered by item")):
        expected, found = compare(right(a, decoding), right(b, decoding)), given["comparison"]["test"][decoding]
        assert (found["difference"], found["ci95"], found["p"]) == (
            expected.difference,
            [*expected.interval],
            expected.p,
        )
        assert (found["only_a"], found["only_b"], found["n"]) == (expected.only_a, expected.only_b, 12)
        assert found["test"] == test
    assert given["comparison"]["test"]["sampled"]["difference"] > 0, "it learned"
    kept = runs.read(tmp_path / "out" / "comparison.json")
    assert kept == {"a": str(run), "b": str(guesser), "tasks": given["comparison"]}
    assert runs.names(tmp_path / "out" / "against") == ["items", "scores.json", "settings.json"]

    again = answer(run, "--against", tmp_path / "out" / "against")
    assert again["comparison"] == given["comparison"] and again["against_scores"] == given["against_scores"]
    turned = answer(guesser, "--against", run)["comparison"]["test"]["greedy"]
    assert turned["difference"] == -given["comparison"]["test"]["greedy"]["difference"]


def test_what_a_run_has_evaluated_can_be_compared_without_any_model(run: Path, answer: Callable[..., Any]) -> None:
    after, before = (run / "items" / f"{when}-test.jsonl" for when in ("after", "before"))
    given = answer(after, "--against", before, "--k", 3)
    scores = runs.read(run / "scores.json")
    found = given["scores"]["test"]["sampled"]
    assert found["pass_at_k"]["3"] == scores["after"]["test"]["sampled"]["pass_at_k"]["3"]
    assert given["against_scores"]["test"]["accuracy"] == scores["before"]["test"]["accuracy"]
    expected = compare(right(runs.rows(after), "sampled"), right(runs.rows(before), "sampled"))
    assert given["comparison"]["test"]["sampled"]["ci95"] == [*expected.interval]


def test_people_read_the_difference(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    after, before = (str(run / "items" / f"{when}-test.jsonl") for when in ("after", "before"))
    assert main(["eval", after, "--against", before]) == 0
    *_, a, b, columns, greedy, sampled = capfd.readouterr().out.splitlines()
    assert (a, b) == (f"A: {after}", f"B: {before}")
    assert re.split(r"\s{2,}", columns.strip()) == ["A", "B", "A - B", "95 % interval", "better in A", "in B", "n", "p"]
    scores = runs.read(run / "scores.json")
    accuracies = [scores[when]["test"]["sampled"]["accuracy"] for when in ("after", "before")]
    cells = re.split(r"\s{2,}", sampled)
    assert cells[:4] == [
        "test, sampled",
        *(f"{share:.1%}" for share in accuracies),
        f"{100 * (accuracies[0] - accuracies[1]):+.1f}",
    ]
    assert cells[-2] == "12" and cells[-1].endswith("(clustered by item)") and greedy.endswith("(exact McNemar)")


def test_an_evaluation_is_itself(run: Path, answer: Callable[..., Any]) -> None:
    found = answer(run, "--against", run, "--limit", 6)["comparison"]["test"]
    for paired in found.values():
        assert (paired["difference"], paired["p"], paired["only_a"], paired["only_b"]) == (0, 1, 0, 0)


def test_what_cannot_be_compared_is_refused(
    run: Path, guesser: Path, refused: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    after = run / "items" / "after-test.jsonl"
    rows = runs.rows(after)
    out = tmp_path / "out"
    assert main(["eval", str(run), "--limit", "8", "--out", str(out), "--json"]) == 0
    embedded = ["eval", str(guesser), "--task", "word-problems", "--limit", "2", "--max-new-tokens", "2"]
    assert main([*embedded, "--out", str(tmp_path / "other")]) == 0
    capfd.readouterr()

    other = tmp_path / "other" / "items" / "word-problems.jsonl"
    fewer = write(tmp_path / "a" / "test.jsonl", [row for row in rows if row["id"] != "test/3"])
    gold = write(
        tmp_path / "b" / "test.jsonl", [{**row, "gold": "5"} if row["id"] == "test/3" else row for row in rows]
    )
    ids = write(tmp_path / "c" / "test.jsonl", [{**row, "id": f"{row['id']}x"} for row in rows])
    begin = f"{after} and {{}} cannot be compared on test:"
    cases = {
        (after, "--against", fewer): f"{begin} 12 items against 11; test/3 is in one of them only.",
        (
            after,
            "--against",
            gold,
        ): f"{begin} the gold answer of test/3 is {rows[3]['gold']} in the one and 5 in the other.",
        (after, "--against", ids): f"{begin} test/0 is in {after} only.",
        (after, "--against", other): "{} holds no evaluation on test; it holds word-problems.",
    }
    for argv, expected in cases.items():
        assert refused(*argv) == expected.format(argv[-1])
    assert (
        refused(run, "--against", out)
        == f"{run} and {out} cannot be compared on test: 12 items against 8; test/8 is in one of them only."
    )
    for option, value, was in (("seed", 5, 0), ("samples", 4, 3), ("temperature", 0.5, 1.0), ("max-new-tokens", 5, 6)):
        begin = f"{run} and {out} cannot be compared: {option.replace('-', '_')}"
        assert refused(run, "--limit", 8, f"--{option}", value, "--against", out) == (
            f"{begin} is {value} in the one and {was} in the other."
        )
    assert refused(out, "--limit", 3) == f"{out} was evaluated before, so --limit has no effect on it; leave it out."
    assert refused(out, "--seed", 0) == f"{out} was evaluated before, so --seed has no effect on it; leave it out."
    assert refused(out, "--k", 4) == f"k = 4 needs as many samples a problem, and {out} has 3; see --samples and --k."
    assert refused(out, "--task", "tset") == f"{out} holds no evaluation on tset; did you mean test?"
    (out / "scores.json").unlink()
    assert refused(run, "--limit", 8, "--against", out) == (
        f"the evaluation in {out} is not finished; go on with the command that began it and --resume."
    )


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir()
    return files.jsonl(path, rows)


def test_a_comparison_goes_on_where_it_was_stopped(
    run: Path, guesser: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    argv = (run, "--against", guesser, "--out", tmp_path / "out")
    whole = answer(*argv)
    shutil.rmtree(tmp_path / "out" / "against")
    (tmp_path / "out" / "scores.json").unlink()
    assert answer(*argv, "--resume") == whole
    assert runs.read(tmp_path / "out" / "scores.json") == whole["scores"]
