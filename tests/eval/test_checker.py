"""Worker processes that check mathematical answers: bounds, deaths, threads, forks, exit."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rltk_eval.answers import Grade, Verdict, grade_all
from rltk_eval.pool import Checker

EVAL = Path(__file__).resolve().parents[2] / "eval"
EASY = (r"\boxed{(x+1)^2}", "x^2+2x+1")
WRONG = (r"\boxed{(x+1)^3}", "x^2+2x+1")
RUNAWAY = (r"\boxed{(a+b+c+d)^{90}}", "(a^2+b^2+c^2+d^2+2ab+2ac+2ad+2bc+2bd+2cd)^{45}")
"""Equal, but to see it sympy expands a hundred thousand terms."""


@pytest.fixture
def checker() -> Iterator[Checker]:
    """Patient, since a test machine may be busy; the tests of bounds make their own."""
    with Checker(workers=2, seconds=300) as checker:
        yield checker


def verdicts(grades: list[Grade]) -> list[str]:
    return [grade.verdict.value for grade in grades]


def is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def outcome(program: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A program of its own, which finds the package as users do."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    environment = os.environ | {"PYTHONPATH": str(EVAL)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def test_order_is_kept_and_workers_see_only_what_needs_them(checker: Checker):
    assert verdicts(checker.grade([(r"\boxed{17}", "17"), (r"\boxed{18}", "17"), ("?", "17")])) == [
        "correct",
        "incorrect",
        "unreadable",
    ]
    assert checker.processes() == []
    pairs = [EASY, (r"\boxed{17}", "17"), WRONG, ("none", "17"), EASY]
    assert verdicts(checker.grade(pairs)) == ["correct", "correct", "incorrect", "unreadable", "correct"]
    assert len(checker.processes()) in (1, 2)  # of two questions the first worker may answer both
    assert checker.grade(pairs)[0] == Grade(Verdict.CORRECT, "(x+1)^2")


def test_known_verdicts_need_no_worker(checker: Checker):
    checker.grade([EASY])
    checker.close()
    assert verdicts(checker.grade([EASY] * 8)) == ["correct"] * 8
    assert checker.processes() == []


def test_nothing_to_grade(checker: Checker):
    assert checker.grade([]) == []


def test_a_gold_that_does_not_read_is_an_error(checker: Checker):
    with pytest.raises(ValueError, match="no gold answer in"):
        checker.grade([(r"\boxed{5}", r"\boxed{}")])
    with pytest.raises(ValueError, match="seconds"):
        Checker(seconds=0)


def test_grade_all_takes_the_same_path():
    completions, golds = [EASY[0], WRONG[0], "It is 5."], [EASY[1], WRONG[1], "5"]
    assert verdicts(grade_all(completions, golds, kind="math")) == ["correct", "incorrect", "correct"]
    assert verdicts(grade_all(completions, golds, kind="math", strict=True)) == ["correct", "incorrect", "unreadable"]
    assert verdicts(grade_all(["#### 5", "5 or 6"], ["5", "5"])) == ["correct", "unreadable"]
    with pytest.raises(ValueError, match="zip"):
        grade_all(["5"], [], kind="math")


def test_a_check_that_runs_away_is_a_timeout_and_the_next_is_not():
    with Checker(workers=1, seconds=1) as checker:
        while not (first := checker.processes()):  # on a busy machine an easy check too may take too long
            checker.grade([EASY])
        started = time.monotonic()
        assert verdicts(checker.grade([RUNAWAY])) == ["timeout"]
        assert time.monotonic() - started < 30  # 1 s, and a machine that has other things to do
        assert not is_there(first[0])
    with Checker(workers=1, seconds=300) as checker:
        assert verdicts(checker.grade([WRONG])) == ["incorrect"]


def test_a_check_that_takes_all_memory_is_a_timeout():
    with Checker(workers=1, seconds=300, memory=150 << 20) as checker:
        assert verdicts(checker.grade([EASY, RUNAWAY, WRONG])) == ["correct", "timeout", "incorrect"]


def test_a_killed_worker_is_replaced_and_its_question_asked_again(checker: Checker):
    checker.grade([EASY])
    for process_id in checker.processes():
        os.kill(process_id, signal.SIGKILL)
    assert verdicts(checker.grade([WRONG])) == ["incorrect"]


def test_a_question_that_kills_twice_is_a_timeout(checker: Checker):
    stop = threading.Event()
    killed: set[int] = set()

    def kill_whatever_works() -> None:
        while not stop.is_set():
            for process_id in set(checker.processes()) - killed:
                if is_asked(checker, process_id):
                    os.kill(process_id, signal.SIGKILL)
                    killed.add(process_id)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_whatever_works)
    killer.start()
    try:
        assert verdicts(checker.grade([RUNAWAY])) == ["timeout"]
    finally:
        stop.set()
        killer.join()
    assert len(killed) == 2
    assert verdicts(checker.grade([EASY])) == ["correct"]


def is_asked(checker: Checker, process_id: int) -> bool:
    return any(worker.process.pid == process_id and worker.question for worker in [*checker._pool])


def test_several_threads_share_a_checker(checker: Checker):
    found: dict[int, list[str]] = {}

    def grade(thread: int) -> None:
        pairs = [(rf"\boxed{{(x+{thread})(x-{n})}}", rf"x^2+({thread}-{n})x-{thread * n}") for n in range(1, 6)]
        found[thread] = verdicts(checker.grade(pairs))

    threads = [threading.Thread(target=grade, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: ["correct"] * 5 for number in range(1, 5)}
    assert len(checker.processes()) == 2


def test_it_works_after_a_fork_and_leaves_the_workers_to_the_parent(checker: Checker):
    program = r"""
        import os, sys
        from rltk_eval.pool import Checker
        checker = Checker(workers=1, seconds=300)
        easy, wrong = (r"\boxed{(x+1)^2}", "x^2+2x+1"), (r"\boxed{(x+1)^3}", "x^2+2x+1")
        assert checker.grade([easy])[0].correct
        mine = checker.processes()
        child = os.fork()
        if child == 0:
            right = not checker.grade([wrong])[0].correct and checker.processes() != mine
            checker.close()
            sys.exit(0 if right else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert checker.processes() == mine and not checker.grade([wrong])[0].correct
        print("done")
    """
    finished = outcome(program)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "done\n", "")


def test_workers_end_with_the_program_and_quietly():
    program = r"""
        from rltk_eval.answers import grade_all
        from rltk_eval import answers
        assert grade_all([r"\boxed{(x+1)^2}"], ["x^2+2x+1"], kind="math")[0].correct
        print(*answers._CHECKER.processes())
    """
    finished = outcome(program)
    assert finished.stderr == ""
    process_ids = [int(word) for word in finished.stdout.split()]
    assert process_ids
    assert not any(is_there(process_id) for process_id in process_ids)


def test_workers_that_cannot_start_are_an_error_that_says_so(tmp_path: Path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('broken')")
    program = rf"""
        import os
        os.environ["PYTHONPATH"] = {str(tmp_path)!r}
        from rltk_eval.answers import grade_all
        grade_all([r"\boxed{{(x+1)^2}}"], ["x^2+2x+1"], kind="math")
    """
    finished = outcome(program)
    assert finished.stderr.splitlines()[-1].startswith("RuntimeError: the process that checks mathematical answers")


def test_ctrl_c_ends_it_without_words_from_the_workers():
    program = r"""
        import os, signal, threading
        from rltk_eval.pool import Checker
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit none
        checker = Checker(workers=2, seconds=300)
        checker.grade([(r"\boxed{(x+1)^2}", "x^2+2x+1"), (r"\boxed{(x+2)^2}", "x^2+2x+1")])
        print(*checker.processes(), flush=True)
        runaway = "(a+b+c+d)^{90}"
        threading.Timer(2, os.killpg, (0, signal.SIGINT)).start()
        try:
            checker.grade([(r"\boxed{" + runaway + "}", "(a^2+b^2+c^2+d^2+2ab+2ac+2ad+2bc+2bd+2cd)^{45}")])
        except KeyboardInterrupt:
            print("interrupted", len(checker.processes()))
            print(checker.grade([(r"\boxed{(x+1)^3}", "x^2+2x+1")])[0].verdict.value)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    finished = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(EVAL)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,
    )
    assert finished.stderr == ""
    lines = finished.stdout.splitlines()
    assert lines[1:] == ["interrupted 1", "incorrect"]
    assert not any(is_there(int(word)) for word in lines[0].split())


