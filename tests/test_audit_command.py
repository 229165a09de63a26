"""`rltk audit`: over gold solutions, labelled completions and a run's own; what it prints and refuses."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from tests import asked, files, runs
from tests.eval.written import CASES

pytestmark = pytest.mark.usefixtures("patient_checker")
KEYS = ["n", "agree", "false_negative", "false_positive", "unreadable", "timeout", "examples"]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What `rltk audit --json` answers, having printed nothing else."""

    def answer(*argv: object) -> Any:
        found = asked.answers("audit", capfd)(*argv)
        assert list(found) == KEYS and found["n"] == found["agree"] + found["false_negative"] + found["false_positive"]
        return found

    return answer


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return asked.refusals("audit", capfd)


def counts(found: Any) -> tuple[int, ...]:
    return tuple(found[key] for key in KEYS[:-1])


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    return files.jsonl(path, rows)


def labelled(completion: str, gold: Any, correct: Any, **more: Any) -> dict[str, Any]:
    return {"completion": completion, "gold": gold, "correct": correct, **more}


def test_labelled_completions_are_counted(answer: Callable[..., Any], tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "rows.jsonl",
        labelled("#### 72", 72, True),
        labelled("#### 72", "6 * 12\n#### 72", False, question="How many?"),
        labelled("#### 7 or 2", "72", True),
        labelled(r"\boxed{\frac12}", 0.5, True, kind="math", other="passed over"),
        labelled(r"\boxed{\frac13}", "0.5", False, kind="math"),
    )
    found = answer("labelled", file)
    assert counts(found) == (5, 3, 1, 1, 1, 0)
    missed, rewarded = sorted(found["examples"], key=lambda example: example["label"])
    assert (missed["place"], missed["verdict"], missed["answer"]) == (f"{file}, line 3", "unreadable", None)
    assert (rewarded["place"], rewarded["verdict"], rewarded["answer"]) == (f"{file}, line 2", "correct", "72")
    assert (rewarded["question"], rewarded["gold"], rewarded["label"]) == ("How many?", "72", "incorrect")


def test_kind_is_of_rows_that_do_not_say(answer: Callable[..., Any], tmp_path: Path) -> None:
    rows = [labelled(r"\boxed{x+1}", "1+x", True), labelled("#### 72", "72", True, kind="number")]
    assert counts(answer("labelled", write_rows(tmp_path / "rows.jsonl", *rows), "--kind", "math"))[:2] == (2, 2)


def test_the_hand_written_completions(answer: Callable[..., Any], tmp_path: Path) -> None:
    """The three are what the checker gets wrong; docs/results/crosscheck.md lists them."""
    found = answer("labelled", write_rows(tmp_path / "written.jsonl", *(case._asdict() for case in CASES)))
    assert counts(found)[:4] == (148, 145, 3, 0)
    assert {example["completion"] for example in found["examples"]} == {
        "They take in $22.5 thousand. #### 22.5 thousand",
        "6 million people are left. #### 6 million",
        r"$\boxed{37.5\%}$",
    }


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"gold": "72", "correct": True}, "completion is missing; the text that is to be judged was expected."),
        (labelled("#### 72", "72", "yes"), 'correct is "yes"; true or false, without quotes, was expected.'),
        (labelled("#### 72", "72", 1), "correct is 1; true or false, without quotes, was expected."),
        (labelled("#### 72", None, True), "gold is missing; an answer, or a solution that ends in one, was expected."),
        (labelled("#### 72", True, True), "gold is true; an answer, or a solution that ends in one, was expected."),
        (labelled("#### 72", "72", True, kind="maths"), 'kind is "maths"; number or math was expected.'),
        (
            labelled("#### 72", "none", True),
            "gold has no gold answer in 'none': give one number, or a solution that ends in '#### 72'.",
        ),
    ],
)
def test_a_bad_row_is_named_by_line_and_key(
    row: dict[str, Any], sentence: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "rows.jsonl", labelled("#### 72", "72", True), row)
    assert refused("labelled", file) == f"{file}, line 2: {sentence}"


