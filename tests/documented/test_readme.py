"""Every command of README, run small."""

from pathlib import Path

import pytest

from tests.documented.pages import README
from tests.documented.tried import try_page


@pytest.mark.slow
def test_the_commands_of_readme_run_one_after_the_other(
    trained: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    try_page(README, trained, tmp_path, monkeypatch, capfd)
