"""Rewards of the user's own: what a function is given, what it may give, and what is said where it fails."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from rltk.data.problems import Problem
from rltk.errors import UserError
from rltk.recipe.schema import PythonReward
from rltk.rewards.call import OwnScorer, Value
from rltk.rewards.own import load_own
from tests import runs

PROBLEMS = [Problem(f"train/{row}", f"What is {row}?", str(row)) for row in (3, 5, 8)]
COMPLETIONS = ["3", "a b", "8 it is"]
Score = Callable[..., list[Value]]


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """What the function `mine` of a file with these lines gives the three completions."""
    monkeypatch.chdir(tmp_path)

    def score(source: str, **keys: Any) -> list[Value]:
        Path("mine.py").write_text(source, encoding="utf-8")
        return OwnScorer(load_own("mine", PythonReward(path="mine.py", **keys)))(PROBLEMS, COMPLETIONS)

    return score


ONE = "def mine(problem, completion): "
ALL = "def mine(problems, completions): "
RIGHT = "float(problem.answer in completion)"


@pytest.mark.parametrize(
    "source",
    [
        f"{ONE}return {RIGHT}",
        f"async {ONE}return {RIGHT}",
        f"def mine(completion, problem, *, weight=1): return {RIGHT} * weight",
        f"{ALL}return [{RIGHT} for problem, completion in zip(problems, completions)]",
        f"async {ALL}return tuple({RIGHT} for problem, completion in zip(problems, completions))",
        f"class Judge:\n  async def __call__(self, problem, completion): return {RIGHT}\nmine = Judge()",
        "import numpy\n" + f"{ONE}return numpy.float32({RIGHT})",
        f"{ONE}return problem.answer in completion",
    ],
)
def test_every_form_of_function_is_called_as_its_parameters_say(source: str, score: Score) -> None:
    assert score(source) == [1.0, 0.0, 1.0]


def test_none_stands_for_what_could_not_be_judged(score: Score) -> None:
    assert score(f"{ONE}return None if ' ' in completion else 2") == [2.0, None, None]


def test_a_file_reads_its_neighbour_and_keeps_its_state_between_steps(score: Score, tmp_path: Path) -> None:
    (tmp_path / "beside_mine.py").write_text("LENGTH = 2\n")
    source = f"import beside_mine\nSEEN = []\n{ONE}SEEN.append(problem.id); return len(SEEN) * beside_mine.LENGTH"
    assert score(source) == [2.0, 4.0, 6.0]
    assert score(source) == [8.0, 10.0, 12.0]


def test_async_calls_run_side_by_side_and_no_more_than_in_flight(score: Score) -> None:
    """Each waits until it sees `together` under way at once: without concurrency this would never end."""
    source = """
import asyncio
under_way, most = 0, 0
async def mine(problem, completion):
    global under_way, most
    under_way += 1
    most = max(most, under_way)
    for _ in range(5):
        await asyncio.sleep(0)
    under_way -= 1
    return most
