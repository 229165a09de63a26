"""What a run says it was made with."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

import rltk
from rltk.run import provenance


def test_versions_are_those_of_what_is_imported() -> None:
    found = provenance.versions()
    assert (found["rltk"], found["torch"]) == (rltk.__version__, torch.__version__)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, that rltk seems to run from."""
    (tmp_path / "rltk").mkdir()
    (tmp_path / "rltk" / "__init__.py").write_text("")
    monkeypatch.setattr(rltk, "__file__", str(tmp_path / "rltk" / "__init__.py"))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    me = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*me, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})
    return tmp_path


def test_a_changed_checkout_is_marked(checkout: Path) -> None:
    head = provenance.git(checkout, "rev-parse", "HEAD")
    assert provenance.commit() == head[:12]
    (checkout / "untracked").write_text("")
    assert provenance.commit() == head[:12]
    (checkout / "rltk" / "__init__.py").write_text("changed = 1")
    assert provenance.commit() == f"{head[:12]}+"


def test_without_a_repository_or_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert provenance.commit() is None
    (checkout / ".git").rename(checkout / "no.git")
    assert provenance.commit() is None


def test_hardware_names_what_it_ran_on() -> None:
    found = provenance.hardware(torch.device("cpu"))
    assert found["device"] == "cpu" and found["processor"]
    assert found["cores"] == os.cpu_count() and found["threads"] == torch.get_num_threads()
