"""`rltk serve-reward`: a run's reward model answers over HTTP as it scores here; what cannot be served is refused."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rltk_reward_models.client import RemoteScorer
from rltk_reward_models.scorer import Scorer

from rltk.cli import main
from tests.reward_models import models

TEXTS = ["\n\nHuman: What is 2 and 2?\n\nAssistant: 4", "\n\nHuman: What is 2 and 2?\n\nAssistant: I do not know"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.whole(tmp_path_factory.mktemp("served") / "model")


def test_it_answers_what_the_scorer_gives_and_ends_in_order(folder: Path) -> None:
    command = [sys.executable, "-m", "rltk", "serve-reward", str(folder), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline().split()
        assert said[:3] == ["serving", "model", "at"]
        remote = [scored.score for scored in RemoteScorer(said[-1]).scores(TEXTS)]
        server.send_signal(signal.SIGTERM)
    assert server.returncode == 0
    assert remote == pytest.approx([scored.score for scored in Scorer.load(folder).scores(TEXTS)], abs=1e-5)


def test_what_cannot_be_served_is_refused_in_a_sentence(
    folder: Path, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for argv, sentence in (
        ((guesser,), "is no reward model: give the folder of a run that trained one"),
        ((tmp_path / "absent",), "is no reward model"),
        ((folder, "--port", "70000"), "there is no port 70000"),
        ((folder, "--host", "0.0.0.0"), "token"),
        ((folder, "--token-file", tmp_path / "none"), "No such file"),
    ):
        assert main(["serve-reward", *map(str, argv)]) == 2
        printed = capfd.readouterr()
        assert sentence in printed.err and printed.err.count("\n") == 1 and printed.out == ""
