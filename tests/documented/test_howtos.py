"""Every command of the how-tos, run small."""

import pytest

from tests.documented.pages import HOW_TOS
from tests.documented.tried import TryPage

assert HOW_TOS


@pytest.mark.slow
@pytest.mark.parametrize("page", HOW_TOS)
def test_the_commands_of_a_page_run_one_after_the_other(page: str, try_page: TryPage) -> None:
    try_page(page)