"""
    assert score(source)[0] == 3.0
    assert max(score(source + "# anew\n", in_flight=2)) == 2.0  # pyright: ignore[reportArgumentType]


def test_what_async_code_keeps_stays_good_at_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = "import asyncio\nLOOPS = set()\nasync def mine(problem, completion):\n"
    Path("mine.py").write_text(f"{source}    LOOPS.add(asyncio.get_running_loop())\n    return len(LOOPS)\n")
    scorer = OwnScorer(load_own("mine", PythonReward(path="mine.py")))
    assert [scorer(PROBLEMS, COMPLETIONS) for _ in range(2)] == [[1.0] * 3] * 2


def test_what_it_prints_is_kept_from_stdout(score: Score, capsys: pytest.CaptureFixture[str]) -> None:
    score(f"{ONE}print('seen', problem.id); return 0")
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("seen train/") == 3


BROKEN = [
    ("def mine(:", "rewards.mine: mine.py line 1 is not Python: invalid syntax."),
    (
        "import nothing_of_this_name",
        "rewards.mine: mine.py line 1 (import nothing_of_this_name) raised ModuleNotFoundError: No module named "
        "'nothing_of_this_name'.",
    ),
    (
        "def mein(problem, completion): return 0",
        "rewards.mine.function is not given and so mine, which mine.py does not define; did you mean mein?",
    ),
    ("x = 1", "rewards.mine.function is not given and so mine, which mine.py does not define; it has no function."),
    ("mine = 1", "rewards.mine: mine in mine.py is no function."),
    (
        "def mine(text): return 0",
        "rewards.mine: mine in mine.py has the parameters (text); it must have (problem, completion), to be called for "
        "each, or (problems, completions), to be called for all of a step.",
    ),
    (
        f"{ALL}return [1.0]",
        "rewards.mine: mine.py, mine gave 1 values for 3 completions, the first of problem train/3.",
    ),
    (
        f"{ALL}return 1.0",
        "rewards.mine: mine.py, mine gave a value of type float where a list of numbers was expected.",
    ),
    (
        "import numpy\n" + f"{ALL}return numpy.zeros(3)",
        "rewards.mine: mine.py, mine gave a value of type ndarray (.tolist() makes a list of numbers of it) where a "
        "list of numbers was expected.",
    ),
    (
        f"{ONE}return 'good' if problem.answer == '5' else 1",
        "rewards.mine: mine.py, mine gave a value of type str where a number was expected at completion 2 of 3, of "
        "problem train/5.",
    ),
    (
        f"{ALL}return [0.0, 1.0, float('nan')]",
        "rewards.mine: mine.py, mine gave nan at completion 3 of 3, of problem train/8; let it give None for what has "
        "no reward.",
    ),
    (
        "def mine(problem, completion):\n    return length(completion) / 2\n\ndef length(text):\n"
        "    return 1 / (len(text) - 3)\n",
        "rewards.mine: mine.py line 5 (return 1 / (len(text) - 3)) raised ZeroDivisionError: division by zero at "
        "completion 2 of 3, of problem train/5.",
    ),
    (
        f"async {ONE}return int(completion)",
        "rewards.mine: mine.py line 1 (async def mine(problem, completion): return int(completion)) raised ValueError: "
        "invalid literal for int() with base 10: 'a b' at completion 2 of 3, of problem train/5.",
    ),
    (
        f"{ALL}raise SystemExit",
        "rewards.mine: mine.py line 1 (def mine(problems, completions): raise SystemExit) raised SystemExit at 3 "
        "completions, the first of problem train/3.",
    ),
]


@pytest.mark.parametrize(("source", "said"), BROKEN)
def test_what_is_wrong_is_said_with_file_line_and_row(source: str, said: str, score: Score) -> None:
    with pytest.raises(UserError) as caught:
        score(source)
    assert str(caught.value) == said


def test_the_others_end_with_the_first_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = """
import asyncio
ended = []
async def mine(problem, completion):
    if problem.answer == "5":
        raise RuntimeError("no")
    try:
        await asyncio.sleep(3600)
    finally:
        ended.append(problem.id)
"""
    Path("mine.py").write_text(source)
    loaded = load_own("mine", PythonReward(path="mine.py"))
    with pytest.raises(UserError, match=r"raised RuntimeError: no at completion 2 of 3"):
        OwnScorer(loaded)(PROBLEMS, COMPLETIONS)
    assert sorted(loaded.function.__globals__["ended"]) == ["train/3", "train/8"]


def test_a_key_that_would_be_ignored_is_refused(score: Score) -> None:
    said = r"in_flight = 3 is for an async function of one problem and completion, and mine in mine\.py is none"
    for source in (f"{ONE}return 0", f"async {ALL}return [0, 0, 0]"):
        with pytest.raises(UserError, match=said):
            score(source, in_flight=3)


OWN = """
from collections.abc import Sequence
from rltk.data.problems import Problem

CALLS = []


def nines(problems: Sequence[Problem], completions: Sequence[str]) -> list[float | None]:
    CALLS.append(problems)
    {fault}
    return [None if completion == "" else float(completion.endswith("9")) for completion in completions]
"""
REWARDS = {"nines": {"path": "", "weight": 2.0}, "right": {"type": "answer", "weight": 0.5}}


def write(folder: Path, policy: Path, fault: str = "pass", **sections: Any) -> Path:
    path = runs.write_recipe(folder, policy, rewards=own(folder, fault), **sections)
    return path


def own(folder: Path, fault: str = "pass") -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    file = folder / "mine.py"
    file.write_text(OWN.replace("{fault}", fault), encoding="utf-8")
    return REWARDS | {"nines": REWARDS["nines"] | {"path": str(file)}}


def test_a_run_learns_from_it(guesser: Path, tmp_path: Path) -> None:
    """Beside the answer's: each is logged before its weight, and their weighted sum is what trains."""
    run = tmp_path / "run"
    recipe = write(tmp_path, guesser, optim={"steps": 10, "lr": 0.05}, eval={"limit": 2, "samples": 0})
    assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 0
    rows = runs.rows(run / "metrics.jsonl")
    for row in rows:
        assert row["reward"] == pytest.approx(2 * row["reward/nines"] + 0.5 * row["reward/right"], abs=1e-6)
    late, early = ([row["reward/nines"] for row in part] for part in (rows[-4:], rows[:4]))
    assert sum(late) > sum(early) + 0.5
    [(path, digest)] = runs.read(run / "manifest.json")["code"].items()
    assert path == str(tmp_path / "mine.py") and len(digest) == 16


