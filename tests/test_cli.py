"""The command line: what is printed where, the exit status, and that asking costs no heavy import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rltk
from rltk.cli import COMMANDS, main, parse
from rltk.commands.findings_runs import compare_args
from rltk.compare.catalogue import ComparisonOf, load_catalogue
from rltk.compare.wanted import wanted
from rltk.errors import UserError
from rltk.recipe.locate import shipped_recipes
from tests.recipe.texts import recipe_text

ROOT = Path(rltk.__file__).parent.parent
HEAVY = ("torch", "transformers", "datasets", "peft")


def run(*argv: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rltk", *argv], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def modules_after(*argv: str) -> set[str]:
    code = (
        "import sys; from rltk.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('', *sys.modules, sep='\\n')"
    )
    command = [sys.executable, "-c", code, *argv]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n"))


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["check", "gsm8k_grpo"], ["check", "gsm8k_grpo", "optim.lr=-1"], ["recipes"], ["schema"]],
    ids=" ".join,
)
def test_what_loads_no_model_imports_nothing_heavy(argv: list[str]) -> None:
    modules = modules_after(*argv)
    assert "rltk.cli" in modules
    assert not modules.intersection(HEAVY)
    assert ("pydantic" in modules) == (argv != ["--help"])


@pytest.mark.parametrize(
    "argv",
    [
        ["embedded/polisy"],
        ["embedded/policy", "--task", "gsm9k"],
        ["embedded/policy", "--task", "word-problems", "--prompt", "plain"],
        ["embedded/policy", "--task", "word-problems", "--limit", "2", "--k", "4"],
        ["embedded/policy", "--task", "word-problems", "--against", "./none"],
    ],
    ids=" ".join,
)
def test_what_eval_refuses_costs_no_heavy_import(argv: list[str]) -> None:
    modules = modules_after("eval", *argv)
    assert "rltk.evaluation.plan" in modules
    assert not modules.intersection(HEAVY)


def test_a_user_error_is_one_sentence_and_status_2() -> None:
    done = run("check", "gsm8k_grpo", "algo.grup=8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rltk: command line: algo.grup = 8 is not a key of algo; did you mean group?\n"


def test_a_reader_that_has_left_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("schema", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "check", COMMANDS["check"]._replace(run=interrupted))
    assert main(["check", "gsm8k_grpo"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["trian"], "there is no command trian; did you mean train?"),
        (["zzz"], f"there is no command zzz; choose one of {', '.join(COMMANDS)}."),
        (["check"], "the following arguments are required: RECIPE; see `rltk check --help`."),
        (["train", "x", "--profil", "a"], "rltk train has no option --profil; did you mean --profile?"),
        (["recipes", "--zzz"], "rltk recipes has no option --zzz; it has --json."),
        (
            ["eval", "m", "--limit", "0"],
            "argument --limit: 0 must be a whole number of at least 1; see `rltk eval --help`.",
        ),
        (
            ["eval", "m", "--samples", "-1"],
            "argument --samples: -1 must be a whole number of at least 0; see `rltk eval --help`.",
        ),
        (
            ["eval", "m", "--temperature", "nan"],
            "argument --temperature: nan must be a number greater than 0; see `rltk eval --help`.",
        ),
        (["--zzz"], "unrecognized arguments: --zzz; see `rltk --help`."),
        (
            ["recipes", "gsm8k_grop"],
            "gsm8k_grop is neither a file nor one of the recipes that come with rltk; did you mean gsm8k_grpo?",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr() == ("", f"rltk: {expected}\n")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"rltk {rltk.__version__}\n")


def test_overrides_and_options_come_in_any_order() -> None:
    args = parse("train", ["x", "a=1", "--profile", "laptop", "b=2", "--resume", "c=3", "--run", "dir"])
    assert (args.recipe, args.overrides, args.profile, args.run) == ("x", ["a=1", "b=2", "c=3"], "laptop", "dir")
    assert (args.resume, args.quiet, args.json) == (True, False, False)


def test_train_without_options_leaves_the_choice_to_the_recipe() -> None:
    args = parse("train", ["x"])
    assert (args.overrides, args.profile, args.run, args.resume) == ([], "auto", None, False)


def test_eval_reads_its_numbers() -> None:
    args = parse("eval", ["m", "--task", "gsm8k", "--task", "heldout", "--limit", "all", "--temperature", "0.5"])
    assert (args.target, args.tasks, args.limit, args.temperature) == ("m", ["gsm8k", "heldout"], "all", 0.5)
    assert parse("eval", ["m", "--limit", "10", "--max-new-tokens", "8"]).limit == 10
    args = parse("eval", ["m", "--samples", "8", "--k", "1", "4", "8", "--by", "level", "subject", "--against", "n"])
    assert (args.samples, args.k, args.by, args.against) == (8, [1, 4, 8], ["level", "subject"], "n")


def test_eval_without_options_leaves_the_choice_to_the_recipe() -> None:
    assert not any(value for key, value in vars(parse("eval", ["m"])).items() if key not in ("target", "argv"))


def test_chat_is_greedy_where_it_is_told_what_is_the_default() -> None:
    assert parse("chat", ["run"]).temperature == parse("chat", ["run", "--temperature", "0"]).temperature == 0.0
    with pytest.raises(UserError, match="--temperature: -1 must be a number of at least 0"):
        parse("chat", ["run", "--temperature", "-1"])


def test_findings_are_quiet_down_to_the_comparisons_that_they_make() -> None:
    finding = next(one for one in load_catalogue().values() if isinstance(one.experiment, ComparisonOf))
    assert isinstance(finding.experiment, ComparisonOf)
    one = wanted(finding.id, finding.experiment, "laptop")[0]
    for words, is_quiet in ([], False), (["--quiet"], True):
        assert compare_args(one, "laptop", parse("findings", words)).quiet is is_quiet


CHECKED = """\
recipe   x.yaml
profile  laptop
note     no accelerator is visible: profile `laptop` (--profile none runs the recipe as written)
hash     {hash}
not at a default:
  name        "x"
  model.path  "a/b"
  data.path   "c/d"
  algo.type   "grpo"
  algo.group  4  (default 8)
  tune.type   "lora"
  optim.lr    1e-05  (default "auto")
