"""A reward model that is exported, in every form, scores what its run scores and keeps the head it was trained with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rltk_reward_models.scorer import Scorer
from safetensors.torch import load_file

from rltk.recipe.schema import Recipe
from tests import asked, runs, tiny
from tests.reward_models import models

TEXTS = ("What is 1 and 2? It is 3", "What is 4? I do not know that.", "no")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like many a model of the hub it names no padding token."""
    return tiny.folder(tmp_path_factory.mktemp("base"), pad_token_id=None)


@pytest.fixture
def export(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    return asked.answers("export", capfd)


def finished(run: Path, base: Path, kind: str) -> Path:
    """A run as it ends, of a reward model of random weights."""
    sections: dict[str, Any] = {
        "name": "t",
        "model": {"path": str(base)},
        "data": {"path": "embedded/dialogues"},
        "algo": {"type": "reward_model"},
        "tune": {"type": kind},
        "optim": {"steps": 2},
    }
    runs.begun(run, Recipe.model_validate(sections), status="finished")
    if kind == "lora":
        models.adapter(run / "model", base)
    else:
        models.whole(run / "model")
    return run


def scores(folder: Path) -> list[float]:
    """Of all texts in one batch."""
    scorer = Scorer.load(folder)
    return scorer.score_encoded([scorer.encode(text) for text in TEXTS])


FORMS = [("lora", (), "adapter"), ("lora", ("--merge",), "merged"), ("full", (), "model")]


@pytest.mark.parametrize(("kind", "options", "form"), FORMS)
def test_it_scores_as_its_run_does(
    kind: str, options: tuple[str, ...], form: str, base: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    run, out = finished(tmp_path / "run", base, kind), tmp_path / "out"
    made = export(run, out, *options)
    assert made["form"] == form and made["difference"] <= 1e-4
    assert any(name.endswith("score.weight") for name in load_file(next(out.glob("*.safetensors"))))
    expected = scores(run / "model")
    assert len(set(expected)) == 3 and scores(out) == pytest.approx(expected, abs=1e-4)
