"""Every command of the tutorials, run small."""

import pytest

from tests.documented.pages import TUTORIALS
from tests.documented.tried import TryPage

assert TUTORIALS


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS)
def test_the_commands_of_a_page_run_one_after_the_other(page: str, try_page: TryPage) -> None:
    try_page(page)