def test_workers_import_neither_torch_nor_rltk_and_the_caller_no_sympy():
    program = r"""
        import os, sys
        from rltk_eval.answers import grade_all
        assert grade_all([r"\boxed{\frac12}", r"\boxed{(x+1)^2}"], ["0.5", "x^2+2x+1"], kind="math")[1].correct
        print(sorted({"sympy", "math_verify", "latex2sympy2_extended", "torch", "rltk"} & sys.modules.keys()))
    """
    assert outcome(program).stdout == "[]\n"
    program = """
        import sys
        import rltk_eval.symbolic
        print(sorted({"sympy", "math_verify", "torch", "rltk"} & sys.modules.keys()))
    """
    assert outcome(program).stdout == "['math_verify', 'sympy']\n"


def test_no_alarm_signal_is_set_and_none_is_needed(checker: Checker):
    before = signal.getsignal(signal.SIGALRM)
    found: list[Grade] = []
    thread = threading.Thread(target=lambda: found.extend(checker.grade([EASY, WRONG])))
    thread.start()
    thread.join()
    assert verdicts(found) == ["correct", "incorrect"]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_memory_of_the_program_that_asks_does_not_count():
    """A training process is far larger than a worker may become; Linux reckons it to the worker's peak."""
    finished = outcome(
        f"""
        from rltk_eval.pool import Checker
        held = bytearray(1500 * 2**20)
        held[::4096] = b"x" * len(held[::4096])
        with Checker(workers=1, seconds=300) as checker:
            print([grade.verdict.value for grade in checker.grade([{EASY!r}, {WRONG!r}])])
        """
    )
    assert finished.stdout == "['correct', 'incorrect']\n", finished.stderr