ok
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    Path("x.yaml").write_text(recipe_text(profiles="{laptop: {algo: {group: 4}}}"))
    return "x.yaml"


def test_check_says_what_would_run(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["check", recipe, "optim.lr=1e-5", "model.dtype=bfloat16"]
    assert main([*asked, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["profile"], answer["recipe"]["algo"]["group"]) == (True, "laptop", 4)
    assert main(asked) == 0
    assert capsys.readouterr().out == CHECKED.format(hash=answer["hash"])


def test_a_place_that_is_a_file_is_no_folder_of_runs(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, kind in ((["compare"], "comparison"), (["scaling", "run"], "grid")):
        assert main([*words, "gsm8k_grpo", "--out", recipe]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == f"rltk: {recipe} exists and holds no {kind}; name another folder with --out."


def test_check_warns_of_a_learning_rate_that_nobody_documents(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["check", "gsm8k_grpo", "--profile", "none", "optim.lr=1e-6"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert printed.count("warning  optim.lr = 1e-06 is below 2e-05") == 1 and printed.endswith("ok\n")
    assert main([*asked, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["warnings"]
    assert said in printed


def test_check_says_what_is_wrong_to_programs_too(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", recipe, "seed=-1", "--json"]) == 2
    printed = capsys.readouterr()
    sentence = "command line: seed = -1 must be a whole number of at least 0."
    assert json.loads(printed.out) == {"ok": False, "errors": [sentence]}
    assert printed.err == f"rltk: {sentence}\n"


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_recipes_are_listed_with_their_first_comment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(shipped_recipes())
    assert any(line.startswith("gsm8k_grpo  ") and "GRPO on GSM8K" in line for line in lines)


def test_a_recipe_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = shipped_recipes()["gsm8k_grpo"].read_text()
    assert main(["recipes", "gsm8k_grpo"]) == 0
    assert capsys.readouterr().out == text
    assert main(["recipes", "gsm8k_grpo", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["name"], answer["text"]) == ("gsm8k_grpo", text)
    assert main(["recipes", "--json"]) == 0
    assert answer["about"] in [entry["about"] for entry in json.loads(capsys.readouterr().out)]
