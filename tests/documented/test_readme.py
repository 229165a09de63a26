"""Every command of README, run small; but for those that a tutorial has too, word for word, which are run there."""

from pathlib import Path

import pytest

from tests.documented.pages import README, TUTORIALS, commands
from tests.documented.tried import try_page


@pytest.mark.slow
def test_the_commands_of_readme_run_one_after_the_other(
    trained: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = {command.text for page in TUTORIALS for command in commands(page)}
    try_page(README, trained, tmp_path, monkeypatch, capfd, elsewhere=elsewhere)
