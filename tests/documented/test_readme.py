"""Every command of README, run small; but for those that a tutorial has too, word for word, which are run there."""

import pytest

from tests.documented.pages import README, TUTORIALS, commands
from tests.documented.tried import TryPage


@pytest.mark.slow
def test_the_commands_of_readme_run_one_after_the_other(try_page: TryPage) -> None:
    elsewhere = {command.text for page in TUTORIALS for command in commands(page)}
    try_page(README, elsewhere=elsewhere)