def test_a_failure_of_the_users_code_costs_no_step_and_may_be_put_right(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fault = "assert len(CALLS) < 3, 'tired'"
    run, whole = tmp_path / "run", tmp_path / "whole"
    optim = {"steps": 4, "lr": 0.01}
    assert main(["train", str(write(tmp_path, guesser, fault, optim=optim)), "--run", str(run), "--quiet"]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert f"mine.py line 10 ({fault}) raised AssertionError: tired at 16 completions, the first of problem " in said
    assert f"Once it is put right, go on with: rltk train {run} --resume" in said
    assert [row["step"] for row in runs.rows(run / "metrics.jsonl")] == [1, 2]
    assert runs.names(run / "checkpoints") == ["step-000002"]
    recipe = write(tmp_path, guesser, optim=optim)
    assert main(["train", str(run), "--resume"]) == 0
    assert "not the code that the run began with" in capfd.readouterr().err
    assert main(["train", str(recipe), "--run", str(whole), "--quiet"]) == 0
    assert runs.untimed(run) == runs.untimed(whole)
    manifest, other = (runs.read(one / "manifest.json") for one in (run, whole))
    assert manifest["code"] != other["code"] == manifest["resumed"][0]["code"]


def test_none_of_a_step_judged_ends_it(guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = write(tmp_path, guesser, "return [None] * len(problems)")
    assert main(["train", str(recipe), "--run", str(tmp_path / "run"), "--quiet"]) == 2
    assert "step 1: the rewards gave None for all 16 completions" in capfd.readouterr().err


@pytest.mark.parametrize("algo", ["grpo", "ppo"])
def test_what_could_not_be_judged_is_counted_and_not_learned_from(algo: str, guesser: Path, tmp_path: Path) -> None:
    """On prompts without answers, so that evaluations rest on it too."""
    recipe = write(
        tmp_path,
        guesser,
        "return [None if row % 4 == 1 else 1.0 + row % 2 for row in range(len(problems))]",
        data={"path": "embedded/dialogues", "size": 64},
        algo={"type": algo, "group": 4},
        optim={"steps": 2, "lr": 0.01},
        eval={"tasks": ["heldout"], "limit": 8, "every": 1},
    )
    text = recipe.read_text().replace("right:", "true:").replace("type: answer", "type: gold")
    recipe.write_text(text)
    run = tmp_path / "run"
    assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 0
    rows = runs.rows(run / "metrics.jsonl")
    assert [row["unjudged"] for row in rows] == [0.25, 0.25]
    assert all(row["reward/nines"] == pytest.approx(4 / 3) for row in rows)
    score = runs.read(run / "scores.json")["after"]["dialogues"]
    assert (score["n"], score["unjudged"], score["rewards"]["nines"]["n"]) == (6, 2, 6)
    items = runs.rows(run / "items" / "after-dialogues.jsonl")[:8]
    assert [item["reward"] is None for item in items] == [row % 4 == 1 for row in range(8)]
    assert all(item["gold_reward"] is not None for item in items)


def test_check_loads_and_looks(tmp_path: Path, guesser: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = write(tmp_path, guesser)
    assert main(["check", str(recipe)]) == 0
    assert f"rewards.nines: nines(problems, completions) of {tmp_path / 'mine.py'}, all" in capfd.readouterr().out
    own(tmp_path, "return 1 +")
    assert main(["check", str(recipe), "--json"]) == 2
    answer = json.loads(capfd.readouterr().out)
    assert not answer["ok"] and "line 10 is not Python" in answer["errors"][0]


def test_check_looks_at_reward_models(tmp_path: Path, guesser: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    run = tmp_path / "run"
    run.mkdir()
    manifest = {"recipe": {"algo": {"type": "grpo"}}, "recipe_hash": "0"}
    (run / "manifest.json").write_text(json.dumps(manifest))
    cases = [
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "empty", "holds no model: neither config.json nor adapter_config.json is in"),
        (run, "is a run of algo.type grpo, and none that trained a reward model"),
    ]
    for path, said in cases:
        recipe = runs.write_recipe(tmp_path, guesser, rewards={"quality": {"type": "model", "path": str(path)}})
        assert main(["check", str(recipe)]) == 2
        assert f"rewards.quality.path = {path} {said}" in capfd.readouterr().err
    recipe = runs.write_recipe(tmp_path, guesser, rewards={"quality": {"type": "model", "path": str(guesser)}})
    assert main(["check", str(recipe)]) == 0
    assert f"rewards.quality: the model in {guesser}" in capfd.readouterr().out
