"""Every command of the how-tos, run small."""

from pathlib import Path

import pytest

from tests.documented.pages import HOW_TOS
from tests.documented.tried import try_page

assert HOW_TOS


@pytest.mark.slow
@pytest.mark.parametrize("page", HOW_TOS)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str,
    trained: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    try_page(page, trained, tmp_path, monkeypatch, capfd)