def test_what_cannot_be_audited_is_refused(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.jsonl").write_text("")
    Path("broken.jsonl").write_text("{\n")
    runs.problems(Path("rows.jsonl"), 3)
    of_gold = "has no effect on `rltk audit labelled`, only on gold; leave it out."
    cases = {
        ("labelled", "row.jsonl"): "row.jsonl does not exist; did you mean rows.jsonl?",
        ("labelled", "folder"): "folder is a folder; name a .jsonl file of labelled completions.",
        ("labelled", "empty.jsonl"): "empty.jsonl has no rows.",
        ("labelled", "rows.jsonl"): (
            "rows.jsonl, line 1: completion is missing; the text that is to be judged was expected."
        ),
        ("labelled", "rows.jsonl", "--split", "test"): f"--split {of_gold}",
        ("labelled", "rows.jsonl", "--data-root", "."): f"--data-root {of_gold}",
        ("gold", "rows.jsonl", "--task", "gsm8k"): (
            "--task has no effect on `rltk audit gold`, only on run; leave it out."
        ),
        ("gold", "empty.jsonl"): "empty.jsonl has no rows.",
        ("gold", "rows.jsonl", "--split", "test"): "--split is for a data set with splits; rows.jsonl is one file.",
        ("gold", "rows.jsonl", "--answer", "anser"): (
            "rows.jsonl has no column 'anser'; did you mean answer? Name it with --answer."
        ),
        ("gold", "rows.jsonl", "--solution", "zzz"): (
            "rows.jsonl has no column 'zzz'; it has answer, question. Name it with --solution."
        ),
        ("gold", "./zzz"): "./zzz does not exist.",
        ("gold", "gsm9k"): "gsm9k is neither a task, a folder, a file nor a hub id; did you mean gsm8k?",
        ("gold", "embedded/problems"): (
            "embedded/problems is neither a task, a folder, a file nor a hub id; did you mean word-problems?"
        ),
        ("gold", "gsm8k", "--kind", "math"): "--kind is for a data set given by path or hub id; gsm8k is not.",
        ("gold", "word-problems", "--solution", "x"): (
            "--solution is for a data set given by path or hub id; word-problems is not."
        ),
        ("gold", "word-problems", "--split", "tset"): "the embedded problems have no split tset; did you mean test?",
        ("gold", "gsm8k", "--data-root", "."): (
            "there is no openai/gsm8k in .; name a folder that holds data sets by their hub ids."
        ),
        ("run", "none"): "none does not exist.",
        ("run", "folder"): ("folder holds no items/*.jsonl; name a run, or make some with: rltk eval MODEL --out DIR."),
        ("run", "empty.jsonl"): "empty.jsonl holds no items yet.",
        ("run", "rows.jsonl"): "rows.jsonl, line 1: not a row of an evaluation (a row without id).",
    }
    for argv, expected in cases.items():
        assert refused(*argv) == expected
    assert refused("labelled", "broken.jsonl").startswith("broken.jsonl, line 1: not JSON (")
    assert refused("glod", "gsm8k").startswith("argument gold|labelled|run: invalid choice: 'glod'")


def test_gold_solutions_of_a_file(answer: Callable[..., Any], tmp_path: Path) -> None:
    """A bare answer is announced; one that does not read is counted and listed; one that does not agree is missed."""
    file = write_rows(
        tmp_path / "rows.jsonl",
        *({"q": "?", "final": final} for final in ("72", "6 * 12 = 72\n#### 72", "no number", None)),
    )
    found = answer("gold", file, "--answer", "final")
    assert counts(found) == (4, 2, 2, 0, 2, 0)
    assert [(example["place"], example["gold"]) for example in found["examples"]] == [
        (f"{file}, line 3", None),
        (f"{file}, line 4", None),
    ]
    worked = [{"answer": r"\frac12", "work": work} for work in (r"$\boxed{0.5}$", r"$\boxed{0.6}$")]
    found = answer("gold", write_rows(file, *worked), "--solution", "work", "--kind", "math")
    assert counts(found) == (2, 1, 1, 0, 0, 0)
    assert (found["examples"][0]["answer"], found["examples"][0]["gold"]) == ("0.6", r"\frac12")


def test_gold_solutions_of_the_embedded_problems(answer: Callable[..., Any]) -> None:
    twice = ("--split", "test", "--split", "test")
    assert counts(answer("gold", "word-problems", *twice)) == (2000, 2000, 0, 0, 0, 0)


def evaluated(id_: str, completion: str, gold: str, verdict: str, read: str | None) -> dict[str, Any]:
    row = {"id": id_, "sample": 0, "prompt": "?", "completion": completion, "answer": read, "gold": gold}
    ends = {"tokens": 3, "truncated": False, "level": None, "subject": None, "decoding": "greedy"}
    return row | {"verdict": verdict, "correct": verdict == "correct"} | ends


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with items of two tasks, of which one is mathematics by its name."""
    items = tmp_path / "made" / "items"
    items.mkdir(parents=True)
    write_rows(
        items / "after-mine.jsonl",
        evaluated("a", "#### 72", "72", "correct", "72"),
        evaluated("b", "#### 71", "72", "incorrect", "71"),
        evaluated("c", "so 72 or maybe 72 k\n#### 72 k", "72", "unreadable", None),
        evaluated("d", "72 - 1\n#### 71", "72", "incorrect", "71"),
        evaluated("e", "#### 3\n#### 72", "72", "correct", "72"),
    )
    write_rows(
        items / "math500.jsonl",
        evaluated("f", r"$\boxed{2}$", "2", "correct", "2"),
        evaluated("g", r"$\boxed{2}$, no, $\boxed{3}$", "3", "correct", "3"),
        evaluated("h", r"$\boxed{x}$", r"\frac12", "timeout", "x"),
        evaluated("i", r"$\boxed{x}$ for $0.5$", r"\frac12", "timeout", "x"),
    )
    return tmp_path / "made"


def test_a_looser_reader_says_where_a_run_is_to_be_looked_at(made: Path, answer: Callable[..., Any]) -> None:
    found = answer("run", made)
    assert counts(found) == (9, 4, 3, 2, 1, 2)
    assert [(example["place"], example["why"]) for example in found["examples"]] == [
        ("after-mine.jsonl, line 3 (c)", "not judged correct, but the gold answer stands as its last number"),
        ("after-mine.jsonl, line 4 (d)", "not judged correct, but the gold answer stands in its text"),
        ("after-mine.jsonl, line 5 (e)", "judged correct, but it states several answers"),
        ("math500.jsonl, line 2 (g)", "judged correct, but it states several answers"),
        ("math500.jsonl, line 3 (h)", "its check ran over time or memory"),
        ("math500.jsonl, line 4 (i)", "not judged correct, but the gold answer stands in a formula"),
    ]
    assert [example["label"] for example in found["examples"]] == [
        *("correct", "correct", "incorrect", "incorrect", "incorrect", "correct")
    ]


def test_a_task_and_a_kind_may_be_chosen(made: Path, answer: Callable[..., Any], refused: Callable[..., str]) -> None:
    assert counts(answer("run", made, "--task", "mine")) == (5, 2, 2, 1, 1, 0)
    assert counts(answer("run", made, "--task", "mine", "--task", "math500"))[0] == 9
    assert counts(answer("run", made / "items" / "math500.jsonl"))[0] == 4
    as_numbers = answer("run", made, "--task", "math500", "--kind", "number", "--examples", 0)
    assert counts(as_numbers)[:4] == (4, 3, 0, 1) and as_numbers["examples"] == []
    assert refused("run", made, "--task", "mina") == f"{made} holds no items of mina; did you mean mine?"


def test_a_task_by_name_is_read_as_its_kind(answer: Callable[..., Any], tmp_path: Path) -> None:
    """Where every gold answer is a number, too: as numbers, x is no answer."""
    row = evaluated("a", r"$\boxed{x}$, that is, $\boxed{2}$", "2", "correct", "2")
    assert counts(answer("run", write_rows(tmp_path / "after-math.jsonl", row)))[:4] == (1, 0, 0, 1)
    assert counts(answer("run", write_rows(tmp_path / "mine.jsonl", row)))[:4] == (1, 1, 0, 0)


def test_a_damaged_row_of_items_is_named(made: Path, refused: Callable[..., str]) -> None:
    file = made / "items" / "math500.jsonl"
    write_rows(file, evaluated("f", "x", "2", "correct", "2"), evaluated("f", "x", "2", "correct", "2") | {"gold": 2})
    assert refused("run", file) == f"{file}, line 2: completion, gold and prompt must be texts."


def test_people_read_a_table_and_examples(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "run", str(made), "--task", "mine"]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == [
        f"{made}: verdicts against a looser reader; what follows is to be looked at, not an error",
        "n   agree   false negative   false positive   unreadable   timeout",
        "5       2                2                1            1         0",
        "",
        "not judged correct, but the gold answer stands as its last number: 1",
        "  after-mine.jsonl, line 3 (c): gold 72, read nothing: unreadable",
        "    so 72 or maybe 72 k #### 72 k",
        "",
        "not judged correct, but the gold answer stands in its text: 1",
        "  after-mine.jsonl, line 4 (d): gold 72, read 71: incorrect",
        "    72 - 1 #### 71",
        "",
        "judged correct, but it states several answers: 1",
        "  after-mine.jsonl, line 5 (e): gold 72, read 72: correct",
        "    #### 3 #### 72",
    ]


def test_where_all_agree_it_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write_rows(tmp_path / "rows.jsonl", labelled("[bold]#### 72", "72", True))
    assert main(["audit", "labelled", str(file)]) == 0
    assert capfd.readouterr().out.endswith("nothing disagrees\n")
    write_rows(file, *[labelled("[bold]#### 71", "72", True)] * 3)
    assert main(["audit", "labelled", str(file), "--examples", "1"]) == 0
    *_, title, place, shown = capfd.readouterr().out.splitlines()
    assert title == "labelled correct, not judged correct: 3, the first 1"
    assert (place, shown) == (f"  {file}, line 1: gold 72, read 71: incorrect", "    [bold]#### 71")


def test_a_run_that_was_trained(
    guesser: Path, answer: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1})
    assert main(["train", str(recipe), "--run", str(tmp_path / "run"), "--quiet"]) == 0
    capfd.readouterr()
    items = sorted((tmp_path / "run" / "items").glob("*.jsonl"))
    rows = [row for file in items for row in runs.rows(file)]
    assert len(items) == 2 and rows
    found = answer("run", tmp_path / "run", "--examples", len(rows))
    assert (found["n"], found["false_positive"]) == (len(rows), 0)
    # It writes a few tokens and ends with its only digit, if any: so a looser reader finds no other answer.
    assert found["unreadable"] == sum(row["verdict"] == "unreadable" for row in rows)
    for example in found["examples"]:
        assert example["gold"] in example["completion"] and example["verdict"] != "correct"


@pytest.mark.parametrize("argv", [["gold", "rows.jsonl"], ["labelled", "rows.jsonl"], ["run", "made"]], ids=" ".join)
def test_an_audit_of_files_imports_nothing_heavy(argv: list[str], made: Path) -> None:
    write_rows(made.parent / "rows.jsonl", labelled("#### 72", "72", True, answer="72", question="?"))
    modules = modules_after(made.parent, *argv)
    assert "rltk.commands.audit" in modules and not modules.intersection(("torch", "transformers", "datasets"))


def test_an_audit_of_a_data_set_imports_no_torch(shared_data: Path, made: Path) -> None:
    modules = modules_after(made, "gold", "gsm8k", "--split", "test", "--data-root", str(shared_data))
    assert "datasets" in modules and "torch" not in modules


def modules_after(folder: Path, *argv: str) -> set[str]:
    code = "import sys; from rltk.cli import main\nassert main(sys.argv[1:]) == 0\nprint('', *sys.modules, sep='\\n')"
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "eval", ROOT / "reward_models")))
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", *argv],
        **{
            "cwd": folder,
            "env": os.environ | {"PYTHONPATH": paths, "HF_HOME": str(folder)},
            "capture_output": True,
            "text": True,
        },
        check=True,
    )
    return set(done.stdout.split("\n"))


def test_math_500_is_read_from_its_solutions(
    answer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "HuggingFaceH4" / "MATH-500"
    folder.mkdir(parents=True)
    row = {"problem": "?", "answer": "2", "solution": r"$\boxed{3}$"}
    write_rows(folder / "test.jsonl", row)
    for source in (("math500", "--data-root", tmp_path), (folder,)):
        assert counts(answer("gold", *source)) == (1, 0, 1, 0, 0, 0)
    assert counts(answer("gold", folder, "--solution", "answer")) == (1, 1, 0, 0, 0, 0)


@pytest.fixture
def real(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return shared_data


def test_real_gold_solutions_are_right(real: Path, answer: Callable[..., Any]) -> None:
    root = ("--data-root", real)
    assert counts(answer("gold", "gsm8k", *root, "--split", "test")) == (1319, 1319, 0, 0, 0, 0)
    assert counts(answer("gold", "math500", *root)) == (500, 500, 0, 0, 0, 0)
    folder = real / "EleutherAI" / "hendrycks_math"
    found = answer("gold", folder, "--config", "number_theory", "--split", "train")
    assert counts(found) == (869, 867, 2, 0, 2, 0)
    assert [(e["place"].rpartition(", ")[2], e["gold"]) for e in found["examples"]] == [
        ("row 661", None),
        ("row 663", None),
    ]


@pytest.mark.slow
def test_all_real_gold_solutions_are_right(real: Path, answer: Callable[..., Any]) -> None:
    assert counts(answer("gold", "gsm8k", "--data-root", real)) == (8792, 8792, 0, 0, 0, 0)
    assert counts(answer("gold", "math", "--data-root", real)) == (12_500, 12_498, 2, 0, 2, 0)
    assert counts(answer("gold", "word-problems")) == (24_000, 24_000, 0, 0, 0, 0)


def test_a_split_that_is_not_there_is_refused(real: Path, refused: Callable[..., str]) -> None:
    folder = real / "openai" / "gsm8k"
    assert "split 'tset' could not be read (Unknown split" in refused("gold", folder, "--split", "tset")
